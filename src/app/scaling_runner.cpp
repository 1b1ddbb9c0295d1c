#include "app/scaling_runner.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "app/binding.hpp"
#include "app/experiment.hpp"
#include "app/failure.hpp"
#include "app/method_setup.hpp"
#include "app/passing_folder.hpp"
#include "app/text.hpp"
#include "base/progress.hpp"
#include "base/statistics.hpp"
#include "io/manifest.hpp"
#include "io/run_folder.hpp"
#include "io/run_writer.hpp"
#include "scaling/likeness.hpp"
#include "scaling/scaling_file.hpp"

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

[[noreturn]] void refuse(const fs::path& file, const std::string& how) {
  throw InputError(
      fmt::format("{}: was measured {}: remove it, or leave out --continue, to measure all repeats "
                  "anew, or choose another place with --out",
                  file.string(), how));
}

}  // namespace

/// Collective. Looks at all that the config can tell. The points as they are so far: on the root
/// with the repeats of an earlier job.
std::vector<MeasuredPoint> ScalingRunner::begin(const std::vector<ScalingPoint>& points) {
  const std::string now = make_manifest(world_, "", setup_.command);
  for (const ScalingPoint& point : points) most_ranks_ = std::max(most_ranks_, point.ranks);
  std::vector<MeasuredPoint> measured(points.size());
  together(world_, [&] {
    if (!world_.is_root()) return;
    std::vector<std::string> configs;
    for (const ScalingPoint& point : points) {
      const Config config = read_config(study_.config, point.overrides);
      configs.push_back(write_config(config, find_method(study_, config)));
    }
    if (!setup_.continues || !fs::exists(setup_.file)) return;
    measured = read_scaling(setup_.file, study_);
    if (measured.size() != points.size()) refuse(setup_.file, "at other points");
    for (std::size_t k = 0; k < points.size(); ++k)
      if (const auto how = find_difference(measured[k], points[k], configs[k], now); !how.empty())
        refuse(setup_.file, how);
  });
  return measured;
}

std::vector<MeasuredPoint> ScalingRunner::measure(const std::vector<ScalingPoint>& points) {
  std::vector<MeasuredPoint> measured = begin(points);
  const auto done = static_cast<std::int64_t>(
      gather_on_all(world_, std::vector{measured.front().repeats.size()}).front());
  if (done > 0)
    log_.say(fmt::format("{} of {} repeats were measured before", done, study_.repeats));
  const auto count = static_cast<std::int64_t>(points.size());
  Progress progress(
      study_.name, count * study_.repeats, log_.draws_bar(),
      [this](const std::string& line) { log_.progress(line); }, count * done);
  for (std::int64_t repeat = done; repeat < study_.repeats; ++repeat) {
    for (std::int64_t turn = 0; turn < count; ++turn) {
      const auto k = static_cast<std::size_t>(repeat % 2 == 0 ? turn : count - 1 - turn);
      measure_once(points[k], measured[k]);
      if (!world_.is_root()) continue;
      std::vector<double> seconds;
      for (const MeasuredRound& round : measured[k].repeats.back().rounds)
        seconds.push_back(round.seconds());
      progress.step(fmt::format("repeat {}: {} = {}, {} ranks: {:.4f} s a round", repeat + 1,
                                kScalingOverNames[static_cast<std::size_t>(study_.over)],
                                points[k].value, points[k].ranks, median(std::move(seconds))));
    }
    together(world_, [&] {
      if (world_.is_root()) write_scaling(setup_.file, study_, measured);
    });
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
  if (point.ranks == most_ranks_ && !std::exchange(told_places_, true)) {
    for (const std::string& line : describe_binding(part, opened.place())) log_.say(line);
    for (const std::string& note : opened.notes()) log_.say(note);
  }
  const Device device = opened.view();
  CountingSum sums(device.sums);
  SimulationSetup setup = setup_of(experiment, method);
  setup.store = choose_store_limits(setup_.store, part);
  Simulation simulation(
      setup, *method.algorithm, experiment.network, experiment.data, experiment.partition,
      {.ops = device.ops, .sums = sums, .group = device.group, .memory = device.memory}, part);
  auto description =
      describe_run(config, index, make_manifest(part, device.ops.device(), setup_.command));
  MeasuredPoint now{.value = point.value,
                    .ranks = point.ranks,
                    .clients = static_cast<std::int64_t>(experiment.partition.clients()),
                    .parameters = static_cast<std::int64_t>(experiment.network.layout().size()),
                    .config = write_config(config, index),
                    .manifest = description.manifest,
                    .repeats = std::move(measured.repeats)};

  if (now.repeats.empty())
    if (const auto idle = describe_idle(point.ranks, "ranks", now.clients, "clients");
        !idle.empty())
      log_.warn(fmt::format("warning: {}", idle));

  std::optional<PassingFolder> folder;
  std::optional<RunWriter> writer;
  together(part, [&] {
    const fs::path path = setup_.file.parent_path() / fmt::format("trial-{}", point.value);
    if (part.is_root()) {
      if (!now.repeats.empty() &&
          read_provenance(measured.manifest).device != read_provenance(now.manifest).device)
        refuse(setup_.file, "on another device");
      folder.emplace(path);
    }
    writer.emplace(path, std::move(description), experiment.network, part, simulation);
  });
  auto repeat = measure_rounds(simulation, *writer, part, sums, static_cast<int>(study_.warmup),
                               static_cast<int>(study_.rounds));
  writer.reset();
  if (!part.is_root()) return;
  now.repeats.push_back(std::move(repeat));
  measured = std::move(now);
}

}  // namespace fedselect
