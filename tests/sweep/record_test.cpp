#include "sweep/record.hpp"

#include <gtest/gtest.h>

#include <filesystem>

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

TEST(SweepRecord, ALineReadsBackAsItWas) {
  EXPECT_EQ(read_record(write_record(sample("a")), ""), sample("a"));
  EXPECT_EQ(write_record(sample("a")).find('\n'), std::string::npos);
}

TEST(SweepRecord, AJournalHasAllWritersAndNoTornLine) {
  const ScratchFolder folder;
  const std::string home = folder / "sweep";
  Journal(home, "b").add(sample("1"));
  Journal(home, "a").add(sample("2"));
  const auto torn = folder / "sweep/journal/b.jsonl";
  write_bytes(torn, testing::bytes_of_file(torn) + "{\"trial\": \"thi");
  Journal journal(home, "b");
  EXPECT_EQ(journal.records(), (std::vector<Record>{sample("2"), sample("1")}));
  journal.add(sample("3"));
  EXPECT_EQ(Journal(home, "c").records(),
            (std::vector<Record>{sample("2"), sample("1"), sample("3")}));
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
}

}  // namespace
}  // namespace fedselect::sweep
