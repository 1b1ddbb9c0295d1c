#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "data/data_config.hpp"
#include "fed/algorithm.hpp"
#include "fed/client_faults.hpp"
#include "fed/fed_config.hpp"
#include "fed/methods.hpp"
#include "model/model_config.hpp"

namespace fedselect {

/// One `[[method]]` of a config.
struct MethodConfig {
  std::string name;
  std::string label;  ///< names the run's folder and its curves; the method's name unless given
  std::int64_t passes = 0;               ///< P of this method; 0: train.passes
  std::unique_ptr<Algorithm> algorithm;  ///< has read its own keys
};

/// The section [output].
struct OutputConfig {
  bool masks = true;           ///< write every client's final mask
  bool client_models = false;  ///< write every client's final model
};

/// The section [checkpoint]: what a run leaves behind for --resume, and when.
struct CheckpointConfig {
  double every_minutes = 10;      ///< 0: not by time
  std::int64_t every_rounds = 0;  ///< 0: not by rounds
  bool at_end = false;            ///< keep one of the last round
  std::int64_t keep_every = 0;    ///< rounds between those that are kept for good; 0: none
};

/// What holds for all methods of an experiment: the top-level keys and the sections.
struct Settings {
  std::string name = "run";
  std::int64_t seed = 1;
  std::int64_t rounds = 100;
  DataConfig data;
  ModelConfig model;
  TrainConfig train;
  ServerConfig server;
  FederationConfig federation;
  FaultsConfig faults;
  EvaluateConfig evaluate;
  OutputConfig output;
  CheckpointConfig checkpoint;
};

/// An experiment: what a config file says, with every default filled in.
struct Config : Settings {
  std::vector<MethodConfig> methods;
  /// Where each key of a section stands, "train.lr" -> "file:3:1"; for messages.
  std::map<std::string, std::string> places;

  /// What a KeyError says, with the place of its key before it.
  std::string locate(const KeyError& error) const;
};

/// P of a method: its own, or that of [train].
inline std::int64_t passes_of(const MethodConfig& method, const TrainConfig& train) {
  return method.passes > 0 ? method.passes : train.passes;
}

/// The text of a config file. Throws InputError if it can't be read.
std::string read_config_text(const std::string& path);

/// Reads a config and validates it whole. `overrides` are "key=value" of the command line, key as
/// "train.lr", or "method.LABEL.rate" (all methods with that key: "method.rate"), value as TOML
/// writes it (a bare word counts as a string); a later one beats an earlier one. Which methods
/// there are, and their labels, only the file says. Throws InputError that lists every problem
/// found, by line: file, line, key, why, and the nearest valid key.
Config read_config(const std::string& path, const std::vector<std::string>& overrides);
/// The same for text; `origin` stands in messages where the file's name would.
Config parse_config(std::string_view text, const std::string& origin,
                    const std::vector<std::string>& overrides);

/// The resolved config as TOML, every key written out, with only method number `method`: reading it
/// back gives the same run.
std::string write_config(const Config& config, std::size_t method);
/// The same with all methods.
std::string write_config(const Config& config);

/// The keys of one method as lines of help: key, default, permitted values, meaning.
std::string describe_method(const Method& method);
/// The keys of all sections, likewise.
std::string describe_sections();

}  // namespace fedselect
