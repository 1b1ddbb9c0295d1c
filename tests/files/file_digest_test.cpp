#include "files/file_digest.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "scratch_folder.hpp"

namespace fedselect {
namespace {

using testing::ScratchFolder;
using testing::write_bytes;

Sha256::Digest of(std::string_view text) { return sha256(std::as_bytes(std::span(text))); }

TEST(FileDigest, IsTheHashOfTheHashesOfPieces) {
  const ScratchFolder folder;
  std::string bytes(2 * kDigestPiece + 3, 'a');
  bytes[kDigestPiece] = 'b';
  write_bytes(folder / "file", bytes);
  ASSERT_EQ(digest_pieces(bytes.size()), 3U);
  std::vector<Sha256::Digest> pieces;
  for (std::size_t at = 0; at < bytes.size(); at += kDigestPiece)
    pieces.push_back(of(std::string_view(bytes).substr(at, kDigestPiece)));
  EXPECT_EQ(hash_pieces(folder / "file", 0, 3), pieces);
  EXPECT_EQ(hash_pieces(folder / "file", 1, 2), std::vector{pieces[1]});
  EXPECT_EQ(digest_of_file(folder / "file"), combine_pieces(pieces));
  EXPECT_EQ(sha256_of_file(folder / "file"), of(bytes));
}

TEST(FileDigest, OfAnEmptyFileAndOfNone) {
  const ScratchFolder folder;
  write_bytes(folder / "empty", "");
  EXPECT_EQ(digest_of_file(folder / "empty"), hex(of("")));
  EXPECT_THROW(digest_of_file(folder / "absent"), SystemError);
  EXPECT_THROW(sha256_of_file(folder / "absent"), SystemError);
}

}  // namespace
}  // namespace fedselect
