#include "data/make_partition.hpp"

#include <gtest/gtest.h>

#include <string>

#include "base/error.hpp"
#include "tiny_data.hpp"

namespace fedselect {
namespace {

using Indices = Partition::Indices;

std::shared_ptr<const std::byte> share(const std::vector<std::int32_t>& values) {
  auto memory = std::make_shared<std::vector<std::int32_t>>(values);
  return {memory, reinterpret_cast<const std::byte*>(memory->data())};
}

/// Four groups, of which "b" has no test sample.
Dataset grouped(GroupKind kind) {
  auto data = testing::random_dataset(6, 4, {2, 2, 1}, 2);
  data.group_kind = kind;
  data.groups = {"a", "b", "c", "d"};
  data.train.groups = share({2, 0, 1, 0, 3, 2});
  data.test.groups = share({3, 2, 0, 2});
  return data;
}

Partition make(const Dataset& data, PartitionKind kind, std::int64_t clients = 0) {
  DataConfig config;
  config.partition = kind;
  config.clients = clients;
  return make_partition(config, 1, data, *make_self_communicator());
}

/// Key and message of a refusal.
std::string refusal(const Dataset& data, PartitionKind kind, std::int64_t clients = 0) {
  try {
    make(data, kind, clients);
  } catch (const KeyError& error) {
    return error.key() + "\n" + error.what();
  }
  return "not refused";
}

void expect_says(const std::string& text, const std::vector<std::string>& parts) {
  for (const auto& part : parts) EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(MakePartition, OneClientAGroupThatHasBothParts) {
  const auto natural = make(grouped(GroupKind::client), PartitionKind::natural);
  EXPECT_EQ(natural.train, (std::vector<Indices>{{1, 3}, {0, 5}, {4}}));
  EXPECT_EQ(natural.test, (std::vector<Indices>{{2}, {1, 3}, {0}}));
  EXPECT_EQ(make(grouped(GroupKind::domain), PartitionKind::domain).train, natural.train);
}

TEST(MakePartition, TakesTheFirstGroups) {
  const auto natural = make(grouped(GroupKind::client), PartitionKind::natural, 2);
  EXPECT_EQ(natural.train, (std::vector<Indices>{{1, 3}, {0, 5}}));
  EXPECT_EQ(natural.test, (std::vector<Indices>{{2}, {1, 3}}));
}

TEST(MakePartition, RefusesWhatTheGroupsDoNotGive) {
  expect_says(refusal(grouped(GroupKind::client), PartitionKind::natural, 4),
              {"data.clients\n", "data.clients = 4 is more than the 3 clients", "3 or less"});
  expect_says(refusal(grouped(GroupKind::client), PartitionKind::domain),
              {"data.partition\n", "needs domains", "are clients", "\"natural\""});
  expect_says(refusal(grouped(GroupKind::domain), PartitionKind::natural),
              {"data.partition\n", "needs clients", "are domains", "\"domain\""});
  expect_says(refusal(testing::random_dataset(6, 4, {2, 2, 1}, 2), PartitionKind::natural),
              {"data.partition\n", "says of which client each sample is", "\"dirichlet\""});
  auto data = grouped(GroupKind::client);
  data.test.groups = share({1, 1, 1, 1});
  data.train.groups = share({0, 0, 0, 2, 2, 2});
  expect_says(refusal(data, PartitionKind::natural),
              {"data.partition\n", "no client with a training and a test sample (of 4)"});
}

}  // namespace
}  // namespace fedselect
