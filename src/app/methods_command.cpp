#include <fmt/format.h>

#include <memory>

#include "app/commands.hpp"
#include "base/error.hpp"
#include "fed/methods.hpp"
#include "io/config.hpp"
#include "io/config_problems.hpp"
#include "io/config_sections.hpp"

namespace fedselect {

namespace {

void list_methods() {
  for (const Method& method : methods())
    fmt::print("{:<14} {}\n{:14} {}\n", method.name, method.summary, "", method.source);
  fmt::print("\nfedselect methods NAME lists the keys of one.\n");
}

void explain_method(const std::string& name) {
  const Method* method = find_method(name);
  if (method == nullptr) {
    const auto nearest = nearest_name(name, names_of_methods());
    throw InputError(
        fmt::format("unknown method {}{} (fedselect methods lists them)", name,
                    nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest)));
  }
  fmt::print("{}: {}\n{}\n\nKeys of its [[method]] table, with their defaults:\n{}", method->name,
             method->summary, method->source, describe_method(*method));
}

}  // namespace

void add_methods_command(CLI::App& app, Request& request) {
  auto* command = app.add_subcommand("methods", "list the methods, or the keys of one");
  auto name = std::make_shared<std::string>();
  command->add_option("NAME", *name, "a method");
  command->callback([&request, name] {
    request.alone = [name] { name->empty() ? list_methods() : explain_method(*name); };
  });
}

}  // namespace fedselect
