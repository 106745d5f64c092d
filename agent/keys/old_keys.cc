#include "agent/keys/old_keys.h"

#include <algorithm>
#include <set>

#include "agent/keys/envelopes.h"
#include "base/file_time.h"
#include "keywrap/content_key.h"
#include "keywrap/key_error.h"
#include "keywrap/rewrap.h"

namespace driveprep::keys {
namespace {

using journal::Journal;
using keywrap::Condition;
using keywrap::KeyError;

// The recipient in front, and when that one is damaged any other.
void require_opens(const keywrap::Envelope& envelope, keywrap::KeyStore& ring) {
  try {
    keywrap::unwrap_content_key(envelope, ring, envelope.recipients.front().kid);
  } catch (const KeyError& error) {
    if (error.condition() != Condition::kEnvelopeNotOpened) throw;
    keywrap::unwrap_content_key(envelope, ring);
  }
}

// The first envelope that has no room for `kid`.
std::optional<EnvelopeFile> full_envelope(const JobKeys& keys, const std::string& kid) {
  for (const EnvelopeFile& file : envelopes_of(keys.job().directory)) {
    const std::vector<std::string> kids = kids_of(file);
    const bool is_under_it = std::ranges::find(kids, kid) != kids.end();
    if (!is_under_it && kids.size() >= keywrap::kMaxRecipients) return file;
  }
  return std::nullopt;
}

std::set<std::string> all_kids(const job::JobDirectory& directory) {
  std::set<std::string> all;
  for (const EnvelopeFile& file : envelopes_of(directory)) {
    const std::vector<std::string> kids = kids_of(file);
    all.insert(kids.begin(), kids.end());
  }
  return all;
}

// When the first of the old keys over the envelope may go.
std::string next_drop(const KeyState& state, const EnvelopeFile& file) {
  const std::vector<std::string> kids = kids_of(file);
  std::optional<UnixSeconds> first;
  for (const Rotation& rotation : state.rotations) {
    if (rotation.dropped || std::ranges::find(kids, rotation.old_kid) == kids.end()) continue;
    first = std::min(rotation.droppable, first.value_or(rotation.droppable));
  }
  return first ? FileTime::from_timespec({*first, 0}).iso8601() : "tomorrow";
}

}  // namespace

bool may_drop(const Rotation& rotation, UnixSeconds now) {
  return now >= rotation.time && now >= rotation.droppable && now - rotation.time >= kOverlap;
}

std::string current_kid(const JobKeys& keys) {
  if (keys.state() && !keys.state()->current_kid.empty()) return keys.state()->current_kid;
  const auto files = envelopes_of(keys.job().directory);
  return files.empty() ? std::string() : kids_of(files.front()).front();
}

void require_old_keys(JobKeys& keys, const std::string& to) {
  std::set<std::string> tried;
  for (const EnvelopeFile& file : envelopes_of(keys.job().directory)) {
    const keywrap::Envelope envelope = read_envelope(file, keys.job().spec.name);
    if (keywrap::has_recipient(envelope, to)) continue;
    if (tried.insert(envelope.recipients.front().kid).second) require_opens(envelope, keys.ring());
  }
}

void add_rotations(KeyState& state, const std::string& old_kid, Reason reason,
                   const RewrapCounts& counts, UnixSeconds now) {
  const auto add = [&](const std::string& kid, std::size_t envelopes) {
    state.rotations.push_back(
        {now, reason, kid, state.current_kid, envelopes, now + kOverlap, std::nullopt});
  };
  for (const auto& [kid, envelopes] : counts.older) {
    if (kid == old_kid || kid == state.current_kid) continue;
    if (std::ranges::find(state.rotations, kid, &Rotation::old_kid) == state.rotations.end()) {
      add(kid, envelopes);
    }
  }
  if (!old_kid.empty() && old_kid != state.current_kid) add(old_kid, counts.envelopes);
}

std::size_t drop_old_keys(JobKeys& keys, Journal& journal) {
  if (!keys.state()) return 0;
  KeyState state = *keys.state();
  const UnixSeconds now = keys.now();
  bool changed = false;
  for (Rotation& rotation : state.rotations) {
    if (!rotation.dropped && now < rotation.time) {  // the clock went backwards
      rotation.time = now;
      rotation.droppable = now + kOverlap;
      changed = true;
    }
  }
  const auto droppable = [&](const std::string& kid) {
    // Of several rotations the last one counts; a key that came by no rotation is left alone.
    const auto last = std::find_if(state.rotations.rbegin(), state.rotations.rend(),
                                   [&](const Rotation& r) { return r.old_kid == kid; });
    return last != state.rotations.rend() && may_drop(*last, now);
  };
  // Also recipients that were dropped before: a copy that was put back may have brought them back.
  const std::size_t dropped = drop_recipients(keys, journal, state.current_kid, droppable);
  const std::set<std::string> still_there = all_kids(keys.job().directory);
  for (Rotation& rotation : state.rotations) {
    // A key that the job went back to is not gone, and a later rotation may still need it.
    if (rotation.dropped || rotation.old_kid == state.current_kid || !droppable(rotation.old_kid) ||
        still_there.contains(rotation.old_kid)) {
      continue;
    }
    rotation.dropped = now;
    changed = true;
  }
  if (changed) keys.save(state);
  return dropped;
}

void make_room(JobKeys& keys, Journal& journal, const std::string& kid) {
  if (!full_envelope(keys, kid)) return;
  drop_old_keys(keys, journal);
  const auto full = full_envelope(keys, kid);
  if (!full) return;
  throw Error(ErrorKind::kKey, "envelope-recipients",
              full->file.string() + " is under " + std::to_string(keywrap::kMaxRecipients) +
                  " keys already, and takes no more",
              keys.state() ? "Run the same command again after " + next_drop(*keys.state(), *full) +
                                 ": then the oldest key may be dropped. Until then the job stays "
                                 "under the key that it has."
                           : "Restore the envelope from a copy of the job directory.");
}

}  // namespace driveprep::keys
