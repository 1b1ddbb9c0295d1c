#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fedselect {

/// Where something stands in a config: a line and column of the file (from 1; 0: the file as a
/// whole), or an override of the command line.
struct Place {
  int line = 0;
  int column = 0;
  std::string_view override;  ///< "key=value"; empty: in the file
};

/// What is wrong with a config: collected, then reported together.
class Problems {
 public:
  /// `origin`: the file's name, for messages.
  explicit Problems(std::string origin) : origin_(std::move(origin)) {}

  void add(const Place& place, std::string text);
  /// The place in words: "file:3:1", or "--set key=value".
  std::string describe(const Place& place) const;
  /// Throws InputError with all problems, by line, those of overrides last, if there are any.
  void throw_if_any();

 private:
  struct Problem {
    Place place;
    std::string text;
  };
  std::string describe(const Problem& problem) const;

  std::string origin_;
  std::vector<Problem> problems_;
};

/// The name that somebody who wrote `word` probably meant; empty if none is near.
std::string_view nearest_name(std::string_view word, const std::vector<std::string_view>& names);

}  // namespace fedselect
