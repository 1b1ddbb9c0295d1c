#include "estimate/device_profile.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/bits.hpp"
#include "io/config.hpp"
#include "io/config_reader.hpp"
#include "io/config_text.hpp"

namespace fedselect {

namespace {

constexpr const char* kClassTable = "class";
constexpr double kMega = 1e6;
constexpr double kGiga = 1e9;
constexpr double kSecondsPerHour = 3600;

class ProfileReader {
 public:
  ProfileReader(const toml::table& file, Problems& problems) : file_(file), problems_(problems) {}

  DeviceProfile read() {
    DeviceProfile profile;
    auto reader = reader_of(file_, "");
    reader.text("name", profile.name, "");
    reader.check(!profile.name.empty(), "name", "is missing: name the profile, for tables");
    refuse_unknown(file_, reader, {kClassTable}, problems_);
    const toml::node* node = file_.get(kClassTable);
    const toml::array* tables = node == nullptr ? nullptr : node->as_array();
    if (tables == nullptr || tables->empty() || !tables->is_homogeneous<toml::table>()) {
      problems_.add(node == nullptr ? Place{} : place_of(node->source()),
                    "class: is missing, or no list of tables: write [[class]] above the keys of "
                    "each class of devices");
      return profile;
    }
    for (const toml::node& table : *tables)
      profile.classes.push_back(read_class(*table.as_table()));
    check_shares(profile, *tables);
    return profile;
  }

 private:
  SectionReader reader_of(const toml::table& table, const char* prefix) {
    return {{.table = &table, .prefix = prefix, .override_prefixes = {}}, none_, problems_};
  }

  DeviceClass read_class(const toml::table& table) {
    DeviceClass device;
    auto reader = reader_of(table, "class.");
    reader.text("name", device.name, "");
    reader.check(!device.name.empty(), "name", "is missing: name the class");
    const auto read_speed = [&](const char* key, double& value, const char* what) {
      reader.real(key, value, kPositive, "");
      reader.check(value > 0, key, fmt::format("is missing: {}", what));
    };
    read_speed("uplink", device.uplink, "Mbit/s that such a client sends");
    read_speed("downlink", device.downlink, "Mbit/s that such a client receives");
    read_speed("compute", device.compute, "GFLOP/s that such a client computes in training");
    reader.real("share", device.share, kFraction, "");
    refuse_unknown(table, reader, {}, problems_);
    return device;
  }

  void check_shares(DeviceProfile& profile, const toml::array& tables) {
    auto& classes = profile.classes;
    double sum = 0;
    for (const DeviceClass& device : classes) sum += device.share;
    if (sum == 0)
      for (DeviceClass& device : classes) device.share = 1 / static_cast<double>(classes.size());
    constexpr double kRounding = 1e-6;
    if (sum != 0 && std::abs(sum - 1) > kRounding)
      problems_.add(place_of(tables.source()),
                    fmt::format("class.share: the shares of all classes add up to {}, must be 1: "
                                "correct them, or leave all out",
                                sum));
  }

  const toml::table& file_;
  Problems& problems_;
  Overrides none_{{}, problems_};
};

}  // namespace

DeviceProfile parse_profile(std::string_view text, const std::string& origin) {
  Problems problems(origin);
  const toml::table file = parse_toml(text, problems);
  DeviceProfile profile = ProfileReader(file, problems).read();
  problems.throw_if_any();
  return profile;
}

DeviceProfile read_profile(const std::string& path) {
  return parse_profile(read_config_text(path), path);
}

double seconds_on(const DeviceClass& device, const ClientLoad& load) {
  return kByteBits * load.bytes_down / (device.downlink * kMega) +
         load.flops / (device.compute * kGiga) +
         kByteBits * load.bytes_up / (device.uplink * kMega);
}

FederationCost cost_of_federation(const DeviceProfile& profile,
                                  const std::vector<ClientLoad>& rounds) {
  FederationCost cost{.seconds = std::vector<double>(profile.classes.size())};
  double all = 0;
  double busy = 0;
  for (const ClientLoad& load : rounds) {
    double slowest = 0;
    for (std::size_t c = 0; c < profile.classes.size(); ++c) {
      const double seconds = seconds_on(profile.classes[c], load);
      cost.seconds[c] += seconds / static_cast<double>(rounds.size());
      slowest = std::max(slowest, seconds);
      busy += profile.classes[c].share * seconds;
    }
    all += slowest;
  }
  cost.hours = all / kSecondsPerHour;
  cost.busy = all > 0 ? busy / all : 0;
  return cost;
}

}  // namespace fedselect
