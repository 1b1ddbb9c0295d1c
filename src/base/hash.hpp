#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace fedselect {

/// A 64-bit fingerprint of bytes as they come: XXH3 (https://xxhash.com). It shows damage, not
/// forgery. The same on every machine for the same bytes.
class Hash {
 public:
  Hash();
  ~Hash();
  Hash(const Hash&) = delete;
  Hash& operator=(const Hash&) = delete;

  void add_bytes(std::span<const std::byte> bytes);
  /// A value, or values, without pointers or padding.
  template <class T>
  void add(std::span<const T> values) {
    add_bytes(std::as_bytes(values));
  }
  template <class T>
  void add(const std::vector<T>& values) {
    add(std::span<const T>(values));
  }
  template <class T>
  void add_value(const T& value) {
    add(std::span<const T>(&value, 1));
  }
  /// Of all bytes so far; more may follow.
  std::uint64_t value() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fedselect
