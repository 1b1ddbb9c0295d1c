// Ops on parameter vectors on the GPU against the CPU's: selection, sums, packing and bits to the
// bit, steps and norms to the rounding of single precision.

#include <gtest/gtest.h>

#include <limits>

#include "base/error.hpp"
#include "cuda/two_devices.hpp"
#include "ops/clients.hpp"

namespace fedselect::ops {
namespace {

using namespace test;

constexpr double kRounding = 1e-6;
constexpr std::size_t kLarge = 20001;  // many chunks

/// Tensors of all sizes that break kernels, and a large one.
std::vector<Range> tensors() {
  std::vector<std::size_t> sizes(std::begin(test::kSizes), std::end(test::kSizes));
  sizes.push_back(kLarge);
  return make_ranges(sizes);
}

class Vectors : public OnGpu {
 protected:
  const std::vector<Range> ranges_ = tensors();
  const std::size_t size_ = padded_size(ranges_);
  const std::size_t words_ = size_ / kWordBits;

  /// Bits of a density within the tensors.
  void fill(Twin<Word>& bits, double density, std::uint32_t seed) {
    RandomStream random(seed, Purpose::test);
    std::vector<Word> words(words_);
    int last = -1;
    bits.set([&](int g, std::size_t w) {
      if (g != last) {
        words.assign(words_, 0);
        fill_bits(random, ranges_, density, words.data());
        last = g;
      }
      return w < words_ ? words[w] : kAllBits;
    });
  }
};

TEST_F(Vectors, SgdStep) {
  for (const int clients : kGroups)
    for (const float momentum : {0.0F, 0.9F})
      for (const Scope scope : {Scope::all, Scope::shared, Scope::personal}) {
        const auto samples = unequal_samples(clients, 3);
        auto some = ranges_;
        some.erase(some.begin() + 4);  // a frozen tensor
        Twin<float> theta(devices(), clients, size_), gradient(devices(), clients, size_);
        Twin<float> velocity(devices(), clients, size_), scale(devices(), clients, 1);
        Twin<Word> mask(devices(), clients, words_);
        theta.randomize(1), gradient.randomize(2), velocity.randomize(3);
        scale.set([](int g, std::size_t) { return 1.0F / static_cast<float>(g + 1); });
        fill(mask, 0.5, 4);
        const SgdRule rule{0.1F, momentum, momentum > 0 ? 0.01F : 0.0F, scope};
        const bool masked = scope != Scope::all, moves = momentum > 0;
        cpu().sgd_step({samples}, some, rule, scale.cpu(), theta.cpu(), gradient.cpu(),
                       moves ? velocity.cpu() : Values{}, masked ? mask.cpu() : Bits{});
        gpu().sgd_step({samples}, some, rule, scale.gpu(), theta.gpu(), gradient.gpu(),
                       moves ? velocity.gpu() : Values{}, masked ? mask.gpu() : Bits{});
        theta.expect_close(kRounding, "theta");
        velocity.expect_close(kRounding, "velocity");
      }
}

TEST_F(Vectors, AdamStep) {
  for (const int clients : kGroups)
    for (const bool yogi : {false, true})
      for (const Scope scope : {Scope::all, Scope::shared, Scope::personal}) {
        const auto samples = unequal_samples(clients, 3);
        Twin<float> theta(devices(), clients, size_), gradient(devices(), clients, size_);
        Twin<float> first(devices(), clients, size_), second(devices(), clients, size_);
        Twin<Word> mask(devices(), clients, words_);
        theta.randomize(1), gradient.randomize(2), first.randomize(3);
        second.set([](int, std::size_t i) { return static_cast<float>(i % 11) * 0.1F; });
        fill(mask, 0.5, 4);
        const AdamRule rule{0.9F, 0.99F, 1e-3F, 0.01F, yogi, scope};
        std::vector<AdamStep> steps;
        for (int g = 0; g < clients; ++g)
          steps.push_back({0.1F / static_cast<float>(g + 1), 1.0F + static_cast<float>(g)});
        const bool masked = scope != Scope::all;
        cpu().adam_step({samples}, ranges_, rule, steps, {}, theta.cpu(), gradient.cpu(),
                        first.cpu(), second.cpu(), masked ? mask.cpu() : Bits{});
        gpu().adam_step({samples}, ranges_, rule, steps, {}, theta.gpu(), gradient.gpu(),
                        first.gpu(), second.gpu(), masked ? mask.gpu() : Bits{});
        theta.expect_close(kRounding, "theta");
        first.expect_close(kRounding, "first");
        second.expect_close(kRounding, "second");
      }
}

TEST_F(Vectors, ArithmeticAndNorms) {
  for (const int clients : kGroups) {
    const auto samples = unequal_samples(clients, 3);
    const Group group{samples};
    Twin<float> x(devices(), clients, size_), y(devices(), clients, size_),
        out(devices(), clients, size_);
    x.randomize(1), y.randomize(2);
    const std::vector<float> a{1, 2, 3, 4, 5, 6, 7}, b{-1, 0.5F, 2, 0, 1, -3, 1};
    cpu().combine(group, size_, a, x.cpu(), b, y.cpu(), out.cpu());
    gpu().combine(group, size_, a, x.gpu(), b, y.gpu(), out.gpu());
    out.expect_close(kRounding, "combine");
    cpu().add_proximal(group, size_, 0.25F, x.cpu(), y.cpu(), out.cpu());
    gpu().add_proximal(group, size_, 0.25F, x.gpu(), y.gpu(), out.gpu());
    out.expect_close(kRounding, "add_proximal");
    cpu().change_magnitude(group, size_, x.cpu(), y.cpu(), out.cpu());
    gpu().change_magnitude(group, size_, x.gpu(), y.gpu(), out.gpu());
    out.expect_same_bits("change_magnitude");
    cpu().change_magnitude(group, size_, x.cpu(), {}, out.cpu());
    gpu().change_magnitude(group, size_, x.gpu(), {}, out.gpu());
    out.expect_same_bits("magnitude");

    const auto n = static_cast<std::size_t>(clients);
    std::vector<double> here(n, -1), there(n, -1);
    cpu().dot(group, ranges_, x.cpu(), y.cpu(), here);
    gpu().dot(group, ranges_, x.gpu(), y.gpu(), there);
    for (std::size_t g = 0; g < n; ++g) EXPECT_NEAR(here[g], there[g], 1e-9);
    Twin<float> scale(devices(), clients, 1);
    cpu().clip_scale(group, ranges_, 7, x.cpu(), scale.cpu());
    gpu().clip_scale(group, ranges_, 7, x.gpu(), scale.gpu());
    scale.expect_close(1e-7, "clip_scale");
    cpu().clip_scale(group, ranges_, 1e9, x.cpu(), scale.cpu());
    gpu().clip_scale(group, ranges_, 1e9, x.gpu(), scale.gpu());
    scale.expect_same_bits("no clipping");
    cpu().largest_magnitude(group, size_, x.cpu(), here);
    gpu().largest_magnitude(group, size_, x.gpu(), there);
    EXPECT_EQ(here, there);
    x.set([](int g, std::size_t i) { return i == 999 && g == 0 ? kNan : -1.0F; });
    gpu().largest_magnitude(group, size_, x.gpu(), there);
    EXPECT_EQ(there[0], kInfinity);
  }
}

TEST_F(Vectors, BitsAndTheirNumbers) {
  for (const int clients : kGroups) {
    const auto samples = unequal_samples(clients, 3);
    const Group group{samples};
    Twin<Word> a(devices(), clients, words_), b(devices(), clients, words_),
        out(devices(), clients, words_);
    fill(a, 0.5, 1), fill(b, 0.3, 2);
    cpu().bits_and_not(group, words_, a.cpu(), b.cpu(), out.cpu());
    gpu().bits_and_not(group, words_, a.gpu(), b.gpu(), out.gpu());
    out.expect_same_bits("and not");
    cpu().bits_or(group, words_, a.cpu(), b.cpu(), out.cpu());
    gpu().bits_or(group, words_, a.gpu(), b.gpu(), out.gpu());
    out.expect_same_bits("or");
    std::vector<std::int64_t> here(ranges_.size() * static_cast<std::size_t>(clients), -1);
    auto there = here;
    cpu().count_bits(group, ranges_, a.cpu(), here);
    gpu().count_bits(group, ranges_, a.gpu(), there);
    EXPECT_EQ(here, there);
  }
}

// Selection

class Selections : public Vectors {
 protected:
  void expect_same_choice(int clients, double fraction, Ties ties, bool skip_zero,
                          Twin<float>& score, std::uint32_t seed) {
    const auto samples = unequal_samples(clients, 3);
    Twin<Word> eligible(devices(), clients, words_), chosen(devices(), clients, words_);
    fill(eligible, 0.5, seed);
    chosen.set([](int, std::size_t) { return 0xAAAAAAAAAAAAAAAAULL; });
    std::vector<std::int64_t> counts;
    for (int g = 0; g < clients; ++g)
      for (const Range& range : ranges_)
        counts.push_back(static_cast<std::int64_t>(fraction * static_cast<double>(range.size)));
    cpu().select_top({samples}, ranges_, counts, ties, skip_zero, score.cpu(), eligible.cpu(),
                     chosen.cpu());
    gpu().select_top({samples}, ranges_, counts, ties, skip_zero, score.gpu(), eligible.gpu(),
                     chosen.gpu());
    chosen.expect_same_bits("chosen");
  }
};

TEST_F(Selections, TakesWhatTheCpuTakes) {
  std::uint32_t seed = 0;
  for (const int clients : kGroups)
    for (const double fraction : {0.0, 0.1, 0.25, 0.5, 1.0})
      for (const Ties ties : {Ties::exact, Ties::threshold})
        for (const bool skip_zero : {false, true}) {
          Twin<float> score(devices(), clients, size_);
          RandomStream random(++seed, Purpose::test);
          score.set(
              [&](int, std::size_t) { return static_cast<float>(std::abs(random.normal())); });
          expect_same_choice(clients, fraction, ties, skip_zero, score, seed);
          // Ties and zeros of both signs, denormals and infinities among them.
          const float crowd[] = {0, -0.0F, 1, 1, 2, kDenormal, kInfinity, 1e-30F};
          score.set([&](int, std::size_t) { return crowd[random.below(std::size(crowd))]; });
          expect_same_choice(clients, fraction, ties, skip_zero, score, seed);
        }
}

TEST_F(Selections, AllEqual) {
  Twin<float> score(devices(), 2, size_);
  for (const float value : {0.0F, 3.0F}) {
    score.set([=](int, std::size_t) { return value; });
    for (const double fraction : {0.1, 0.4})
      for (const Ties ties : {Ties::exact, Ties::threshold})
        expect_same_choice(2, fraction, ties, false, score, 5);
  }
}

TEST_F(Selections, AScoreThatIsNotANumberIsNamed) {
  const std::vector<int> samples{1, 1, 1};
  Twin<float> score(devices(), 3, size_);
  Twin<Word> eligible(devices(), 3, words_), chosen(devices(), 3, words_);
  const std::size_t bad = ranges_[7].begin + 5;
  score.set([=](int g, std::size_t i) { return g == 1 && i == bad ? kNan : 1.0F; });
  eligible.set([](int, std::size_t) { return kAllBits; });
  chosen.set([](int, std::size_t) { return 0xAAAAAAAAAAAAAAAAULL; });
  const std::vector<std::int64_t> counts(3 * ranges_.size(), 3);
  const auto message = [&](Ops& ops, ConstValues scores, ConstBits from, Bits to) {
    try {
      ops.select_top({samples}, ranges_, counts, Ties::exact, false, scores, from, to);
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const std::string here = message(cpu(), score.cpu(), eligible.cpu(), chosen.cpu());
  EXPECT_EQ(message(gpu(), score.gpu(), eligible.gpu(), chosen.gpu()), here);
  EXPECT_NE(here.find("client 1"), std::string::npos);
  const auto words = chosen.on_gpu(1);
  for (std::size_t j = 0; j < ranges_[7].size; ++j)
    EXPECT_EQ(test_bit(words.data(), ranges_[7].begin + j), j % 2 == 1);
}

// Exact sums

class Sums : public Vectors {};

TEST_F(Sums, AccumulateAndDivide) {
  for (const int clients : kGroups)
    for (const bool two_words : {false, true})
      for (const bool masked : {false, true}) {
        const auto samples = unequal_samples(clients, 3);
        const FixedPoint fixed{two_words ? 40 : 34, two_words};
        Twin<float> theta(devices(), clients, size_), global(devices(), 1, size_);
        Twin<Word> mask(devices(), clients, words_), bits(devices(), 1, words_);
        Twin<std::int64_t> low(devices(), 1, size_), high(devices(), 1, size_);
        Twin<std::uint32_t> weight(devices(), 1, size_);
        theta.randomize(1), global.randomize(2);
        fill(mask, 0.5, 3);
        std::vector<std::uint32_t> weights{7, 3, 0, 4000000000U, 1, 12, 5};
        weights.resize(static_cast<std::size_t>(clients));
        if (!two_words) std::replace(weights.begin(), weights.end(), 4000000000U, 9U);
        const SumView here{low.cpu().data, two_words ? high.cpu().data : nullptr,
                           weight.cpu().data};
        const SumView there{low.gpu().data, two_words ? high.gpu().data : nullptr,
                            weight.gpu().data};
        for (int twice = 0; twice < 2; ++twice) {
          EXPECT_EQ(cpu().accumulate({samples}, size_, fixed, weights, theta.cpu(),
                                     masked ? mask.cpu() : Bits{}, here),
                    -1);
          EXPECT_EQ(gpu().accumulate({samples}, size_, fixed, weights, theta.gpu(),
                                     masked ? mask.gpu() : Bits{}, there),
                    -1);
        }
        low.expect_same_bits("low");
        high.expect_same_bits("high");
        weight.expect_same_bits("weight");
        cpu().divide(size_, fixed, here, global.cpu().data);
        gpu().divide(size_, fixed, there, global.gpu().data);
        global.expect_same_bits("mean");
        cpu().unshared(size_, here, bits.cpu().data);
        gpu().unshared(size_, there, bits.gpu().data);
        bits.expect_same_bits("unshared");
      }
}

TEST_F(Sums, RoundsHalfToEvenLikeTheCpu) {
  const FixedPoint fixed{4, false};
  Twin<float> theta(devices(), 1, 64);
  Twin<std::int64_t> low(devices(), 1, 64);
  Twin<std::uint32_t> weight(devices(), 1, 64);
  low.set([](int, std::size_t) { return std::int64_t{0}; });
  theta.set(
      [](int, std::size_t i) { return (static_cast<float>(i) - 32) / 32; });  // halves of 1/16
  const std::vector<int> samples{1};
  const std::vector<std::uint32_t> weights{1};
  cpu().accumulate({samples}, 64, fixed, weights, theta.cpu(), {},
                   {low.cpu().data, nullptr, weight.cpu().data});
  gpu().accumulate({samples}, 64, fixed, weights, theta.gpu(), {},
                   {low.gpu().data, nullptr, weight.gpu().data});
  low.expect_same_bits("low");
  EXPECT_EQ(low.on_gpu(0)[33], 0);  // 1/32 * 16 = 0.5
  EXPECT_EQ(low.on_gpu(0)[35], 2);  // 1.5
}

TEST_F(Sums, AValueOutOfBoundsLeavesTheSumsAsTheyWere) {
  const std::vector<int> samples{1, 0, 1};
  const std::vector<std::uint32_t> weights{1, 1, 1};
  const FixedPoint fixed{34, false};
  Twin<float> theta(devices(), 3, size_);
  Twin<Word> mask(devices(), 3, words_);
  Twin<std::int64_t> low(devices(), 1, size_);
  Twin<std::uint32_t> weight(devices(), 1, size_);
  const SumView here{low.cpu().data, nullptr, weight.cpu().data};
  const SumView there{low.gpu().data, nullptr, weight.gpu().data};
  for (const float bad : {4096.0F, -5000.0F, kInfinity, kNan}) {
    // Client 0's is personal, client 1 sits out, client 2 has two.
    theta.set([=](int g, std::size_t i) { return i == 300 || (g == 2 && i == 500) ? bad : 1.0F; });
    mask.set([](int g, std::size_t w) { return g == 0 && w == 300 / 64 ? kAllBits : Word{0}; });
    const auto found =
        cpu().accumulate({samples}, size_, fixed, weights, theta.cpu(), mask.cpu(), here);
    EXPECT_EQ(found, static_cast<std::ptrdiff_t>(2 * size_ + 300));
    EXPECT_EQ(gpu().accumulate({samples}, size_, fixed, weights, theta.gpu(), mask.gpu(), there),
              found);
    low.expect_same_bits("low");
    weight.expect_same_bits("weight");
  }
}

TEST_F(Sums, PackAndUnpack) {
  for (const int clients : kGroups)
    for (const double density : {0.0, 0.03, 0.5, 1.0}) {
      const auto samples = unequal_samples(clients, 3);
      const Group group{samples};
      Twin<float> theta(devices(), clients, size_), packed(devices(), clients, size_);
      Twin<float> back(devices(), clients, size_);
      Twin<Word> mask(devices(), clients, words_);
      theta.randomize(1), back.randomize(2);
      fill(mask, density, 3);
      const auto n = static_cast<std::size_t>(clients);
      std::vector<std::size_t> here(n, 99), there(n, 99);
      cpu().pack(group, size_, theta.cpu(), mask.cpu(), packed.cpu(), here);
      gpu().pack(group, size_, theta.gpu(), mask.gpu(), packed.gpu(), there);
      EXPECT_EQ(here, there);
      for (int g = 0; g < clients; ++g) {
        auto a = packed.on_cpu(g), b = packed.on_gpu(g);
        a.resize(here[static_cast<std::size_t>(g)]), b.resize(a.size());
        EXPECT_EQ(a, b);
      }
      cpu().unpack(group, size_, packed.cpu(), mask.cpu(), back.cpu());
      gpu().unpack(group, size_, packed.gpu(), mask.gpu(), back.gpu());
      back.expect_same_bits("unpacked");
    }
}

// Replay

TEST_F(Vectors, ReplayDoesTheWorkOnWhatIsInMemoryThen) {
  Twin<float> x(devices(), 2, 100), y(devices(), 2, 100);
  x.set([](int, std::size_t) { return 1.0F; });
  y.set([](int, std::size_t) { return 0.0F; });
  const std::vector<int> samples{1, 1};
  const std::vector<std::uint64_t> key{42}, other{43};
  int called = 0;
  const auto work = [&] {
    ++called;
    gpu().add({samples}, 100, x.gpu(), y.gpu());
    gpu().relu_forward({samples}, 100, y.gpu());
  };
  for (int i = 0; i < 5; ++i) gpu().replay(key, {samples}, work);
  EXPECT_EQ(called, 2) << "once to warm up, once to record";
  EXPECT_EQ(y.on_gpu(1)[99], 5.0F);
  x.set([](int, std::size_t) { return -10.0F; });
  gpu().replay(key, {samples}, work);
  EXPECT_EQ(y.on_gpu(0)[0], 0.0F);
  gpu().replay(other, {samples}, work);
  EXPECT_EQ(called, 3);
}

TEST_F(Vectors, AReplayIsOfTheSamplesThatClientsHaveThen) {
  Twin<float> x(devices(), 2, 30), y(devices(), 2, 30);
  x.set([](int, std::size_t) { return 1.0F; });
  y.set([](int, std::size_t) { return 0.0F; });
  const std::vector<std::uint64_t> key{42};
  int called = 0;
  for (const auto& samples : std::vector<std::vector<int>>{{3, 1}, {2, 3}, {3, 0}, {1, 3}, {0, 0}})
    gpu().replay(key, {samples}, [&] {
      ++called;
      gpu().add({samples}, 10, x.gpu(), y.gpu());
    });
  EXPECT_EQ(called, 3) << "two that the most samples are 3, one for nobody";
  EXPECT_EQ(y.on_gpu(0)[0], 4.0F);
  EXPECT_EQ(y.on_gpu(0)[29], 2.0F);
  EXPECT_EQ(y.on_gpu(1)[0], 3.0F);
  EXPECT_EQ(y.on_gpu(1)[29], 2.0F);
  gpu().replay(key, {std::vector<int>{2, 1}}, [&] { ++called; });
  EXPECT_EQ(called, 4) << "another grid";
}

}  // namespace
}  // namespace fedselect::ops
