#include "base/sha256.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/evp.h>

#include "base/error.hpp"

namespace fedselect {

namespace {

void check_ssl(int code) {
  if (code != 1) throw SystemError("OpenSSL can't compute SHA-256 on this machine");
}

}  // namespace

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() = default;
  ~State() { EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  check_ssl(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr));
}

Sha256::~Sha256() = default;

void Sha256::add(std::span<const std::byte> bytes) {
  check_ssl(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()));
}

Sha256::Digest Sha256::digest() {
  Digest digest{};
  check_ssl(EVP_DigestFinal_ex(state_->context, digest.data(), nullptr));
  return digest;
}

Sha256::Digest sha256(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.add(bytes);
  return hash.digest();
}

std::string hex(std::span<const std::uint8_t> bytes) {
  return fmt::format("{:02x}", fmt::join(bytes, ""));
}

}  // namespace fedselect
