#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
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

/// A whole parameter vector besides the model's, one a client.
enum class VectorKind {
  from_initial_model,  ///< kept between rounds; the initial model before the client's first one
  from_zero,           ///< kept between rounds; zero before the client's first one
  scratch,             ///< not kept: unspecified when a round begins
};

/// What a method keeps for every client, and what its clients add up, besides the model.
struct Belongings {
  std::vector<VectorKind> vectors{};
  std::vector<double> scalars{};  ///< kept numbers: what they are before the client's first round
  int contributions = 0;          ///< vectors that the server receives the mean of
  // Floats that are neither parameters nor vectors, and what Algorithm::answer makes of them.
  std::size_t message = 0;  ///< what each client of a cohort tells the server
  std::size_t notice = 0;   ///< what the server tells everyone, zeros at first
  std::size_t reply = 0;    ///< personal values with which it answers each message
};

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

/// What the server sends: the global model, the vectors that the server keeps, and its notice.
struct Broadcast {
  Broadcast() = default;
  Broadcast(const ParameterVector& global,  // NOLINT(google-explicit-constructor)
            std::span<const ParameterVector> server_vectors = {},
            ops::ConstValues server_notice = {})
      : model(&global), vectors(server_vectors), notice(server_notice) {}

  const ParameterVector* model = nullptr;
  std::span<const ParameterVector> vectors;
  ops::ConstValues notice;  ///< Belongings::notice floats, one copy for all clients
};

/// Clients trained side by side on one device: parameters, masks and the verbs of the method kit.
///
/// Every verb acts on the whole group. Parameter vectors are padded as ParameterLayout says. Memory
/// is allocated once, for `capacity` clients; a CPU uses 1.
class ClientGroup {
 public:
  ClientGroup(ops::Ops& ops, const ParameterLayout& layout, int capacity,
              const Belongings& belongings, std::span<const float> initial, PhaseClock& clock);

  /// Bytes of device memory that each client of a group takes at most.
  static std::size_t bytes_per_client(const ParameterLayout& layout, const Belongings& belongings);

  // Coming and going (the round calls these)

  /// Takes over the clients' states: personal values where their masks say so, the global model
  /// elsewhere. Store and broadcast must stay as they are until the clients are saved. `via`: the
  /// group's op set or its beside(), which the caller puts in order.
  void load(ops::Ops& via, const ClientStore& store, std::span<const int> clients,
            const Broadcast& broadcast, int round);
  void load(const ClientStore& store, std::span<const int> clients, const Broadcast& broadcast,
            int round) {
    load(ops_, store, clients, broadcast, round);
  }
  /// Writes masks, personal values and vectors back, but for the clients that diverged. What
  /// grow_mask proposed is kept until it is adopted.
  void save(ops::Ops& via, ClientStore& store);
  void save(ClientStore& store) { save(ops_, store); }
  /// Puts the masks proposed by grow_mask in force (after the broadcast, on freshly loaded states).
  void adopt_next_masks();

  // The kit: verbs for methods

  /// The round in which the group trains, from 0.
  int round() const { return round_; }
  /// From now on the mask is this one, for every client.
  void personalize(const MaskPtr& mask);
  /// The clients whose mask is empty take this one.
  void personalize_first(const MaskPtr& mask);
  /// GradLTN's shrinking: keeps, among the personal parameters, the fraction `rate` that changed
  /// most since the round began.
  void keep_top(double rate, SelectionScope scope);
  /// GradSelect's growth: proposes the mask extended by the eligible shared indices that changed
  /// most since `reference`. The mask in force stays until the round's broadcast is done.
  void grow_mask(const Growth& growth, const MaskPtr& eligible, ops::ConstValues reference);

  // Pruning: a pruned index is a personal one whose value is 0.

  /// candidate number i (0 or 1) <- the mask extended by the fraction `rate` of each tensor's kept
  /// prunable indices that is smallest in magnitude (equal ones: higher index first).
  void propose_pruning(int i, double rate, const MaskPtr& prunable);
  /// Fraction of the prunable indices in which the g-th client's candidates differ.
  double candidate_distance(int g, const MaskPtr& prunable);
  /// Fraction of the prunable indices that the g-th client keeps.
  double kept(int g, const MaskPtr& prunable);
  /// The clients with a flag take candidate number i for their mask.
  void adopt_candidate(int i, std::span<const char> who);
  /// The clients with a flag set their parameters to the initial model.
  void restart(std::span<const char> who);
  /// Personal parameters <- 0.
  void clear_personal();

  // Arithmetic on whole vectors, statistics included

  /// The parameters become what they were when the round began.
  void rewind();
  /// Vector number `index` (in the order of Belongings), to read, or to change: then it is stored
  /// if it is kept. Fetched from the store on first use.
  ops::ConstValues vector(std::size_t index);
  ops::Values changed_vector(std::size_t index);
  /// Vector number `index` <- the parameters.
  void remember(std::size_t index);
  /// The parameters and vector number `index` change places.
  void exchange(std::size_t index);
  /// out = a x + b y, with one factor for all clients or one for each. `out` may be x or y.
  void combine(double a, ops::ConstValues x, double b, ops::ConstValues y, ops::Values out);
  void combine(std::span<const double> a, ops::ConstValues x, std::span<const double> b,
               ops::ConstValues y, ops::Values out);
  /// The g-th client's parameters += values, in host memory, from the first on.
  void add_values(int g, std::span<const float> values);
  /// Shortens the change of the shared parameters since the round began to the length `most` where
  /// it is longer. Personal parameters are lost: for what is sent, after the clients are saved.
  void clip_change(double most);
  /// Sum of x y over the parameters, one a client.
  std::vector<double> dot(ops::ConstValues x, ops::ConstValues y);
  /// The running statistics of `to` become those of `from`.
  void copy_statistics(ops::ConstValues from, ops::Values to);
  /// Kept number `index`, one a client.
  std::span<double> scalar(std::size_t index) {
    return std::span(scalars_[index]).first(clients_.size());
  }
  /// Vector number `index` that the server keeps: the same for all clients.
  ops::ConstValues server_vector(std::size_t index) const {
    return {broadcast_.vectors[index].of(0), 0};
  }
  /// The server's notice: the same for all clients.
  ops::ConstValues notice() const { return broadcast_.notice; }
  /// What the g-th client tells the server, in host memory; zeros when the round begins.
  std::span<float> message(int g) {
    return std::span(messages_).subspan(static_cast<std::size_t>(g) * message_size_, message_size_);
  }
  /// The g-th client's present personal values, in index order, as many as `values` has room for.
  void read_personal(int g, std::span<float> values);
  /// What the clients add to the server's sum number `index`; write all parameters of it.
  ops::Values contribution(std::size_t index) const { return contributions_[index].view(); }

  // What trainer, aggregate and record read

  int size() const { return static_cast<int>(clients_.size()); }
  std::span<const int> clients() const { return clients_; }
  const ParameterLayout& layout() const { return layout_; }
  ops::Values parameters() const { return theta_.view(); }
  /// The parameters with which the clients began the round. Fetched on first use, which overwrites
  /// the gradient: not within a step.
  ops::ConstValues start();
  ops::ConstBits mask() const { return mask_.view(); }
  /// The g-th client's mask in host memory; null: nothing is personal.
  MaskPtr resting_mask(int g) const { return resting_mask(ops_, g); }
  ops::Values gradient() const { return gradient_.view(); }
  /// Personal indices of tensor t of the g-th client.
  std::int64_t personal(int g, std::size_t tensor) const {
    return personal_counts_[static_cast<std::size_t>(g) * layout_.tensors().size() + tensor];
  }
  std::int64_t personal(int g) const;
  /// Whether the g-th client searched its mask in this round, by its own data. A mask that its
  /// method fixes is not searched: the server knows it.
  bool mask_searched(int g) const { return mask_searched_[static_cast<std::size_t>(g)] != 0; }
  /// A client diverged if its loss or its message stopped being finite, or one of its parameters or
  /// statistics reached ops::FixedPoint::kMagnitudeLimit; it sits out everything from then on.
  bool diverged(int g) const { return diverged_[static_cast<std::size_t>(g)] != 0; }
  void mark_diverged(int g) {
    diverged_[static_cast<std::size_t>(g)] = 1;
    active_[static_cast<std::size_t>(g)] = 0;
  }
  /// Until widen(), verbs act on the clients that bring samples to a step. The trainer calls these.
  void narrow(std::span<const int> samples);
  void widen();
  /// Marks the clients that diverged by their parameters or messages.
  void check_divergence();
  /// Statistics of the g-th client that are personal.
  std::int64_t personal_statistics(int g) const { return personal_statistics(ops_, g); }
  /// The clients on which verbs act, for ops that don't count samples: those that did not diverge.
  ops::Group active() const { return {std::span(active_).first(clients_.size())}; }
  PhaseClock& clock() { return clock_; }

 private:
  void recount() { recount(ops_); }
  void recount(ops::Ops& via);
  /// target <- what the store says of the clients, the global model elsewhere.
  void fetch(ops::Ops& via, ops::DeviceArray<float>& target);
  MaskPtr resting_mask(ops::Ops& via, int g) const;
  std::int64_t personal_statistics(ops::Ops& via, int g) const;
  /// Ranges over which a fraction is taken: one a tensor, or one for all.
  std::span<const ops::Range> selection_ranges(SelectionScope scope) const;

  ops::Ops& ops_;
  const ParameterLayout& layout_;
  AlignedVector<float> initial_;
  PhaseClock& clock_;

  std::vector<int> active_;  ///< 1 for a client on which verbs act, else 0
  std::vector<char> diverged_;
  std::vector<int> clients_;
  int round_ = 0;
  ops::Range everything_;
  ops::DeviceArray<float> theta_;
  ops::DeviceArray<float> start_;  ///< allocated and fetched on first use
  bool start_present_ = false;
  ops::DeviceArray<float> gradient_;  ///< also scratch for scores and packed values
  ops::DeviceArray<Word> mask_;
  ops::DeviceArray<Word> next_mask_;
  ops::DeviceArray<Word> eligible_;
  std::array<ops::DeviceArray<Word>, 2> candidates_;  ///< allocated on first use
  /// A vector in the device's memory: whether it is there, and whether the store has to hear of it.
  struct Vector {
    VectorKind kind;
    ops::DeviceArray<float> values;
    bool present = false;
    bool changed = false;
  };
  std::vector<Vector> vectors_;
  std::vector<double> first_scalars_;  ///< of a client that never took part
  std::vector<std::vector<double>> scalars_;
  std::vector<ops::DeviceArray<float>> contributions_;
  std::size_t message_size_;
  std::vector<float> messages_;         ///< one after another
  const ClientStore* store_ = nullptr;  ///< from which the group was loaded
  Broadcast broadcast_;                 ///< with which it was loaded
  std::vector<MaskPtr>
      rule_;  ///< the shared mask object that mask_ holds, while it does; else null
  std::vector<char> mask_proposed_;
  std::vector<char> mask_searched_;
  std::vector<double> magnitudes_;
  std::vector<float> factors_[2];
  std::vector<std::int64_t> personal_counts_;
  std::vector<std::int64_t> take_;
};

}  // namespace fedselect
