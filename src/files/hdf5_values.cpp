#include "files/hdf5_values.hpp"

#include <algorithm>
#include <cstring>

#include "files/hdf5_filters.hpp"

namespace fedselect::hdf5 {

namespace {

using Form = Placement::Form;

}  // namespace

std::uint64_t saturating_product(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? ~std::uint64_t{0} : product;
}

std::uint64_t saturating_product(const std::vector<std::uint64_t>& factors) {
  // A factor of 0 makes it 0, whatever the others are.
  if (std::find(factors.begin(), factors.end(), 0U) != factors.end()) return 0;
  std::uint64_t product = 1;
  for (const std::uint64_t factor : factors) product = saturating_product(product, factor);
  return product;
}

StoredValues::StoredValues(const FileBytes& file, Description description)
    : file_(file), description_(std::move(description)), budget_(file) {
  const Placement& placement = description_.placement;
  if (placement.form == Form::compact) stored_bytes_ = placement.values.size();
  if (placement.address == kUndefinedAddress) return;
  if (placement.form == Form::contiguous)
    stored_bytes_ = std::min(placement.bytes, file.size());
  else
    find_chunks();
}

void StoredValues::find_chunks() {
  const Placement& placement = description_.placement;
  if (placement.form == Form::tree) return find_in_tree();
  if (placement.form == Form::row_of_chunks) return find_in_row();
  const std::uint64_t whole =
      saturating_product(saturating_product(placement.chunk), description_.type.bytes);
  add_chunk(
      Position(placement.chunk.size(), 0),
      {placement.address, placement.bytes == 0 ? whole : placement.bytes, placement.unfiltered});
}

void StoredValues::find_in_tree() {
  constexpr std::size_t kWord = 8;
  const Placement& placement = description_.placement;
  const std::size_t axes = placement.chunk.size();
  Budget nodes(file_);
  for_each_leaf_entry(file_, placement.address, 1, (axes + 2) * kWord, nodes,
                      [&](std::string_view key, std::uint64_t address) {
                        Cursor at(key);
                        Chunk chunk{.address = address, .bytes = at.number<std::uint32_t>()};
                        chunk.unfiltered = at.number<std::uint32_t>();
                        Position position;
                        for (std::size_t i = 0; i < axes; ++i) position.push_back(at.word());
                        add_chunk(std::move(position), chunk);
                      });
}

/// One after the other, the last axis fastest; none is left out.
void StoredValues::find_in_row() {
  const Placement& placement = description_.placement;
  const auto& extents = description_.extents.sizes;
  const std::uint64_t bytes =
      saturating_product(saturating_product(placement.chunk), description_.type.bytes);
  if (saturating_product(extents) == 0) return;
  Position position(extents.size(), 0);
  for (std::uint64_t address = placement.address;; address += bytes) {
    add_chunk(position, {address, bytes, 0});
    std::size_t axis = extents.size();
    while (axis > 0) {
      --axis;
      if (placement.chunk[axis] < extents[axis] - position[axis]) break;
      position[axis] = 0;
      if (axis == 0) return;
    }
    position[axis] += placement.chunk[axis];
  }
}

void StoredValues::add_chunk(Position position, const Chunk& chunk) {
  const auto& extents = description_.extents.sizes;
  budget_.spend(chunk.bytes);
  stored_bytes_ += chunk.bytes;
  for (std::size_t i = 0; i < extents.size(); ++i) {
    if (position[i] >= extents[i]) return;  // the data set was larger once
    if (position[i] % description_.placement.chunk[i] != 0)
      throw std::runtime_error("a chunk in it stands between the others");
  }
  if (!chunks_.emplace(std::move(position), chunk).second)
    throw std::runtime_error("two chunks in it stand in one place");
}

const std::string& StoredValues::chunk_values(const Chunk& chunk, LastChunk& last) const {
  if (last.owner == this && last.address == chunk.address) return last.values;
  last.owner = nullptr;
  const std::uint64_t size =
      saturating_product(description_.placement.chunk) * description_.type.bytes;
  last.values = undo_filters(description_.filters, chunk.unfiltered,
                             file_.read(chunk.address, chunk.bytes), size);
  last.owner = this;
  last.address = chunk.address;
  return last.values;
}

void StoredValues::copy_chunk(const Position& position, const std::string& values,
                              std::uint64_t first, std::uint64_t rows,
                              std::span<std::byte> bytes) const {
  const Position& chunk = description_.placement.chunk;
  Position wanted = description_.extents.sizes;  // extents of what is read
  wanted.front() = rows;
  const std::size_t axes = chunk.size();
  // Axes behind `run` are whole in the chunk: what is copied at once spans them.
  std::size_t run = axes - 1;
  while (run > 0 && chunk[run] == wanted[run]) --run;
  Position begin(axes, 0);  // of the part that is wanted, within the chunk
  Position count(axes, 0);
  std::uint64_t target = 0;  // its first value in `bytes`
  for (std::size_t i = 0; i < axes; ++i) {
    const std::uint64_t low = i == 0 ? first : 0;
    begin[i] = low > position[i] ? low - position[i] : 0;
    const std::uint64_t end = std::min(chunk[i], low + wanted[i] - position[i]);
    count[i] = end - begin[i];
    target = target * wanted[i] + position[i] + begin[i] - low;
  }
  const std::uint64_t value_bytes = description_.type.bytes;
  std::uint64_t run_values = count[run];
  for (std::size_t i = run + 1; i < axes; ++i) run_values *= count[i];
  Position at(axes, 0);  // within the part
  while (true) {
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    for (std::size_t i = 0; i < axes; ++i) {
      from = from * chunk[i] + begin[i] + at[i];
      to = to * wanted[i] + at[i];
    }
    std::memcpy(bytes.data() + (target + to) * value_bytes, values.data() + from * value_bytes,
                run_values * value_bytes);
    std::size_t axis = run;
    while (axis > 0 && ++at[axis - 1] == count[axis - 1]) at[--axis] = 0;
    if (axis == 0) return;
  }
}

void StoredValues::read(std::uint64_t first, std::uint64_t rows, std::span<std::byte> bytes,
                        LastChunk& last) const {
  const Placement& placement = description_.placement;
  if (bytes.empty()) return;
  const std::uint64_t row_bytes = bytes.size() / rows;
  if (placement.form == Form::compact) {
    std::memcpy(bytes.data(), placement.values.data() + first * row_bytes, bytes.size());
    return;
  }
  if (placement.form == Form::contiguous)
    return file_.read(placement.address + first * row_bytes, bytes);
  if (!description_.fill.empty())
    for (std::size_t at = 0; at < bytes.size(); at += description_.fill.size())
      std::memcpy(bytes.data() + at, description_.fill.data(), description_.fill.size());
  Position from(placement.chunk.size(), 0);
  from.front() = first / placement.chunk.front() * placement.chunk.front();
  for (auto chunk = chunks_.lower_bound(from);
       chunk != chunks_.end() && chunk->first.front() < first + rows; ++chunk)
    copy_chunk(chunk->first, chunk_values(chunk->second, last), first, rows, bytes);
}

}  // namespace fedselect::hdf5
