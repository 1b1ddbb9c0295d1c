#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sweep/trials.hpp"

namespace fedselect::sweep {

/// A trial is to be run until so many rounds are complete.
struct Task {
  std::size_t trial = 0;
  std::int64_t rounds = 0;
};

/// Who runs when: hands out tasks, longest expected first, and chooses after each rung of a
/// successive halving which candidates go on. Without halving there is one rung, the whole run.
/// Candidates are compared with those of the same method, by the mean of their trials' scores; one
/// with a failed trial is the last.
class Schedule {
 public:
  /// `plan` must outlive this object.
  Schedule(const Plan& plan, const Halving& halving);

  /// The next task for an idle worker; none: there is nothing to do, now (`over()` false) or at
  /// all.
  std::optional<Task> next();
  /// A task is done. NaN: it failed. `seconds`: what it took. A task that was done by an earlier
  /// program need not have been handed out.
  void finish(const Task& task, double score, double seconds);
  /// A task that was handed out was not done, and is to be handed out again.
  void give_back(const Task& task);
  /// Until how many rounds the trial's next task goes.
  std::int64_t next_rounds(std::size_t trial) const {
    return rounds_of(trial, trials_[trial].rung());
  }
  /// Trials that have a task which nobody was handed.
  std::int64_t waiting() const;
  /// Nothing runs and nothing is left to do.
  bool over() const;

  /// Tasks that are done, and those that there will have been in the end, as far as is known: ASHA
  /// lets more candidates go on than a rung that waits.
  std::int64_t done() const { return done_; }
  std::int64_t total() const;
  /// What those that are not done will take, by what tasks of each method took so far.
  double seconds_left() const;

 private:
  /// How far a trial is.
  struct Progress {
    std::size_t rung() const { return scores.size(); }  ///< the next one
    bool runs = false;
    bool failed = false;
    std::vector<double> scores;  ///< after each rung that it completed
  };
  /// How far a candidate is.
  struct Standing {
    std::size_t rung = 0;        ///< its trials may complete this one
    std::vector<double> scores;  ///< mean of its trials after each rung; they are complete there
  };

  std::int64_t rounds_of(std::size_t trial, std::size_t rung) const;
  double expected_seconds(std::size_t trial, std::size_t rung) const;
  std::map<std::string, std::vector<std::size_t>> expected_tasks() const;
  bool is_ready(std::size_t trial) const;
  void complete(std::size_t candidate);
  bool promote(const std::string& method, std::size_t rung, bool is_final_below);
  std::vector<std::size_t> rivals(const std::string& method, std::size_t rung) const;

  const Plan& plan_;
  Halving halving_;
  std::vector<std::int64_t> rungs_;  ///< rounds of all but the last, which is the whole run
  std::vector<Progress> trials_;
  std::vector<Standing> candidates_;
  /// Of each method's finished tasks: seconds, and the work that they were.
  struct Spent {
    double seconds = 0;
    double work = 0;
  };
  std::map<std::string, Spent> spent_;
  Spent spent_by_all_;
  std::int64_t done_ = 0;
};

}  // namespace fedselect::sweep
