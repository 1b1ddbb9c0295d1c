#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "sweep/record.hpp"
#include "sweep/schedule.hpp"

namespace fedselect::sweep {

/// What a worker is to do.
struct Order {
  enum class Kind : std::int64_t { run, wait, end };
  Kind kind = Kind::end;
  Task task;
};

/// Hands the tasks of a sweep to its workers and writes down what becomes of them. Any thread may
/// ask.
class Coordinator {
 public:
  struct Hooks {
    std::function<bool()> stops;                  ///< no more tasks are to be handed out
    std::function<void(const Record&)> finished;  ///< a task was done, or failed
    /// When a trial, by its id, last saved how far it is, as Record::time; empty: never.
    std::function<std::string(const std::string&)> saved;
  };
  /// The sweep goes on from what the journal holds; a trial whose jobs were killed kAttempts times
  /// since it last saved how far it is has failed. `plan` and `journal` must outlive this object.
  /// `retries`: failed trials run again.
  Coordinator(const Plan& plan, const SweepConfig& sweep, Journal& journal, bool retries,
              Hooks hooks);
  static constexpr int kAttempts = 3;

  /// What the caller is to do next. `report`: what became of its last task. If that can't be
  /// written down, nobody gets another task.
  Order next(const std::optional<Record>& report);
  /// Throws what kept the coordinator from writing something down.
  void check() const;
  /// Whether the sweep was asked to stop before its end.
  bool stopped() const { return stopped_; }

  /// The last word on every trial of the plan; `begun` with no rounds: there is none.
  const std::vector<Record>& standings() const { return standings_; }
  const Schedule& schedule() const { return schedule_; }
  /// What is left to do, in units of what was done since this object was made; none: nothing was.
  /// Of hooks.finished.
  std::optional<double> left_to_done() const;

 private:
  void replay(bool retries);
  Order choose(const std::optional<Record>& report);
  std::optional<std::size_t> find(const std::string& trial) const;
  double take(const Record& report);
  double score(const Record& record) const;

  const Plan& plan_;
  Metric metric_;
  Journal& journal_;
  Hooks hooks_;
  Schedule schedule_;
  std::map<std::string, std::size_t> numbers_;  ///< of the plan's trials, by id
  std::vector<Record> standings_;
  double done_seconds_ = 0;  ///< of tasks that were reported, and didn't fail
  bool stopped_ = false;
  std::exception_ptr failure_;
  std::mutex mutex_;
};

/// How a worker reports and asks what is next: Coordinator::next, or question_for() elsewhere.
using Question = std::function<Order(const std::optional<Record>&)>;
/// Of a rank of `workers` other than 0, where serve() answers.
Question question_for(Communicator& workers);
/// Asks until there is something to do, or the end has come.
Order ask(const Question& question, const std::optional<Record>& report);
/// Answers all other ranks of `workers` until each was told the end. Runs on a thread of rank 0.
void serve(Communicator& workers, Coordinator& coordinator);

}  // namespace fedselect::sweep
