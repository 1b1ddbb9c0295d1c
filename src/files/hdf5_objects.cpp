#include "files/hdf5_objects.hpp"

#include <algorithm>
#include <string_view>

#include "files/hdf5_dense.hpp"

namespace fedselect::hdf5 {

namespace {

constexpr std::string_view kSignature("\x89HDF\r\n\x1a\n", 8);
constexpr std::uint64_t kFirstUserBlock = 512;
constexpr std::size_t kWord = 8;

// ---- superblock [II.A]

void require_words(Cursor& at) {
  if (at.byte() != kWord || at.byte() != kWord)
    throw std::runtime_error("its addresses or lengths have not 8 bytes");
}

/// Versions 0 and 1.
std::uint64_t read_old_superblock(Cursor& at, std::uint8_t version, std::uint64_t& end) {
  at.skip(4);  // versions of parts
  require_words(at);
  at.skip(version == 0 ? 9 : 13);  // sizes of nodes, flags
  at.skip(2 * kWord);              // base, free space
  end = at.word();
  at.skip(2 * kWord);  // driver, name of the root
  return at.word();
}

std::uint64_t read_new_superblock(Cursor& at, std::uint64_t& end) {
  require_words(at);
  at.skip(1 + 2 * kWord);  // flags; base, extension
  end = at.word();
  return at.word();
}

// ---- object headers [IV.A.1]

constexpr std::uint8_t kElsewhere = 0x02;  // flag of a message
constexpr std::size_t kChecksum = 4;

/// A piece of an object header.
struct Block {
  std::uint64_t address = 0;
  std::uint64_t size = 0;
};

/// Reads the messages of a header's blocks, one after the other.
class HeaderReader {
 public:
  explicit HeaderReader(const FileBytes& file) : file_(file), budget_(file) {}

  std::vector<Message> read(std::uint64_t address) {
    if (file_.read(address, 4) == "OHDR")
      read_new(address);
    else
      read_old(address);
    while (!waiting_.empty()) {
      const Block block = waiting_.back();
      waiting_.pop_back();
      budget_.spend(std::max<std::uint64_t>(block.size, 1));
      const std::string bytes = file_.read(block.address, block.size);
      if (is_new_)
        take_new_messages(continuation_of(bytes));
      else
        take_old_messages(bytes);
    }
    return std::move(messages_);
  }

 private:
  void read_old(std::uint64_t address) {
    constexpr std::size_t kHead = 16;
    const std::string head = file_.read(address, kHead);
    Cursor at(head);
    if (at.byte() != 1) throw std::runtime_error("an object in it has no header");
    at.skip(7);  // reserved, number of messages, references
    waiting_.push_back({address + kHead, at.number<std::uint32_t>()});
  }

  void read_new(std::uint64_t address) {
    constexpr std::size_t kMost = 6 + 20 + 8;
    const std::string head =
        file_.read(address, std::min<std::uint64_t>(kMost, file_.size() - address));
    Cursor at(head);
    at.expect("OHDR\2");
    const std::uint8_t flags = at.byte();
    if ((flags & 0x20) != 0) at.skip(16);  // times
    if ((flags & 0x10) != 0) at.skip(4);   // limits of attributes
    is_new_ = true;
    has_order_ = (flags & 0x04) != 0;
    const std::uint64_t size = at.number_of(std::size_t{1} << (flags & 3U));
    budget_.spend(size);
    take_new_messages(file_.read(address + head.size() - at.left(), size));
  }

  static std::string_view continuation_of(std::string_view bytes) {
    Cursor at(bytes);
    at.expect("OCHK");
    if (at.left() < kChecksum) throw std::runtime_error("a part of it is cut off");
    return at.take(at.left() - kChecksum);
  }

  void take_old_messages(std::string_view bytes) {
    constexpr std::size_t kHead = 8;
    for (Cursor at(bytes); at.left() >= kHead;) {
      const auto type = at.number<std::uint16_t>();
      const auto size = at.number<std::uint16_t>();
      const std::uint8_t flags = at.byte();
      at.skip(3);
      add(type, flags, at.take(size));
    }
  }

  void take_new_messages(std::string_view bytes) {
    const std::size_t head = has_order_ ? 6 : 4;
    for (Cursor at(bytes); at.left() >= head;) {
      const std::uint8_t type = at.byte();
      const auto size = at.number<std::uint16_t>();
      const std::uint8_t flags = at.byte();
      if (has_order_) at.skip(2);
      add(type, flags, at.take(size));
    }
  }

  void add(std::uint16_t type, std::uint8_t flags, std::string_view bytes) {
    const auto known = static_cast<MessageType>(type);
    if (known == MessageType::continuation) {
      Cursor at(bytes);
      const std::uint64_t address = at.word();
      waiting_.push_back({address, at.word()});
    } else {
      messages_.push_back({known, (flags & kElsewhere) != 0, std::string(bytes)});
    }
  }

  const FileBytes& file_;
  Budget budget_;
  bool is_new_ = false;
  bool has_order_ = false;  ///< messages of a new header are numbered
  std::vector<Block> waiting_;
  std::vector<Message> messages_;
};

// ---- groups

/// A symbol table [III.B, III.C, III.D].
class SymbolTable {
 public:
  SymbolTable(const FileBytes& file, const std::string& message) : file_(file), budget_(file) {
    Cursor at(message);
    tree_ = at.word();
    const std::string head = file.read(at.word(), 4 * kWord);
    Cursor heap(head);
    heap.expect("HEAP");
    heap.skip(4);  // version
    const std::uint64_t size = heap.word();
    heap.skip(kWord);  // what is free
    names_ = file.read(heap.word(), size);
  }

  Links read() {
    for_each_leaf_entry(file_, tree_, 0, kWord, budget_,
                        [&](std::string_view, std::uint64_t node) { read_node(node); });
    return std::move(links_);
  }

 private:
  void read_node(std::uint64_t address) {
    constexpr std::size_t kEntry = 40;
    constexpr std::uint32_t kSoft = 2;
    const std::string head = file_.read(address, kWord);
    Cursor at(head);
    at.expect("SNOD");
    at.skip(2);  // version
    const std::size_t size = at.number<std::uint16_t>() * kEntry;
    budget_.spend(kWord + size);
    const std::string body = file_.read(address + kWord, size);
    for (Cursor entry(body); entry.left() > 0;) {
      const std::string name = name_at(entry.word());
      const std::uint64_t object = entry.word();
      const bool is_soft = entry.number<std::uint32_t>() == kSoft;
      entry.skip(20);  // what the library keeps there
      links_[name] = {!is_soft, object};
    }
  }

  std::string name_at(std::uint64_t offset) {
    if (offset >= names_.size()) throw std::runtime_error("a name in it stands nowhere");
    const std::size_t end = names_.find('\0', offset);
    if (end == std::string::npos) throw std::runtime_error("a name in it has no end");
    budget_.spend(end - offset);
    return names_.substr(offset, end - offset);
  }

  const FileBytes& file_;
  Budget budget_;
  std::uint64_t tree_ = 0;
  std::string names_;
  Links links_;
};

/// A link message [IV.A.2.g].
void add_link(const std::string& message, Links& links) {
  Cursor at(message);
  at.skip(1);  // version
  const std::uint8_t flags = at.byte();
  const std::uint8_t type = (flags & 0x08) != 0 ? at.byte() : 0;
  if ((flags & 0x04) != 0) at.skip(kWord);  // order
  if ((flags & 0x10) != 0) at.skip(1);      // character set
  const std::uint64_t length = at.number_of(std::size_t{1} << (flags & 3U));
  const std::string name(at.take(length));
  links[name] = type == 0 ? Link{true, at.word()} : Link{};
}

/// A link info message [IV.A.2.c]: where links are that the header doesn't hold.
void add_dense_links(const FileBytes& file, const std::string& message, Links& links) {
  Cursor at(message);
  at.skip(1);  // version
  if ((at.byte() & 1) != 0) at.skip(kWord);
  const std::uint64_t heap = at.word();
  if (heap == kUndefinedAddress) return;
  for (const std::string& link : read_dense_links(file, heap, at.word())) add_link(link, links);
}

}  // namespace

const Message* Object::find(MessageType type) const {
  const auto found = std::find_if(messages_.begin(), messages_.end(),
                                  [&](const Message& message) { return message.type == type; });
  return found == messages_.end() ? nullptr : &*found;
}

const std::string& Object::bytes(MessageType type) const {
  const Message* message = find(type);
  if (message == nullptr) throw std::runtime_error("a part of its header is missing");
  if (message->is_elsewhere) throw std::runtime_error("a part of its header stands elsewhere");
  return message->bytes;
}

std::uint64_t open_superblock(FileBytes& file) {
  const std::uint64_t size = file.size();
  constexpr std::uint64_t kMost = 96;  // of a superblock
  for (std::uint64_t base = 0; base < size; base = base == 0 ? kFirstUserBlock : 2 * base) {
    const std::string bytes = file.read(base, std::min(kMost, size - base));
    if (!bytes.starts_with(kSignature)) continue;
    Cursor at(bytes);
    at.skip(kSignature.size());
    const std::uint8_t version = at.byte();
    if (version > 3) throw std::runtime_error(kUnknownForm);
    std::uint64_t end = 0;
    const std::uint64_t root =
        version < 2 ? read_old_superblock(at, version, end) : read_new_superblock(at, end);
    if (end > size) throw std::runtime_error("truncated file");
    file.set_base(base);
    return root;
  }
  throw std::runtime_error("no superblock");
}

Object read_object(const FileBytes& file, std::uint64_t address) {
  return Object(HeaderReader(file).read(address));
}

Links read_links(const FileBytes& file, const Object& group) {
  if (group.has(MessageType::symbol_table))
    return SymbolTable(file, group.bytes(MessageType::symbol_table)).read();
  Links links;
  add_dense_links(file, group.bytes(MessageType::link_info), links);
  for (const Message& message : group.messages())
    if (message.type == MessageType::link) add_link(message.bytes, links);
  return links;
}

}  // namespace fedselect::hdf5
