#pragma once

#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

/// What fuzz targets have in common. A target defines LLVMFuzzerTestOneInput: libFuzzer calls it
/// with bytes of its invention, replay.cpp with the files of corpus/.
namespace fedselect::fuzz {

/// Stands between the files of which an input is made.
inline constexpr std::string_view kNextFile = "\n--next file--\n";

/// The first `count` files of an input; those that it lacks are empty.
inline std::vector<std::string_view> split(const std::uint8_t* data, std::size_t size,
                                           std::size_t count) {
  std::string_view left(reinterpret_cast<const char*>(data), size);
  std::vector<std::string_view> files;
  while (files.size() < count) {
    const std::size_t end = left.find(kNextFile);
    files.push_back(left.substr(0, end));
    left = end == std::string_view::npos ? "" : left.substr(end + kNextFile.size());
  }
  return files;
}

/// A folder for the files of one input, removed with this object.
class InputFolder {
 public:
  InputFolder() {
    std::string name = std::filesystem::temp_directory_path() / "fedselect_fuzz_XXXXXX";
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~InputFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  InputFolder(const InputFolder&) = delete;
  InputFolder& operator=(const InputFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Writes a file of the folder, or of a folder in it.
  std::filesystem::path write(const std::string& name, std::string_view bytes) const {
    const std::filesystem::path path = path_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return path;
  }

 private:
  std::filesystem::path path_;
};

/// Ends the program, which is how a target reports a find.
[[noreturn]] inline void report(const std::string& what) {
  std::cerr << "found: " << what << '\n';
  std::abort();
}

/// A message goes to terminals and logs: it has text, in lines, and nothing that steers them.
inline void check_message(const std::string& message) {
  constexpr std::size_t kLongest = 1 << 16;
  if (message.empty() || message.size() > kLongest) report("a message of no or endless text");
  for (const char c : message)
    if (c != '\n' && std::iscntrl(static_cast<unsigned char>(c)) != 0)
      report("a control character in the message: " + message);
}

/// Runs `read`, which may find its input wrong, and nothing else. Whether it took it. With
/// FEDSELECT_FUZZ_VERBOSE in the environment it tells why not.
template <class Read>
bool accepts(const Read& read) {
  try {
    read();
    return true;
  } catch (const InputError& error) {
    if (std::getenv("FEDSELECT_FUZZ_VERBOSE") != nullptr) std::cerr << error.what() << '\n';
    check_message(error.what());
    return false;
  }
}

}  // namespace fedselect::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
