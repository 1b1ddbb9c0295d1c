#include <fmt/format.h>
#include <fmt/ranges.h>

#include "io/config_sections.hpp"
#include "io/config_text.hpp"

namespace fedselect {

namespace {

std::string quote_all(const std::vector<std::string>& texts) {
  std::vector<std::string> quoted;
  for (const std::string& text : texts) quoted.push_back(quote(text));
  return fmt::format("[{}]", fmt::join(quoted, ", "));
}

/// Writes the keys of a section as TOML, each with its meaning as a comment.
class SectionWriter final : public Fields {
 public:
  void integer(std::string_view key, std::int64_t& value, const Interval& /*range*/,
               std::string_view meaning) override {
    line(key, fmt::format("{}", value), meaning);
  }
  void real(std::string_view key, double& value, const Interval& /*range*/,
            std::string_view meaning) override {
    line(key, write_real(value), meaning);
  }
  void flag(std::string_view key, bool& value, std::string_view meaning) override {
    line(key, value ? "true" : "false", meaning);
  }
  void text(std::string_view key, std::string& value, std::string_view meaning) override {
    line(key, quote(value), meaning);
  }
  void texts(std::string_view key, std::vector<std::string>& values,
             std::string_view meaning) override {
    line(key, quote_all(values), meaning);
  }
  void choice_index(std::string_view key, std::size_t& index,
                    std::span<const std::string_view> names, std::string_view meaning) override {
    line(key, quote(names[index]), meaning);
  }
  void applies(bool holds, std::string_view key, std::string_view /*message*/) override {
    idle_key_ = holds ? "" : key;
  }
  void check(bool /*holds*/, std::string_view /*key*/, std::string_view /*message*/) override {}

  void header(std::string_view header) { text_ += fmt::format("\n{}\n", header); }
  const std::string& text() const { return text_; }

 private:
  void line(std::string_view key, std::string_view value, std::string_view meaning) {
    if (key != idle_key_) text_ += fmt::format("{} = {}  # {}\n", key, value, meaning);
  }
  std::string text_;
  std::string idle_key_;  ///< the next key, if it means nothing here
};

/// Writes the keys of a section as lines of help: key, default, permitted values, meaning.
class SectionDocumenter final : public Fields {
 public:
  void integer(std::string_view key, std::int64_t& value, const Interval& range,
               std::string_view meaning) override {
    line(key, fmt::format("{}", value), describe_interval(range), meaning);
  }
  void real(std::string_view key, double& value, const Interval& range,
            std::string_view meaning) override {
    line(key, write_real(value), describe_interval(range), meaning);
  }
  void flag(std::string_view key, bool& value, std::string_view meaning) override {
    line(key, value ? "true" : "false", "true or false", meaning);
  }
  void text(std::string_view key, std::string& value, std::string_view meaning) override {
    line(key, quote(value), "a text", meaning);
  }
  void texts(std::string_view key, std::vector<std::string>& values,
             std::string_view meaning) override {
    line(key, quote_all(values), "a list of texts", meaning);
  }
  void choice_index(std::string_view key, std::size_t& index,
                    std::span<const std::string_view> names, std::string_view meaning) override {
    std::vector<std::string> quoted;
    for (const std::string_view name : names) quoted.push_back(quote(name));
    line(key, quoted[index], fmt::format("one of {}", fmt::join(quoted, ", ")), meaning);
  }
  void applies(bool /*holds*/, std::string_view /*key*/, std::string_view /*message*/) override {}
  void check(bool /*holds*/, std::string_view /*key*/, std::string_view /*message*/) override {}

  void header(const Section& section) {
    text_ += section.name.empty() ? fmt::format("{}:\n", section.meaning)
                                  : fmt::format("\n[{}]  {}:\n", section.name, section.meaning);
  }
  const std::string& text() const { return text_; }

 private:
  void line(std::string_view key, std::string_view value, std::string_view permitted,
            std::string_view meaning) {
    constexpr std::size_t kColumn = 32;
    const std::string assignment = fmt::format("  {} = {}", key, value);
    const std::string indent(kColumn, ' ');
    text_ += assignment.size() < kColumn
                 ? fmt::format("{:<{}}{}\n{}{}\n", assignment, kColumn, meaning, indent, permitted)
                 : fmt::format("{}\n{}{}\n{}{}\n", assignment, indent, meaning, indent, permitted);
  }
  std::string text_;
};

}  // namespace

namespace {

std::string write_config(const Config& config, std::span<const MethodConfig> methods) {
  SectionWriter writer;
  Settings settings = config;
  for (const Section& section : sections()) {
    if (!section.name.empty()) writer.header(fmt::format("[{}]", section.name));
    section.describe(settings, writer);
  }
  for (const MethodConfig& method : methods) {
    MethodConfig identity{
        .name = method.name, .label = method.label, .passes = method.passes, .algorithm = nullptr};
    writer.header(fmt::format("[[{}]]", kMethodTable));
    describe_identity(identity, writer);
    describe_passes(identity, writer);
    method.algorithm->describe(writer);
  }
  return writer.text();
}

}  // namespace

std::string write_config(const Config& config, std::size_t method) {
  return write_config(config, std::span(config.methods).subspan(method, 1));
}

std::string write_config(const Config& config) {
  return write_config(config, std::span(config.methods));
}

std::string describe_method(const Method& method) {
  SectionDocumenter documenter;
  MethodConfig defaults{
      .name = std::string(method.name), .label = {}, .passes = 0, .algorithm = nullptr};
  describe_identity(defaults, documenter);
  describe_passes(defaults, documenter);
  method.make()->describe(documenter);
  return documenter.text();
}

std::string describe_sections() {
  SectionDocumenter documenter;
  Settings defaults;
  for (const Section& section : sections()) {
    documenter.header(section);
    section.describe(defaults, documenter);
  }
  return documenter.text();
}

}  // namespace fedselect
