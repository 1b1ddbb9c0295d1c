// The verbs of the method kit.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <new>
#include <numeric>

#include "base/pulse.hpp"
#include "fed/client_group.hpp"
#include "fed/shared_sum.hpp"
#include "fed/trainer.hpp"
#include "tiny_data.hpp"

namespace {
bool g_counting = false;
std::size_t g_allocations = 0;

void* counted(std::size_t bytes, std::size_t alignment) {
  if (g_counting) ++g_allocations;
  void* memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

/// Out of line: GCC takes free() for a mistake where it sees that operator new made the memory.
[[gnu::noinline]] void release(void* memory) noexcept { std::free(memory); }
}  // namespace

// Every allocation of this program is counted while g_counting is set.
void* operator new(std::size_t bytes) { return counted(bytes, alignof(std::max_align_t)); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t /*bytes*/) noexcept { release(memory); }
void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept { release(memory); }
void operator delete(void* memory, std::size_t /*bytes*/, std::align_val_t /*alignment*/) noexcept {
  release(memory);
}

namespace fedselect {
namespace {

class Kit : public ::testing::Test {
 protected:
  static constexpr int kSamples = 37;

  explicit Kit(ModelKind model = ModelKind::mlp, ops::ImageShape image = {6, 6, 1})
      : network_({model, 8}, image, 3),
        data_(testing::random_dataset(kSamples, 11, image, 3)),
        initial_(network_.initial_parameters(2)),
        global_(*ops_, 1, initial_.size()),
        clients_(*ops_, network_.layout(), 1, {.vectors = {VectorKind::from_initial_model}},
                 initial_, clock_) {
    partition_.train.resize(1);
    partition_.train[0].resize(kSamples);
    std::iota(partition_.train[0].begin(), partition_.train[0].end(), 0);
    partition_.test = {{0, 1, 2, 3, 4, 5, 6}};
    config_.batch = 8;
    config_.optimizer.momentum = 0.5;
    config_.optimizer.weight_decay = 0.01;
    config_.grad_clip = 10;
    global_.upload(*ops_, 0, std::span<const float>(initial_));
    clients_.load(store_, ids_, global_, 0);
  }

  Trainer make_trainer() {
    Trainer trainer(*ops_, network_, {.train = config_, .test_batch = 4, .seed = 1}, data_,
                    partition_, clients_, 1);
    trainer.begin(Phase::train);
    return trainer;
  }
  std::vector<float> parameters() const {
    const float* values = clients_.parameters()[0];
    return {values, values + network_.layout().padded_size()};
  }
  /// Adds `change` to parameter j of tensor t.
  void move(std::size_t t, std::size_t j, float change) {
    clients_.parameters()[0][network_.layout().ranges()[t].begin + j] += change;
  }
  bool is_personal(std::size_t t, std::size_t j) const {
    return test_bit(clients_.mask()[0], network_.layout().ranges()[t].begin + j);
  }
  MaskPtr everything() const {
    return Mask::of_tensors(network_.layout(), [](const Tensor&) { return true; });
  }

  std::unique_ptr<ops::Ops> ops_ = ops::make_cpu_ops();
  Network network_;
  Dataset data_;
  Partition partition_;
  TrainConfig config_;
  PhaseClock clock_;
  AlignedVector<float> initial_;
  ParameterVector global_;
  ClientGroup clients_;
  std::vector<int> ids_{0};
  ClientStore store_{1, {0}};
};

class KitResNet : public Kit {
 protected:
  KitResNet() : Kit(ModelKind::resnet8, {6, 6, 1}) {}

  /// Whether a tensor of the clients' parameters is what it was.
  static bool same(const Tensor& tensor, const std::vector<float>& a, const std::vector<float>& b) {
    const auto first = static_cast<std::ptrdiff_t>(tensor.range.begin);
    const auto last = first + static_cast<std::ptrdiff_t>(tensor.size());
    return std::equal(a.begin() + first, a.begin() + last, b.begin() + first);
  }
};

TEST_F(Kit, PassThatCanChangeNothingCostsNothing) {
  Trainer trainer = make_trainer();
  const auto before = parameters();
  trainer.passes(3, Scope::personal);  // nothing is personal
  EXPECT_EQ(trainer.training()[0].samples, 0);
  clients_.personalize(everything());
  trainer.passes(3, Scope::shared);  // nothing is shared
  EXPECT_EQ(trainer.training()[0].samples, 0);
  EXPECT_EQ(parameters(), before);
  trainer.passes(1, Scope::personal);
  EXPECT_EQ(trainer.training()[0].samples, kSamples);
  EXPECT_NE(parameters(), before);
}

TEST_F(Kit, ScopeTrainsItsHalfOnly) {
  Trainer trainer = make_trainer();
  const auto head =
      Mask::of_tensors(network_.layout(), [](const Tensor& tensor) { return tensor.layer == 1; });
  clients_.personalize(head);
  const auto before = parameters();
  trainer.passes(1, Scope::personal);
  const auto after = parameters();
  for (const Tensor& tensor : network_.layout().tensors()) {
    const auto first = static_cast<std::ptrdiff_t>(tensor.range.begin);
    const auto last = first + static_cast<std::ptrdiff_t>(tensor.size());
    const bool same =
        std::equal(before.begin() + first, before.begin() + last, after.begin() + first);
    EXPECT_EQ(same, tensor.layer == 0) << tensor.name;
  }
}

TEST_F(Kit, KeepTopShrinksAndRewindRestores) {
  clients_.personalize(everything());
  // fc2.bias has 3 values: 2 = round-half-even(0.5 * 3) stay, those that moved most.
  move(3, 0, 0.5F);
  move(3, 1, -0.1F);
  move(3, 2, -0.7F);
  clients_.keep_top(0.5, SelectionScope::tensor);
  EXPECT_TRUE(is_personal(3, 0));
  EXPECT_FALSE(is_personal(3, 1));
  EXPECT_TRUE(is_personal(3, 2));
  EXPECT_EQ(clients_.personal(0, 0), 144);  // half of 8 x 36, all unmoved: the lower indices
  EXPECT_TRUE(is_personal(0, 143));
  EXPECT_FALSE(is_personal(0, 144));
  clients_.keep_top(0.5, SelectionScope::tensor);
  EXPECT_EQ(clients_.personal(0, 3), 1);
  EXPECT_TRUE(is_personal(3, 2));
  clients_.rewind();
  EXPECT_EQ(parameters(), std::vector<float>(initial_.begin(), initial_.end()));
}

TEST_F(Kit, KeepTopOverTheWholeVector) {
  clients_.personalize(everything());
  move(1, 4, 3);
  move(2, 5, 2);
  move(3, 2, 1);
  const double d = static_cast<double>(network_.layout().size());
  clients_.keep_top(3 / d, SelectionScope::global);
  EXPECT_EQ(clients_.personal(0), 3);
  EXPECT_TRUE(is_personal(1, 4) && is_personal(2, 5) && is_personal(3, 2));
}

/// Density of fc1.weight after each of `rounds` growths when every eligible index changes in every
/// round.
std::vector<double> densities(ClientGroup& clients, ClientStore& store,
                              const ParameterVector& global, const Growth& growth, int rounds) {
  const auto& layout = clients.layout();
  const auto weights = Mask::of_tensors(
      layout, [](const Tensor& tensor) { return tensor.kind == TensorKind::weight; });
  std::vector<double> result;
  for (int t = 0; t < rounds; ++t) {
    clients.load(store, std::vector<int>{0}, global, t);
    for (const auto& range : layout.ranges())
      for (std::size_t j = 0; j < range.size; ++j)
        clients.parameters()[0][range.begin + j] += 1 + 0.001F * static_cast<float>(j);
    clients.grow_mask(growth, weights, clients.vector(0));
    clients.save(store);
    clients.load(store, std::vector<int>{0}, global, t);
    clients.adopt_next_masks();
    clients.save(store);
    result.push_back(static_cast<double>(store.state(0).mask->count()));
  }
  return result;
}

TEST_F(Kit, GrowthFollowsTheAuthorsDensitySequence) {
  // p = .25, alpha = .8: .25 .4375 .578 .684 .763 .822, then no more. 312 eligible weights: 288 and
  // 24, biases never.
  const auto counts = densities(clients_, store_, global_, {.rate = 0.25, .limit = 0.8}, 8);
  const double expected[] = {.25, .4375, .578, .684, .763, .822, .822, .822};
  for (std::size_t t = 0; t < 8; ++t) EXPECT_NEAR(counts[t] / 312, expected[t], 0.01) << t;
  EXPECT_EQ(counts[5], counts[7]);
}

TEST_F(Kit, ClampNeverExceedsTheLimit) {
  const auto counts =
      densities(clients_, store_, global_, {.rate = 0.25, .limit = 0.8, .clamp = true}, 8);
  EXPECT_EQ(counts[7], std::floor(0.8 * 288) + std::floor(0.8 * 24));
}

TEST_F(Kit, GrowthNeverTakesAnUnchangedIndex) {
  move(0, 3, 0.1F);
  move(0, 7, 0.2F);
  const auto weights = Mask::of_tensors(
      network_.layout(), [](const Tensor& tensor) { return tensor.kind == TensorKind::weight; });
  clients_.grow_mask({.rate = 0.25, .limit = 0.8}, weights, clients_.start());
  EXPECT_TRUE(clients_.mask_searched(0));
  EXPECT_EQ(clients_.personal(0), 0);  // the mask in force stays until the broadcast is done
  clients_.save(store_);
  EXPECT_EQ(store_.state(0).next_mask->count(), 2U);
}

TEST_F(Kit, StateSurvivesSaveAndLoad) {
  clients_.personalize(everything());
  move(0, 0, 1);
  move(3, 0, 1);
  clients_.keep_top(0.5, SelectionScope::tensor);
  clients_.remember(0);
  const auto values = parameters();
  clients_.save(store_);
  const auto personal = static_cast<std::size_t>(clients_.personal(0));
  EXPECT_EQ(store_.state(0).personal.size(), personal);
  clients_.load(store_, ids_, global_, 1);
  EXPECT_TRUE(is_personal(0, 0));
  for (std::size_t j = 0; j < values.size(); ++j) {
    const float expected = test_bit(clients_.mask()[0], j) ? values[j] : initial_[j];
    ASSERT_EQ(clients_.parameters()[0][j], expected);
    ASSERT_EQ(clients_.vector(0)[0][j], values[j]);
  }
}

TEST_F(Kit, TestCountsEverySampleOnce) {
  Trainer trainer = make_trainer();
  EXPECT_EQ(trainer.test()[0].samples, 7);  // in batches of 4 and 3
}

TEST_F(Kit, AugmentationIsOfThePassAndOfTrainingOnly) {
  config_.lr = 1e-30;  // parameters stay, so that losses can be compared
  config_.shuffle = false;
  const double plain_test = make_trainer().test()[0].loss;
  const auto losses = [&](std::int64_t batch) {
    config_.batch = batch;
    Trainer trainer = make_trainer();
    std::vector<double> found;
    for (int pass = 0; pass < 2; ++pass) {
      trainer.passes(1, Scope::all);
      found.push_back(trainer.training()[0].loss);
    }
    found[1] -= found[0];
    EXPECT_EQ(trainer.test()[0].loss, plain_test);
    return found;
  };
  const auto plain = losses(8);
  EXPECT_NEAR(plain[0], plain[1], 1e-5);
  config_.augmentation = {.crop_padding = 2, .flip = true};
  const auto small = losses(5);
  EXPECT_GT(std::abs(small[0] - plain[0]), 0.01);
  EXPECT_GT(std::abs(small[0] - small[1]), 0.01);  // another pass shows other crops
  for (const std::int64_t batch : {8, kSamples}) {
    const auto large = losses(batch);
    EXPECT_NEAR(large[0], small[0], 1e-5);
    EXPECT_NEAR(large[1], small[1], 1e-5);
  }
}

TEST_F(KitResNet, StatisticsFollowTheMaskButAreNeverSelected) {
  const ParameterLayout& layout = network_.layout();
  const auto norms = Mask::of_tensors(layout, [](const Tensor& tensor) { return tensor.norm; });
  EXPECT_EQ(clients_.personal_statistics(0), 0);
  clients_.personalize(norms);
  EXPECT_EQ(clients_.personal_statistics(0), static_cast<std::int64_t>(layout.statistic_size()));

  // They move in any scope, and stay with the client by the mask.
  Trainer trainer = make_trainer();
  const auto before = parameters();
  trainer.passes(1, Scope::shared);
  const auto after = parameters();
  for (const Tensor& tensor : layout.tensors())
    EXPECT_EQ(same(tensor, before, after), tensor.norm) << tensor.name;
  for (const Tensor& tensor : layout.statistics())
    EXPECT_FALSE(same(tensor, before, after)) << tensor.name;
  clients_.save(store_);
  clients_.load(store_, ids_, global_, 1);
  const auto loaded = parameters();
  for (const auto* tensors : {&layout.tensors(), &layout.statistics()})
    for (const Tensor& tensor : *tensors)
      EXPECT_TRUE(same(tensor, tensor.norm ? after : before, loaded)) << tensor.name;

  // A growth over all parameters takes none of them; rewinding takes them back.
  trainer.passes(1, Scope::all);
  clients_.personalize(Mask::of_tensors(layout, [](const Tensor&) { return false; }));
  clients_.grow_mask(
      {.rate = 1, .scope = SelectionScope::global},
      Mask::of_tensors(layout,
                       [](const Tensor& tensor) { return tensor.kind != TensorKind::statistic; }),
      clients_.start());
  clients_.save(store_);
  EXPECT_GT(store_.state(0).next_mask->count(), layout.size() / 2);
  EXPECT_LE(store_.state(0).next_mask->count(), layout.size());
  clients_.rewind();
  EXPECT_EQ(parameters(), loaded);
}

TEST_F(KitResNet, StatisticsAreAveraged) {
  SharedSum sum(*ops_, network_.layout(), network_.layout().padded_size());
  Trainer trainer = make_trainer();
  trainer.passes(1, Scope::all);
  const auto trained = parameters();
  sum.reset(2);
  sum.add(clients_, std::vector<std::uint32_t>{1}, clients_.parameters(), clients_.mask());
  clients_.load(store_, ids_, global_, 0);
  sum.add(clients_, std::vector<std::uint32_t>{1}, clients_.parameters(), clients_.mask());
  const auto initial = parameters();
  sum.mean(global_);
  for (const Tensor& tensor : network_.layout().statistics())
    for (std::size_t j = tensor.range.begin; j < tensor.range.begin + tensor.size(); ++j)
      ASSERT_NEAR(global_.of(0)[j], (trained[j] + initial[j]) / 2, 1e-6) << tensor.name;
}

class Allocations : public Kit {
 protected:
  using Kit::Kit;

  void expect_none() {
    Trainer trainer = make_trainer();
    clients_.personalize(Mask::of_tensors(
        network_.layout(), [](const Tensor& tensor) { return tensor.kind == TensorKind::weight; }));
    const auto work = [&] {
      trainer.passes(1, Scope::personal);
      trainer.passes(1, Scope::shared);
      trainer.passes(1, Scope::all);
      trainer.test();
    };
    work();  // the first pass sizes the scratch memory
    g_allocations = 0;
    g_counting = true;
    work();
    g_counting = false;
    EXPECT_EQ(g_allocations, 0U);
  }
};

class AllocationsCnn : public Allocations {
 protected:
  AllocationsCnn() : Allocations(ModelKind::cnn, {28, 28, 1}) {}
};
class AllocationsResNet : public Allocations {
 protected:
  AllocationsResNet() : Allocations(ModelKind::resnet8, {16, 16, 3}) {
    config_.augmentation = {.crop_padding = 2, .flip = true};
  }
};

TEST_F(AllocationsCnn, NoneInATrainingStep) { expect_none(); }
TEST_F(AllocationsResNet, NoneInATrainingStep) { expect_none(); }

TEST_F(Kit, WorkForTheHostIsDoneOnceWhileTheNextPassRuns) {
  Trainer trainer = make_trainer();
  int done = 0;
  const pulse::Work work(pulse::Kind::training);
  for (int batch = 0; batch < 20; ++batch) pulse::begin_batch(1);
  trainer.while_busy([&] {
    ++done;
    EXPECT_FALSE(pulse::longest_batch());  // the watchdog does not take it for a batch
  });
  EXPECT_EQ(done, 0);
  trainer.passes(2, Scope::all);
  EXPECT_EQ(done, 1);
  EXPECT_TRUE(pulse::longest_batch());
  trainer.while_busy([&] { ++done; });
  trainer.do_aside();
  trainer.do_aside();
  EXPECT_EQ(done, 2);
}

}  // namespace
}  // namespace fedselect
