#include "sweep/record.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "files/scratch_folder.hpp"

namespace fedselect::sweep {
namespace {

using testing::message_of;
using testing::ScratchFolder;
using testing::write_bytes;

Record sample(const std::string& trial) {
  return {.trial = trial,
          .status = Record::Status::done,
          .rounds = 7,
          .accuracy = 0.1 + 0.2,
          .worst_accuracy = 0.25,
          .personal_share = 0.5,
          .bytes = std::int64_t{1} << 60,
          .gradients = 3,
          .diverged = 1,
          .seconds = 1e-3,
          .message = "line\nend, \"quoted\""};
}

std::vector<std::string> trials_of(const Journal& journal) {
  std::vector<std::string> trials;
  for (const Record& record : journal.records()) trials.push_back(record.trial);
  return trials;
}

TEST(SweepRecord, ALineReadsBackAsItWas) {
  EXPECT_EQ(read_record(write_record(sample("a")), ""), sample("a"));
  EXPECT_EQ(write_record(sample("a")).find('\n'), std::string::npos);
}

TEST(SweepRecord, AJournalHasAllWritersAndNoTornLine) {
  const ScratchFolder folder;
  const std::string home = folder / "sweep";
  Journal(home, "b").add(sample("1"));
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  Journal(home, "a").add(sample("2"));
  const auto torn = folder / "sweep/journal/b.jsonl";
  write_bytes(torn, testing::bytes_of_file(torn) + "{\"trial\": \"thi");
  Journal journal(home, "b");
  EXPECT_EQ(trials_of(journal), (std::vector<std::string>{"1", "2"}));
  journal.add(sample("3"));
  const Journal all(home, "c");
  EXPECT_EQ(trials_of(all), (std::vector<std::string>{"1", "2", "3"}));
  EXPECT_EQ(all.records(), journal.records());
  EXPECT_EQ(all.records().front().time.size(), std::string("2026-11-26T10:20:30.123Z").size());
  Record expected = sample("3");
  expected.time = all.records().back().time;
  EXPECT_EQ(all.records().back(), expected);
}

TEST(SweepRecord, WritersAreInTheOrderOfTime) {
  const ScratchFolder folder;
  const std::string home = folder / "sweep";
  for (const char* writer : {"b", "a", "c", "a"}) {
    Journal(home, writer).add(sample(writer));
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_EQ(trials_of(Journal(home, "d")), (std::vector<std::string>{"b", "a", "c", "a"}));
}

TEST(SweepRecord, ALineThatIsNoRecordIsNamed) {
  const ScratchFolder folder;
  const std::string home = folder / "sweep";
  std::filesystem::create_directories(folder / "sweep/journal");
  for (const char* line :
       {"{}\n", "nonsense\n", "[]\n", "{\"trial\": 3, \"status\": \"done\"}\n"}) {
    write_bytes(folder / "sweep/journal/x.jsonl", write_record(sample("1")) + "\n" + line);
    const auto message = message_of<InputError>([&] { Journal(home, "b"); });
    EXPECT_NE(message.find("x.jsonl:2: is no record of a trial"), std::string::npos) << message;
  }
  std::filesystem::remove(folder / "sweep/journal/x.jsonl");
  ASSERT_EQ(mkfifo((folder / "sweep/journal/x.jsonl").c_str(), 0600), 0);
  const auto message = message_of<InputError>([&] { Journal(home, "b"); });
  EXPECT_NE(message.find("x.jsonl: is a pipe, not a file"), std::string::npos) << message;
}

}  // namespace
}  // namespace fedselect::sweep
