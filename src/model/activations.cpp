#include "model/activations.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace fedselect {

Activations::Activations(ops::Ops& ops, const Network& network, int clients, int train_batch,
                         int test_batch)
    : ops_(ops),
      network_(network),
      training_plan_(plan_values(network.graph(), static_cast<std::size_t>(train_batch), true)),
      evaluation_plan_(plan_values(network.graph(), static_cast<std::size_t>(test_batch), false)),
      backward_plan_(plan_backward(network.graph(), static_cast<std::size_t>(train_batch))),
      values_(ops, clients, std::max(training_plan_.size, evaluation_plan_.size)),
      flows_(ops, clients, backward_plan_.memory.size),
      visits_(network.graph().steps.size()),
      depends_(network.graph().value_sizes.size()) {
  const auto batch = static_cast<std::size_t>(std::max(train_batch, test_batch));
  labels_ = {ops, clients, batch};
  for (const NetworkGraph::Step& step : network.graph().steps) {
    marks_.emplace_back();
    if (step.layer->needs_marks())
      marks_.back() = {ops, clients, batch * network.graph().value_sizes[step.out]};
    kept_.emplace_back();
    if (step.layer->kept_size(batch) > 0)
      kept_.back() = {ops, clients, step.layer->kept_size(batch)};
  }
}

std::size_t Activations::bytes_per_client(const Network& network, int train_batch, int test_batch) {
  const NetworkGraph& graph = network.graph();
  const auto train = static_cast<std::size_t>(train_batch);
  const auto batch = std::max(train, static_cast<std::size_t>(test_batch));
  std::size_t floats =
      std::max(plan_values(graph, train, true).size,
               plan_values(graph, static_cast<std::size_t>(test_batch), false).size);
  floats += plan_backward(graph, train).memory.size + batch;  // and labels
  std::size_t marks = 0;
  for (const NetworkGraph::Step& step : graph.steps) {
    if (step.layer->needs_marks()) marks += batch * graph.value_sizes[step.out];
    floats += step.layer->kept_size(batch);
  }
  return floats * sizeof(float) + marks;
}

ops::Values Activations::value(std::size_t number) const {
  const MemoryPlan& plan = mode_ == Mode::training ? training_plan_ : evaluation_plan_;
  return values_.view().at(plan.offsets[number]);
}

ops::Values Activations::flow(std::size_t number) const {
  if (number == BackwardPlan::kNone) return {};
  return flows_.view().at(backward_plan_.memory.offsets[number]);
}

LayerBuffers Activations::buffers(std::size_t step) const {
  const NetworkGraph::Step& here = network_.graph().steps[step];
  return {value(here.in), value(here.out), marks_[step].view(), kept_[step].view()};
}

void Activations::forward(const ops::Group& group, ops::Values theta, Mode mode) {
  mode_ = mode;
  const auto& steps = network_.graph().steps;
  for (std::size_t i = 0; i < steps.size(); ++i)
    steps[i].layer->forward(ops_, group, theta, mode, buffers(i));
}

void Activations::measure(const ops::Group& group, const ops::LossSums& sums) {
  ops_.cross_entropy(group, network_.classes(), logits(), labels_.view(), {}, sums);
}

void Activations::mark_visits(std::span<const char> wanted) {
  std::fill(depends_.begin(), depends_.end(), 0);
  const auto& steps = network_.graph().steps;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const LayerTensors& tensors = steps[i].layer->tensors();
    const auto flags = wanted.subspan(tensors.first, tensors.count);
    visits_[i].trains =
        std::any_of(flags.begin(), flags.end(), [](char flag) { return flag != 0; });
    visits_[i].hands_on = depends_[steps[i].in] != 0;
    if (visits_[i].trains || visits_[i].hands_on) depends_[steps[i].out] = 1;
  }
}

void Activations::backward(const ops::Group& group, ops::ConstValues theta,
                           std::span<const char> wanted, ops::Values gradient,
                           const ops::LossSums& sums, const FeaturePull& pull) {
  expect(mode_ == Mode::training, "evaluation keeps no values for a backward pass");
  mark_visits(wanted);
  const NetworkGraph& graph = network_.graph();
  ops_.cross_entropy(group, network_.classes(), logits(), labels_.view(), flow(backward_plan_.loss),
                     sums);
  for (std::size_t i = graph.steps.size(); i-- > 0;) {
    const Visit visit = visits_[i];
    if (!visit.trains && !visit.hands_on) continue;
    const BackwardPlan::Step& plan = backward_plan_.steps[i];
    const ops::Values d_in = visit.hands_on ? flow(plan.d_in) : ops::Values{};
    graph.steps[i].layer->backward(ops_, group, theta, buffers(i), flow(plan.d_out), d_in,
                                   visit.trains ? gradient : ops::Values{});
    if (pull.targets && d_in && i + 1 == graph.steps.size())
      ops_.pull_to_class(group, network_.features(), pull.factor, features(), labels_.view(),
                         pull.targets, d_in);
    if (d_in && plan.add_to != BackwardPlan::kNone)
      ops_.add(group, graph.value_sizes[graph.steps[i].in], d_in, flow(plan.add_to));
  }
}

}  // namespace fedselect
