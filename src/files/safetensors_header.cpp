#include "files/safetensors_header.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

namespace fedselect {

namespace {

using Json = nlohmann::json;

constexpr std::string_view kMetadata = "__metadata__";
constexpr std::size_t kOffsets = 2;

/// Follows the JSON as it is parsed, so that names that come twice are seen and nothing is kept
/// that has no place in such a header.
class HeaderParser final : public Json::json_sax_t {
 public:
  std::vector<HeaderEntry> entries;
  std::string problem;  ///< set where parsing stopped

  bool start_object(std::size_t /*size*/) override {
    if (place_ == Place::outside) return go(Place::header);
    if (place_ == Place::header && is_metadata_) return go(Place::metadata);
    if (place_ == Place::header) {
      entries.push_back({name_, {}, {}, {}});
      fields_.clear();
      return go(Place::tensor);
    }
    return unexpected();
  }
  bool key(std::string& key) override {
    if (place_ == Place::header) {
      name_ = key;
      is_metadata_ = key == kMetadata;
      return names_.insert(key).second || refuse(fmt::format("{} comes twice", here()));
    }
    field_ = key;
    if (place_ == Place::metadata) return true;
    if (key != "dtype" && key != "shape" && key != "data_offsets")
      return refuse(fmt::format("{} has an unknown field {}", here(), quote_name(key)));
    return fields_.insert(key).second || refuse(fmt::format("{} has {} twice", here(), key));
  }
  bool end_object() override {
    if (place_ == Place::header) return go(Place::outside);
    if (place_ == Place::metadata) return go(Place::header);
    const HeaderEntry& entry = entries.back();
    if (fields_.size() < 3)
      return refuse(fmt::format("{} lacks dtype, shape or data_offsets", here()));
    if (entry.offsets.size() != kOffsets)
      return refuse(
          fmt::format("{} has {} data_offsets instead of 2", here(), entry.offsets.size()));
    return go(Place::header);
  }
  bool start_array(std::size_t /*size*/) override {
    if (place_ != Place::tensor || field_ == "dtype") return unexpected();
    return go(Place::numbers);
  }
  bool end_array() override { return go(Place::tensor); }
  bool number_unsigned(std::uint64_t number) override {
    if (place_ != Place::numbers) return unexpected();
    auto& numbers = field_ == "shape" ? entries.back().shape : entries.back().offsets;
    numbers.push_back(number);
    return true;
  }
  bool string(std::string& text) override {
    if (place_ == Place::metadata) return true;
    if (place_ != Place::tensor || field_ != "dtype") return unexpected();
    entries.back().dtype = text;
    return true;
  }
  bool null() override { return unexpected(); }
  bool boolean(bool /*value*/) override { return unexpected(); }
  bool number_integer(std::int64_t /*number*/) override { return unexpected(); }
  bool number_float(double /*number*/, const std::string& /*text*/) override {
    return unexpected();
  }
  bool binary(Json::binary_t& /*value*/) override { return unexpected(); }
  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const Json::exception& /*error*/) override {
    return refuse(fmt::format("the header is not JSON at its byte {}", position));
  }

 private:
  enum class Place { outside, header, metadata, tensor, numbers };

  bool go(Place place) {
    place_ = place;
    return true;
  }
  bool refuse(std::string text) {
    problem = std::move(text);
    return false;
  }
  bool unexpected() {
    if (place_ == Place::outside) return refuse("the header is no JSON object");
    if (place_ == Place::header) return refuse(fmt::format("{} is described by no object", here()));
    return refuse(fmt::format("{} has an impossible {}", here(), quote_name(field_)));
  }
  std::string here() const {
    return is_metadata_ ? std::string(kMetadata) : "tensor " + quote_name(name_);
  }

  Place place_ = Place::outside;
  std::string name_;
  std::string field_;
  bool is_metadata_ = false;
  std::set<std::string> names_;
  std::set<std::string> fields_;
};

}  // namespace

std::vector<HeaderEntry> parse_safetensors_header(std::string_view json) {
  HeaderParser parser;
  if (!Json::sax_parse(json, &parser)) throw std::runtime_error(parser.problem);
  return std::move(parser.entries);
}

std::string quote_name(std::string_view name) {
  constexpr std::size_t kLongest = 80;
  std::string text(name.substr(0, kLongest));
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return std::iscntrl(c) != 0; }, '?');
  return fmt::format("\"{}{}\"", text, name.size() > kLongest ? "..." : "");
}

}  // namespace fedselect
