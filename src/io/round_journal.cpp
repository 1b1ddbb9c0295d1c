#include "io/round_journal.hpp"

#include <fmt/format.h>

#include <algorithm>
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

/// Takes values out of a file, from its front to an end.
class Cursor {
 public:
  /// `hash` gets what is taken.
  Cursor(const fs::path& path, Hash& hash, std::optional<std::uint64_t> end = {})
      : file_(path, RawFile::Mode::read), hash_(hash), end_(end.value_or(file_.size())) {}
  bool at_end() const { return at_ == end_; }
  /// None if so many are not there.
  template <class T>
  std::optional<std::vector<T>> take(std::uint64_t count) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (count > (end_ - at_) / sizeof(T)) return std::nullopt;
    std::vector<T> values(count);
    file_.read_at(at_, std::as_writable_bytes(std::span(values)));
    hash_.add(values);
    at_ += count * sizeof(T);
    return values;
  }

 private:
  RawFile file_;
  Hash& hash_;
  std::uint64_t at_ = 0;
  std::uint64_t end_;
};

std::optional<JournalEntry> take_entry(Cursor& cursor) {
  const auto header = cursor.take<EntryHeader>(1);
  if (!header) return std::nullopt;
  const EntryHeader& head = header->front();
  auto clients = cursor.take<ClientRecord>(head.clients);
  if (!clients) return std::nullopt;
  auto density = cursor.take<float>(head.densities);
  if (!density) return std::nullopt;
  auto ranks = cursor.take<RankRecord>(head.ranks);
  if (!ranks) return std::nullopt;
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

/// How many rounds stand before a position; `hash` gets their bytes. None: they are not there, or
/// not those of the position.
std::optional<std::size_t> count_rounds(const fs::path& path, const JournalPosition& position,
                                        const JournalBounds& bounds, Hash& hash) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  if (error || size < position.bytes) return std::nullopt;
  std::size_t rounds = 0;
  for (Cursor cursor(path, hash, position.bytes); !cursor.at_end(); ++rounds)
    if (!take_fitting(cursor, bounds, rounds)) return std::nullopt;
  return hash.value() == position.hash ? std::optional(rounds) : std::nullopt;
}

[[noreturn]] void refuse(const fs::path& path) {
  throw InputError(fmt::format(
      "{}: does not belong to this checkpoint, or is damaged: start the run again elsewhere",
      path.string()));
}

}  // namespace

RoundJournal::RoundJournal(fs::path path)
    : file_(RawFile(std::move(path), RawFile::Mode::create)) {}

RoundJournal::RoundJournal(fs::path path, const JournalPosition& position,
                           const JournalBounds& bounds)
    : bytes_(position.bytes) {
  const auto rounds = count_rounds(path, position, bounds, hash_);
  if (!rounds) refuse(path);
  rounds_ = *rounds;
  file_.emplace(std::move(path), RawFile::Mode::append);
}

std::optional<std::size_t> RoundJournal::count(const fs::path& path,
                                               const JournalPosition& position,
                                               const JournalBounds& bounds) {
  Hash unused;
  return count_rounds(path, position, bounds, unused);
}

std::size_t RoundJournal::read(const fs::path& path, const JournalBounds& bounds,
                               const std::function<void(const JournalEntry&)>& visit) {
  std::error_code error;
  if (!fs::exists(path, error)) return 0;
  Hash unused;
  std::size_t rounds = 0;
  for (Cursor cursor(path, unused); !cursor.at_end(); ++rounds) {
    const auto entry = take_fitting(cursor, bounds, rounds);
    if (!entry) break;
    visit(*entry);
  }
  return rounds;
}

std::uint64_t RoundJournal::bytes_of_rounds(std::size_t rounds, std::size_t records,
                                            std::size_t tensors, std::size_t ranks) {
  return rounds * (sizeof(EntryHeader) + ranks * sizeof(RankRecord)) +
         records * (sizeof(ClientRecord) + tensors * sizeof(float));
}

void RoundJournal::add(const RoundRecord& round, double seconds) {
  const EntryHeader header{.seconds = seconds,
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
  ++rounds_;
}

JournalPosition RoundJournal::sync() {
  file_->sync();
  return {bytes_, hash_.value()};
}

}  // namespace fedselect
