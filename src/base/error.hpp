#pragma once

#include <source_location>
#include <stdexcept>
#include <string>
#include <utility>

namespace fedselect {

/// Exit codes of the program; documented in docs/user-guide.md.
enum ExitCode : int {
  kExitSuccess = 0,
  kExitFailure = 1,   ///< a failure of the machine or of the program
  kExitBadInput = 2,  ///< config, data, command line or environment is wrong; nothing was run
  kExitStopped = 75   ///< a signal asked the run to stop: --resume goes on (EX_TEMPFAIL)
};

/// A text that may quote anybody's file, for terminals and logs: control characters other than the
/// end of a line, which steer terminals, are question marks.
std::string printable(std::string text);

/// The user's input is wrong. The text says what is wrong, where, and what to do; it is
/// printable().
class InputError : public std::runtime_error {
 public:
  explicit InputError(const std::string& text) : runtime_error(printable(text)) {}
};

/// What a key of the config asks for can't be done, as the data or the network show. The text
/// begins with the key; who knows the config puts file and line before it.
class KeyError : public InputError {
 public:
  /// `key`: with its section, "data.clients".
  KeyError(std::string key, const std::string& message)
      : InputError(message), key_(std::move(key)) {}
  const std::string& key() const { return key_; }

 private:
  std::string key_;
};

/// The machine, a library or a peer failed (disk, MPI, HDF5).
class SystemError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Checks the user's input, always. Throws InputError(message) if `holds` is false.
/// Where the text costs something to build, write `if (!holds) throw InputError(...)`.
void require(bool holds, const std::string& message);

/// Checks our own reasoning, in builds without NDEBUG. A failure is a bug of this program.
#ifdef NDEBUG
inline void expect(bool /*holds*/, const char* /*claim*/) {}
#else
void expect(bool holds, const char* claim,
            std::source_location where = std::source_location::current());
#endif

}  // namespace fedselect
