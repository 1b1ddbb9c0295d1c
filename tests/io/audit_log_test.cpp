#include "io/audit_log.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"

namespace fedselect {
namespace {

/// A log in which programs come and go.
class Log {
 public:
  explicit Log(const std::string& device) { add("begin", 0).device = device; }
  Log& resume(std::int64_t rounds, const std::string& device, bool open = false) {
    AuditEntry& entry = add("resume", rounds);
    entry.device = device;
    entry.open = open;
    return *this;
  }
  Log& round(std::int64_t number, const std::string& model) {
    add("round", number).model = model;
    return *this;
  }
  LoggedRounds rounds() const { return rounds_of(entries_, "audit.jsonl"); }
  const std::vector<AuditEntry>& entries() const { return entries_; }

 private:
  AuditEntry& add(const char* what, std::int64_t rounds) {
    AuditEntry& entry = entries_.emplace_back();
    entry.what = what;
    entry.rounds = rounds;
    entry.config = "c";
    return entry;
  }
  std::vector<AuditEntry> entries_;
};

using Rounds = std::set<std::int64_t>;

TEST(RoundsOf, ARoundComesOutTheSameOnOneKindOfDevice) {
  EXPECT_EQ(Log("a").round(1, "x").resume(0, "a").round(1, "x").rounds().differing, Rounds{});
  EXPECT_THROW(Log("a").round(1, "x").resume(0, "a").round(1, "y").rounds(), InputError);
}

TEST(RoundsOf, AnotherKindOfDeviceMayDiffer) {
  Log log("a");
  log.round(1, "x").round(2, "y").resume(1, "b").round(2, "z").round(3, "u");
  EXPECT_EQ(log.rounds().differing, Rounds{2});
  EXPECT_EQ(log.rounds().in_force.size(), 3U);
  EXPECT_EQ(log.rounds().in_force[1]->model, "z");
  log.resume(2, "a").round(3, "v").resume(2, "a").round(3, "v");  // b's round 2, then a's
  log.resume(1, "a").round(2, "y");                               // a's alone
  EXPECT_EQ(log.rounds().differing, (Rounds{2, 3}));
  log.resume(1, "b").round(2, "w");
  EXPECT_THROW(log.rounds(), InputError);
}

/// Clients of the open round were trained on the other one.
TEST(RoundsOf, AnOpenRoundIsOfBothKinds) {
  Log log("a");
  log.resume(0, "b", true).round(1, "x").resume(0, "b").round(1, "y");
  EXPECT_EQ(log.rounds().differing, Rounds{1});
  log.resume(0, "a", true).round(1, "z");
  EXPECT_EQ(log.rounds().differing, Rounds{1});
}

TEST(LogsCheckpoints, AsTheProgramDidThatWroteTheEntry) {
  Log log("a");
  log.round(1, "x").resume(1, "b").round(2, "y");
  auto entries = log.entries();
  entries[0].device.reset();
  EXPECT_FALSE(logs_checkpoints(entries, 1));
  EXPECT_TRUE(logs_checkpoints(entries, 2));
  EXPECT_TRUE(logs_checkpoints(entries, 3));
}

}  // namespace
}  // namespace fedselect
