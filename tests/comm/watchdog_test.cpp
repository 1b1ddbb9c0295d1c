#include "comm/watchdog.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <deque>
#include <future>

#include "base/pulse.hpp"

namespace fedselect {
namespace {

using namespace std::chrono_literals;
using Seconds = std::chrono::duration<double>;

/// What two ranks have said to each other and not heard yet.
struct Lines {
  std::mutex mutex;
  std::array<std::deque<Ring::Sign>, 2> to;
};

/// A ring of two ranks in one process.
class PairedRing final : public Ring {
 public:
  PairedRing(Lines& lines, std::size_t rank) : lines_(lines), rank_(rank) {}
  bool send(Sign sign) override {
    const std::lock_guard lock(lines_.mutex);
    lines_.to[1 - rank_].push_back(sign);
    return true;
  }
  std::optional<Sign> receive() override {
    const std::lock_guard lock(lines_.mutex);
    auto& mine = lines_.to[rank_];
    if (mine.empty()) return std::nullopt;
    const Sign sign = mine.front();
    mine.pop_front();
    return sign;
  }
  std::string before() const override { return "rank 7"; }
  int rank() const override { return static_cast<int>(rank_); }
  int size() const override { return 2; }

 private:
  Lines& lines_;
  std::size_t rank_;
};

/// Keeps the first alarm.
struct Ear {
  std::promise<std::string> heard;
  std::atomic<int> count{0};

  Watchdog::Alarm alarm() {
    return [this](const std::string& what) {
      if (count++ == 0) heard.set_value(what);
    };
  }
  /// Empty after a minute.
  std::string wait() {
    auto future = heard.get_future();
    return future.wait_for(60s) == std::future_status::ready ? future.get() : "";
  }
};

TEST(Watchdog, IsQuietWhileRanksSpeakAndTheirWorkMoves) {
  Lines lines;
  Ear ear;
  {
    const WatchLimits limits{.silence = Seconds(0.8), .stall = Seconds(0.8)};
    const Watchdog first(limits, std::make_unique<PairedRing>(lines, 0), ear.alarm());
    const Watchdog second(limits, std::make_unique<PairedRing>(lines, 1), ear.alarm());
    const auto end = std::chrono::steady_clock::now() + 2s;
    while (std::chrono::steady_clock::now() < end) {
      pulse::beat();
      std::this_thread::sleep_for(1ms);
    }
    // The second one ends first, but waits until it hears that the first one leaves.
    lines.mutex.lock();
    lines.to[1].push_back(Ring::Sign{.leaves = true});
    lines.mutex.unlock();
  }
  EXPECT_EQ(ear.count, 0);
}

TEST(Watchdog, NamesTheRankBeforeWhenItIsSilent) {
  Lines lines;
  Ear ear;
  lines.to[0].push_back(Ring::Sign{});
  {
    const Watchdog watchdog({.silence = Seconds(0.2), .stall = Seconds(0)},
                            std::make_unique<PairedRing>(lines, 0), ear.alarm());
    EXPECT_NE(ear.wait().find("rank 7 gave no sign of life for 0."), std::string::npos);
  }
  EXPECT_EQ(ear.count, 1);
}

TEST(Watchdog, ARankThatLeftMayBeSilent) {
  Lines lines;
  Ear ear;
  lines.to[0].push_back(Ring::Sign{.leaves = true});
  {
    const Watchdog watchdog({.silence = Seconds(0.1), .stall = Seconds(0)},
                            std::make_unique<PairedRing>(lines, 0), ear.alarm());
    std::this_thread::sleep_for(500ms);
  }
  EXPECT_EQ(ear.count, 0);
}

TEST(Watchdog, WorkMayWaitForOthersButNotStandStill) {
  Ear ear;
  const Watchdog watchdog({.silence = Seconds(1), .stall = Seconds(0.2)}, nullptr, ear.alarm());
  {
    const pulse::Waiting waiting;
    std::this_thread::sleep_for(1s);
    EXPECT_EQ(ear.count, 0);
  }
  EXPECT_NE(ear.wait().find("stands still for 0."), std::string::npos);
}

/// Signs by hand for rank 0 of three ranks.
class ScriptedRing final : public Ring {
 public:
  explicit ScriptedRing(std::atomic<int>& waiting) : waiting_(waiting) {}
  bool send(Sign sign) override {
    leaves_ = sign.leaves;
    return true;
  }
  std::optional<Sign> receive() override {
    if (!std::exchange(is_new_, !is_new_)) return std::nullopt;
    return Sign{.leaves = leaves_, .waiting = waiting_};
  }
  std::string before() const override { return "rank 2"; }
  int rank() const override { return 0; }
  int size() const override { return 3; }

 private:
  std::atomic<int>& waiting_;
  bool leaves_ = false;
  bool is_new_ = true;
};

TEST(Watchdog, RanksMayWaitForOneThatWorksButNotAllForEachOther) {
  Ear ear;
  std::atomic<int> waiting = 1;  // rank 2 waits, rank 1 works
  const Watchdog watchdog({.silence = Seconds(1), .stall = Seconds(0.2)},
                          std::make_unique<ScriptedRing>(waiting), ear.alarm());
  {
    const pulse::Waiting wait;
    std::this_thread::sleep_for(1500ms);
    EXPECT_EQ(ear.count, 0);
  }
  waiting = 2;  // both wait, but we don't
  const auto end = std::chrono::steady_clock::now() + 1s;
  while (std::chrono::steady_clock::now() < end) pulse::beat();
  EXPECT_EQ(ear.count, 0);
  const pulse::Waiting wait;
  EXPECT_NE(ear.wait().find("all 3 ranks have been waiting for each other for 0."),
            std::string::npos);
}

TEST(Watchdog, OneRankSpeaksWhereTwoWaitForEachOther) {
  Lines lines;
  Ear first_ear;
  Ear second_ear;
  const WatchLimits limits{.silence = Seconds(20), .stall = Seconds(0.2)};
  const Watchdog second(limits, std::make_unique<PairedRing>(lines, 1), second_ear.alarm());
  {
    const Watchdog first(limits, std::make_unique<PairedRing>(lines, 0), first_ear.alarm());
    const pulse::Waiting wait;
    EXPECT_NE(first_ear.wait().find("all 2 ranks have been waiting"), std::string::npos);
  }
  EXPECT_EQ(second_ear.count, 0);
  const std::lock_guard lock(lines.mutex);  // the first one ended with its alarm
  lines.to[1].push_back(Ring::Sign{.leaves = true});
}

TEST(Watchdog, AWaitWithinAWaitIsNoSignOfLifeNorIsAnotherThreads) {
  const auto before = pulse::beats();
  {
    const pulse::Waiting wait;
    const auto begun = pulse::beats();
    { const pulse::Waiting within; }
    EXPECT_EQ(pulse::beats(), begun);
    std::thread([] {
      const pulse::Aside aside;
      const pulse::Waiting wait_of_its_own;
      pulse::beat();
    }).join();
    EXPECT_EQ(pulse::beats(), begun);
  }
  EXPECT_EQ(pulse::beats(), before + 1);
  std::thread([] {
    const pulse::Aside aside;
    const pulse::Waiting wait;
    EXPECT_FALSE(pulse::waits());
  }).join();
}

/// So many batches of so many samples, a millisecond each.
void compute(int batches, double samples = 1) {
  for (int i = 0; i < batches; ++i) {
    pulse::begin_batch(samples);
    std::this_thread::sleep_for(1ms);
  }
}

const WatchLimits kStrict{.silence = Seconds(0), .stall = Seconds(1000), .batch = Seconds(0.2)};

TEST(Watchdog, ArithmeticThatKeptAPaceMayNotPauseLong) {
  pulse::forget_pace();
  Ear ear;
  const Watchdog watchdog(kStrict, nullptr, ear.alarm());
  {
    const pulse::Work work(pulse::Kind::training);
    compute(3);  // no pace yet
    std::this_thread::sleep_for(300ms);
    EXPECT_EQ(ear.count, 0);
  }
  std::this_thread::sleep_for(300ms);  // no arithmetic
  EXPECT_EQ(ear.count, 0);
  const pulse::Work work(pulse::Kind::training);
  compute(20);
  // Ten times the pause above is the limit by now.
  std::this_thread::sleep_for(1s);
  EXPECT_EQ(ear.count, 0);
  EXPECT_NE(ear.wait().find("stands still for "), std::string::npos);
}

TEST(Watchdog, TheBatchesOfATestSayNothingOfTrainingSteps) {
  pulse::forget_pace();
  Ear ear;
  const Watchdog watchdog(kStrict, nullptr, ear.alarm());
  {
    const pulse::Work work(pulse::Kind::testing);
    compute(30);
  }
  const pulse::Work work(pulse::Kind::training);
  pulse::begin_batch(1);
  std::this_thread::sleep_for(1s);
  EXPECT_EQ(ear.count, 0);
}

TEST(Watchdog, ALargerBatchMayTakeLonger) {
  pulse::forget_pace();
  Ear ear;
  const Watchdog watchdog(kStrict, nullptr, ear.alarm());
  const pulse::Work work(pulse::Kind::testing);
  compute(30);
  pulse::begin_batch(1000);  // a second, by the pace so far
  std::this_thread::sleep_for(1s);
  EXPECT_EQ(ear.count, 0);
}

TEST(Watchdog, APauseOfAStoppedProcessIsNoPace) {
  pulse::forget_pace();
  const pulse::Work work(pulse::Kind::training);
  compute(30);
  std::this_thread::sleep_for(500ms);
  pulse::forget_pace();
  EXPECT_FALSE(pulse::longest_batch());
  compute(30);
  ASSERT_TRUE(pulse::longest_batch());
  EXPECT_LT(*pulse::longest_batch(), 400ms);
}

}  // namespace
}  // namespace fedselect
