#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "files/hdf5_bytes.hpp"

namespace fedselect::hdf5 {

// Where things stand in an HDF5 file. Source: HDF5 File Format Specification, version 3.0. Numbers
// in brackets are its sections. Everything here throws std::runtime_error that says what is wrong.

/// What a message of an object header is [IV.A.2].
enum class MessageType : std::uint16_t {
  dataspace = 0x01,
  link_info = 0x02,
  datatype = 0x03,
  fill_value = 0x05,
  link = 0x06,
  external_files = 0x07,
  layout = 0x08,
  filters = 0x0b,
  attribute = 0x0c,
  continuation = 0x10,
  symbol_table = 0x11
};

struct Message {
  MessageType type;
  bool is_elsewhere = false;  ///< the bytes say only where it stands
  std::string bytes;
};

/// An object header [IV.A]: all that the file says of a group or a data set.
class Object {
 public:
  explicit Object(std::vector<Message> messages) : messages_(std::move(messages)) {}

  const std::vector<Message>& messages() const { return messages_; }
  bool has(MessageType type) const { return find(type) != nullptr; }
  bool is_group() const { return has(MessageType::symbol_table) || has(MessageType::link_info); }
  bool is_data() const { return has(MessageType::layout); }
  /// The bytes of the first message of a type; throws if there is none here.
  const std::string& bytes(MessageType type) const;

 private:
  const Message* find(MessageType type) const;

  std::vector<Message> messages_;
};

/// A name in a group.
struct Link {
  bool is_hard = false;  ///< otherwise it leads to another name, or to another file
  std::uint64_t address = kUndefinedAddress;  ///< of the object's header
};
using Links = std::map<std::string, Link>;

/// Finds the superblock [II.A], sets the file's base to it, and returns the address of the root
/// group's header.
std::uint64_t open_superblock(FileBytes& file);

Object read_object(const FileBytes& file, std::uint64_t address);

/// The links of a group: of a symbol table, or of link messages.
Links read_links(const FileBytes& file, const Object& group);

/// Calls `visit` with each entry of the leaves of a version 1 B-tree [III.A.1]: its key and the
/// address behind it. `type`: 0 for groups, 1 for chunks.
template <class Visit>
void for_each_leaf_entry(const FileBytes& file, std::uint64_t address, std::uint8_t type,
                         std::size_t key_bytes, Budget& budget, const Visit& visit,
                         std::optional<std::uint8_t> level = std::nullopt) {
  constexpr std::size_t kHead = 24;
  constexpr std::size_t kAddress = 8;
  const std::string head = file.read(address, kHead);
  Cursor at(head);
  at.expect("TREE");
  const std::uint8_t found_type = at.byte();
  const std::uint8_t found_level = at.byte();
  const std::size_t entries = at.number<std::uint16_t>();
  if (found_type != type || (level && found_level != *level))
    throw std::runtime_error("a tree in it grows in the wrong place");
  const std::size_t size = entries * (key_bytes + kAddress);
  budget.spend(kHead + size);
  const std::string body = file.read(address + kHead, size);
  for (Cursor entry(body); entry.left() > 0;) {
    const std::string_view key = entry.take(key_bytes);
    const std::uint64_t child = entry.word();
    if (found_level == 0)
      visit(key, child);
    else
      for_each_leaf_entry(file, child, type, key_bytes, budget, visit,
                          static_cast<std::uint8_t>(found_level - 1));
  }
}

}  // namespace fedselect::hdf5
