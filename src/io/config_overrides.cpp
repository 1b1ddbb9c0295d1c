#include "io/config_overrides.hpp"

#include <algorithm>

namespace fedselect {

namespace {

toml::table read_value(const std::string& raw) {
  try {
    toml::table holder = toml::parse("value = " + raw);
    if (holder.size() == 1) return holder;
  } catch (const toml::parse_error&) {
    // not TOML: a bare word
  }
  return toml::table{{"value", raw}};
}

}  // namespace

Overrides::Overrides(const std::vector<std::string>& texts, Problems& problems) {
  for (const std::string& text : texts) {
    auto made = std::make_unique<Override>();
    made->text = text;
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      problems.add(made->place(), "is not of the form key=value, such as train.lr=0.1");
    } else {
      made->key = text.substr(0, equals);
      made->raw = text.substr(equals + 1);
      made->holder = read_value(made->raw);
    }
    overrides_.push_back(std::move(made));
  }
}

const Override* Overrides::find(const std::vector<std::string>& keys) {
  const Override* last = nullptr;
  for (const auto& override : overrides_) {
    if (std::find(keys.begin(), keys.end(), override->key) == keys.end()) continue;
    override->used = true;
    last = override.get();
  }
  return last;
}

std::vector<const Override*> Overrides::unused() const {
  std::vector<const Override*> unused;
  for (const auto& override : overrides_)
    if (!override->used && !override->key.empty()) unused.push_back(override.get());
  return unused;
}

}  // namespace fedselect
