#include <gtest/gtest.h>

#include <stdexcept>

#include "base/error.hpp"
#include "comm/communicator.hpp"

// One process without MPI behaves like one rank.
namespace fedselect {
namespace {

TEST(SelfCommunicator, IsOneRank) {
  const auto self = make_self_communicator();
  EXPECT_EQ(self->rank(), 0);
  EXPECT_EQ(self->size(), 1);
  EXPECT_TRUE(self->is_root());
  self->barrier();
  EXPECT_EQ(self->host_names().size(), 1U);
}

TEST(SelfCommunicator, CollectivesLeaveValuesAsTheyAre) {
  const auto self = make_self_communicator();
  std::vector<std::int64_t> values{3, -4};
  self->all_reduce_sum(std::span(values));
  EXPECT_EQ(values, (std::vector<std::int64_t>{3, -4}));
  EXPECT_EQ(self->all_reduce_min(-9), -9);
  std::vector<std::byte> bytes{std::byte{1}, std::byte{2}};
  self->broadcast(bytes, 0);
  EXPECT_EQ(bytes.size(), 2U);
  const auto all = self->gather(bytes);
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0], bytes);
}

TEST(SelfCommunicator, SharesAlignedMemory) {
  const auto self = make_self_communicator();
  const auto memory =
      self->share_on_node(3, [](std::span<std::byte> bytes) { bytes[2] = std::byte{9}; });
  EXPECT_EQ(memory.get()[2], std::byte{9});
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.get()) % 64, 0U);
}

TEST(SelfCommunicator, FailsLikeOneRank) {
  const auto self = make_self_communicator();
  EXPECT_THROW(self->share_on_node(1, [](auto) { throw InputError("a"); }), InputError);
  EXPECT_THROW(self->share_on_node(1, [](auto) { throw std::runtime_error("a"); }), SystemError);
  EXPECT_THROW(agree(*self, [] { throw std::runtime_error("a"); }), SystemError);
  EXPECT_THROW(self->send({}, 0), std::logic_error);
}

}  // namespace
}  // namespace fedselect
