#include "app/scaling_runner.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "app/experiment.hpp"
#include "app/failure.hpp"
#include "app/method_setup.hpp"
#include "app/passing_folder.hpp"
#include "base/statistics.hpp"
#include "io/manifest.hpp"
#include "io/run_folder.hpp"
#include "io/run_writer.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;

/// The method that a study names, or the only one.
std::size_t find_method(const ScalingStudy& study, const Config& config) {
  const auto& methods = config.methods;
  if (study.method.empty() && methods.size() == 1) return 0;
  std::vector<std::string> labels;
  for (std::size_t i = 0; i < methods.size(); ++i) {
    if (methods[i].label == study.method) return i;
    labels.push_back(methods[i].label);
  }
  throw InputError(study.method.empty()
                       ? fmt::format("method: is missing: {} has several methods, name one of {}",
                                     study.config, fmt::join(labels, ", "))
                       : fmt::format("method: {} has no method {} (there are {})", study.config,
                                     study.method, fmt::join(labels, ", ")));
}

}  // namespace

void ScalingRunner::check(const std::vector<ScalingPoint>& points) {
  together(world_, [&] {
    if (!world_.is_root()) return;
    for (const ScalingPoint& point : points)
      find_method(study_, read_config(study_.config, point.overrides));
    run_folder::create(setup_.home);
  });
}

std::vector<MeasuredPoint> ScalingRunner::measure(const std::vector<ScalingPoint>& points) {
  check(points);
  std::vector<std::size_t> order;
  for (std::size_t k = 0; k < points.size(); ++k) order.push_back(k);
  std::vector<MeasuredPoint> measured(points.size());
  for (std::int64_t repeat = 0; repeat < study_.repeats; ++repeat) {
    for (const std::size_t k : order) {
      measure_once(points[k], measured[k]);
      if (!world_.is_root()) continue;
      std::vector<double> seconds;
      for (const MeasuredRound& round : measured[k].repeats.back().rounds)
        seconds.push_back(round.seconds());
      log_.say(fmt::format("repeat {} of {}: {} = {}, {} ranks: {:.4f} s a round", repeat + 1,
                           study_.repeats, kScalingOverNames[static_cast<std::size_t>(study_.over)],
                           points[k].value, points[k].ranks, median(std::move(seconds))));
    }
    std::reverse(order.begin(), order.end());
  }
  return measured;
}

/// An error that the ranks of a point have alike becomes one of all ranks; one of a single rank
/// ends the job (run_guarded).
void ScalingRunner::measure_once(const ScalingPoint& point, MeasuredPoint& measured) {
  const bool takes_part = world_.rank() < point.ranks;
  const auto part = world_.split(takes_part ? 0 : 1);
  std::optional<AgreedError> failure;
  if (takes_part) try {
      measure_on(*part, point, measured);
    } catch (const AgreedError& error) {
      failure = error;
    }
  together(world_, [&] {
    if (!failure) return;
    if (failure->exit_code() == kExitBadInput) throw InputError(failure->what());
    throw SystemError(failure->what());
  });
}

void ScalingRunner::measure_on(Communicator& part, const ScalingPoint& point,
                               MeasuredPoint& measured) {
  const Experiment experiment =
      load_experiment({.path = study_.config, .overrides = point.overrides, .method = {}}, part);
  const Config& config = experiment.config;
  const std::size_t index = find_method(study_, config);
  const MethodConfig& method = config.methods[index];
  const RankDevice opened(setup_.device, part);
  const Device device = opened.view();
  CountingSum sums(device.sums);
  SimulationSetup setup = setup_of(experiment, method);
  setup.store = choose_store_limits(setup_.store, part);
  Simulation simulation(
      setup, *method.algorithm, experiment.network, experiment.data, experiment.partition,
      {.ops = device.ops, .sums = sums, .group = device.group, .memory = device.memory}, part);
  auto description =
      describe_run(config, index, make_manifest(part, device.ops.device(), setup_.command));
  const std::string manifest = description.manifest;

  std::optional<PassingFolder> folder;
  std::optional<RunWriter> writer;
  together(part, [&] {
    const fs::path path = setup_.home / fmt::format("trial-{}", point.value);
    if (part.is_root()) folder.emplace(path);
    writer.emplace(path, std::move(description), experiment.network, part, simulation);
  });
  auto repeat = measure_rounds(simulation, *writer, part, sums, static_cast<int>(study_.warmup),
                               static_cast<int>(study_.rounds));
  writer.reset();
  if (!part.is_root()) return;
  measured.value = point.value;
  measured.ranks = point.ranks;
  measured.clients = static_cast<std::int64_t>(experiment.partition.clients());
  measured.parameters = static_cast<std::int64_t>(experiment.network.layout().size());
  measured.config = write_config(config, index);
  measured.manifest = manifest;
  measured.repeats.push_back(std::move(repeat));
}

}  // namespace fedselect
