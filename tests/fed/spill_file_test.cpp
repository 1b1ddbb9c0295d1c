// The file of spilled states: what was written comes back, and room that became free is used again.

#include "fed/spill_file.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

namespace fedselect {
namespace {

std::vector<std::byte> record_of(std::size_t client, std::size_t size) {
  std::vector<std::byte> record(size);
  for (std::size_t i = 0; i < size; ++i)
    record[i] = static_cast<std::byte>((i * 31 + client) % 251);
  return record;
}

/// Clients' records grow by a few percent each time they take part, as masks do, and once by a
/// whole parameter vector.
TEST(SpillFile, IsHardlyLargerThanWhatItHolds) {
  constexpr std::size_t kClients = 300, kSmall = 9000, kVector = 60000, kMore = 3000;
  SpillFile file("");
  std::vector<SpillFile::Place> places(kClients);
  std::vector<std::size_t> sizes(kClients, 0);
  std::mt19937 random(1);
  for (int turn = 0; turn < 3000; ++turn) {
    const std::size_t client = random() % kClients;
    std::size_t& size = sizes[client];
    size = size == 0 ? kSmall : size == kSmall ? kSmall + kVector : size + kMore;
    places[client] = file.write(record_of(client, size), places[client]);
    const std::size_t held = std::accumulate(sizes.begin(), sizes.end(), std::size_t{0});
    if (turn > 300) {
      ASSERT_LE(file.size(), held + held / 5) << "turn " << turn;
    }
  }
  for (std::size_t client = 0; client < kClients; ++client)
    EXPECT_EQ(file.read(places[client]), record_of(client, sizes[client])) << client;
}

TEST(SpillFile, UsesNeighboursThatBecameFreeTogether) {
  SpillFile file("");
  std::vector<SpillFile::Place> places;
  for (std::size_t i = 0; i < 8; ++i) places.push_back(file.write(record_of(i, 1000), {}));
  const auto before = file.size();
  for (const std::size_t i : {3, 5, 4}) file.free(places[i]);
  const auto large = file.write(record_of(9, 2900), {});
  EXPECT_EQ(file.size(), before);
  EXPECT_EQ(file.read(large), record_of(9, 2900));
  EXPECT_EQ(file.read(places[2]), record_of(2, 1000));
  EXPECT_EQ(file.read(places[6]), record_of(6, 1000));
}

}  // namespace
}  // namespace fedselect
