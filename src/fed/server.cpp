#include "fed/server.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <string>

namespace fedselect {

namespace {

OptimizerConfig optimizer_of(const ServerConfig& config) {
  const auto kind = config.optimizer == ServerOptimizer::adam   ? OptimizerKind::adam
                    : config.optimizer == ServerOptimizer::yogi ? OptimizerKind::yogi
                                                                : OptimizerKind::sgd;
  return {.kind = kind,
          .momentum = config.momentum,
          .beta1 = config.beta1,
          .beta2 = config.beta2,
          .epsilon = config.epsilon,
          .bias_correction = false};
}

/// The server is a group of one.
constexpr int kOne[] = {1};
const ops::Group kServer{kOne};

}  // namespace

Server::Server(ops::Ops& ops, const ParameterLayout& layout, const ServerConfig& config,
               std::span<const float> initial, int vectors, const Belongings& belongings)
    : ops_(ops),
      layout_(layout),
      config_(config),
      model_(ops, 1, layout.padded_size()),
      notice_(ops, 1, belongings.notice),
      sum_(ops, layout, layout.padded_size()),
      optimizer_(ops, optimizer_of(config), 1, layout.padded_size()) {
  model_.upload(ops_, 0, initial);
  for (int i = 0; i < vectors; ++i) vectors_.emplace_back(ops, 1, layout.padded_size());
  for (int i = 0; i < belongings.contributions; ++i)
    contributions_.emplace_back(ops, layout, layout.parameter_span());
}

void Server::begin_round(std::uint64_t total_weight) {
  sum_.reset(total_weight);
  for (SharedSum& sum : contributions_) sum.reset(total_weight);
}

void Server::add(const ClientGroup& clients, std::span<const std::uint32_t> weights) {
  sum_.add(clients, weights, clients.parameters(), clients.mask());
  for (std::size_t i = 0; i < contributions_.size(); ++i)
    contributions_[i].add(clients, weights, clients.contribution(i), {});
}

std::vector<Messages> Server::new_uploads() const {
  if (config_.merge == Merge::mean) return {};
  std::vector<Messages> uploads{Messages(layout_.padded_size())};
  for (std::size_t i = 0; i < contributions_.size(); ++i)
    uploads.emplace_back(layout_.parameter_span());
  return uploads;
}

void Server::add(const ClientGroup& clients, std::span<const std::uint32_t> weights,
                 std::vector<Messages>& uploads) const {
  constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> values;
  std::vector<Word> personal(layout_.words());
  for (int g = 0; g < clients.size(); ++g) {
    if (weights[static_cast<std::size_t>(g)] == 0) continue;
    const int client = clients.clients()[static_cast<std::size_t>(g)];
    for (std::size_t i = 0; i < uploads.size(); ++i) {
      const ops::ConstValues from = i == 0 ? clients.parameters() : clients.contribution(i - 1);
      values.resize(uploads[i].size());
      ops_.download(values.data(), from[g], values.size() * sizeof(float));
      for (std::size_t j = 0; j < values.size(); ++j)
        if (!(std::abs(values[j]) < ops::FixedPoint::kMagnitudeLimit))
          refuse_value(layout_, client, j);
      if (i == 0) {
        ops_.download(personal.data(), clients.mask()[g], personal.size() * sizeof(Word));
        for (std::size_t j = 0; j < values.size(); ++j)
          if (test_bit(personal.data(), j)) values[j] = kNone;
      }
      uploads[i].add(client, values);
    }
  }
}

void Server::merge(Communicator& comm, std::span<const Messages> uploads, std::size_t cohort) {
  for (std::size_t i = 0; i < uploads.size(); ++i) {
    const auto merged = merge_uploads(comm, uploads[i], cohort, config_.merge, config_.trim);
    (i == 0 ? sum_ : contributions_[i - 1]).put(merged);
  }
}

void Server::all_reduce(DeviceSum& sums, Communicator& comm) {
  sum_.all_reduce(sums, comm);
  for (SharedSum& sum : contributions_) sum.all_reduce(sums, comm);
}

ServerState Server::state() const {
  ServerState state;
  const auto keep = [&](const std::string& name, const ops::DeviceArray<float>& array) {
    auto& values = state.arrays[name];
    values.resize(array.count());
    if (!values.empty()) array.download(ops_, 0, std::span(values));
  };
  keep("model", model_);
  keep("notice", notice_);
  for (std::size_t i = 0; i < vectors_.size(); ++i) keep(fmt::format("vector{}", i), vectors_[i]);
  if (optimizer_.has_state()) {
    state.arrays["first_moment"] = optimizer_.moment(0);
    state.arrays["second_moment"] = optimizer_.moment(1);
    state.optimizer_steps = optimizer_.steps();
  }
  return state;
}

void Server::restore(const ServerState& state) {
  const auto put_back = [&](const std::string& name, ops::DeviceArray<float>& array) {
    array.upload(ops_, 0, std::span<const float>(state.arrays.at(name)));
  };
  put_back("model", model_);
  put_back("notice", notice_);
  for (std::size_t i = 0; i < vectors_.size(); ++i)
    put_back(fmt::format("vector{}", i), vectors_[i]);
  optimizer_.reset();
  if (!state.optimizer_steps.empty())
    optimizer_.restore(state.arrays.at("first_moment"), state.arrays.at("second_moment"),
                       state.optimizer_steps);
}

std::vector<SumState> Server::sums() const {
  std::vector<SumState> sums{sum_.state()};
  for (const SharedSum& sum : contributions_) sums.push_back(sum.state());
  return sums;
}

void Server::restore_sums(std::span<const SumState> sums) {
  sum_.restore(sums.front());
  for (std::size_t i = 0; i < contributions_.size(); ++i) contributions_[i].restore(sums[i + 1]);
}

const ParameterVector& Server::mean() {
  if (mean_.empty()) mean_ = {ops_, 1, layout_.padded_size()};
  ops_.copy(mean_.of(0), model_.of(0), layout_.padded_size() * sizeof(float));
  sum_.mean(mean_);
  return mean_;
}

void Server::combine(double a, const ParameterVector& x, double b, const ParameterVector& y,
                     const ParameterVector& out) {
  const float first[] = {static_cast<float>(a)};
  const float second[] = {static_cast<float>(b)};
  ops_.combine(kServer, layout_.padded_size(), first, x.view(), second, y.view(), out.view());
}

void Server::take_mean() {
  if (config_.optimizer == ServerOptimizer::average) return sum_.mean(model_);
  if (unshared_.empty()) unshared_ = {ops_, 1, layout_.words()};
  sum_.unshared(unshared_.of(0));
  mean();
  // The statistics take their mean; the parameters a step against the gradient model - mean.
  const std::size_t begin = layout_.parameter_span();
  ops_.copy(model_.of(0) + begin, mean_.of(0) + begin,
            (layout_.padded_size() - begin) * sizeof(float));
  combine(1, model_, -1, mean_, mean_);
  optimizer_.make_ready();
  optimizer_.step(kServer, layout_.ranges(), config_.lr,
                  {.theta = model_.view(),
                   .gradient = mean_.view(),
                   .scale = {},
                   .mask = unshared_.view(),
                   .scope = ops::Scope::shared});
}

void Server::move_to_mean(double rate) {
  if (rate == 1) return sum_.mean(model_);
  combine(1 - rate, model_, rate, mean(), model_);
}

void Server::add_mean(std::size_t index, double factor, std::size_t contribution) {
  if (mean_.empty()) mean_ = {ops_, 1, layout_.padded_size()};
  ops_.zero(mean_.of(0), layout_.padded_size() * sizeof(float));
  contributions_[contribution].mean(mean_);
  combine(1, vectors_[index], factor, mean_, vectors_[index]);
}

}  // namespace fedselect
