#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace fedselect {

/// One-byte messages around the ring of ranks: from each to the next one, from the last to the
/// first. Used by one thread, beside all other communication.
class Ring {
 public:
  enum class Sign : char { alive, leaves };

  virtual ~Ring() = default;
  Ring() = default;
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  /// To the next rank. False: the last sign is still on its way, and this one was not sent.
  virtual bool send(Sign sign) = 0;
  /// From the rank before; none: there is nothing new. Does not wait.
  virtual std::optional<Sign> receive() = 0;
  /// The rank before, in words: "rank 3 on node n2".
  virtual std::string before() const = 0;
};

/// How long a rank may be quiet.
struct WatchLimits {
  std::chrono::duration<double> silence{7};  ///< no sign of life of the process; 0: not watched
  std::chrono::duration<double> stall{
      600};  ///< its work stands still (base/pulse.hpp); 0: not watched
  /// The least that arithmetic may stand still once its pace is known; more where ten times
  /// pulse::longest_batch() is more. Never above `stall`.
  std::chrono::duration<double> batch{8};
};

/// A thread that ends the job when a rank can't go on and can't say so: a stopped process, a lost
/// node, a file system or device that never answers.
///
/// Each rank says every second to the next one that it lives, and judges the one before it by its
/// silence, and its own work by the time that it stands still without waiting for others: in
/// arithmetic by the pace that the work had so far, elsewhere by a limit that suits the slowest of
/// file systems. A process that was itself stopped for a while, as gang scheduling does with a
/// whole job, forgives what it missed, and learns its pace anew.
class Watchdog {
 public:
  /// Called once, on the watchdog's thread, with what is wrong; it must end the job.
  using Alarm = std::function<void(const std::string& what)>;

  /// `ring`: null for a single rank, or where the MPI library has no threads.
  Watchdog(const WatchLimits& limits, std::unique_ptr<Ring> ring, Alarm alarm);
  /// Waits until the rank before comes to its end as well, so all ranks end their watchdogs.
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  using Clock = std::chrono::steady_clock;

  void watch();
  void listen(Clock::time_point now);
  std::chrono::duration<double> choose_stall() const;
  std::string find_fault(Clock::time_point now) const;

  WatchLimits limits_;
  std::unique_ptr<Ring> ring_;
  Alarm alarm_;
  bool before_left_ = false;
  Clock::time_point heard_;  ///< a sign of the rank before
  Clock::time_point moved_;  ///< our own work
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ends_ = false;   ///< guarded by mutex_
  std::thread thread_;  ///< last: it uses the others
};

}  // namespace fedselect
