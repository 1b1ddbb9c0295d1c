// Runs a fuzz target once with each file that the command line names, or that lies in a folder that
// it names: what libFuzzer's main does, for compilers without it.

#include <algorithm>
#include <iterator>

#include "target.hpp"

namespace {

namespace fs = std::filesystem;

std::vector<fs::path> inputs(const fs::path& path) {
  if (!fs::is_directory(path)) return {path};
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(path)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

void run(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  std::cout << path.string() << std::endl;  // before it runs: a crash tells nothing
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t count = 0;
  for (int i = 1; i < argc; ++i)
    for (const fs::path& path : inputs(argv[i])) {
      run(path);
      ++count;
    }
  std::cout << count << " inputs\n";
  return count > 0 ? 0 : 1;  // an empty corpus tests nothing
}
