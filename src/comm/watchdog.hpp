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

/// Short messages around the ring of ranks: from each to the next one, from the last to the first.
/// Used by one thread, beside all other communication.
class Ring {
 public:
  struct Sign {
    bool leaves = false;  ///< the last one
    /// So many ranks in a row, up to this one, have been waiting for others for long.
    int waiting = 0;
  };

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
  virtual int rank() const = 0;
  virtual int size() const = 0;
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
/// node, a file system or device that never answers, a message that never arrives.
///
/// Each rank says every second to the next one that it lives, and judges the one before it by its
/// silence, and its own work by the time that it stands still without waiting for others: in
/// arithmetic by the pace that the work had so far, elsewhere by a limit that suits the slowest of
/// file systems. That all ranks wait for each other shows in a count that goes around the ring: it
/// grows at each rank that has waited for as long as work may stand still, and is 0 at any other. A
/// process that was itself stopped for a while, as gang scheduling does with a
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
  bool waits_long(Clock::time_point now) const;
  std::string find_fault(Clock::time_point now) const;

  WatchLimits limits_;
  std::unique_ptr<Ring> ring_;
  Alarm alarm_;
  Ring::Sign before_;         ///< the last that was heard
  Clock::time_point heard_;   ///< a sign of the rank before
  Clock::time_point moved_;   ///< our own work
  Clock::time_point waited_;  ///< began the wait that goes on, or the work that does
  int waiting_ = 0;           ///< ranks in a row, up to this one
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ends_ = false;   ///< guarded by mutex_
  std::thread thread_;  ///< last: it uses the others
};

}  // namespace fedselect
