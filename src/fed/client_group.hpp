#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fed/client_store.hpp"
#include "fed/phase_clock.hpp"
#include "model/parameter_layout.hpp"
#include "ops/device_array.hpp"

namespace fedselect {

/// Whether the fraction to select is taken of each tensor or of the whole vector.
enum class SelectionScope { tensor, global };
inline constexpr std::array<std::string_view, 2> kSelectionScopeNames{"tensor", "global"};
inline constexpr std::array<std::string_view, 2> kTiesNames{"exact", "threshold"};

/// A whole parameter vector that a method keeps for every client between rounds.
enum class VectorStart { initial_model, zero };  ///< content before the client's first round

/// What `grow_mask` takes.
struct Growth {
  double rate = 0;     ///< fraction p of the still shared eligible indices
  double limit = 1;    ///< personalization limit alpha
  bool clamp = false;  ///< never above the limit; else growth happens while the fraction is at most
                       ///< the limit
  SelectionScope scope = SelectionScope::tensor;
  ops::Ties ties = ops::Ties::exact;
};

/// One parameter vector in the device's memory, padded: the global model.
using ParameterVector = ops::DeviceArray<float>;

/// Clients trained side by side on one device: parameters, masks and the verbs of the method kit.
///
/// Every verb acts on the whole group. Parameter vectors are padded as ParameterLayout says. Memory
/// is allocated once, for `capacity` clients; a CPU uses 1.
class ClientGroup {
 public:
  ClientGroup(ops::Ops& ops, const ParameterLayout& layout, int capacity,
              const std::vector<VectorStart>& vectors, std::span<const float> initial,
              PhaseClock& clock);

  // Coming and going (the round calls these)

  /// Takes over the clients' states: personal values where their masks say so, the global model
  /// elsewhere. Store and model must stay as they are until the clients are saved.
  void load(const ClientStore& store, std::span<const int> clients, const ParameterVector& global,
            int round);
  /// Writes masks, personal values and vectors back, but for the clients that diverged. What
  /// grow_mask proposed is kept until it is adopted.
  void save(ClientStore& store);
  /// Puts the masks proposed by grow_mask in force (after the broadcast, on freshly loaded states).
  void adopt_next_masks();

  // The kit: verbs for methods

  /// The round in which the group trains, from 0.
  int round() const { return round_; }
  /// From now on the mask is this one, for every client.
  void personalize(const MaskPtr& mask);
  /// GradLTN's shrinking: keeps, among the personal indices, the fraction `rate` that changed most
  /// since the round began.
  void keep_top(double rate, SelectionScope scope);
  /// GradSelect's growth: proposes the mask extended by the eligible shared indices that changed
  /// most since `reference`. The mask in force stays until the round's broadcast is done.
  void grow_mask(const Growth& growth, const MaskPtr& eligible, ops::ConstValues reference);
  /// The parameters become what they were when the round began; momentum is forgotten.
  void rewind();
  /// Kept vector number `index` (in the order that the method declared), to read. Fetched from the
  /// store on first use.
  ops::ConstValues vector(std::size_t index);
  /// Kept vector number `index` <- the parameters.
  void remember(std::size_t index);

  // What trainer, aggregate and record read

  int size() const { return static_cast<int>(clients_.size()); }
  std::span<const int> clients() const { return clients_; }
  const ParameterLayout& layout() const { return layout_; }
  ops::Values parameters() const { return theta_.view(); }
  /// The parameters with which the clients began the round. Fetched on first use, which overwrites
  /// the gradient: not within a step.
  ops::ConstValues start();
  ops::ConstBits mask() const { return mask_.view(); }
  ops::Values gradient() const { return gradient_.view(); }
  /// Allocated on first use: plain SGD has none.
  ops::Values velocity();
  /// Personal indices of tensor t of the g-th client.
  std::int64_t personal(int g, std::size_t tensor) const {
    return personal_counts_[static_cast<std::size_t>(g) * layout_.tensors().size() + tensor];
  }
  std::int64_t personal(int g) const;
  /// Values of the g-th client that take part in aggregation, statistics among them.
  std::int64_t shared_values(int g) const;
  bool mask_changed(int g) const { return mask_changed_[static_cast<std::size_t>(g)] != 0; }
  /// A client diverged if its loss or its parameters stopped being finite; it sits out everything
  /// from then on.
  bool diverged(int g) const { return active_[static_cast<std::size_t>(g)] == 0; }
  void mark_diverged(int g) { active_[static_cast<std::size_t>(g)] = 0; }
  /// Marks the clients whose parameters are not finite.
  void check_finite();
  /// The clients of the group that did not diverge, for ops that don't count samples.
  ops::Group active() const { return {std::span(active_).first(clients_.size())}; }
  PhaseClock& clock() { return clock_; }

 private:
  void recount();
  /// target <- what the store says of the clients, the global model elsewhere.
  void fetch(ops::DeviceArray<float>& target);
  /// Ranges over which a fraction is taken: one a tensor, or one for all.
  std::span<const ops::Range> selection_ranges(SelectionScope scope) const;

  ops::Ops& ops_;
  const ParameterLayout& layout_;
  AlignedVector<float> initial_;
  PhaseClock& clock_;

  std::vector<int> active_;  ///< 1, or 0 for a client that diverged
  std::vector<int> clients_;
  int round_ = 0;
  ops::Range everything_;  ///< all parameters
  ops::Range statistics_;  ///< behind them
  ops::DeviceArray<float> theta_;
  ops::DeviceArray<float> start_;  ///< allocated and fetched on first use
  bool start_present_ = false;
  ops::DeviceArray<float> gradient_;  ///< also scratch for scores and packed values
  ops::DeviceArray<float> velocity_;
  ops::DeviceArray<Word> mask_;
  ops::DeviceArray<Word> next_mask_;
  ops::DeviceArray<Word> eligible_;
  /// A kept vector in the device's memory: whether it is there, and whether the store has to hear
  /// of it.
  struct KeptVector {
    VectorStart start;
    ops::DeviceArray<float> values;
    bool present = false;
    bool changed = false;
  };
  std::vector<KeptVector> vectors_;
  const ClientStore* store_ = nullptr;       ///< from which the group was loaded
  const ParameterVector* global_ = nullptr;  ///< with which it was loaded
  std::vector<MaskPtr>
      rule_;  ///< the shared mask object that mask_ holds, while it does; else null
  std::vector<char> mask_proposed_;
  std::vector<char> mask_changed_;
  std::vector<double> norms_;
  std::vector<std::int64_t> personal_counts_;
  std::vector<std::int64_t> personal_statistics_;
  std::vector<std::int64_t> take_;
};

}  // namespace fedselect
