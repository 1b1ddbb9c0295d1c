#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "fed/fed_config.hpp"
#include "ops/device_array.hpp"

namespace fedselect {

/// What a step of an optimizer works on. All arrays are whole parameter vectors.
struct OptimizerTarget {
  ops::Values theta;
  ops::ConstValues gradient;
  ops::ConstValues scale;  ///< of the gradient, a number a client; null: 1
  ops::ConstBits mask;     ///< null: everything is in scope
  ops::Scope scope = ops::Scope::all;
};

/// Moves parameters along their gradients: SGD with momentum, or Adam, with the state that these
/// keep between steps. State memory is allocated on first use; plain SGD has none.
class Optimizer {
 public:
  /// For up to `capacity` clients side by side with vectors of `size` values.
  Optimizer(ops::Ops& ops, const OptimizerConfig& config, int capacity, std::size_t size);

  /// Forgets all state, as a new optimizer.
  void reset();
  /// Before step(): gives a new optimizer its state.
  void make_ready();
  /// Whether all steps at a rate do the same (SGD), or their number matters (Adam).
  bool has_equal_steps() const { return config_.kind == OptimizerKind::sgd; }
  /// Whether the moments hold something: a step was done since the beginning or reset().
  bool has_state() const { return !fresh_; }
  /// Moments that it has once it is ready: a velocity, Adam's two, or none.
  int moments() const;
  /// The moments that the optimizer has, of its first client, and the steps done: on shared
  /// indices, on personal ones.
  std::vector<float> moment(int number) const;
  std::vector<std::int32_t> steps() const { return {shared_steps_[0], personal_steps_[0]}; }
  /// And back. Those that the optimizer doesn't have are empty.
  void restore(std::span<const float> first, std::span<const float> second,
               std::span<const std::int32_t> steps);
  /// One step at learning rate `rate` for the clients of the group that have samples, on `ranges`.
  void step(const ops::Group& group, std::span<const ops::Range> ranges, double rate,
            const OptimizerTarget& target);

 private:
  void zero(ops::DeviceArray<float>& state);
  void step_adam(const ops::Group& group, std::span<const ops::Range> ranges, double rate,
                 const OptimizerTarget& target);

  ops::Ops& ops_;
  OptimizerConfig config_;
  int capacity_;
  std::size_t size_;
  ops::DeviceArray<float> first_;   ///< velocity, or Adam's first moment
  ops::DeviceArray<float> second_;  ///< Adam's second moment
  bool fresh_ = true;               ///< the moments count as zero
  /// Steps that each client has done on its shared and on its personal indices: Adam counts them
  /// apart, as torch.optim.Adam does for each parameter.
  std::vector<int> shared_steps_;
  std::vector<int> personal_steps_;
  std::vector<ops::AdamStep> adam_steps_;
};

}  // namespace fedselect
