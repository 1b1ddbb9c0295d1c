#pragma once

#include <spdlog/spdlog.h>

#include <filesystem>
#include <memory>
#include <string>

namespace fedselect {

/// What a run says on the way: rank 0 alone, to stderr and to log.txt in the folder of the run at
/// hand.
class RunLog {
 public:
  enum class Voice {
    mute,      ///< says nothing anywhere: ranks other than the first
    file,      ///< everything in log.txt alone
    quiet,     ///< warnings on stderr, everything in log.txt
    terminal,  ///< a bar shows the progress: its lines go to log.txt only
    lines,     ///< everything to both
  };
  explicit RunLog(Voice voice);

  /// From now on until close() log.txt of this folder is written too.
  void open(const std::filesystem::path& folder);
  void close();

  void say(const std::string& message) { logger_.info(message); }
  void warn(const std::string& message) { logger_.warn(message); }
  /// A line about the progress.
  void progress(const std::string& message) { logger_.debug(message); }
  bool draws_bar() const { return voice_ == Voice::terminal; }

 private:
  Voice voice_;
  spdlog::logger logger_;
};

}  // namespace fedselect
