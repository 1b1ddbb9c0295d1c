#include "fed/spill_file.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <system_error>

namespace fedselect {

namespace {

namespace fs = std::filesystem;

/// Room for a record: a few sizes only, so that places fit again, at most an eighth too large.
std::uint64_t capacity_for(std::uint64_t size) {
  constexpr std::uint64_t kLeast = 64;
  if (size <= kLeast) return kLeast;
  const std::uint64_t step = std::bit_floor(size) / 8;
  return (size + step - 1) / step * step;
}

}  // namespace

void SpillFile::open() {
  static std::atomic<int> made{0};
  const fs::path folder = folder_.empty() ? fs::temp_directory_path() : folder_;
  const fs::path path = folder / fmt::format("fedselect-{}-{}.spill", getpid(), made++);
  file_.emplace(path, RawFile::Mode::create);
  std::error_code ignored;
  fs::remove(path, ignored);  // what is open lives on without its name
}

std::uint64_t SpillFile::find_room(std::uint64_t capacity) {
  auto& places = free_[capacity];
  if (places.empty()) {
    const std::uint64_t position = end_;
    end_ += capacity;
    return position;
  }
  const std::uint64_t position = places.back();
  places.pop_back();
  return position;
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
  if (place.capacity > 0) free_[place.capacity].push_back(place.position);
}

}  // namespace fedselect
