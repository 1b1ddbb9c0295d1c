#include "io/round_journal.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/error.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;

/// What stands before the arrays of an entry.
struct EntryHeader {
  double seconds = 0;
  std::uint64_t clients = 0;
  std::uint64_t densities = 0;
  std::uint64_t ranks = 0;
  std::int32_t round = 0;
  std::int32_t evaluated = 0;
};

template <class T>
void append(std::vector<std::byte>& bytes, std::span<const T> values) {
  static_assert(std::is_trivially_copyable_v<T>);
  const auto more = std::as_bytes(values);
  bytes.insert(bytes.end(), more.begin(), more.end());
}

/// Takes values from the front of bytes.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : left_(bytes) {}
  bool at_end() const { return left_.empty(); }
  /// None if so many are not there.
  template <class T>
  std::optional<std::vector<T>> take(std::uint64_t count) {
    if (count > left_.size() / sizeof(T)) return std::nullopt;
    std::vector<T> values(count);
    if (count > 0) std::memcpy(values.data(), left_.data(), count * sizeof(T));
    left_ = left_.subspan(count * sizeof(T));
    return values;
  }

 private:
  std::span<const std::byte> left_;
};

std::optional<JournalEntry> take_entry(Cursor& cursor) {
  const auto header = cursor.take<EntryHeader>(1);
  if (!header) return std::nullopt;
  const EntryHeader& head = header->front();
  auto clients = cursor.take<ClientRecord>(head.clients);
  auto density = cursor.take<float>(head.densities);
  auto ranks = cursor.take<RankRecord>(head.ranks);
  if (!clients || !density || !ranks) return std::nullopt;
  return JournalEntry{.round = {.round = head.round,
                                .evaluated = head.evaluated != 0,
                                .clients = std::move(*clients),
                                .density = std::move(*density),
                                .ranks = std::move(*ranks)},
                      .seconds = head.seconds};
}

bool is_count(std::int64_t number) {
  constexpr std::int64_t kMost = std::int64_t{1} << 48;  // so that sums of them can't overflow
  return number >= 0 && number <= kMost;
}

bool fits(const ClientRecord& record, const JournalBounds& bounds) {
  return record.client >= 0 && static_cast<std::size_t>(record.client) < bounds.clients &&
         is_count(record.samples) && is_count(record.gradients) && is_count(record.bytes_up) &&
         is_count(record.bytes_down) && is_count(record.mask_changes);
}

/// The next entry, which must be that of round `round`; none if it is not.
std::optional<JournalEntry> take_fitting(Cursor& cursor, const JournalBounds& bounds,
                                         std::size_t round) {
  auto entry = take_entry(cursor);
  if (!entry) return std::nullopt;
  const RoundRecord& record = entry->round;
  const bool is_whole = record.round >= 0 && static_cast<std::size_t>(record.round) == round &&
                        record.density.size() == record.clients.size() * bounds.tensors;
  const auto& clients = record.clients;
  if (!is_whole || !std::all_of(clients.begin(), clients.end(),
                                [&](const auto& client) { return fits(client, bounds); }))
    return std::nullopt;
  return entry;
}

[[noreturn]] void refuse(const fs::path& path) {
  throw InputError(fmt::format(
      "{}: does not belong to this checkpoint, or is damaged: start the run again elsewhere",
      path.string()));
}

/// What the position covers, as the file has it.
std::vector<std::byte> read_bytes(const fs::path& path, const JournalPosition& position) {
  std::error_code error;
  if (!fs::exists(path, error)) refuse(path);
  RawFile file(path, RawFile::Mode::read);
  if (file.size() < position.bytes) refuse(path);
  std::vector<std::byte> bytes(position.bytes);
  file.read_at(0, bytes);
  return bytes;
}

}  // namespace

RoundJournal::RoundJournal(fs::path path)
    : file_(RawFile(std::move(path), RawFile::Mode::create)) {}

RoundJournal::RoundJournal(fs::path path, const JournalPosition& position,
                           const JournalBounds& bounds, std::vector<JournalEntry>& entries)
    : bytes_(position.bytes) {
  const auto bytes = read_bytes(path, position);
  hash_.add_bytes(bytes);
  if (hash_.value() != position.hash) refuse(path);
  for (Cursor cursor(bytes); !cursor.at_end();) {
    auto entry = take_fitting(cursor, bounds, entries.size());
    if (!entry) refuse(path);
    entries.push_back(std::move(*entry));
  }
  file_.emplace(std::move(path), RawFile::Mode::append);
}

std::vector<JournalEntry> RoundJournal::read(const fs::path& path, const JournalBounds& bounds) {
  std::error_code error;
  if (!fs::exists(path, error)) return {};
  RawFile file(path, RawFile::Mode::read);
  std::vector<std::byte> bytes(file.size());
  file.read_at(0, bytes);
  std::vector<JournalEntry> entries;
  for (Cursor cursor(bytes); !cursor.at_end();) {
    auto entry = take_fitting(cursor, bounds, entries.size());
    if (!entry) break;
    entries.push_back(std::move(*entry));
  }
  return entries;
}

std::uint64_t RoundJournal::bytes_of_rounds(std::size_t rounds, std::size_t records,
                                            std::size_t tensors, std::size_t ranks) {
  return rounds * (sizeof(EntryHeader) + ranks * sizeof(RankRecord)) +
         records * (sizeof(ClientRecord) + tensors * sizeof(float));
}

void RoundJournal::add(const JournalEntry& entry) {
  const RoundRecord& round = entry.round;
  const EntryHeader header{.seconds = entry.seconds,
                           .clients = round.clients.size(),
                           .densities = round.density.size(),
                           .ranks = round.ranks.size(),
                           .round = round.round,
                           .evaluated = round.evaluated ? 1 : 0};
  std::vector<std::byte> bytes;
  append(bytes, std::span<const EntryHeader>(&header, 1));
  append(bytes, std::span<const ClientRecord>(round.clients));
  append(bytes, std::span<const float>(round.density));
  append(bytes, std::span<const RankRecord>(round.ranks));
  file_->append(bytes);
  hash_.add_bytes(bytes);
  bytes_ += bytes.size();
}

JournalPosition RoundJournal::sync() {
  file_->sync();
  return {bytes_, hash_.value()};
}

}  // namespace fedselect
