#include "files/hdf5_dense.hpp"

#include <algorithm>
#include <bit>
#include <string_view>

namespace fedselect::hdf5 {

namespace {

constexpr std::size_t kWord = 8;

/// floor(log2(n)); 0 for 0.
unsigned log2_of(std::uint64_t n) {
  return n == 0 ? 0 : static_cast<unsigned>(std::bit_width(n)) - 1;
}

/// Bytes in which numbers up to `limit` are stored.
std::size_t bytes_for(std::uint64_t limit) { return log2_of(limit) / 8 + 1; }

[[noreturn]] void refuse_form() { throw std::runtime_error(kUnknownForm); }

// ---- B-trees, version 2

class LinkTree {
 public:
  LinkTree(const FileBytes& file, std::uint64_t address) : file_(file), budget_(file) {
    constexpr std::uint8_t kLinksByName = 5;
    constexpr std::size_t kHeader = 38;
    const std::string header = file.read(address, kHeader);
    Cursor at(header);
    at.expect("BTHD");
    at.skip(1);  // version
    if (at.byte() != kLinksByName) refuse_form();
    node_bytes_ = at.number<std::uint32_t>();
    record_bytes_ = at.number<std::uint16_t>();
    const auto depth = at.number<std::uint16_t>();
    at.skip(2);  // when nodes split and merge
    root_ = {at.word(), at.number<std::uint16_t>()};
    if (record_bytes_ != kRecord || node_bytes_ < kAround + record_bytes_ || depth > kDeepest)
      refuse_form();
    measure(depth);
  }

  /// The heap's names of all links.
  std::vector<std::string> read() {
    if (root_.records > 0) read_node(root_, total_bytes_.size() - 1);
    return std::move(names_);
  }

 private:
  static constexpr std::size_t kRecord = 11;  // a hash of 4 bytes, the heap's name of 7
  static constexpr std::size_t kHash = 4;
  static constexpr std::uint64_t kAround = 10;  // signature, version, type; checksum
  static constexpr unsigned kDeepest = 16;

  struct Node {
    std::uint64_t address = kUndefinedAddress;
    std::uint64_t records = 0;
  };

  /// How wide the numbers beside the children of each level are: they hold what a child can.
  void measure(unsigned depth) {
    std::uint64_t most = (node_bytes_ - kAround) / record_bytes_;  // in a leaf, then below a node
    count_bytes_ = bytes_for(most);
    total_bytes_.push_back(0);
    for (unsigned level = 1; level <= depth; ++level) {
      const std::uint64_t child = kWord + count_bytes_ + total_bytes_.back();
      if (node_bytes_ < kAround + child) refuse_form();
      const std::uint64_t here = (node_bytes_ - kAround - child) / (record_bytes_ + child);
      if (most > ~std::uint64_t{0} / (here + 2)) refuse_form();
      most = (here + 1) * most + here;
      total_bytes_.push_back(bytes_for(most));
    }
  }

  void read_node(const Node& node, std::size_t level) {
    const bool is_leaf = level == 0;
    const std::size_t child = is_leaf ? 0 : kWord + count_bytes_ + total_bytes_[level - 1];
    const std::uint64_t size = kAround + node.records * record_bytes_ + (node.records + 1) * child;
    if (size > node_bytes_) throw std::runtime_error("a node in it holds too much");
    budget_.spend(size);
    const std::string bytes = file_.read(node.address, size);
    Cursor at(bytes);
    at.expect(is_leaf ? "BTLF" : "BTIN");
    at.skip(2);  // version, type
    for (std::uint64_t i = 0; i < node.records; ++i) {
      at.skip(kHash);
      names_.emplace_back(at.take(kRecord - kHash));
    }
    for (std::uint64_t i = 0; !is_leaf && i <= node.records; ++i) {
      const std::uint64_t address = at.word();
      const Node below{address, at.number_of(count_bytes_)};
      at.skip(total_bytes_[level - 1]);
      read_node(below, level - 1);
    }
  }

  const FileBytes& file_;
  Budget budget_;
  std::uint64_t node_bytes_ = 0;
  std::uint64_t record_bytes_ = 0;
  Node root_;
  std::size_t count_bytes_ = 0;
  std::vector<std::size_t> total_bytes_;  ///< by level
  std::vector<std::string> names_;
};

// ---- fractal heaps

class FractalHeap {
 public:
  FractalHeap(const FileBytes& file, std::uint64_t address) : file_(file), budget_(file) {
    constexpr std::size_t kHeader = 142;
    const std::string header = file.read(address, kHeader);
    Cursor at(header);
    at.expect("FRHP");
    at.skip(3);                                          // version, bytes of names
    if (at.number<std::uint16_t>() != 0) refuse_form();  // filters
    at.skip(1);                                          // flags
    const std::uint64_t largest_object = at.number<std::uint32_t>();
    at.skip(12 * kWord);  // what is free and how much there is
    width_ = at.number<std::uint16_t>();
    first_block_ = at.word();
    const std::uint64_t largest_block = at.word();
    const std::size_t bits = at.number<std::uint16_t>();
    at.skip(2);  // rows at the beginning
    root_ = at.word();
    rows_ = at.number<std::uint16_t>();
    if (!std::has_single_bit(width_) || !std::has_single_bit(first_block_) ||
        !std::has_single_bit(largest_block) || largest_block < first_block_ ||
        largest_block > kLargestBlock || bits > 64)
      throw std::runtime_error("a heap in it has an impossible shape");
    offset_bytes_ = (bits + 7) / 8;
    length_bytes_ =
        std::min<std::size_t>((log2_of(largest_block) + 7) / 8, bytes_for(largest_object));
    direct_rows_ = log2_of(largest_block) - log2_of(first_block_) + 2;
  }

  /// What it holds under a name.
  std::string object(std::string_view name) {
    constexpr unsigned kManaged = 0;
    Cursor at(name);
    if ((at.byte() >> 4U & 3U) != kManaged) refuse_form();
    const std::uint64_t offset = at.number_of(offset_bytes_);
    const std::uint64_t length = at.number_of(length_bytes_);
    budget_.spend(length);
    return file_.read(address_of(offset), length);
  }

 private:
  static constexpr std::uint64_t kLargestBlock = std::uint64_t{1} << 31;

  std::uint64_t block_bytes(unsigned row) const {
    return row == 0 ? first_block_ : first_block_ << (row - 1);
  }

  /// Where the byte `offset` of the heap's space stands. Rows of `width_` blocks each: the first
  /// two of the first size, each further one of twice the size before; those that are larger than
  /// a block of objects may be are divided likewise.
  std::uint64_t address_of(std::uint64_t offset) const {
    if (rows_ == 0) return root_ + offset;  // a single block
    const unsigned row_bits = log2_of(first_block_) + log2_of(width_);
    std::uint64_t block = root_;
    std::uint64_t rows = rows_;
    while (true) {
      const unsigned high = log2_of(offset);
      const unsigned row = high < row_bits ? 0 : high - row_bits + 1;
      if (row >= rows) throw std::runtime_error("a heap in it is too small");
      const std::uint64_t in_row = row == 0 ? offset : offset - (std::uint64_t{1} << high);
      const std::uint64_t column = in_row / block_bytes(row);
      const std::uint64_t child = child_of(block, row * std::uint64_t{width_} + column);
      offset = in_row % block_bytes(row);
      if (row < direct_rows_) return child + offset;
      block = child;
      rows = log2_of(block_bytes(row)) - row_bits + 1;
    }
  }

  std::uint64_t child_of(std::uint64_t block, std::uint64_t index) const {
    const std::uint64_t head = 5 + kWord + offset_bytes_;  // signature, version, heap, offset
    const std::string entry = file_.read(block, 4);
    Cursor(entry).expect("FHIB");
    const std::string address = file_.read(block + head + index * kWord, kWord);
    return Cursor(address).word();
  }

  const FileBytes& file_;
  Budget budget_;
  std::uint16_t width_ = 0;
  std::uint64_t first_block_ = 0;
  std::uint64_t root_ = kUndefinedAddress;
  std::uint64_t rows_ = 0;  ///< of the root
  std::size_t offset_bytes_ = 0;
  std::size_t length_bytes_ = 0;
  unsigned direct_rows_ = 0;
};

}  // namespace

std::vector<std::string> read_dense_links(const FileBytes& file, std::uint64_t heap,
                                          std::uint64_t tree) {
  FractalHeap objects(file, heap);
  std::vector<std::string> messages;
  for (const std::string& name : LinkTree(file, tree).read())
    messages.push_back(objects.object(name));
  return messages;
}

}  // namespace fedselect::hdf5
