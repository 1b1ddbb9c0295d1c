#include "sweep/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace fedselect::sweep {

namespace {

/// Rounds of the rungs below the whole run.
std::vector<std::int64_t> make_rungs(const Plan& plan, const Halving& halving) {
  std::vector<std::int64_t> rungs;
  if (halving.first == 0 || plan.trials.empty()) return rungs;
  for (std::int64_t rounds = halving.first; rounds < plan.trials.front().rounds;
       rounds *= halving.factor)
    rungs.push_back(rounds);
  return rungs;
}

}  // namespace

Schedule::Schedule(const Plan& plan, const Halving& halving)
    : plan_(plan),
      halving_(halving),
      rungs_(make_rungs(plan, halving)),
      trials_(plan.trials.size()),
      candidates_(plan.candidates.size()) {}

/// Of each method, for each rung.
std::map<std::string, std::vector<std::size_t>> Schedule::expected_tasks() const {
  std::map<std::string, std::size_t> left;  // candidates of each method
  for (const Candidate& candidate : plan_.candidates) ++left[candidate.method];
  const std::size_t seeds = plan_.candidates.empty() ? 0 : plan_.candidates.front().trials.size();
  std::map<std::string, std::vector<std::size_t>> expected;
  for (const auto& [method, all] : left) {
    std::size_t n = all;
    for (std::size_t rung = 0; rung <= rungs_.size(); ++rung) {
      expected[method].push_back(std::max(n, rivals(method, rung).size()) * seeds);
      n = std::max<std::size_t>(n / static_cast<std::size_t>(halving_.factor), 1);
    }
  }
  return expected;
}

std::int64_t Schedule::total() const {
  std::size_t total = 0;
  for (const auto& [method, tasks] : expected_tasks())
    total = std::accumulate(tasks.begin(), tasks.end(), total);
  return static_cast<std::int64_t>(total);
}

double Schedule::seconds_left() const {
  double left = 0;
  for (const auto& [method, expected] : expected_tasks())
    for (std::size_t rung = 0; rung < expected.size(); ++rung) {
      std::size_t over = 0;
      std::size_t open = 0;  // some of which will never be
      double seconds = 0;    // of these
      for (std::size_t trial = 0; trial < trials_.size(); ++trial) {
        if (plan_.candidates[plan_.trials[trial].candidate].method != method) continue;
        if (trials_[trial].rung() > rung) {
          ++over;
        } else if (!trials_[trial].failed) {
          ++open;
          seconds += expected_seconds(trial, rung);
        }
      }
      const std::size_t to_come = std::min(expected[rung] - std::min(expected[rung], over), open);
      if (to_come > 0) left += seconds * static_cast<double>(to_come) / static_cast<double>(open);
    }
  return left;
}

std::int64_t Schedule::rounds_of(std::size_t trial, std::size_t rung) const {
  return rung < rungs_.size() ? rungs_[rung] : plan_.trials[trial].rounds;
}

/// Of a rung, by what the tasks of its method took, else those of all; relative to other
/// trials as long as none is done.
double Schedule::expected_seconds(std::size_t trial, std::size_t rung) const {
  const std::int64_t before = rung == 0 ? 0 : rounds_of(trial, rung - 1);
  const Trial& plan = plan_.trials[trial];
  const double work = plan.work * static_cast<double>(rounds_of(trial, rung) - before);
  const auto own = spent_.find(plan_.candidates[plan.candidate].method);
  const Spent& spent = own == spent_.end() ? spent_by_all_ : own->second;
  return spent.work > 0 ? work * spent.seconds / spent.work : work;
}

bool Schedule::is_ready(std::size_t trial) const {
  const Progress& progress = trials_[trial];
  return !progress.runs && !progress.failed &&
         progress.rung() <= candidates_[plan_.trials[trial].candidate].rung &&
         progress.rung() <= rungs_.size();
}

std::optional<Task> Schedule::next() {
  std::optional<std::size_t> best;
  // Those that are further on come first: they decide when the sweep ends.
  const auto rank = [&](std::size_t trial) {
    const std::size_t rung = trials_[trial].rung();
    return std::pair(rung, expected_seconds(trial, rung));
  };
  for (std::size_t trial = 0; trial < trials_.size(); ++trial)
    if (is_ready(trial) && (!best || rank(trial) > rank(*best))) best = trial;
  if (!best) return std::nullopt;
  trials_[*best].runs = true;
  return Task{.trial = *best, .rounds = next_rounds(*best)};
}

void Schedule::give_back(const Task& task) { trials_[task.trial].runs = false; }

void Schedule::finish(const Task& task, double score, double seconds) {
  Progress& progress = trials_[task.trial];
  progress.runs = false;
  const std::size_t rung = progress.rung();
  if (task.rounds != rounds_of(task.trial, rung)) return;  // of another sweep's rungs
  const Trial& trial = plan_.trials[task.trial];
  const std::int64_t before = rung == 0 ? 0 : rounds_of(task.trial, rung - 1);
  progress.failed = std::isnan(score);
  progress.scores.push_back(progress.failed ? -std::numeric_limits<double>::infinity() : score);
  // An earlier program may have let it go on when others, which are to run again, were there too.
  std::size_t& allowed = candidates_[trial.candidate].rung;
  allowed = std::max(allowed, rung);
  ++done_;
  if (!progress.failed) {
    for (Spent* spent : {&spent_[plan_.candidates[trial.candidate].method], &spent_by_all_}) {
      spent->seconds += seconds;
      spent->work += trial.work * static_cast<double>(task.rounds - before);
    }
  }
  complete(trial.candidate);
}

/// Takes note of the rungs that all trials of a candidate have completed.
void Schedule::complete(std::size_t candidate) {
  const Candidate& plan = plan_.candidates[candidate];
  std::vector<double>& scores = candidates_[candidate].scores;
  const auto is_whole = [&](std::size_t trial) { return trials_[trial].rung() > scores.size(); };
  while (std::all_of(plan.trials.begin(), plan.trials.end(), is_whole)) {
    double sum = 0;
    for (const std::size_t trial : plan.trials) sum += trials_[trial].scores[scores.size()];
    scores.push_back(sum / static_cast<double>(plan.trials.size()));
  }
  bool is_final = true;
  for (std::size_t rung = 0; rung < rungs_.size(); ++rung)
    is_final = promote(plan.method, rung, is_final);
}

/// Candidates of a method that may complete the rung.
std::vector<std::size_t> Schedule::rivals(const std::string& method, std::size_t rung) const {
  std::vector<std::size_t> found;
  for (std::size_t c = 0; c < candidates_.size(); ++c)
    if (plan_.candidates[c].method == method && candidates_[c].rung >= rung) found.push_back(c);
  return found;
}

/// Lets the best candidates that completed a rung go on to the next one. `is_final_below`: nobody
/// else will come from the rung below. Returns the same of this one.
bool Schedule::promote(const std::string& method, std::size_t rung, bool is_final_below) {
  std::vector<std::size_t> there = rivals(method, rung);
  const std::size_t reached = there.size();
  std::erase_if(there, [&](std::size_t c) { return candidates_[c].scores.size() <= rung; });
  const bool is_final = is_final_below && there.size() == reached;
  if (halving_.waits && !is_final) return false;
  std::stable_sort(there.begin(), there.end(), [&](std::size_t a, std::size_t b) {
    return candidates_[a].scores[rung] > candidates_[b].scores[rung];
  });
  std::size_t go_on = there.size() / static_cast<std::size_t>(halving_.factor);
  if (is_final) go_on = std::max(go_on, std::min<std::size_t>(there.size(), 1));
  for (std::size_t i = 0; i < go_on; ++i) {
    Standing& standing = candidates_[there[i]];
    if (std::isfinite(standing.scores[rung])) standing.rung = std::max(standing.rung, rung + 1);
  }
  return is_final;
}

std::int64_t Schedule::waiting() const {
  std::int64_t waiting = 0;
  for (std::size_t trial = 0; trial < trials_.size(); ++trial) waiting += is_ready(trial) ? 1 : 0;
  return waiting;
}

bool Schedule::over() const {
  return waiting() == 0 && std::none_of(trials_.begin(), trials_.end(),
                                        [](const Progress& trial) { return trial.runs; });
}

}  // namespace fedselect::sweep
