#include "files/file_digest.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/pulse.hpp"
#include "files/raw_file.hpp"
#include "files/regular_file.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBuffer = std::size_t{1} << 20;

}  // namespace

Sha256::Digest sha256_of_file(const fs::path& path) {
  std::ifstream file = open_regular_file(path);
  std::vector<char> buffer(kBuffer);
  Sha256 hash;
  while (file.read(buffer.data(), kBuffer) || file.gcount() > 0) {
    pulse::beat();
    hash.add(std::as_bytes(std::span(buffer).first(static_cast<std::size_t>(file.gcount()))));
  }
  if (!file.eof())
    throw SystemError(fmt::format("{}: cannot read it: is the disk gone?", path.string()));
  return hash.digest();
}

std::uint64_t digest_pieces(std::uint64_t bytes) {
  return bytes / kDigestPiece + (bytes % kDigestPiece == 0 ? 0 : 1);
}

std::vector<Sha256::Digest> hash_pieces(const fs::path& path, std::uint64_t first,
                                        std::uint64_t end) {
  std::vector<Sha256::Digest> pieces;
  RawFile file(path, RawFile::Mode::read);
  const std::uint64_t size = file.size();
  std::vector<std::byte> buffer(kBuffer);
  for (std::uint64_t piece = first; piece < end; ++piece) {
    Sha256 hash;
    const std::uint64_t stop = std::min(size, (piece + 1) * kDigestPiece);
    for (std::uint64_t at = piece * kDigestPiece; at < stop; at += kBuffer) {
      pulse::beat();
      const auto part = std::span(buffer).first(std::min<std::uint64_t>(kBuffer, stop - at));
      file.read_at(at, part);
      hash.add(part);
    }
    pieces.push_back(hash.digest());
  }
  return pieces;
}

std::string combine_pieces(std::span<const Sha256::Digest> pieces) {
  return hex(sha256(std::as_bytes(pieces)));
}

std::string digest_of_file(const fs::path& path) {
  const std::uint64_t size = RawFile(path, RawFile::Mode::read).size();
  return combine_pieces(hash_pieces(path, 0, digest_pieces(size)));
}

}  // namespace fedselect
