#include "sweep/trials.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <tuple>

#include "base/error.hpp"
#include "base/sha256.hpp"
#include "io/config.hpp"
#include "model/network.hpp"

namespace fedselect::sweep {

namespace {

std::vector<std::string> overrides_of(const SweepConfig& sweep, const Point& point,
                                      std::optional<std::int64_t> seed) {
  std::vector<std::string> overrides = sweep.overrides;
  overrides.push_back("name=" + sweep.name);
  if (seed) overrides.push_back(fmt::format("seed={}", *seed));
  for (std::size_t p = 0; p < point.size(); ++p)
    if (!point[p].empty()) overrides.push_back(sweep.parameters[p].key + "=" + point[p]);
  return overrides;
}

/// The name without what stands before the last dot.
std::string_view last_part(std::string_view key) { return key.substr(key.rfind('.') + 1); }

/// Whether a resolved config, of this one method, has the key.
bool has_key(const toml::table& resolved, const std::string& key, const std::string& label) {
  const std::string_view section = std::string_view(key).substr(0, key.find('.'));
  if (section != "method") return bool(resolved.at_path(key));
  const auto parts = std::count(key.begin(), key.end(), '.');
  const bool is_meant = parts == 1 || key == fmt::format("method.{}.{}", label, last_part(key));
  return is_meant && resolved["method"][0].as_table()->contains(last_part(key));
}

/// The point as the method sees it.
Point keep_known(const SweepConfig& sweep, const Point& point, const std::string& resolved,
                 const std::string& label) {
  const toml::table table = toml::parse(resolved);
  Point kept = point;
  for (std::size_t p = 0; p < kept.size(); ++p)
    if (!has_key(table, sweep.parameters[p].key, label)) kept[p].clear();
  return kept;
}

/// Samples that a round trains on, beside other trials of the same method and experiment. Clients
/// that are drawn share one data set out, unless each gets so many samples.
double work_of(const Config& config, const MethodConfig& method) {
  const DataConfig& data = config.data;
  const bool bring_samples = clients_come_with_data(data.partition) ||
                             (data.partition == PartitionKind::shards && data.train_per_class > 0);
  const std::int64_t parts = bring_samples ? std::max<std::int64_t>(data.clients, 1) : 1;
  return static_cast<double>(passes_of(method, config.train)) * config.federation.participation *
         static_cast<double>(parts);
}

std::string id_of(const std::string& label, const std::string& resolved) {
  constexpr std::size_t kDigits = 12;
  return fmt::format("{}-{}", label,
                     hex(sha256(std::as_bytes(std::span(resolved)))).substr(0, kDigits));
}

class Planner {
 public:
  explicit Planner(const SweepConfig& sweep) : sweep_(sweep) {
    for (const std::int64_t seed : sweep.seeds) seeds_.emplace_back(seed);
    if (seeds_.empty()) seeds_.emplace_back(std::nullopt);
  }

  Plan make() {
    const std::vector<Point> points = make_points(sweep_);
    for (const Point& point : points) {
      std::vector<Config> configs;  // one a seed
      for (const auto& seed : seeds_) configs.push_back(read(point, seed));
      const std::vector<std::size_t> methods = choose_methods(configs.front());
      check_size(points.size(), methods.size());
      for (const std::size_t m : methods) add(point, configs, m);
    }
    return std::move(plan_);
  }

 private:
  Config read(const Point& point, std::optional<std::int64_t> seed) const {
    try {
      return read_config(sweep_.experiment, overrides_of(sweep_, point, seed));
    } catch (const InputError& error) {
      if (sweep_.parameters.empty()) throw;
      throw InputError(fmt::format("{}\n(at the point {} of the sweep)", error.what(),
                                   fmt::join(overrides_of(sweep_, point, seed), ", ")));
    }
  }

  std::vector<std::size_t> choose_methods(const Config& config) const {
    std::vector<std::size_t> chosen;
    std::vector<std::string> labels;
    for (std::size_t m = 0; m < config.methods.size(); ++m) {
      labels.push_back(config.methods[m].label);
      const auto& wanted = sweep_.methods;
      if (wanted.empty() || std::find(wanted.begin(), wanted.end(), labels.back()) != wanted.end())
        chosen.push_back(m);
    }
    for (const std::string& wanted : sweep_.methods)
      require(std::find(labels.begin(), labels.end(), wanted) != labels.end(),
              fmt::format("methods: {} has no method \"{}\" (it has {})", sweep_.experiment, wanted,
                          fmt::join(labels, ", ")));
    return chosen;
  }

  void add(const Point& point, const std::vector<Config>& configs, std::size_t m) {
    Candidate candidate{.method = configs.front().methods[m].label, .values = {}, .trials = {}};
    for (std::size_t s = 0; s < configs.size(); ++s) {
      const Config& config = configs[s];
      const MethodConfig& method = config.methods[m];
      check_rungs(config);
      const std::string resolved = write_config(config, m);
      Trial trial{.id = id_of(method.label, resolved),
                  .candidate = plan_.candidates.size(),
                  .seed = config.seed,
                  .overrides = overrides_of(sweep_, point, seeds_[s]),
                  .rounds = config.rounds,
                  .work = work_of(config, method),
                  .model = config.model};
      if (s == 0) {
        if (!known_.insert(trial.id).second) return;
        candidate.values = keep_known(sweep_, point, resolved, method.label);
      }
      candidate.trials.push_back(plan_.trials.size() + s);
      pending_.push_back(std::move(trial));
    }
    plan_.candidates.push_back(std::move(candidate));
    std::move(pending_.begin(), pending_.end(), std::back_inserter(plan_.trials));
    pending_.clear();
  }

  void check_size(std::size_t points, std::size_t methods) const {
    require(points * seeds_.size() * methods <= kMostTrials,
            fmt::format("{} points x {} seeds x {} methods: a sweep has {} trials at most: take "
                        "fewer of them",
                        points, seeds_.size(), methods, kMostTrials));
  }

  void check_rungs(const Config& config) const {
    const std::int64_t first = sweep_.halving.first;
    if (first == 0) return;
    require(first < config.rounds,
            fmt::format("halving.first_rounds = {}: must be below the rounds of {}, {}", first,
                        sweep_.experiment, config.rounds));
    require(first % config.evaluate.every == 0,
            fmt::format("halving.first_rounds = {}: no evaluation is then, so rungs can't be "
                        "judged: take a multiple of evaluate.every, {}",
                        first, config.evaluate.every));
  }

  const SweepConfig& sweep_;
  std::vector<std::optional<std::int64_t>> seeds_;
  std::set<std::string> known_;
  std::vector<Trial> pending_;  ///< of the candidate at hand
  Plan plan_;
};

}  // namespace

Plan make_plan(const SweepConfig& sweep) { return Planner(sweep).make(); }

void weigh_models(Plan& plan, const ops::ImageShape& image, int classes) {
  const auto flops_of = [&](const ModelConfig& model) {
    try {
      return Network(model, image, classes).training_flops();
    } catch (const KeyError&) {
      return 0.0;
    }
  };
  using Shape = std::tuple<ModelKind, std::int64_t, NormKind, std::int64_t, StemKind>;
  std::map<Shape, double> known;
  for (Trial& trial : plan.trials) {
    const ModelConfig& model = trial.model;
    const Shape shape{model.name, model.hidden, model.norm, model.groups, model.stem};
    auto found = known.find(shape);
    if (found == known.end()) found = known.emplace(shape, flops_of(model)).first;
    trial.work *= found->second;
  }
}

}  // namespace fedselect::sweep
