#include "sweep/table.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/statistics.hpp"
#include "files/atomic_file.hpp"
#include "files/hdf5.hpp"

namespace fedselect::sweep {

namespace {

namespace fs = std::filesystem;
using Status = Record::Status;

/// A word for the table: a trial that nobody took up yet waits.
std::string_view describe_status(const Record& record) {
  return record.status == Status::begun && record.rounds == 0
             ? "waiting"
             : kStatusNames[static_cast<std::size_t>(record.status)];
}

/// A field of a CSV file (RFC 4180).
std::string field(std::string_view text) {
  if (text.find_first_of(",\"\n") == std::string_view::npos) return std::string(text);
  std::string quoted;
  for (const char c : text) quoted.append(c == '"' ? 2 : 1, c);
  return fmt::format("\"{}\"", quoted);
}

/// A value that TOML writes, for people: a text without its quotes.
std::string plain(const std::string& value) {
  return value.size() > 1 && value.front() == '"' ? value.substr(1, value.size() - 2) : value;
}

/// Empty: not measured.
std::string field(double value) { return std::isnan(value) ? "" : fmt::format("{}", value); }

double score_of(const Record& record, Metric metric) {
  return metric == Metric::accuracy ? record.accuracy : record.worst_accuracy;
}

std::string describe_values(const SweepConfig& sweep, const Candidate& candidate) {
  std::vector<std::string> parts;
  for (std::size_t p = 0; p < candidate.values.size(); ++p)
    if (!candidate.values[p].empty())
      parts.push_back(sweep.parameters[p].key + "=" + plain(candidate.values[p]));
  return fmt::format("{}", fmt::join(parts, ", "));
}

/// One value of every trial.
template <class T, class Get>
std::vector<T> column(const Standings& standings, const Get& get) {
  std::vector<T> values;
  for (std::size_t i = 0; i < standings.records.size(); ++i)
    values.push_back(get(standings.plan.trials[i], standings.records[i]));
  return values;
}

}  // namespace

void write_csv(const fs::path& folder, const Standings& standings) {
  std::string text = "trial,method,seed";
  for (const Parameter& parameter : standings.sweep.parameters)
    text += fmt::format(",{}", field(parameter.key));
  text +=
      ",status,rounds,accuracy,worst_accuracy,personal_share,bytes,gradients,diverged,seconds,"
      "message\n";
  for (std::size_t i = 0; i < standings.records.size(); ++i) {
    const Trial& trial = standings.plan.trials[i];
    const Candidate& candidate = standings.plan.candidates[trial.candidate];
    const Record& record = standings.records[i];
    text += fmt::format("{},{},{}", trial.id, candidate.method, trial.seed);
    for (const std::string& value : candidate.values)
      text += fmt::format(",{}", field(plain(value)));
    text += fmt::format(",{},{},{},{},{},{},{},{},{},{}\n", describe_status(record), record.rounds,
                        field(record.accuracy), field(record.worst_accuracy),
                        field(record.personal_share), record.bytes, record.gradients,
                        record.diverged, record.seconds, field(record.message));
  }
  replace_file(folder / "sweep.csv", text);
}

void write_hdf5(const fs::path& folder, const Standings& standings) {
  PartialFile partial(folder / "sweep.h5");
  hdf5::File file(partial.path());
  file.set_attribute("format", "fedselect-sweep");
  file.set_attribute("version", std::int64_t{1});
  file.set_attribute("name", standings.sweep.name);
  file.set_attribute("metric",
                     standings.sweep.metric == Metric::accuracy ? "accuracy" : "worst_accuracy");
  const auto& plan = standings.plan;
  const auto texts = [&](const char* name, const auto& get) {
    file.write_texts(name, column<std::string>(standings, get));
  };
  const auto wholes = [&](const char* name, const auto& get) {
    file.write(name, column<std::int64_t>(standings, get));
  };
  const auto reals = [&](const char* name, const auto& get) {
    file.write(name, column<double>(standings, get));
  };
  texts("/trials/id", [](const Trial& trial, const Record&) { return trial.id; });
  texts("/trials/method",
        [&](const Trial& trial, const Record&) { return plan.candidates[trial.candidate].method; });
  wholes("/trials/candidate", [](const Trial& trial, const Record&) { return trial.candidate; });
  wholes("/trials/seed", [](const Trial& trial, const Record&) { return trial.seed; });
  texts("/trials/status",
        [](const Trial&, const Record& r) { return std::string(describe_status(r)); });
  wholes("/trials/rounds", [](const Trial&, const Record& r) { return r.rounds; });
  wholes("/trials/whole_rounds", [](const Trial& trial, const Record&) { return trial.rounds; });
  reals("/trials/accuracy", [](const Trial&, const Record& r) { return r.accuracy; });
  reals("/trials/worst_accuracy", [](const Trial&, const Record& r) { return r.worst_accuracy; });
  reals("/trials/personal_share", [](const Trial&, const Record& r) { return r.personal_share; });
  wholes("/trials/bytes", [](const Trial&, const Record& r) { return r.bytes; });
  wholes("/trials/gradients", [](const Trial&, const Record& r) { return r.gradients; });
  wholes("/trials/diverged", [](const Trial&, const Record& r) { return r.diverged; });
  reals("/trials/seconds", [](const Trial&, const Record& r) { return r.seconds; });
  texts("/trials/message", [](const Trial&, const Record& r) { return r.message; });
  std::vector<std::string> keys;
  for (std::size_t p = 0; p < standings.sweep.parameters.size(); ++p) {
    keys.push_back(standings.sweep.parameters[p].key);
    texts(fmt::format("/parameters/{}", p).c_str(), [&](const Trial& trial, const Record&) {
      return plain(plan.candidates[trial.candidate].values[p]);
    });
  }
  file.write_texts("/parameters/keys", keys);
  file.close();
  partial.commit();
}

std::vector<Best> best_of_each_method(const Standings& standings) {
  std::vector<Best> best;
  for (const Candidate& candidate : standings.plan.candidates) {
    std::vector<double> scores;
    double bytes = 0;
    for (const std::size_t trial : candidate.trials) {
      const Record& record = standings.records[trial];
      if (record.status != Status::done || record.rounds < standings.plan.trials[trial].rounds)
        break;
      scores.push_back(score_of(record, standings.sweep.metric));
      bytes += static_cast<double>(record.bytes);
    }
    const double score = mean(scores);
    if (scores.size() < candidate.trials.size() || std::isnan(score)) continue;
    const auto found = std::find_if(best.begin(), best.end(), [&](const Best& other) {
      return other.method == candidate.method;
    });
    Best& entry = found == best.end() ? best.emplace_back() : *found;
    ++entry.compared;
    if (score <= entry.score) continue;  // NaN of a new entry compares false
    entry.method = candidate.method;
    entry.values = describe_values(standings.sweep, candidate);
    entry.trials = scores.size();
    entry.score = score;
    entry.half_width = confidence_95(scores);
    entry.bytes = bytes / static_cast<double>(scores.size());
  }
  return best;
}

}  // namespace fedselect::sweep
