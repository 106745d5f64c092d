#include <algorithm>

#include "agent/journal/journal.h"
#include "agent/journal/schema.h"

namespace driveprep::journal {
namespace {

Sha256 event_hash(const Sha256& previous, const Event& event) {
  const std::string text = std::to_string(event.sequence) + "\n" +
                           std::to_string(event.time.ticks) + "\n" + event.kind + "\n" +
                           event.drive + "\n" + event.details;
  Digest digest(Digest::Algorithm::kSha256);
  digest.update(previous);
  digest.update(as_bytes(text));
  const Bytes raw = digest.finish();
  Sha256 hash{};
  std::copy(raw.begin(), raw.end(), hash.begin());
  return hash;
}

bool has_control_characters(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20; });
}

Event event_from(const Statement& row) {
  Event event;
  event.sequence = row.integer(0);
  event.time = time_column(row, 1);
  event.kind = row.text(2);
  event.drive = row.text(3);
  event.details = row.text(4);
  event.hash = sha256_column(row, 5);
  return event;
}

constexpr const char* kSelect = "SELECT sequence, time, kind, drive, details, hash FROM event ";

// As far as it fits, `last` follows the chain.
std::optional<std::int64_t> first_broken(Database& database, ChainHead& last) {
  Statement query = database.prepare(std::string(kSelect) + "ORDER BY sequence");
  while (query.step()) {
    const std::int64_t sequence = query.integer(0);
    const bool whole_hash = query.blob(5).size() == Sha256{}.size();
    if (sequence != last.events + 1 || !whole_hash) return sequence;
    const Event event = event_from(query);
    if (event.hash != event_hash(last.hash, event)) return sequence;
    last = {sequence, event.hash};
  }
  return std::nullopt;
}

ChainHead last_head(Database& database) {
  Statement last =
      database.prepare("SELECT sequence, hash FROM event ORDER BY sequence DESC LIMIT 1");
  if (!last.step()) return {};
  return {last.integer(0), sha256_column(last, 1)};
}

std::optional<ChainHead> own_head(Database& database) {
  if (!has_event_head(database)) return std::nullopt;
  Statement row = database.prepare("SELECT events, hash FROM event_head");
  if (!row.step()) return std::nullopt;
  return ChainHead{row.integer(0), sha256_column(row, 1)};
}

}  // namespace

void Journal::add_event(std::string_view kind, std::string_view drive, std::string_view details) {
  const NewEvent event{std::string(kind), std::string(drive), std::string(details)};
  add_events({&event, 1});
}

void Journal::add_events(std::span<const NewEvent> events) {
  std::scoped_lock lock(mutex_);
  Transaction transaction(database_);
  Event event;
  {
    Statement last = database_.prepare(std::string(kSelect) + "ORDER BY sequence DESC LIMIT 1");
    if (last.step()) event = event_from(last);
  }
  event.time = FileTime::now();
  for (const NewEvent& added : events) {
    require(!added.kind.empty() && !has_control_characters(added.kind),
            "an event needs a kind in plain text");
    require(!has_control_characters(added.drive), "the drive of an event has control characters");
    ++event.sequence;
    event.kind = added.kind;
    event.drive = added.drive;
    event.details = added.details.empty() ? "{}" : added.details;
    event.hash = event_hash(event.hash, event);  // of the one before until now
    database_.prepare("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)")
        .bind(1, event.sequence)
        .bind(2, to_sql(event.time))
        .bind(3, event.kind)
        .bind(4, event.drive)
        .bind(5, event.details)
        .bind(6, ByteView(event.hash))
        .run();
  }
  const ChainHead head{event.sequence, event.hash};
  create_event_head(database_);
  // One that is no place in the chain any more stays: it tells that events are missing.
  if (const auto own = own_head(database_); !own || holds(*own)) {
    database_.prepare("INSERT OR REPLACE INTO event_head VALUES (1, ?, ?)")
        .bind(1, head.events)
        .bind(2, ByteView(head.hash))
        .run();
  }
  transaction.commit();
  keep_head(head, {});
}

void Journal::mark(const std::string& name) {
  std::scoped_lock lock(mutex_);
  keep_head(last_head(database_), name);
}

// As the table in the journal, the file is left alone when it tells that something is wrong.
void Journal::keep_head(const ChainHead& head, const std::string& new_mark) {
  KeptHead next{head, {}};
  try {
    if (const auto kept = load_kept_head(job_directory_)) {
      next = *kept;
      if (holds(kept->head)) next.head = head;
    }
  } catch (const FormatError&) {
    return;
  }
  if (!new_mark.empty() && std::ranges::find(next.marks, new_mark) == next.marks.end()) {
    next.marks.push_back(new_mark);
  }
  save_kept_head(job_directory_, next);
}

std::optional<Sha256> Journal::hash_at(std::int64_t sequence) const {
  if (sequence == 0) return Sha256{};
  Statement query = database_.prepare("SELECT hash FROM event WHERE sequence = ?");
  query.bind(1, sequence);
  if (!query.step() || query.blob(0).size() != Sha256{}.size()) return std::nullopt;
  return sha256_column(query, 0);
}

bool Journal::holds(const ChainHead& head) const { return hash_at(head.events) == head.hash; }

bool Journal::holds_event(const Sha256& hash) const {
  std::scoped_lock lock(mutex_);
  Statement query = database_.prepare("SELECT 1 FROM event WHERE hash = ?");
  query.bind(1, ByteView(hash));
  return query.step();
}

std::vector<Event> Journal::events(std::int64_t first, std::size_t limit) const {
  std::scoped_lock lock(mutex_);
  Statement query =
      database_.prepare(std::string(kSelect) + "WHERE sequence >= ? ORDER BY sequence LIMIT ?");
  query.bind(1, first).bind(2, static_cast<std::int64_t>(limit));
  std::vector<Event> events;
  while (query.step()) events.push_back(event_from(query));
  return events;
}

std::optional<std::int64_t> Journal::first_broken_event() const {
  std::scoped_lock lock(mutex_);
  ChainHead last;
  return first_broken(database_, last);
}

ChainCheck Journal::check_chain() const {
  std::scoped_lock lock(mutex_);
  // Before the chain is read: it may grow meanwhile, and this may only lag behind.
  std::optional<KeptHead> kept;
  std::string damage;
  try {
    kept = load_kept_head(job_directory_);
  } catch (const Error& error) {
    damage = error.what();
  } catch (const FormatError& error) {
    damage = error.what();
  }
  ChainCheck check;
  try {
    check = compare_chain(kept);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kJournalMismatch) throw;
    check.state = ChainCheck::State::kChanged;
    check.trouble = "its events cannot be read: " + std::string(error.what());
  }
  if (kept) check.marks = kept->marks;
  if (!damage.empty()) {
    check.head_unreadable = true;
    if (check.whole()) {
      check.state = ChainCheck::State::kOlder;
      check.trouble = "audit-head.json, which tells how far it had come, cannot be used: " + damage;
    }
  }
  return check;
}

ChainCheck Journal::compare_chain(const std::optional<KeptHead>& kept) const {
  const auto counted = [](std::int64_t events) {
    return std::to_string(events) + (events == 1 ? " event" : " events");
  };
  const std::optional<ChainHead> own = own_head(database_);
  ChainCheck check;
  const auto found = [&](ChainCheck::State state, const std::string& trouble) {
    check.state = state;
    check.trouble = trouble;
    return check;
  };
  check.first_broken = first_broken(database_, check.head);
  if (check.first_broken) {
    return found(ChainCheck::State::kChanged, "event " + std::to_string(*check.first_broken) +
                                                  " does not fit the one before");
  }
  if (own && own->events > check.head.events) {
    return found(ChainCheck::State::kCutOff, "its end was cut off: it had " + counted(own->events) +
                                                 ", and has " + counted(check.head.events));
  }
  if (own && !holds(*own)) {
    return found(ChainCheck::State::kCutOff, "its end was cut off and written anew: event " +
                                                 std::to_string(own->events) +
                                                 " is not the one that was recorded");
  }
  if (!kept) {
    check.not_proven =
        own ? "audit-head.json is missing: that no older journal was put back is not proven."
            : "No head has been kept so far: that no event is missing at the end is not proven.";
  } else if (kept->head.events > check.head.events) {
    return found(ChainCheck::State::kOlder,
                 "an older journal was put back, or its end was cut off: audit-head.json tells of " +
                     counted(kept->head.events) + ", the journal has " +
                     counted(check.head.events));
  } else if (!holds(kept->head)) {
    return found(ChainCheck::State::kOlder,
                 "an older journal was put back and went on, or its end was cut off: event " +
                     std::to_string(kept->head.events) + " is not the one in audit-head.json");
  }
  return check;
}

}  // namespace driveprep::journal
