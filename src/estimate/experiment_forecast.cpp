#include "estimate/experiment_forecast.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

namespace fedselect {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 3> kSurenessNames{"exact", "at-least", "if-all-prune"};

Json to_json(const Spread& spread) {
  return {{"sum", spread.sum}, {"least", spread.least}, {"most", spread.most}};
}

Json to_json(const ForecastRound& round) {
  return {{"cohort", round.cohort},
          {"bytes_up", to_json(round.bytes_up)},
          {"bytes_down", to_json(round.bytes_down)},
          {"gradients", to_json(round.gradients)},
          {"flops", round.flops},
          {"personal_share", round.personal_share},
          {"seconds", round.seconds}};
}

Json to_json(const FileSizes& files) {
  return {{"result", files.result},
          {"checkpoint", files.checkpoint},
          {"journal", files.journal},
          {"metrics", files.metrics}};
}

Json to_json(const FederationCost& cost, const DeviceProfile& profile) {
  Json seconds;
  for (std::size_t c = 0; c < profile.classes.size(); ++c)
    seconds[profile.classes[c].name] = cost.seconds[c];
  return {{"seconds_per_round", seconds}, {"hours", cost.hours}, {"busy", cost.busy}};
}

Json to_json(const MethodForecast& method, const ExperimentForecast& experiment) {
  Json rounds = Json::array();
  for (const ForecastRound& round : method.rounds) rounds.push_back(to_json(round));
  Json json{{"label", method.label},
            {"sureness", kSurenessNames[static_cast<std::size_t>(method.sureness)]},
            {"bytes", method.bytes()},
            {"flops", method.flops()},
            {"seconds", method.seconds()},
            {"finish_seconds", method.finish_seconds},
            {"rank_bytes", method.rank_bytes},
            {"root_bytes", method.root_bytes},
            {"state_bytes", method.state_bytes},
            {"spill_bytes", method.spill_bytes},
            {"device_bytes", method.device_bytes},
            {"files", to_json(method.files)},
            {"rounds", rounds}};
  if (experiment.profile)
    json["federation"] =
        to_json(cost_of_federation(*experiment.profile, method.loads()), *experiment.profile);
  return json;
}

template <class Of>
auto largest(const std::vector<MethodForecast>& methods, const Of& of) {
  decltype(of(methods.front())) most = 0;
  for (const MethodForecast& method : methods) most = std::max(most, of(method));
  return most;
}

}  // namespace

std::size_t ExperimentForecast::rank_bytes() const {
  return largest(methods, [](const MethodForecast& method) { return method.rank_bytes; });
}

std::size_t ExperimentForecast::node_bytes() const {
  return largest(methods, [&](const MethodForecast& method) {
    return fedselect::node_bytes(method, shared_bytes, ranks.on_node);
  });
}

std::size_t ExperimentForecast::spill_bytes() const {
  return static_cast<std::size_t>(ranks.on_node) *
         largest(methods, [](const MethodForecast& method) { return method.spill_bytes; });
}

std::int64_t ExperimentForecast::file_bytes() const {
  std::int64_t results = 0;
  for (const MethodForecast& method : methods)
    results += method.files.result + method.files.metrics;
  return results + largest(methods, [](const MethodForecast& method) {
           return method.files.while_it_runs();
         });
}

double ExperimentForecast::seconds() const {
  double sum = start_seconds;
  for (const MethodForecast& method : methods) sum += method.seconds();
  return sum;
}

std::string write_json(const ExperimentForecast& forecast) {
  Json methods = Json::array();
  for (const MethodForecast& method : forecast.methods)
    methods.push_back(to_json(method, forecast));
  const Json json{{"format", "fedselect-estimate"},
                  {"version", 1},
                  {"name", forecast.name},
                  {"device", forecast.device},
                  {"ranks", forecast.ranks.count},
                  {"ranks_on_node", forecast.ranks.on_node},
                  {"clients", forecast.clients},
                  {"model_bytes", forecast.model_bytes},
                  {"seconds", forecast.seconds()},
                  {"start_seconds", forecast.start_seconds},
                  {"rank_bytes", forecast.rank_bytes()},
                  {"shared_bytes", forecast.shared_bytes},
                  {"node_bytes", forecast.node_bytes()},
                  {"spill_bytes", forecast.spill_bytes()},
                  {"file_bytes", forecast.file_bytes()},
                  {"methods", methods}};
  constexpr int kIndent = 1;
  return json.dump(kIndent) + "\n";
}

}  // namespace fedselect
