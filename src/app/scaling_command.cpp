#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include "app/commands.hpp"
#include "app/failure.hpp"
#include "app/scaling_runner.hpp"
#include "app/text.hpp"
#include "app/watch_options.hpp"
#include "io/run_folder.hpp"
#include "io/run_lock.hpp"
#include "scaling/likeness.hpp"
#include "scaling/scaling_file.hpp"
#include "scaling/summary.hpp"

namespace fedselect {

namespace {

namespace fs = std::filesystem;

struct ScalingOptions {
  std::string study;
  std::string out = "runs";
  std::optional<std::int64_t> point;  ///< the only one to be measured
  bool joins = false;                 ///< measures nothing
  bool continues = false;             ///< after the repeats that an earlier job measured
  DeviceOptions device;
  StoreOptions store;
  std::vector<std::string> command;
};

fs::path file_of_point(const fs::path& home, std::int64_t value) {
  return home / "points" / fmt::format("{}.h5", value);
}

/// On the root.
void show(const fs::path& path, const ScalingStudy& study,
          const std::vector<MeasuredPoint>& points) {
  const StudySummary summary = summarise(study, points);
  fmt::print("{}", align_table(table_of(points, summary)));
  if (const auto fit = describe_fit(summary); !fit.empty()) fmt::print("{}\n", fit);
  if (const auto caveat = caveat_of(study, points); !caveat.empty())
    fmt::print("warning: {}\n", caveat);
  fmt::print("in {}\n", path.string());
}

/// The points that jobs of their own measured.
std::vector<MeasuredPoint> read_points(const fs::path& home, const ScalingStudy& study) {
  std::vector<MeasuredPoint> points;
  for (const std::int64_t value : study.values) {
    const fs::path path = file_of_point(home, value);
    if (!fs::exists(path))
      throw InputError(fmt::format(
          "{}: is missing: measure this point first (fedselect scaling STUDY --point {})",
          path.string(), value));
    auto read = read_scaling(path, study);
    if (read.size() != 1 || read.front().value != value)
      throw InputError(fmt::format("{}: holds another point: measure it again", path.string()));
    const auto repeats = static_cast<std::int64_t>(read.front().repeats.size());
    if (repeats < study.repeats)
      throw InputError(
          fmt::format("{}: has {} of {} repeats: measure the others (fedselect scaling STUDY "
                      "--point {} --continue)",
                      path.string(), repeats, study.repeats, value));
    points.push_back(std::move(read.front()));
    const std::string other = find_difference(study, points.front(), points.back());
    require(other.empty(), fmt::format("{}: was measured {} than the point {}: measure one of them "
                                       "again",
                                       path.string(), other, points.front().value));
  }
  return points;
}

int most_ranks(const std::vector<ScalingPoint>& points) {
  int most = 0;
  for (const ScalingPoint& point : points) most = std::max(most, point.ranks);
  return most;
}

/// Collective.
void run(const ScalingOptions& options, Communicator& comm) {
  ScalingStudy study;
  std::vector<ScalingPoint> wanted;
  together(comm, [&] {
    study = read_study(options.study);
    if (options.joins) return;
    wanted = options.point ? std::vector{point_of(study, *options.point, comm.size())}
                           : points_of(study, comm.size());
  });
  const fs::path home = fs::path(options.out) / study.name;
  const fs::path path = options.point ? file_of_point(home, *options.point) : home / "scaling.h5";
  RunLog log(choose_voice(false, comm));
  std::unique_ptr<RunLock> lock;
  std::vector<MeasuredPoint> points;
  together(comm, [&] {
    if (!comm.is_root()) return;
    run_folder::create(path.parent_path());
    lock = std::make_unique<RunLock>(path.parent_path(), path.filename().string() + ".lock");
    if (!lock->warning().empty()) log.warn(lock->warning());
    if (!options.joins) return;
    points = read_points(home, study);
    write_scaling(path, study, points);
  });
  if (!options.joins) {
    if (const int idle = comm.size() - most_ranks(wanted); idle > 0)
      log.warn(fmt::format(
          "warning: {} of the job's {} ranks take part in no point: a job of {} is enough", idle,
          comm.size(), comm.size() - idle));
    ScalingRunner runner({.file = path,
                          .continues = options.continues,
                          .command = options.command,
                          .device = options.device,
                          .store = options.store},
                         study, comm, log);
    points = runner.measure(wanted);
  }
  if (comm.is_root()) show(path, study, points);
}

}  // namespace

void add_scaling_command(CLI::App& app, Request& request) {
  auto* command =
      app.add_subcommand("scaling", "measure how an experiment scales, as a study file says");
  auto options = std::make_shared<ScalingOptions>();
  command->add_option("STUDY", options->study, "the study, a TOML file")->required();
  command->add_option("--out", options->out, "folder in which the study's folder is made")
      ->type_name("DIR")
      ->capture_default_str();
  auto* point = command
                    ->add_option("--point", options->point,
                                 "measure one point only, into OUT/NAME/points: for series of jobs")
                    ->type_name("VALUE");
  command->add_flag("--continue", options->continues,
                    "go on after the whole repeats of a job that was cut off, if there are any");
  command
      ->add_flag("--join", options->joins,
                 "measure nothing: join the points that jobs measured with --point")
      ->excludes(point);
  add_device_options(*command, options->device);
  add_store_options(*command, options->store);
  add_watch_options(*command, request.limits);
  command->footer(R"(Writes OUT/NAME/scaling.h5, which analysis/scaling draws, and prints a table.

A study over ranks measures each point on the first ranks of the job; the others wait. Nothing else
should run on these nodes. The file is written after each repeat of all points; --continue goes on
there.

Examples:
  mpirun -n 4 fedselect scaling configs/scaling/strong.toml
  mpirun -n 2 fedselect scaling configs/scaling/strong.toml --point 2
  fedselect scaling configs/scaling/strong.toml --join)");
  command->callback([&request, options] {
    options->command = request.words;
    request.together = [options](Communicator& comm) { run(*options, comm); };
  });
}

}  // namespace fedselect
