#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fedselect {

/// What a scaling study varies.
enum class ScalingOver { ranks, clients, parameters };
inline constexpr std::array<std::string_view, 3> kScalingOverNames{"ranks", "clients",
                                                                   "parameters"};
/// Over ranks: whether the work stays the same, or that of each rank.
enum class ScalingKind { strong, weak };
inline constexpr std::array<std::string_view, 2> kScalingKindNames{"strong", "weak"};

/// A scaling study: one experiment, measured at several points (docs/cluster.md).
struct ScalingStudy {
  std::string name;    ///< of the folder with its results
  std::string config;  ///< the experiment; in the file relative to it, here to the working folder
  std::string method;  ///< label; empty: the only one
  ScalingOver over = ScalingOver::ranks;
  ScalingKind kind = ScalingKind::strong;
  std::int64_t clients_per_rank = 0;  ///< of weak scaling
  std::string key;                    ///< that sets the network's size, over parameters
  std::vector<std::int64_t> values;   ///< ascending: ranks, clients, or values of the key
  std::int64_t rounds = 5;            ///< that are counted
  std::int64_t warmup = 2;            ///< before them, measured apart
  std::int64_t repeats = 3;           ///< of every point
  std::vector<std::string> set;       ///< changes to the experiment, "key=value"
  std::string text;                   ///< the file itself
};

/// Reads a study and validates it whole. Throws InputError that lists every problem found, by line:
/// file, line, key, why, and the nearest valid key.
ScalingStudy read_study(const std::string& path);
/// The same for text; `origin` stands in messages where the file's name would.
ScalingStudy parse_study(std::string_view text, const std::string& origin);

/// One point of a study: an experiment on a number of ranks.
struct ScalingPoint {
  std::int64_t value = 0;
  int ranks = 0;
  std::vector<std::string> overrides;  ///< of the config
};

/// The points of a study in a job of so many ranks: over ranks the first `value` ones take part,
/// else all. Throws InputError where a point needs more ranks than there are.
std::vector<ScalingPoint> points_of(const ScalingStudy& study, int job_ranks);
/// The one with that value. Throws InputError if the study has none, or it needs more ranks.
ScalingPoint point_of(const ScalingStudy& study, std::int64_t value, int job_ranks);

}  // namespace fedselect
