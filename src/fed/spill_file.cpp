#include "fed/spill_file.hpp"

#include <algorithm>
#include <bit>
#include <iterator>

namespace fedselect {

namespace {

namespace fs = std::filesystem;

/// Room for a record: at most a thirty-second too large, so that it can grow a little in place.
std::uint64_t capacity_for(std::uint64_t size) {
  constexpr std::uint64_t kLeast = 64;
  if (size <= kLeast) return kLeast;
  const std::uint64_t step = std::max(std::bit_floor(size) / 32, kLeast);
  return (size + step - 1) / step * step;
}

}  // namespace

void SpillFile::open() {
  file_.emplace(RawFile::nameless(folder_.empty() ? fs::temp_directory_path() : folder_));
}

/// In the smallest gap that is large enough, else at the end.
std::uint64_t SpillFile::find_room(std::uint64_t capacity) {
  const auto fits = by_size_.lower_bound({capacity, 0});
  if (fits != by_size_.end()) {
    const auto [bytes, position] = *fits;
    remove_gap(gaps_.find(position));
    if (bytes > capacity) add_gap(position + capacity, bytes - capacity);
    return position;
  }
  std::uint64_t position = end_;
  if (!gaps_.empty()) {
    const auto last = std::prev(gaps_.end());
    if (last->first + last->second == end_) {
      position = last->first;
      remove_gap(last);
    }
  }
  end_ = position + capacity;
  return position;
}

void SpillFile::add_gap(std::uint64_t position, std::uint64_t bytes) {
  gaps_.emplace(position, bytes);
  by_size_.emplace(bytes, position);
}

void SpillFile::remove_gap(std::map<std::uint64_t, std::uint64_t>::iterator gap) {
  by_size_.erase({gap->second, gap->first});
  gaps_.erase(gap);
}

SpillFile::Place SpillFile::write(std::span<const std::byte> record, const Place& old) {
  if (!file_) open();
  Place place = old;
  place.size = record.size();
  place.capacity = capacity_for(record.size());
  const bool moves = place.capacity != old.capacity;
  if (moves) place.position = find_room(place.capacity);
  file_->write_at(place.position, record);
  if (moves) free(old);
  return place;
}

std::vector<std::byte> SpillFile::read(const Place& place) {
  std::vector<std::byte> record(place.size);
  file_->read_at(place.position, record);
  return record;
}

void SpillFile::expect_soon(const Place& place) {
  if (place.size > 0) file_->expect_soon(place.position, place.size);
}

void SpillFile::free(const Place& place) {
  if (place.capacity == 0) return;
  std::uint64_t position = place.position, bytes = place.capacity;
  const auto behind = gaps_.find(position + bytes);
  if (behind != gaps_.end()) {
    bytes += behind->second;
    remove_gap(behind);
  }
  const auto next = gaps_.lower_bound(position);
  if (next != gaps_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == position) {
      position = before->first;
      bytes += before->second;
      remove_gap(before);
    }
  }
  add_gap(position, bytes);
}

}  // namespace fedselect
