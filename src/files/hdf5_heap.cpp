#include "files/hdf5_heap.hpp"

#include <bit>
#include <cstring>
#include <stdexcept>

namespace fedselect::hdf5 {

namespace {

constexpr std::uint64_t kReferenceBytes = 16;    // length 4, address of the collection 8, index 4
constexpr std::uint64_t kCollectionHeader = 16;  // "GCOL", version 1, zeros 3, size 8
constexpr std::uint64_t kObjectHeader = 16;      // index 2, references 2, zeros 4, size 8
constexpr std::uint64_t kObjectAlignment = 8;
constexpr std::string_view kSignature("GCOL\1", 5);

/// The little-endian number at a position of `bytes`.
template <class T>
T number_at(const std::string& bytes, std::uint64_t position) {
  static_assert(std::endian::native == std::endian::little);
  T number;
  std::memcpy(&number, bytes.data() + position, sizeof(T));
  return number;
}

}  // namespace

HeapTexts::HeapTexts(const std::filesystem::path& path, std::uint64_t bytes)
    : file_(path, std::ios::binary), file_bytes_(bytes) {}

std::string HeapTexts::bytes_at(std::uint64_t begin, std::uint64_t size) {
  if (begin > file_bytes_ || size > file_bytes_ - begin)
    throw std::runtime_error("a text lies past the end of the file");
  std::string bytes(size, '\0');
  file_.seekg(static_cast<std::streamoff>(begin));
  if (!file_.read(bytes.data(), static_cast<std::streamsize>(size)))
    throw std::runtime_error("a text can't be read");
  return bytes;
}

const HeapTexts::Collection& HeapTexts::collection(std::uint64_t address) {
  const auto known = collections_.find(address);
  if (known != collections_.end()) return known->second;
  const std::string header = bytes_at(address, kCollectionHeader);
  const auto size = number_at<std::uint64_t>(header, 8);
  if (!header.starts_with(kSignature) || size < kCollectionHeader ||
      size > file_bytes_ - collection_bytes_)
    throw std::runtime_error("a text is said to be where none is");
  const std::string bytes = bytes_at(address, size);
  collection_bytes_ += size;
  Collection objects;
  for (std::uint64_t at = kCollectionHeader; size - at >= kObjectHeader;) {
    const auto index = number_at<std::uint16_t>(bytes, at);
    if (index == 0) break;  // the rest is free
    const auto object = number_at<std::uint64_t>(bytes, at + 8);
    at += kObjectHeader;
    if (object > size - at) throw std::runtime_error("a text is longer than the place for it");
    objects[index] = {address + at, object};
    const std::uint64_t padding = (kObjectAlignment - object % kObjectAlignment) % kObjectAlignment;
    at += object + std::min(padding, size - at - object);
  }
  return collections_[address] = std::move(objects);
}

std::vector<std::string> HeapTexts::read(std::uint64_t address, std::uint64_t n) {
  if (n > file_bytes_ / kReferenceBytes) throw std::runtime_error("more texts than bytes");
  const std::string references = bytes_at(address, n * kReferenceBytes);
  std::vector<std::string> texts(n);
  std::uint64_t total = 0;
  for (std::uint64_t i = 0; i < n; ++i) {
    const std::uint64_t at = i * kReferenceBytes;
    const auto length = number_at<std::uint32_t>(references, at);
    if (length == 0) continue;
    const Collection& objects = collection(number_at<std::uint64_t>(references, at + 4));
    const auto index = number_at<std::uint32_t>(references, at + 12);
    const auto object = objects.find(static_cast<std::uint16_t>(index));
    if (index > UINT16_MAX || object == objects.end() || length > object->second.size)
      throw std::runtime_error("a text is said to be where none is");
    total += length;
    if (total > file_bytes_) throw std::runtime_error("more text than bytes");
    texts[i] = bytes_at(object->second.begin, length);
    texts[i].resize(strnlen(texts[i].data(), length));  // some writers count the zero at the end
  }
  return texts;
}

}  // namespace fedselect::hdf5
