#include "scaling/scaling_file.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <string>

#include "files/atomic_file.hpp"
#include "files/hdf5.hpp"
#include "files/hdf5_reader.hpp"
#include "scaling/summary.hpp"

namespace fedselect {

namespace {

using hdf5::Shape;
using hdf5::Storage;

constexpr const char* kFormat = "fedselect-scaling";
constexpr std::int64_t kVersion = 1;
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

/// One value of each point.
template <class T>
void write_points(hdf5::File& file, const std::string& name,
                  const std::vector<MeasuredPoint>& points, T MeasuredPoint::*member) {
  std::vector<T> values;
  for (const MeasuredPoint& point : points) values.push_back(point.*member);
  file.write(name, values);
}

void write_texts(hdf5::File& file, const std::string& name,
                 const std::vector<MeasuredPoint>& points, std::string MeasuredPoint::*member) {
  std::vector<std::string> texts;
  for (const MeasuredPoint& point : points) texts.push_back(point.*member);
  file.write_texts(name, texts);
}

/// Writes and reads (points, repeats, rounds), and what hangs from them.
class Rounds {
 public:
  Rounds(const ScalingStudy& study, const std::vector<MeasuredPoint>& points)
      : shape_{points.size(), points.front().repeats.size(), static_cast<hsize_t>(study.rounds)} {}

  /// (K, S, R): one value of each round.
  template <class T>
  void write(hdf5::File& file, const std::string& name, const std::vector<MeasuredPoint>& points,
             const std::function<T(const MeasuredRound&)>& value) const {
    std::vector<T> values;
    for (const MeasuredPoint& point : points)
      for (const MeasuredRepeat& repeat : point.repeats)
        for (const MeasuredRound& round : repeat.rounds) values.push_back(value(round));
    file.write(name, shape_, std::span<const T>(values), Storage::deflated);
  }

  /// (K, S, R, M, P), NaN for ranks that a point doesn't have.
  void write_phases(hdf5::File& file, const std::vector<MeasuredPoint>& points) const {
    std::int32_t most = 0;
    for (const MeasuredPoint& point : points) most = std::max(most, point.ranks);
    std::vector<double> values;
    PhaseSeconds absent;
    absent.fill(kNone);
    for (const MeasuredPoint& point : points)
      for (const MeasuredRepeat& repeat : point.repeats)
        for (const MeasuredRound& round : repeat.rounds)
          for (std::size_t rank = 0; rank < static_cast<std::size_t>(most); ++rank) {
            const PhaseSeconds& seconds =
                rank < round.ranks.size() ? round.ranks[rank].seconds : absent;
            values.insert(values.end(), seconds.begin(), seconds.end());
          }
    Shape shape = shape_;
    shape.insert(shape.end(), {static_cast<hsize_t>(most), kPhases});
    file.write("/rounds/phase_seconds", shape, std::span<const double>(values), Storage::deflated);
  }

  /// (K, S, W)
  void write_warmup(hdf5::File& file, const std::vector<MeasuredPoint>& points,
                    std::int64_t warmup) const {
    std::vector<double> values;
    for (const MeasuredPoint& point : points)
      for (const MeasuredRepeat& repeat : point.repeats)
        values.insert(values.end(), repeat.warmup.begin(), repeat.warmup.end());
    file.write("/rounds/warmup_seconds", {shape_[0], shape_[1], static_cast<hsize_t>(warmup)},
               std::span<const double>(values), Storage::deflated);
  }

 private:
  Shape shape_;
};

void write_summary(hdf5::File& file, const std::vector<MeasuredPoint>& points,
                   const StudySummary& summary) {
  const auto write_estimates = [&](const std::string& name, Estimate PointSummary::*member) {
    std::vector<double> values;
    for (const PointSummary& point : summary.points) {
      const Estimate& one = point.*member;
      values.insert(values.end(), {one.mean, one.low, one.high});
    }
    file.write("/summary/" + name, {summary.points.size(), 3}, std::span<const double>(values),
               Storage::plain);
  };
  write_estimates("seconds", &PointSummary::seconds);
  write_estimates("speedup", &PointSummary::speedup);
  write_estimates("efficiency", &PointSummary::efficiency);
  write_estimates("imbalance", &PointSummary::imbalance);
  std::vector<double> phases;
  std::vector<double> traffic;
  std::vector<double> least;
  for (std::size_t k = 0; k < points.size(); ++k) {
    const PointSummary& point = summary.points[k];
    phases.insert(phases.end(), point.phases.begin(), point.phases.end());
    traffic.push_back(least_traffic(point.reduced, points[k].ranks));
    least.push_back(least_traffic(point.needed, points[k].ranks));
  }
  file.write("/summary/phase_seconds", {points.size(), kPhases}, std::span<const double>(phases),
             Storage::plain);
  file.write("/summary/traffic_bytes", traffic);
  file.write("/summary/least_traffic_bytes", least);
  const Estimate& fraction = summary.fraction;
  file.write("/summary/fraction", std::vector{fraction.mean, fraction.low, fraction.high});
}

void check_header(const hdf5::Reader& file, const ScalingStudy& study) {
  if (!file.has_attribute("format") || file.text_attribute("format") != kFormat)
    file.refuse("/", "is no measure of a scaling study");
  if (file.integer_attribute("version") != kVersion)
    file.refuse("/", "has another version of the format");
  if (file.read_text("/study") != study.text)
    file.refuse("/study", "is not the study as it is now");
}

/// Values of points, repeats, and so on, handed out in their order.
template <class T>
class Stream {
 public:
  Stream(const hdf5::Reader& file, const std::string& name, std::size_t count)
      : values_(file.read<T>(name)) {
    if (values_.size() != count) file.refuse(name, "has another number of values than the study");
  }
  T next() { return values_[at_++]; }

 private:
  std::vector<T> values_;
  std::size_t at_ = 0;
};

}  // namespace

void write_scaling(const std::filesystem::path& path, const ScalingStudy& study,
                   const std::vector<MeasuredPoint>& points) {
  PartialFile partial(path);
  hdf5::File file(partial.path());
  const StudySummary summary = summarise(study, points);
  const bool over_ranks = study.over == ScalingOver::ranks;
  file.set_attribute("format", kFormat);
  file.set_attribute("version", kVersion);
  file.set_attribute("name", study.name);
  file.set_attribute("method", study.method);
  file.set_attribute("over", kScalingOverNames[static_cast<std::size_t>(study.over)]);
  file.set_attribute("kind",
                     over_ranks ? kScalingKindNames[static_cast<std::size_t>(study.kind)] : "size");
  file.set_attribute("fit", summary.fit);
  file.write_text("/study", study.text);
  write_points(file, "/points/value", points, &MeasuredPoint::value);
  write_points(file, "/points/ranks", points, &MeasuredPoint::ranks);
  write_points(file, "/points/clients", points, &MeasuredPoint::clients);
  write_points(file, "/points/parameters", points, &MeasuredPoint::parameters);
  write_texts(file, "/points/config", points, &MeasuredPoint::config);
  write_texts(file, "/points/manifest", points, &MeasuredPoint::manifest);
  const Rounds rounds(study, points);
  file.write_texts("/rounds/phase", {kPhaseNames.begin(), kPhaseNames.end()});
  rounds.write_phases(file, points);
  rounds.write_warmup(file, points, study.warmup);
  rounds.write<double>(file, "/rounds/seconds", points, &MeasuredRound::seconds);
  rounds.write<double>(file, "/rounds/imbalance", points, &MeasuredRound::imbalance);
  rounds.write<double>(file, "/rounds/flops", points, &MeasuredRound::flops);
  rounds.write<std::int64_t>(file, "/rounds/reduced_bytes", points, &MeasuredRound::reduced);
  rounds.write<std::int64_t>(file, "/rounds/needed_bytes", points, &MeasuredRound::needed);
  write_summary(file, points, summary);
  file.close();
  partial.commit();
}

std::vector<MeasuredPoint> read_scaling(const std::filesystem::path& path,
                                        const ScalingStudy& study) {
  const hdf5::Reader file(path, "measure this point again");
  check_header(file, study);
  const auto count = static_cast<std::size_t>(file.rows("/points/value"));
  std::vector<MeasuredPoint> points(count);
  Stream<std::int64_t> value(file, "/points/value", count);
  Stream<std::int32_t> ranks(file, "/points/ranks", count);
  Stream<std::int64_t> clients(file, "/points/clients", count);
  Stream<std::int64_t> parameters(file, "/points/parameters", count);
  const auto configs = file.read_texts("/points/config");
  const auto manifests = file.read_texts("/points/manifest");
  if (configs.size() != count || manifests.size() != count)
    file.refuse("/points/config", "has another number of texts than there are points");

  const Shape shape = file.shape("/rounds/phase_seconds");
  constexpr std::size_t kAxes = 5;
  if (shape.size() != kAxes || shape[1] == 0 || shape[3] == 0 ||
      shape[1] > static_cast<hsize_t>(study.repeats))
    file.refuse("/rounds/phase_seconds", "has another shape than the study's");
  const auto repeats = static_cast<std::size_t>(shape[1]);
  const auto per_repeat = static_cast<std::size_t>(study.rounds);
  const std::size_t rounds = count * repeats * per_repeat;
  const auto most = static_cast<std::size_t>(shape[3]);
  Stream<double> seconds(file, "/rounds/phase_seconds", rounds * most * kPhases);
  Stream<double> warmup(file, "/rounds/warmup_seconds",
                        count * repeats * static_cast<std::size_t>(study.warmup));
  Stream<double> flops(file, "/rounds/flops", rounds);
  Stream<std::int64_t> reduced(file, "/rounds/reduced_bytes", rounds);
  Stream<std::int64_t> needed(file, "/rounds/needed_bytes", rounds);
  for (std::size_t k = 0; k < count; ++k) {
    MeasuredPoint& point = points[k];
    point = {.value = value.next(),
             .ranks = ranks.next(),
             .clients = clients.next(),
             .parameters = parameters.next(),
             .config = configs[k],
             .manifest = manifests[k],
             .repeats = std::vector<MeasuredRepeat>(repeats)};
    if (point.ranks < 1 || static_cast<std::size_t>(point.ranks) > most)
      file.refuse("/points/ranks", "has ranks of which nothing was measured");
    for (MeasuredRepeat& repeat : point.repeats) {
      for (std::int64_t t = 0; t < study.warmup; ++t) repeat.warmup.push_back(warmup.next());
      repeat.rounds.resize(per_repeat);
      for (MeasuredRound& round : repeat.rounds) {
        round.reduced = reduced.next();
        round.needed = needed.next();
        round.flops = flops.next();
        round.ranks.resize(most);
        for (RankRecord& rank : round.ranks)
          for (double& phase : rank.seconds) phase = seconds.next();
        round.ranks.resize(static_cast<std::size_t>(point.ranks));
      }
    }
  }
  return points;
}

}  // namespace fedselect
