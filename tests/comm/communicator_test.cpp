#include "comm/communicator.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include "base/error.hpp"
#include "comm/mpi_ring.hpp"
#include "mpi_main.hpp"

// Every rank runs every test. A hang is caught by the timeout of CTest.
namespace fedselect {
namespace {

using testing::world;

/// Bytes that tell who made them: byte i is a mix of `who` and i.
std::vector<std::byte> marked_bytes(std::size_t n, int who) {
  std::vector<std::byte> bytes(n);
  for (std::size_t i = 0; i < n; ++i)
    bytes[i] = static_cast<std::byte>((i * 31 + i / 251 + static_cast<std::size_t>(who)) % 256);
  return bytes;
}

int last_rank() { return world().size() - 1; }

/// The message with which `action` throws an Error; empty if it does not throw one.
template <class Error, class Action>
std::string message_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST(Communicator, SumsIntegersExactly) {
  const auto n = static_cast<std::int64_t>(world().size());
  constexpr std::int64_t kLarge = std::int64_t{1} << 60U;
  std::vector<std::int64_t> values{1, world().rank(), -world().rank(), kLarge + world().rank()};
  world().all_reduce_sum(std::span(values));
  const auto ranks = n * (n - 1) / 2;
  EXPECT_EQ(values, (std::vector<std::int64_t>{n, ranks, -ranks, n * kLarge + ranks}));
}

TEST(Communicator, SumsManyCounts) {
  std::vector<std::uint32_t> counts(100003);
  std::iota(counts.begin(), counts.end(), static_cast<std::uint32_t>(world().rank()));
  world().all_reduce_sum(std::span(counts));
  const auto n = static_cast<std::uint32_t>(world().size());
  for (std::uint32_t i = 0; i < counts.size(); ++i)
    ASSERT_EQ(counts[i], n * i + n * (n - 1) / 2) << i;
}

TEST(Communicator, PartsTalkAmongThemselves) {
  // Even ranks apart from odd ones.
  const auto part = world().split(world().rank() % 2);
  EXPECT_EQ(part->rank(), world().rank() / 2);
  EXPECT_EQ(part->size(), (world().size() + 1 - world().rank() % 2) / 2);
  EXPECT_EQ(part->node_rank(), world().node_rank());
  std::vector<std::int64_t> sum{world().rank()};
  part->all_reduce_sum(std::span(sum));
  std::int64_t expected = 0;
  for (int r = world().rank() % 2; r < world().size(); r += 2) expected += r;
  EXPECT_EQ(sum.front(), expected);
  const auto shared = part->share_on_node(1, [&](std::span<std::byte> bytes) {
    bytes[0] = static_cast<std::byte>(world().rank() % 2);
  });
  EXPECT_EQ(*shared, static_cast<std::byte>(world().rank() % 2));
}

TEST(Communicator, SumsNothing) {
  std::vector<std::int64_t> none;
  world().all_reduce_sum(std::span(none));
  EXPECT_TRUE(none.empty());
}

TEST(Communicator, FindsTheLeast) {
  EXPECT_EQ(world().all_reduce_min(10 - world().rank()), 10 - last_rank());
  EXPECT_EQ(world().all_reduce_min(world().rank() == last_rank() ? -5 : 7), -5);
}

TEST(Communicator, BroadcastsFromEveryRoot) {
  for (int root = 0; root < world().size(); ++root)
    for (const std::size_t n : {std::size_t{0}, std::size_t{1}, std::size_t{3} << 20U}) {
      const bool mine = world().rank() == root;
      auto bytes = mine ? marked_bytes(n, root) : std::vector<std::byte>(5);
      world().broadcast(bytes, root);
      EXPECT_EQ(bytes, marked_bytes(n, root));
    }
}

TEST(Communicator, GathersOnTheRootInRankOrder) {
  const auto size_of = [](int rank) { return static_cast<std::size_t>(rank) * 1000; };
  const auto all = world().gather(marked_bytes(size_of(world().rank()), world().rank()));
  if (!world().is_root()) {
    EXPECT_TRUE(all.empty());
    return;
  }
  ASSERT_EQ(static_cast<int>(all.size()), world().size());
  for (int rank = 0; rank < world().size(); ++rank)
    EXPECT_EQ(all[static_cast<std::size_t>(rank)], marked_bytes(size_of(rank), rank));
}

TEST(Communicator, ExchangesBetweenAllRanks) {
  const auto size_of = [](int from, int to) {
    return static_cast<std::size_t>((from * 7 + to * 3) % 5) * 1001;
  };
  const int me = world().rank();
  std::vector<std::vector<std::byte>> to;
  for (int rank = 0; rank < world().size(); ++rank)
    to.push_back(marked_bytes(size_of(me, rank), 10 * me + rank));
  const auto from = world().exchange(to);
  ASSERT_EQ(static_cast<int>(from.size()), world().size());
  for (int rank = 0; rank < world().size(); ++rank)
    EXPECT_EQ(from[static_cast<std::size_t>(rank)],
              marked_bytes(size_of(rank, me), 10 * rank + me));
}

TEST(Communicator, PassesLargeMessages) {
  if (world().size() == 1) GTEST_SKIP() << "one rank has no peer";
  constexpr std::size_t kBytes = (std::size_t{5} << 20U) + 3;
  for (int from = 0; from < world().size(); ++from) {
    const int to = (from + 1) % world().size();
    if (world().rank() == from) world().send(marked_bytes(kBytes, from), to);
    if (world().rank() == to) {
      EXPECT_EQ(world().receive(from), marked_bytes(kBytes, from));
    }
  }
}

TEST(Communicator, PassesEmptyMessages) {
  if (world().size() == 1) GTEST_SKIP() << "one rank has no peer";
  if (world().is_root()) world().send({}, last_rank());
  if (world().rank() == last_rank()) {
    EXPECT_TRUE(world().receive(0).empty());
  }
}

TEST(Communicator, NamesAllHosts) {
  const auto names = world().host_names();
  if (!world().is_root()) return;
  ASSERT_EQ(static_cast<int>(names.size()), world().size());
  for (const auto& name : names) EXPECT_FALSE(name.empty());
}

TEST(ShareOnNode, AllRanksReadWhatOneWrote) {
  constexpr std::size_t kBytes = (std::size_t{2} << 20U) + 1;
  std::vector<std::int64_t> fills(1);
  const auto memory = world().share_on_node(kBytes, [&](std::span<std::byte> bytes) {
    const auto text = marked_bytes(kBytes, 7);
    EXPECT_EQ(bytes.size(), kBytes);
    std::copy(text.begin(), text.end(), bytes.begin());
    ++fills[0];
  });
  EXPECT_EQ(std::memcmp(memory.get(), marked_bytes(kBytes, 7).data(), kBytes), 0);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.get()) % 64, 0U);
  world().all_reduce_sum(std::span(fills));
  EXPECT_EQ(fills[0], 1) << "all ranks of this test are on one node";
}

TEST(ShareOnNode, SeveralLiveTogether) {
  std::vector<std::shared_ptr<const std::byte>> memories;
  for (int who = 0; who < 5; ++who)
    memories.push_back(world().share_on_node(1000, [&](std::span<std::byte> bytes) {
      const auto text = marked_bytes(1000, who);
      std::copy(text.begin(), text.end(), bytes.begin());
    }));
  for (int who = 0; who < 5; ++who)
    EXPECT_EQ(std::memcmp(memories[static_cast<std::size_t>(who)].get(),
                          marked_bytes(1000, who).data(), 1000),
              0);
}

TEST(ShareOnNode, AFailingFillFailsOnAllRanks) {
  const auto fail = [](std::span<std::byte>) { throw InputError("no such file: fetch it"); };
  EXPECT_EQ(message_of<InputError>([&] { world().share_on_node(100, fail); }),
            "no such file: fetch it");
  world().barrier();
}

// What happens when a rank alone runs into an error while all hold shared memory: it must get as
// far as its handler (which aborts the job), not wait for the others to free the memory with it.
TEST(ShareOnNode, ARankThatFailsAloneDoesNotWait) {
  static std::shared_ptr<const std::byte> kept;  // outlives MPI
  const auto part = world().split(0);
  const auto hold_and_fail = [&] {
    const auto memory = part->share_on_node(100, [](std::span<std::byte>) {});
    if (world().is_root()) throw std::runtime_error("alone");
    kept = memory;
  };
  const auto heard = message_of<std::runtime_error>(hold_and_fail);
  EXPECT_EQ(heard, world().is_root() ? "alone" : "");
  world().barrier();
}

// As the trials of a sweep do, one after another.
TEST(ShareOnNode, MemoryDoesNotGrowWithFailures) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer keeps what is freed for a while";
#endif
  constexpr std::size_t kBytes = std::size_t{8} << 20U;
  constexpr int kFailures = 40;
  const auto part = world().split(0);
  const auto hold_and_fail = [&] {
    const auto memory = part->share_on_node(kBytes, [](std::span<std::byte> bytes) {
      std::fill(bytes.begin(), bytes.end(), std::byte{1});
    });
    throw InputError("on all ranks");
  };
  const auto most_resident = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<std::size_t>(usage.ru_maxrss) * 1024;
  };
  EXPECT_EQ(message_of<InputError>(hold_and_fail), "on all ranks");
  const std::size_t before = most_resident();
  for (int i = 0; i < kFailures; ++i) message_of<InputError>(hold_and_fail);
  EXPECT_LT(most_resident() - before, kFailures * kBytes / 4);
}

TEST(Agree, SaysNothingIfNobodyFails) {
  int runs = 0;
  agree(world(), [&] { ++runs; });
  EXPECT_EQ(runs, 1);
}

TEST(Agree, OneRanksInputErrorBecomesEverybodys) {
  const auto action = [] {
    if (world().rank() == last_rank()) throw InputError("clients = 0 (too few): set it to 1");
  };
  EXPECT_EQ(message_of<InputError>([&] { agree(world(), action); }),
            "clients = 0 (too few): set it to 1");
}

TEST(Agree, AKeyErrorKeepsItsKey) {
  const auto action = [] {
    if (world().rank() == last_rank()) throw KeyError("data.clients", "two lines:\nset it to 1");
  };
  try {
    agree(world(), action);
    ADD_FAILURE() << "agreed";
  } catch (const KeyError& error) {
    EXPECT_EQ(error.key(), "data.clients");
    EXPECT_STREQ(error.what(), "two lines:\nset it to 1");
  }
}

TEST(Ring, SignsGoFromEachRankToTheNext) {
  const auto ring = make_mpi_ring(MPI_COMM_WORLD);
  ASSERT_EQ(ring != nullptr, world().size() > 1);
  if (!ring) return;
  EXPECT_EQ(ring->rank(), world().rank());
  EXPECT_EQ(ring->size(), world().size());
  const auto pass_on = [&](const Ring::Sign& sign) {
    while (!ring->send(sign)) std::this_thread::yield();
    std::optional<Ring::Sign> heard;
    while (!heard) heard = ring->receive();
    return *heard;
  };
  const int before = (world().rank() + world().size() - 1) % world().size();
  EXPECT_EQ(pass_on({.waiting = world().rank()}).waiting, before);
  EXPECT_FALSE(pass_on({}).leaves);
  EXPECT_TRUE(pass_on({.leaves = true}).leaves);
}

TEST(Agree, OneRanksFailureBecomesEverybodysWithItsRank) {
  const auto action = [] {
    if (world().rank() == last_rank()) throw std::runtime_error("disk is full");
  };
  EXPECT_EQ(message_of<SystemError>([&] { agree(world(), action); }),
            "rank " + std::to_string(last_rank()) + ": disk is full");
}

TEST(Agree, NamesTheRankOnceWhereCallsNest) {
  const auto inner = [] {
    agree(world(), [] {
      if (world().rank() == last_rank()) throw std::runtime_error("disk is full");
    });
  };
  EXPECT_EQ(message_of<SystemError>([&] { agree(world(), inner); }),
            "rank " + std::to_string(last_rank()) + ": disk is full");
}

TEST(Agree, TheLowestFailingRankSpeaks) {
  const int first = world().size() / 2;
  const auto action = [&] {
    if (world().rank() >= first) throw InputError("from " + std::to_string(world().rank()));
  };
  EXPECT_EQ(message_of<InputError>([&] { agree(world(), action); }),
            "from " + std::to_string(first));
}

TEST(Agree, KeepsAnEmptyMessage) {
  EXPECT_THROW(agree(world(), [] { throw InputError(""); }), InputError);
}

}  // namespace
}  // namespace fedselect
