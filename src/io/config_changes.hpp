#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fedselect {

/// A key on which two configs differ; a value is empty where a config doesn't have the key.
struct ConfigChange {
  std::string key;  ///< "train.lr", "method.rate"
  std::string before;
  std::string after;
};

/// Compares two configs as write_config() writes them, of one method each.
std::vector<ConfigChange> compare_configs(std::string_view before, std::string_view after);

/// Throws InputError if a run that began `rounds` rounds with the config `before`, the last of
/// which may be open, can't go on with `after`: a key differs that is not in `allowed`, or one that
/// a run can't change at all. `origin` names the run in the message.
void require_resumable(std::string_view before, std::string_view after, int rounds,
                       const std::vector<std::string>& allowed, const std::string& origin);

}  // namespace fedselect
