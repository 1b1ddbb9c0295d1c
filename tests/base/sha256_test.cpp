#include "base/sha256.hpp"

#include <gtest/gtest.h>

#include <string_view>

namespace fedselect {
namespace {

std::string of(std::string_view text) { return hex(sha256(std::as_bytes(std::span(text)))); }

/// The examples of FIPS 180-4's test vectors.
TEST(Sha256, IsTheStandards) {
  EXPECT_EQ(of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Sha256, TakesBytesInPieces) {
  Sha256 hash;
  for (const std::string_view piece : {"a", "", "bc"}) hash.add(std::as_bytes(std::span(piece)));
  EXPECT_EQ(hex(hash.digest()), of("abc"));
}

}  // namespace
}  // namespace fedselect
