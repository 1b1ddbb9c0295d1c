#include "io/config_sections.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "io/config_text.hpp"

namespace fedselect {

namespace {

/// Whole numbers up to here are exact in every program that will read the seed.
constexpr Interval kSeeds{.low = 0, .high = 9007199254740992};

void describe_top(Settings& settings, Fields& fields) {
  fields.text("name", settings.name, "of the experiment; names the folder of its runs");
  fields.check(is_folder_name(settings.name), "name", kFolderNameRule);
  fields.integer("seed", settings.seed, kSeeds, "every random draw follows from it");
  fields.integer("rounds", settings.rounds, kCount, "rounds of training");
}

void describe_output(Settings& settings, Fields& fields) {
  fields.flag("masks", settings.output.masks, "write every client's final mask into result.h5");
  fields.flag("client_models", settings.output.client_models,
              "write every client's final model into result.h5: 4 bytes a parameter and client");
}

void describe_checkpoint(Settings& settings, Fields& fields) {
  CheckpointConfig& checkpoint = settings.checkpoint;
  fields.real("every_minutes", checkpoint.every_minutes, kNonNegative,
              "minutes between checkpoints, more where writing one takes over 3 %; 0 = not by "
              "time");
  fields.integer("every_rounds", checkpoint.every_rounds, kNonNegative,
                 "rounds between checkpoints; 0 = not by rounds");
  fields.integer("keep_every", checkpoint.keep_every, kNonNegative,
                 "rounds between states that are kept for good, to go back to (--from-round) or to "
                 "export; 0 = none");
  fields.flag("at_end", checkpoint.at_end,
              "keep a checkpoint of the last round, so that a finished run can get more rounds");
}

constexpr std::array kSections{
    Section{"", "the experiment", describe_top},
    Section{"data", "where samples come from and how clients share them",
            [](Settings& settings, Fields& fields) { describe(settings.data, fields); }},
    Section{"model", "the network that every client trains",
            [](Settings& settings, Fields& fields) { describe(settings.model, fields); }},
    Section{"train", "local training, the same for every method",
            [](Settings& settings, Fields& fields) { describe(settings.train, fields); }},
    Section{"server", "how the global model follows the clients' mean",
            [](Settings& settings, Fields& fields) { describe(settings.server, fields); }},
    Section{"federation", "which clients take part",
            [](Settings& settings, Fields& fields) { describe(settings.federation, fields); }},
    Section{"faults", "what goes wrong with clients",
            [](Settings& settings, Fields& fields) { describe(settings.faults, fields); }},
    Section{"evaluate", "tests of the clients' models",
            [](Settings& settings, Fields& fields) { describe(settings.evaluate, fields); }},
    Section{"output", "what is written", describe_output},
    Section{"checkpoint", "from where an interrupted run goes on", describe_checkpoint},
};

}  // namespace

std::span<const Section> sections() { return kSections; }

std::vector<std::string_view> names_of_methods() {
  std::vector<std::string_view> names;
  for (const Method& method : methods()) names.push_back(method.name);
  return names;
}

void describe_identity(MethodConfig& method, Fields& fields) {
  const auto names = names_of_methods();
  const auto found = std::find(names.begin(), names.end(), method.name);
  auto index = found == names.end() ? 0 : static_cast<std::size_t>(found - names.begin());
  fields.choice_index("name", index, names, "which method it is");
  method.name = names[index];
  if (method.label.empty()) method.label = method.name;
  fields.text("label", method.label, "names the run's folder and its curves");
  fields.check(is_folder_name(method.label), "label", kFolderNameRule);
}

void describe_passes(MethodConfig& method, Fields& fields) {
  fields.integer("passes", method.passes, kNonNegative,
                 "passes over a client's own data in a round; 0 = train.passes");
}

}  // namespace fedselect
