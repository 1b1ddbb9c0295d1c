// The config file, and what --set says behind it, one setting a file. What is read must be written
// so that it is read as the same.

#include "io/config.hpp"
#include "io/config_changes.hpp"
#include "target.hpp"

using namespace fedselect;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kFiles = 4;
  const auto files = fuzz::split(data, size, kFiles);
  std::vector<std::string> overrides;
  for (std::size_t i = 1; i < files.size(); ++i)
    if (!files[i].empty()) overrides.emplace_back(files[i]);
  std::string text = "rounds = 2\n";
  fuzz::accepts([&] {
    text = write_config(parse_config(files.front(), "input.toml", overrides));
    std::string again;
    const auto read = [&] { again = write_config(parse_config(text, "written.toml", {})); };
    if (!fuzz::accepts(read)) fuzz::report("refuses its own config\n" + text);
    if (again != text) fuzz::report("reads another config than was written\n" + text + again);
  });
  // The config that a checkpoint holds beside that of the run to resume.
  fuzz::accepts([&] { require_resumable(files.front(), text, 1, {"rounds"}, "input.toml"); });
  return 0;
}
