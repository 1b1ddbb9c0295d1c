// Ops on parameter vectors on the GPU where the CPU's are at their edges: sizes that end within a
// word, a vector of many blocks, what nobody may look at (behind the end, of clients that sit out
// or weigh nothing), ranges with gaps, and clients alone or in a group.

#include <gtest/gtest.h>

#include "base/aligned.hpp"
#include "base/error.hpp"
#include "cuda/two_devices.hpp"
#include "ops/clients.hpp"

namespace fedselect::ops {
namespace {

using namespace test;

constexpr double kRounding = 1e-6;
constexpr std::size_t kEdges[] = {0, 1, 31, 32, 33, 64, 65, 257, 1000, 4096, 4097, 70001};

std::size_t words_of(std::size_t size) { return round_up(size, kWordBits) / kWordBits; }

class Edges : public OnGpu {
 protected:
  /// Words of all kinds, none of them cut at the end of a vector.
  void randomize(Twin<Word>& bits, std::uint32_t seed) {
    RandomStream random(seed, Purpose::test);
    bits.set([&](int, std::size_t) {
      const auto kind = random.below(4);
      if (kind < 2) return kind == 0 ? Word{0} : kAllBits;
      return Word{random.below(1U << 31)} * Word{0x9E3779B97F4A7C15};
    });
  }
  /// Calls visit(size, samples) for all sizes and groups.
  template <class Visit>
  void for_each_case(const Visit& visit) {
    for (const std::size_t size : kEdges)
      for (const int clients : kGroups) {
        SCOPED_TRACE(testing::Message() << "size " << size << ", clients " << clients);
        visit(size, unequal_samples(clients, 3));
        if (HasFatalFailure()) return;
      }
  }
};

TEST_F(Edges, Steps) {
  for_each_case([&](std::size_t size, const std::vector<int>& samples) {
    const auto clients = static_cast<int>(samples.size());
    const std::vector<Range> ranges{{0, size}};
    Twin<float> theta(devices(), clients, size), gradient(devices(), clients, size);
    Twin<float> first(devices(), clients, size), second(devices(), clients, size);
    Twin<Word> mask(devices(), clients, words_of(size));
    theta.randomize(1), gradient.randomize(2), first.randomize(3), randomize(mask, 4);
    second.set([](int, std::size_t i) { return static_cast<float>(i % 11) * 0.1F; });
    const SgdRule sgd{0.1F, 0.9F, 0.013F, Scope::shared};
    cpu().sgd_step({samples}, ranges, sgd, {}, theta.cpu(), gradient.cpu(), first.cpu(),
                   mask.cpu());
    gpu().sgd_step({samples}, ranges, sgd, {}, theta.gpu(), gradient.gpu(), first.gpu(),
                   mask.gpu());
    theta.expect_close(kRounding, "theta after SGD");
    first.expect_close(kRounding, "velocity");
    const AdamRule adam{0.9F, 0.99F, 1e-3F, 0.013F, false, Scope::personal};
    const std::vector<AdamStep> steps(samples.size(), AdamStep{0.1F, 1.5F});
    cpu().adam_step({samples}, ranges, adam, steps, {}, theta.cpu(), gradient.cpu(), first.cpu(),
                    second.cpu(), mask.cpu());
    gpu().adam_step({samples}, ranges, adam, steps, {}, theta.gpu(), gradient.gpu(), first.gpu(),
                    second.gpu(), mask.gpu());
    theta.expect_close(kRounding, "theta after Adam");
    first.expect_close(kRounding, "first moment");
    second.expect_close(kRounding, "second moment");
  });
}

TEST_F(Edges, ArithmeticAndBits) {
  for_each_case([&](std::size_t size, const std::vector<int>& samples) {
    const auto clients = static_cast<int>(samples.size());
    const Group group{samples};
    Twin<float> x(devices(), clients, size), y(devices(), clients, size);
    Twin<float> out(devices(), clients, size);
    x.randomize(1), y.randomize(2), out.randomize(3);
    const std::vector<float> a(samples.size(), 1.1F), b(samples.size(), -0.7F);
    cpu().combine(group, size, a, x.cpu(), b, y.cpu(), out.cpu());
    gpu().combine(group, size, a, x.gpu(), b, y.gpu(), out.gpu());
    out.expect_close(kRounding, "combine");
    cpu().add_proximal(group, size, 0.3F, x.cpu(), y.cpu(), out.cpu());
    gpu().add_proximal(group, size, 0.3F, x.gpu(), y.gpu(), out.gpu());
    out.expect_close(kRounding, "add_proximal");
    out.randomize(3);
    cpu().change_magnitude(group, size, x.cpu(), y.cpu(), out.cpu());
    gpu().change_magnitude(group, size, x.gpu(), y.gpu(), out.gpu());
    out.expect_same_bits("change_magnitude");

    x.set([=](int g, std::size_t i) {  // the last one is the largest
      return i >= size ? kNan : i + 1 == size ? static_cast<float>(-9 - g) : 1.0F;
    });
    std::vector<double> here(samples.size(), -1), there = here;
    cpu().largest_magnitude(group, size, x.cpu(), here);
    gpu().largest_magnitude(group, size, x.gpu(), there);
    EXPECT_EQ(here, there);

    const std::size_t words = words_of(size);
    Twin<Word> p(devices(), clients, words), q(devices(), clients, words);
    randomize(p, 1), randomize(q, 2);
    const std::vector<Range> ranges{{0, size}};
    std::vector<std::int64_t> on_cpu(samples.size(), -1), on_gpu = on_cpu;
    cpu().count_bits(group, ranges, q.cpu(), on_cpu);
    gpu().count_bits(group, ranges, q.gpu(), on_gpu);
    EXPECT_EQ(on_cpu, on_gpu);
    cpu().bits_or(group, words, p.cpu(), q.cpu(), p.cpu());
    gpu().bits_or(group, words, p.gpu(), q.gpu(), p.gpu());
    p.expect_same_bits("or");
    cpu().bits_and_not(group, words, p.cpu(), q.cpu(), p.cpu());
    gpu().bits_and_not(group, words, p.gpu(), q.gpu(), p.gpu());
    p.expect_same_bits("and not");
  });
}

TEST_F(Edges, SumsSeeOnlyWhatIsShared) {
  for_each_case([&](std::size_t size, const std::vector<int>& samples) {
    const auto clients = static_cast<int>(samples.size());
    Twin<float> theta(devices(), clients, size), global(devices(), 1, size);
    Twin<Word> mask(devices(), clients, words_of(size));
    Twin<std::int64_t> low(devices(), 1, size), high(devices(), 1, size);
    Twin<std::uint32_t> weight(devices(), 1, size);
    std::vector<std::uint32_t> weights{7, 3, 0, 4000000000U, 1, 12, 5};
    weights.resize(samples.size());
    RandomStream random(5, Purpose::test);
    theta.set([&](int g, std::size_t i) {
      const auto client = static_cast<std::size_t>(g);
      const auto value = static_cast<float>((random.uniform() - 0.5) * 8191.9);
      return i >= size || samples[client] == 0 || weights[client] == 0 ? kNan : value;
    });
    randomize(mask, 3);
    const FixedPoint fixed{40, true};
    const SumView here{low.cpu().data, high.cpu().data, weight.cpu().data};
    const SumView there{low.gpu().data, high.gpu().data, weight.gpu().data};
    const auto expect_same = [&] {
      low.expect_same_bits("low");
      high.expect_same_bits("high");
      weight.expect_same_bits("weight");
    };
    for (const bool masked : {false, true}) {
      EXPECT_EQ(cpu().accumulate({samples}, size, fixed, weights, theta.cpu(),
                                 masked ? mask.cpu() : Bits{}, here),
                -1);
      EXPECT_EQ(gpu().accumulate({samples}, size, fixed, weights, theta.gpu(),
                                 masked ? mask.gpu() : Bits{}, there),
                -1);
      ASSERT_NO_FATAL_FAILURE(expect_same());
    }
    global.randomize(6);
    cpu().divide(size, fixed, here, global.cpu().data);
    gpu().divide(size, fixed, there, global.gpu().data);
    global.expect_same_bits("mean");

    // The last value of client 3 comes before the first one of client 4.
    if (clients < 5 || size == 0) return;
    theta.set([=](int g, std::size_t i) {
      return (g == 3 && i + 1 == size) || (g == 4 && i == 0) ? -4096.0F : 1.0F;
    });
    const auto first = static_cast<std::ptrdiff_t>(3 * size + size - 1);
    EXPECT_EQ(cpu().accumulate({samples}, size, fixed, weights, theta.cpu(), {}, here), first);
    EXPECT_EQ(gpu().accumulate({samples}, size, fixed, weights, theta.gpu(), {}, there), first);
    expect_same();
  });
}

TEST_F(Edges, PackAndUnpack) {
  for_each_case([&](std::size_t size, const std::vector<int>& samples) {
    const auto clients = static_cast<int>(samples.size());
    Twin<float> theta(devices(), clients, size), packed(devices(), clients, size);
    Twin<Word> mask(devices(), clients, words_of(size));
    theta.randomize(1), randomize(mask, 2);
    std::vector<std::size_t> here(samples.size(), 99), there = here;
    cpu().pack({samples}, size, theta.cpu(), mask.cpu(), packed.cpu(), here);
    gpu().pack({samples}, size, theta.gpu(), mask.gpu(), packed.gpu(), there);
    ASSERT_EQ(here, there);
    for (int g = 0; g < clients; ++g) {
      auto a = packed.on_cpu(g), b = packed.on_gpu(g);
      a.resize(here[static_cast<std::size_t>(g)]), b.resize(a.size());
      ASSERT_EQ(a, b);
    }
    packed.randomize(3);
    cpu().unpack({samples}, size, packed.cpu(), mask.cpu(), theta.cpu());
    gpu().unpack({samples}, size, packed.gpu(), mask.gpu(), theta.gpu());
    theta.expect_same_bits("unpacked");
  });
}

// Selection

constexpr std::size_t kGapped = 64 + 70016 + 128 + 4160 + 64;
const std::vector<Range> kRanges{{64, 70001}, {70208, 0}, {70208, 4097}, {74368, 33}};

float score_of(std::size_t kind, RandomStream& random) {
  const float crowd[] = {0, -0.0F, 1, 1, 2, kDenormal, kInfinity, -3, -kDenormal, -kInfinity};
  switch (kind) {
    case 0: return static_cast<float>(std::abs(random.normal()));
    case 1: return crowd[random.below(std::size(crowd))];
    case 2: return std::bit_cast<float>(static_cast<std::uint32_t>(random.below(0x7f800001)));
    case 3: return std::bit_cast<float>(0x3f800000U + static_cast<std::uint32_t>(random.below(5)));
    default: return random.below(100) == 0 ? 1.0F : 0.0F;
  }
}

bool is_in_a_range(std::size_t i) {
  return std::any_of(kRanges.begin(), kRanges.end(),
                     [=](const Range& r) { return i >= r.begin && i < r.begin + r.size; });
}

TEST_F(Edges, SelectionSeesOnlyItsRanges) {
  constexpr int kClients = 3;
  const std::vector<int> samples{1, 0, 1};
  Twin<float> score(devices(), kClients, kGapped);
  Twin<Word> eligible(devices(), kClients, words_of(kGapped));
  Twin<Word> chosen(devices(), kClients, words_of(kGapped));
  RandomStream random(7, Purpose::test);
  for (std::size_t kind = 0; kind < 5; ++kind) {
    score.set([&](int g, std::size_t i) {
      return g == 1 || !is_in_a_range(i) ? kNan : score_of(kind, random);
    });
    randomize(eligible, static_cast<std::uint32_t>(kind));
    for (const bool by_chance : {false, true}) {
      std::vector<std::int64_t> counts;  // from below none to more than there are
      for (int g = 0; g < kClients; ++g)
        for (const Range& range : kRanges) {
          const auto drawn = random.below(static_cast<std::uint32_t>(range.size) + 6);
          counts.push_back(by_chance ? static_cast<std::int64_t>(drawn) - 1
                                     : static_cast<std::int64_t>(range.size) / 4);
        }
      for (const Ties ties : {Ties::exact, Ties::threshold}) {
        const bool skip_zero = by_chance != (ties == Ties::exact);
        randomize(chosen, 9);
        cpu().select_top({samples}, kRanges, counts, ties, skip_zero, score.cpu(), eligible.cpu(),
                         chosen.cpu());
        gpu().select_top({samples}, kRanges, counts, ties, skip_zero, score.gpu(), eligible.gpu(),
                         chosen.gpu());
        ASSERT_NO_FATAL_FAILURE(chosen.expect_same_bits("chosen")) << "scores " << kind;
      }
    }
  }
}

TEST_F(Edges, TheFirstScoreThatIsNotANumberIsNamedEvenIfNoneIsAskedFor) {
  const std::vector<int> samples{1, 0, 1};
  Twin<float> score(devices(), 3, kGapped);
  Twin<Word> eligible(devices(), 3, words_of(kGapped)), chosen(devices(), 3, words_of(kGapped));
  eligible.set([](int, std::size_t) { return kAllBits; });
  score.set([](int g, std::size_t i) {
    const bool named = g == 0 && i == 74368 + 32;
    const bool later = g == 2 && i == 64;
    return g == 1 || named || later ? -kNan : 1.0F;
  });
  const std::vector<std::int64_t> counts(3 * kRanges.size(), 0);
  const auto message = [&](Ops& ops, ConstValues scores, ConstBits from, Bits to) {
    try {
      ops.select_top({samples}, kRanges, counts, Ties::exact, false, scores, from, to);
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const std::string here = message(cpu(), score.cpu(), eligible.cpu(), chosen.cpu());
  EXPECT_NE(here.find("client 0 in range 3"), std::string::npos) << here;
  EXPECT_EQ(message(gpu(), score.gpu(), eligible.gpu(), chosen.gpu()), here);
}

// Groups

TEST_F(Edges, AClientsResultsAreItsOwn) {
  constexpr int kClients = 7;
  Twin<float> x(devices(), kClients, kGapped), y(devices(), kClients, kGapped);
  Twin<float> together(devices(), kClients, 1), alone(devices(), kClients, 1);
  x.randomize(1), y.randomize(2);
  const std::vector<int> all(kClients, 1), one{1};
  std::vector<double> dots(kClients), dots_alone(kClients);
  gpu().dot({all}, kRanges, x.gpu(), y.gpu(), dots);
  gpu().clip_scale({all}, kRanges, 5, x.gpu(), together.gpu());
  for (int g = 0; g < kClients; ++g) {
    const auto of = [g](Values values) { return Values{values[g], values.stride}; };
    gpu().dot({one}, kRanges, of(x.gpu()), of(y.gpu()),
              std::span(dots_alone).subspan(static_cast<std::size_t>(g), 1));
    gpu().clip_scale({one}, kRanges, 5, of(x.gpu()), of(alone.gpu()));
    EXPECT_EQ(together.on_gpu(g)[0], alone.on_gpu(g)[0]);
  }
  EXPECT_EQ(dots, dots_alone);
}

}  // namespace
}  // namespace fedselect::ops
