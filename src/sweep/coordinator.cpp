#include "sweep/coordinator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <exception>
#include <iterator>
#include <limits>
#include <set>
#include <thread>
#include <utility>

#include "base/pulse.hpp"

namespace fedselect::sweep {

namespace {

using Status = Record::Status;

/// Whether it says that a task came to an end.
bool ends(const Record& record) {
  return record.status == Status::done || record.status == Status::failed;
}

}  // namespace

Coordinator::Coordinator(const Plan& plan, const SweepConfig& sweep, Journal& journal, bool retries,
                         Hooks hooks)
    : plan_(plan),
      metric_(sweep.metric),
      journal_(journal),
      hooks_(std::move(hooks)),
      schedule_(plan, sweep.halving) {
  for (std::size_t i = 0; i < plan.trials.size(); ++i) {
    numbers_[plan.trials[i].id] = i;
    standings_.push_back({.trial = plan.trials[i].id, .message = {}});
  }
  replay(retries);
}

void Coordinator::replay(bool retries) {
  const auto& records = journal_.records();
  std::map<std::size_t, std::size_t> last_word;
  std::map<std::size_t, std::vector<std::string>> killed;  // when begun, one after another
  for (std::size_t i = 0; i < records.size(); ++i) {
    const auto trial = find(records[i].trial);
    if (!trial) continue;
    if (ends(records[i])) last_word[*trial] = i;
    if (records[i].status == Status::begun)
      killed[*trial].push_back(records[i].time);
    else
      killed[*trial].clear();
  }
  for (std::size_t i = 0; i < records.size(); ++i) {
    const auto trial = find(records[i].trial);
    if (!trial || !ends(records[i])) continue;
    if (records[i].status == Status::failed && (retries || last_word[*trial] != i)) continue;
    take(records[i]);
  }
  for (const auto& [trial, begun] : killed) {
    if (std::ssize(begun) < kAttempts || retries) continue;
    const std::string saved = hooks_.saved(plan_.trials[trial].id);
    const auto in_vain = std::count_if(begun.begin(), begun.end(),
                                       [&](const std::string& time) { return time >= saved; });
    if (in_vain >= kAttempts)
      take({.trial = plan_.trials[trial].id,
            .status = Status::failed,
            .message = fmt::format("the job ended {} times while it ran", in_vain)});
  }
}

std::optional<std::size_t> Coordinator::find(const std::string& trial) const {
  const auto found = numbers_.find(trial);
  if (found == numbers_.end()) return std::nullopt;
  return found->second;
}

double Coordinator::score(const Record& record) const {
  if (record.status == Status::failed) return Record::kNone;
  const double score = metric_ == Metric::accuracy ? record.accuracy : record.worst_accuracy;
  return std::isnan(score) ? -std::numeric_limits<double>::infinity() : score;
}

/// The end of a task, or of an earlier program's.
/// Returns the seconds that its task took.
double Coordinator::take(const Record& report) {
  const std::size_t trial = *find(report.trial);
  const double seconds = report.seconds - standings_[trial].seconds;
  Task task{.trial = trial, .rounds = report.rounds};
  if (report.status == Status::failed) task.rounds = schedule_.next_rounds(trial);
  schedule_.finish(task, score(report), seconds);
  standings_[trial] = report;
  return seconds;
}

std::optional<double> Coordinator::left_to_done() const {
  if (done_seconds_ > 0) return schedule_.seconds_left() / done_seconds_;
  return std::nullopt;
}

Order Coordinator::next(const std::optional<Record>& report) {
  const std::lock_guard lock(mutex_);
  try {
    return choose(report);
  } catch (...) {
    if (!failure_) failure_ = std::current_exception();
    return {.kind = Order::Kind::end, .task = {}};
  }
}

Order Coordinator::choose(const std::optional<Record>& report) {
  if (report) {
    journal_.add(*report);
    if (ends(*report)) {
      const double seconds = take(*report);
      if (report->status != Status::failed) done_seconds_ += seconds;
      hooks_.finished(*report);
    } else {
      schedule_.give_back({.trial = *find(report->trial), .rounds = 0});
      stopped_ = true;  // what stops one worker stops all
    }
  }
  stopped_ = stopped_ || hooks_.stops();
  if (failure_ || stopped_ || schedule_.over()) return {.kind = Order::Kind::end, .task = {}};
  const auto task = schedule_.next();
  if (!task) return {.kind = Order::Kind::wait, .task = {}};
  journal_.add({.trial = plan_.trials[task->trial].id, .rounds = task->rounds, .message = {}});
  return {.kind = Order::Kind::run, .task = *task};
}

void Coordinator::check() const {
  if (failure_) std::rethrow_exception(failure_);
}

namespace {

constexpr std::chrono::milliseconds kBetweenQuestions{20};

std::vector<std::byte> to_bytes(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::string to_text(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

Question question_for(Communicator& workers) {
  return [&workers](const std::optional<Record>& report) {
    workers.send(report ? to_bytes(write_record(*report)) : std::vector<std::byte>(), 0);
    const auto answer = workers.receive(0);
    Order order;
    std::memcpy(&order, answer.data(), sizeof order);
    return order;
  };
}

Order ask(const Question& question, const std::optional<Record>& report) {
  const pulse::Waiting waiting;
  Order order = question(report);
  for (; order.kind == Order::Kind::wait; order = question(std::nullopt))
    std::this_thread::sleep_for(kBetweenQuestions);
  return order;
}

void serve(Communicator& workers, Coordinator& coordinator) {
  const pulse::Aside aside;
  for (int left = workers.size() - 1; left > 0;) {
    const auto sender = workers.find_sender();
    if (!sender) {
      std::this_thread::sleep_for(kBetweenQuestions / 4);
      continue;
    }
    const std::string question = to_text(workers.receive(*sender));
    const Order order = coordinator.next(
        question.empty() ? std::optional<Record>() : read_record(question, "a worker's report"));
    workers.send(bytes_of(std::vector{order}), *sender);
    if (order.kind == Order::Kind::end) --left;
  }
}

}  // namespace fedselect::sweep
