#include "io/config_problems.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <tuple>

#include "base/error.hpp"

namespace fedselect {

void Problems::add(const Place& place, std::string text) {
  problems_.push_back({place, std::move(text)});
}

std::string Problems::describe(const Place& place) const {
  if (!place.override.empty()) return fmt::format("--set {}", place.override);
  if (place.line == 0) return origin_;
  return fmt::format("{}:{}:{}", origin_, place.line, place.column);
}

std::string Problems::describe(const Problem& problem) const {
  return fmt::format("{}: {}", describe(problem.place), problem.text);
}

void Problems::throw_if_any() {
  if (problems_.empty()) return;
  const auto order = [](const Problem& problem) {
    return std::tuple(!problem.place.override.empty(), problem.place.line, problem.place.column);
  };
  std::stable_sort(problems_.begin(), problems_.end(),
                   [&](const Problem& a, const Problem& b) { return order(a) < order(b); });
  if (problems_.size() == 1) throw InputError(describe(problems_.front()));
  std::string text = fmt::format("{} problems", problems_.size());
  for (const Problem& problem : problems_) text += fmt::format("\n{}", describe(problem));
  throw InputError(text);
}

namespace {

/// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  const std::size_t columns = b.size() + 1;
  std::vector<std::size_t> table((a.size() + 1) * columns);  // [letters of a][letters of b]
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j < columns; ++j) {
      std::size_t* at = &table[i * columns + j];
      if (i == 0 || j == 0) {
        *at = i + j;
        continue;
      }
      const std::size_t replaced = *(at - columns - 1) + (a[i - 1] == b[j - 1] ? 0 : 1);
      *at = std::min({*(at - columns) + 1, *(at - 1) + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        *at = std::min(*at, *(at - 2 * columns - 2) + 1);
    }
  }
  return table.back();
}

std::vector<std::string_view> words_of(std::string_view name) {
  std::vector<std::string_view> words;
  while (true) {
    const std::size_t end = std::min(name.find_first_of("_-"), name.size());
    words.push_back(name.substr(0, end));
    if (end == name.size()) return words;
    name.remove_prefix(end + 1);
  }
}

/// "lr" for learning_rate, "batch" for batch_size, "part" for participation.
bool shortens(std::string_view shorter, std::string_view name) {
  constexpr std::size_t kLeastPrefix = 3;
  if (shorter.size() >= kLeastPrefix && name.starts_with(shorter)) return true;
  const auto words = words_of(name);
  if (words.size() < 2) return false;
  std::string initials;
  for (const std::string_view word : words) initials += word.substr(0, 1);
  return initials == shorter || std::find(words.begin(), words.end(), shorter) != words.end();
}

std::size_t distance(std::string_view a, std::string_view b) {
  return shortens(a, b) || shortens(b, a) ? 1 : edit_distance(a, b);
}

}  // namespace

std::string_view nearest_name(std::string_view word, const std::vector<std::string_view>& names) {
  std::string_view nearest;
  std::size_t least = std::numeric_limits<std::size_t>::max();
  for (const std::string_view name : names) {
    const std::size_t d = distance(word, name);
    const std::size_t near = std::max<std::size_t>(1, std::max(word.size(), name.size()) / 3);
    if (d > near || d >= least) continue;
    nearest = name;
    least = d;
  }
  return nearest;
}

}  // namespace fedselect
