#include "base/sha256.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/evp.h>

#include <fstream>
#include <vector>

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

Sha256::Digest sha256_of_file(const std::filesystem::path& path) {
  constexpr std::size_t kPiece = std::size_t{1} << 20;
  std::ifstream file(path, std::ios::binary);
  std::vector<char> piece(kPiece);
  Sha256 hash;
  while (file.read(piece.data(), kPiece) || file.gcount() > 0)
    hash.add(std::as_bytes(std::span(piece).first(static_cast<std::size_t>(file.gcount()))));
  if (!file.eof())
    throw SystemError(fmt::format("{}: cannot read it: is the disk gone?", path.string()));
  return hash.digest();
}

std::string hex(std::span<const std::uint8_t> bytes) {
  return fmt::format("{:02x}", fmt::join(bytes, ""));
}

}  // namespace fedselect
