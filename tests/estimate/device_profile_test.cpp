#include "estimate/device_profile.hpp"

#include <gtest/gtest.h>

#include <string>

#include "base/error.hpp"

namespace fedselect {
namespace {

constexpr const char* kTwo = R"(name = "two"
[[class]]
name = "slow"
uplink = 8
downlink = 16
compute = 2
[[class]]
name = "fast"
uplink = 80
downlink = 160
compute = 20
)";

std::string refusal(const std::string& text) {
  try {
    parse_profile(text, "p.toml");
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(DeviceProfile, SecondsAreThoseOfReceivingComputingAndSending) {
  const DeviceProfile profile = parse_profile(kTwo, "p.toml");
  // 4 MB at 16 Mbit/s: 2 s; 6 GFLOP at 2 GFLOP/s: 3 s; 1 MB at 8 Mbit/s: 1 s.
  const ClientLoad load{.bytes_up = 1e6, .bytes_down = 4e6, .flops = 6e9};
  EXPECT_DOUBLE_EQ(seconds_on(profile.classes[0], load), 6);
  EXPECT_DOUBLE_EQ(seconds_on(profile.classes[1], load), 0.6);
}

TEST(DeviceProfile, ARoundWaitsForTheSlowestClass) {
  const DeviceProfile profile = parse_profile(kTwo, "p.toml");
  const ClientLoad first{.bytes_up = 1e6, .bytes_down = 4e6, .flops = 6e9};
  const ClientLoad second{.bytes_up = 0, .bytes_down = 4e6, .flops = 0};
  const FederationCost cost = cost_of_federation(profile, {first, second});
  EXPECT_DOUBLE_EQ(cost.seconds[0], 4);    // of 6 and 2
  EXPECT_DOUBLE_EQ(cost.seconds[1], 0.4);  // of 0.6 and 0.2
  EXPECT_DOUBLE_EQ(cost.hours, 8.0 / 3600);
  EXPECT_DOUBLE_EQ(cost.busy, (8 + 0.8) / 2 / 8);  // no shares: as many of either
}

TEST(DeviceProfile, SaysWhatIsWrongAndWhere) {
  const auto with = [](const std::string& line) {
    return "name = \"a\"\n[[class]]\nname = \"b\"\nuplink = 1\ndownlink = 1\n" + line + "\n";
  };
  EXPECT_EQ(refusal(with("compute = 1")), "accepted");
  EXPECT_NE(refusal(with("comput = 1"))
                .find("p.toml:6:1: class.comput: unknown key; did you mean "
                      "class.compute?"),
            std::string::npos)
      << refusal(with("comput = 1"));
  EXPECT_NE(refusal(with("compute = -1")).find("p.toml:6:"), std::string::npos);
  EXPECT_NE(refusal(with("compute = 1\nshare = 0.5")).find("add up to 0.5"), std::string::npos);
  EXPECT_NE(refusal("name = \"a\"").find("class: is missing"), std::string::npos);
  EXPECT_NE(refusal("[[class]]\nname = \"b\"").find("class.uplink: is missing"), std::string::npos);
}

}  // namespace
}  // namespace fedselect
