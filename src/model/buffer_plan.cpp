#include "model/buffer_plan.hpp"

#include <algorithm>

#include "base/aligned.hpp"
#include "base/error.hpp"

namespace fedselect {

MemoryPlan plan_memory(std::span<const Lifetime> arrays) {
  constexpr std::size_t kLine = kAlignment / sizeof(float);
  MemoryPlan plan;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    std::vector<std::size_t> others;  // in use at the same time, by offset
    for (std::size_t j = 0; j < i; ++j)
      if (arrays[j].first <= arrays[i].last && arrays[i].first <= arrays[j].last)
        others.push_back(j);
    std::sort(others.begin(), others.end(),
              [&](std::size_t a, std::size_t b) { return plan.offsets[a] < plan.offsets[b]; });
    const std::size_t size = round_up(arrays[i].size, kLine);
    std::size_t at = 0;
    for (const std::size_t other : others) {
      if (at + size <= plan.offsets[other]) break;
      at = std::max(at, plan.offsets[other] + round_up(arrays[other].size, kLine));
    }
    plan.offsets.push_back(at);
    plan.size = std::max(plan.size, at + size);
  }
  return plan;
}

MemoryPlan plan_values(const NetworkGraph& graph, std::size_t samples, bool kept) {
  const std::size_t end = graph.steps.size();
  std::vector<Lifetime> values;
  for (const std::size_t size : graph.value_sizes) values.push_back({end, 0, samples * size});
  for (std::size_t i = 0; i < end; ++i) {
    for (const std::size_t value : {graph.steps[i].in, graph.steps[i].out}) {
      values[value].first = std::min(values[value].first, i);
      values[value].last = i;
    }
  }
  values.front().first = 0;  // also where nothing reads it: a batch is put there
  values.back().last = end;  // the loss reads the logits
  if (kept)
    for (Lifetime& value : values) value.first = 0, value.last = end;
  return plan_memory(values);
}

BackwardPlan plan_backward(const NetworkGraph& graph, std::size_t samples) {
  BackwardPlan plan;
  plan.steps.resize(graph.steps.size());
  std::vector<Lifetime> gradients;
  std::vector<int> holders;  // values that a gradient serves and whose step is still to come
  std::vector<std::size_t> of_value(graph.value_sizes.size(), BackwardPlan::kNone);
  const auto add_gradient = [&](std::size_t value, std::size_t now) {
    gradients.push_back({now, now, samples * graph.value_sizes[value]});
    holders.push_back(0);
    return gradients.size() - 1;
  };
  const auto assign = [&](std::size_t value, std::size_t gradient) {
    of_value[value] = gradient;
    ++holders[gradient];
  };
  plan.loss = add_gradient(graph.value_sizes.size() - 1, 0);
  assign(graph.value_sizes.size() - 1, plan.loss);
  for (std::size_t i = graph.steps.size(); i-- > 0;) {
    const std::size_t now = graph.steps.size() - 1 - i;
    const auto& [layer, in, out] = graph.steps[i];
    BackwardPlan::Step& step = plan.steps[i];
    step.d_out = of_value[out];
    gradients[step.d_out].last = now;
    switch (layer->form()) {
      case LayerForm::in_place:
        expect(holders[step.d_out] == 1, "a gradient changed in place serves one value");
        break;
      case LayerForm::joining:
        expect(of_value[in] == BackwardPlan::kNone, "a join is the shortcut's last reader");
        assign(in, step.d_out);
        break;
      case LayerForm::through:
        --holders[step.d_out];
        if (in == 0) break;
        step.d_in = add_gradient(in, now);
        if (of_value[in] == BackwardPlan::kNone) {
          assign(in, step.d_in);
        } else {
          step.add_to = of_value[in];
          expect(holders[step.add_to] == 1, "a gradient added to serves one value");
          gradients[step.add_to].last = now;
        }
        break;
    }
  }
  plan.memory = plan_memory(gradients);
  return plan;
}

}  // namespace fedselect
