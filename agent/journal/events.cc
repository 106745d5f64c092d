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
  transaction.commit();
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
  Statement query = database_.prepare(std::string(kSelect) + "ORDER BY sequence");
  Sha256 previous{};
  std::int64_t expected = 1;
  while (query.step()) {
    const Event event = event_from(query);
    if (event.sequence != expected || event.hash != event_hash(previous, event)) {
      return event.sequence;
    }
    previous = event.hash;
    ++expected;
  }
  return std::nullopt;
}

}  // namespace driveprep::journal
