#include "files/hdf5_heap.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace fedselect::hdf5 {

namespace {

constexpr std::uint64_t kReferenceBytes = 16;    // length 4, address of the collection 8, index 4
constexpr std::uint64_t kCollectionHeader = 16;  // "GCOL", version 1, zeros 3, size 8
constexpr std::uint64_t kObjectHeader = 16;      // index 2, references 2, zeros 4, size 8
constexpr std::uint64_t kObjectAlignment = 8;
constexpr std::string_view kSignature("GCOL\1", 5);

}  // namespace

const HeapTexts::Collection& HeapTexts::collection(std::uint64_t address) {
  const auto known = collections_.find(address);
  if (known != collections_.end()) return known->second;
  const std::string header = file_.read(address, kCollectionHeader);
  Cursor head(header);
  head.expect(kSignature);
  head.skip(3);
  const std::uint64_t size = head.word();
  if (size < kCollectionHeader) throw std::runtime_error("a heap of texts in it has no room");
  collections_budget_.spend(size);
  const std::string bytes = file_.read(address, size);
  Collection objects;
  Cursor at(bytes);
  at.skip(kCollectionHeader);
  while (at.left() >= kObjectHeader) {
    const auto index = at.number<std::uint16_t>();
    if (index == 0) break;  // the rest is free
    at.skip(6);
    const std::uint64_t object = at.word();
    objects[index] = {address + size - at.left(), object};
    at.skip(object);
    const std::uint64_t padding = (kObjectAlignment - object % kObjectAlignment) % kObjectAlignment;
    at.skip(std::min<std::uint64_t>(padding, at.left()));
  }
  return collections_[address] = std::move(objects);
}

std::vector<std::string> HeapTexts::read(std::string_view references) {
  std::vector<std::string> texts;
  Budget budget(file_);
  for (Cursor at(references); at.left() >= kReferenceBytes;) {
    const std::uint64_t length = at.number<std::uint32_t>();
    const std::uint64_t address = at.word();
    const auto index = at.number<std::uint32_t>();
    texts.emplace_back();
    if (length == 0) continue;
    const Collection& objects = collection(address);
    const auto object = objects.find(static_cast<std::uint16_t>(index));
    if (index > UINT16_MAX || object == objects.end() || length > object->second.size)
      throw std::runtime_error("a text is said to be where none is");
    budget.spend(length);
    std::string& text = texts.back() = file_.read(object->second.begin, length);
    text.resize(strnlen(text.data(), length));  // some writers count the zero at the end
  }
  return texts;
}

}  // namespace fedselect::hdf5
