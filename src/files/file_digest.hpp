#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/sha256.hpp"

namespace fedselect {

/// Throws SystemError if the file can't be read, InputError if it is no regular file.
Sha256::Digest sha256_of_file(const std::filesystem::path& path);

// The digest of a large file: the SHA-256 of the SHA-256s of its pieces, one after another, in hex.
// Several ranks can share in it, and it proves what the SHA-256 of the whole would.

inline constexpr std::uint64_t kDigestPiece = std::uint64_t{16} << 20;

/// Of so many bytes; the last piece may be shorter.
std::uint64_t digest_pieces(std::uint64_t bytes);
/// The SHA-256s of pieces [first, end). Throws like sha256_of_file().
std::vector<Sha256::Digest> hash_pieces(const std::filesystem::path& path, std::uint64_t first,
                                        std::uint64_t end);
std::string combine_pieces(std::span<const Sha256::Digest> pieces);
/// All of it at once.
std::string digest_of_file(const std::filesystem::path& path);

}  // namespace fedselect
