#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fedselect {

/// Values that a number may take. Ends belong to it unless marked open.
struct Interval {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool open_low = false;
  bool open_high = false;

  bool contains(double x) const {
    return (open_low ? x > low : x >= low) && (open_high ? x < high : x <= high);
  }
};

inline constexpr Interval kPositive{.low = 0, .open_low = true};
inline constexpr Interval kNonNegative{.low = 0};
inline constexpr Interval kFraction{.low = 0, .high = 1};
inline constexpr Interval kPositiveFraction{.low = 0, .high = 1, .open_low = true};
inline constexpr Interval kCount{.low = 1, .high = 2147483647};

/// One visit to the keys of a configuration section.
///
/// A section declares its keys once, in `void describe(Section&, Fields&)`: name, variable (which
/// holds the default), permitted values, meaning. Reading a file, writing the resolved file, and
/// printing the documentation are three implementations of this interface (src/io), so they can't
/// disagree.
class Fields {
 public:
  virtual ~Fields() = default;

  virtual void integer(std::string_view key, std::int64_t& value, const Interval& range,
                       std::string_view meaning) = 0;
  virtual void real(std::string_view key, double& value, const Interval& range,
                    std::string_view meaning) = 0;
  virtual void flag(std::string_view key, bool& value, std::string_view meaning) = 0;
  virtual void text(std::string_view key, std::string& value, std::string_view meaning) = 0;
  /// A list of texts.
  virtual void texts(std::string_view key, std::vector<std::string>& values,
                     std::string_view meaning) = 0;
  /// One of `names`; `index` is its position.
  virtual void choice_index(std::string_view key, std::size_t& index,
                            std::span<const std::string_view> names, std::string_view meaning) = 0;
  /// Says, before `key` is declared, that it means something only if `holds`. A config that sets it
  /// all the same is refused with `message`, and a resolved config leaves it out.
  virtual void applies(bool holds, std::string_view key, std::string_view message) = 0;
  /// Something that must hold between keys. `message` says what is wrong with `key` and what to do.
  /// Checked only by readers, after the keys that were declared before it.
  virtual void check(bool holds, std::string_view key, std::string_view message) = 0;

  /// An enumeration whose enumerators count from 0 in the order of `names`.
  template <class Enum, std::size_t n>
  void choice(std::string_view key, Enum& value, const std::array<std::string_view, n>& names,
              std::string_view meaning) {
    auto index = static_cast<std::size_t>(value);
    choice_index(key, index, names, meaning);
    value = static_cast<Enum>(index);
  }
};

}  // namespace fedselect
