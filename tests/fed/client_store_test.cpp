#include "fed/client_store.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <random>

#include "base/error.hpp"
#include "full_disk.hpp"

namespace fedselect {
namespace {

using Random = std::mt19937;

/// A mask of so many words whose bits are 1 with this probability.
MaskPtr draw_mask(Random& random, std::size_t words, double density, bool is_common = false) {
  std::vector<Word> bits(words, 0);
  std::bernoulli_distribution is_set(density);
  for (std::size_t j = 0; j < words * kWordBits; ++j)
    if (is_set(random)) set_bit(bits.data(), j);
  return std::make_shared<const Mask>(std::move(bits), is_common);
}

UnsetVector<float> draw_values(Random& random, std::size_t count) {
  std::uniform_real_distribution<float> uniform(-1, 1);
  UnsetVector<float> values(count);
  for (float& value : values) value = uniform(random);
  return values;
}

ClientState draw_state(Random& random, std::size_t words, double density) {
  ClientState state;
  state.mask = draw_mask(random, words, density);
  state.personal = draw_values(random, state.mask->count());
  return state;
}

std::vector<Word> bits_of(const MaskPtr& mask) {
  if (!mask) return {};
  return {mask->words().begin(), mask->words().end()};
}

void expect_equal(const ClientState& a, const ClientState& b) {
  EXPECT_EQ(bits_of(a.mask), bits_of(b.mask));
  EXPECT_EQ(bits_of(a.next_mask), bits_of(b.next_mask));
  EXPECT_EQ(a.personal, b.personal);
  EXPECT_EQ(a.vectors, b.vectors);
  EXPECT_EQ(a.scalars, b.scalars);
}

TEST(PackedState, ComesBack) {
  Random random(1);
  std::vector<MaskPtr> common;
  for (const std::size_t words : {1U, 2U, 157U})
    for (const double density : {0.0, 0.001, 0.02, 0.05, 0.2, 0.5, 0.999, 1.0}) {
      ClientState state = draw_state(random, words, density);
      state.next_mask = draw_mask(random, words, density / 2);
      state.vectors = {draw_values(random, 3), {}, draw_values(random, 64)};
      state.scalars = {0.25, -1e300};
      expect_equal(unpack(pack(state, common), common), state);
    }
  expect_equal(unpack(pack({}, common), common), {});
  EXPECT_TRUE(common.empty());
}

TEST(PackedState, BitsThatLieFarApartOrAtTheEnds) {
  std::vector<MaskPtr> common;
  for (const std::vector<std::size_t>& bits :
       {std::vector<std::size_t>{0}, {6399}, {0, 6399}, {63, 64, 6000}, {1, 2, 3, 5000, 5001}}) {
    std::vector<Word> words(100, 0);
    for (const std::size_t j : bits) set_bit(words.data(), j);
    ClientState state;
    state.mask = std::make_shared<const Mask>(std::move(words));
    expect_equal(unpack(pack(state, common), common), state);
  }
}

TEST(PackedState, SparseMasksTakeLessThanABitAParameter) {
  Random random(2);
  std::vector<MaskPtr> common;
  constexpr std::size_t kWords = 10000 / kWordBits;
  ClientState state;
  state.mask = draw_mask(random, kWords, 0.05);
  const double dense = kWords * sizeof(Word);
  // The entropy of a bit that is 1 with probability 0.05 is 0.286 bits.
  EXPECT_LT(static_cast<double>(pack(state, common).size()), 0.4 * dense);
  state.mask = draw_mask(random, kWords, 0.5);
  EXPECT_LT(static_cast<double>(pack(state, common).size()), dense + 64);
}

TEST(PackedState, CommonMasksStayOne) {
  Random random(3);
  std::vector<MaskPtr> common;
  ClientState state;
  state.mask = draw_mask(random, 100, 0.5, true);
  const auto bytes = pack(state, common);
  EXPECT_LT(bytes.size(), 100U);
  EXPECT_EQ(unpack(bytes, common).mask, state.mask);
  EXPECT_EQ(common.size(), 1U);
}

TEST(ClientStore, KeepsEverythingWithinItsLimit) {
  constexpr int kClients = 60;
  std::vector<int> ids;
  for (int k = kClients - 1; k >= 0; --k) ids.push_back(3 * k);
  for (const std::size_t limit : {std::size_t{0}, std::size_t{20000}, std::size_t{1} << 30}) {
    Random random(4);
    ClientStore store(3 * kClients, ids, {.memory = limit});
    std::map<int, ClientState> expected;
    std::uniform_int_distribution<int> any(0, kClients - 1);
    std::uniform_real_distribution<double> density(0, 0.3);
    for (int step = 0; step < 1000; ++step) {
      const int client = 3 * any(random);
      if (step % 3 == 0) {  // only read
        expect_equal(std::as_const(store).state(client), expected[client]);
      } else {
        const ClientState state =
            step % 31 == 0 ? ClientState{} : draw_state(random, 40, density(random));
        store.state(client) = state;
        expected[client] = state;
      }
      if (step % 5 == 0) {
        store.trim();
        EXPECT_LE(store.bytes_in_memory(), limit);
      }
    }
    store.trim();
    store.expect_soon(ids);
    for (const int client : ids) expect_equal(std::as_const(store).state(client), expected[client]);
    EXPECT_EQ(store.bytes_in_file() > 0, limit < (std::size_t{1} << 30));
  }
}

TEST(ClientStore, TheFileLeavesNothing) {
  const auto folder = std::filesystem::temp_directory_path() / "client_store_test";
  std::filesystem::create_directories(folder);
  Random random(5);
  ClientStore store(1, {0}, {.memory = 0, .scratch = folder});
  store.state(0) = draw_state(random, 40, 0.3);
  store.trim();
  EXPECT_GT(store.bytes_in_file(), 0U);
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  std::filesystem::remove(folder);
}

TEST(ClientStore, AFullDiskLosesNothing) {
  constexpr int kClients = 4;
  Random random(6);
  ClientStore store(kClients, {0, 1, 2, 3}, {.memory = 0});
  std::vector<ClientState> expected;
  for (int k = 0; k < kClients; ++k)
    store.state(k) = expected.emplace_back(draw_state(random, 40, 0.1));
  store.trim();
  for (int k = 0; k < kClients; ++k)  // now of another size, so that they move
    store.state(k) = expected[static_cast<std::size_t>(k)] = draw_state(random, 80, 0.3);
  {
    const testing::FullDisk full(0);
    EXPECT_THROW(store.trim(), SystemError);
    EXPECT_THROW(store.trim(), SystemError);
  }
  for (int round = 0; round < 2; ++round) {
    store.trim();
    EXPECT_EQ(store.bytes_in_memory(), 0U);
    for (int k = 0; k < kClients; ++k)
      expect_equal(std::as_const(store).state(k), expected[static_cast<std::size_t>(k)]);
  }
}

TEST(ClientStore, AFolderThatIsNotThereIsNamed) {
  ClientStore store(1, {0}, {.memory = 0, .scratch = "/absent"});
  store.state(0).scalars = {1};
  try {
    store.trim();
    FAIL();
  } catch (const SystemError& error) {
    EXPECT_NE(std::string(error.what()).find("/absent/fedselect-"), std::string::npos);
  }
}

}  // namespace
}  // namespace fedselect
