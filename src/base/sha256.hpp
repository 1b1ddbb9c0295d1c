#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace fedselect {

/// The SHA-256 of bytes as they come (FIPS 180-4, by OpenSSL): it shows forgery too, where Hash
/// shows damage.
class Sha256 {
 public:
  using Digest = std::array<std::uint8_t, 32>;

  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void add(std::span<const std::byte> bytes);
  /// Of all bytes; none may follow.
  Digest digest();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Sha256::Digest sha256(std::span<const std::byte> bytes);

/// Two lower-case digits a byte.
std::string hex(std::span<const std::uint8_t> bytes);

}  // namespace fedselect
