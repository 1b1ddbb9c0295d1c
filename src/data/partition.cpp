#include "data/partition.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.hpp"
#include "base/random.hpp"
#include "data/shares.hpp"

namespace fedselect {

namespace {

using Indices = Partition::Indices;

/// What a stream of random numbers decides. The value enters its name, so it never changes.
enum class Draw : std::uint32_t { label_table = 1, shard_order = 2, weights = 3, sample_order = 4 };

/// One part of the data set, and what its messages call it.
struct Part {
  std::uint32_t number;  ///< enters the names of random streams
  std::string_view word;
  std::int64_t size;
  std::vector<Indices> by_class;  ///< each class's indices in order

  std::int64_t class_size(std::size_t c) const {
    return static_cast<std::int64_t>(by_class[c].size());
  }
};

Part make_part(std::uint32_t number, std::string_view word, std::size_t classes,
               std::span<const std::int32_t> labels) {
  Part part{number, word, static_cast<std::int64_t>(labels.size()), {}};
  part.by_class.resize(classes);
  for (std::size_t i = 0; i < labels.size(); ++i)
    part.by_class[static_cast<std::size_t>(labels[i])].push_back(static_cast<std::int32_t>(i));
  return part;
}

/// Everything that the kinds of partition read.
struct Request {
  const DataConfig& config;
  std::uint64_t seed;
  std::size_t clients;
  std::size_t classes;
  Part train;
  Part test;

  RandomStream stream(Draw draw, std::uint32_t a = 0, std::uint32_t b = 0) const {
    return {seed, Purpose::partition, static_cast<std::uint32_t>(draw), a, b};
  }
};

/// Shuffles `indices` and deals runs of `shares[k]` of them to the clients.
void deal(Indices indices, const Shares& shares, RandomStream stream, std::vector<Indices>& split) {
  stream.shuffle(std::span(indices));
  auto next = indices.cbegin();
  for (std::size_t k = 0; k < shares.size(); ++k) {
    split[k].insert(split[k].end(), next, next + shares[k]);
    next += shares[k];
  }
}

/// Deals all samples of a part, whatever their class.
std::vector<Indices> deal_part(const Request& request, const Part& part, const Shares& shares) {
  Indices all(static_cast<std::size_t>(part.size));
  std::iota(all.begin(), all.end(), 0);
  std::vector<Indices> split(request.clients);
  deal(std::move(all), shares, request.stream(Draw::sample_order, part.number), split);
  return split;
}

// ---- shards

/// The number of shards of each class; refuses what can't be cut.
std::int64_t count_shards(const Request& request) {
  const auto n = request.config.clients;
  const auto s = request.config.classes_per_client;
  const auto c = static_cast<std::int64_t>(request.classes);
  if (s > c)
    throw KeyError("data.classes_per_client",
                   fmt::format("data.classes_per_client = {} is more than the data set has "
                               "(classes: {}): set it to {} or less",
                               s, c, c));
  if (n * s % c != 0) {
    const auto step = c / std::gcd(s, c);  // s * N is divisible for multiples of this
    const auto above = (n / step + 1) * step;
    throw KeyError("data.clients",
                   fmt::format("data.clients = {} with data.classes_per_client = {} gives {} "
                               "shards (they must be equally "
                               "many for each of {} classes): set data.clients to {}",
                               n, s, n * s, c,
                               above == step ? fmt::format("{}", step)
                                             : fmt::format("{} or {}", above - step, above)));
  }
  return n * s / c;
}

/// Checks that every class fills its shards, each with at least `per_class` samples.
void check_shards(const Part& part, std::int64_t shards, std::int64_t per_class) {
  for (std::size_t c = 0; c < part.by_class.size(); ++c) {
    const auto size = part.class_size(c);
    if (size < shards)
      throw KeyError("data.clients",
                     fmt::format("class {} has {} {} samples for {} shards (s*N/C): take fewer "
                                 "data.clients or data.classes_per_client",
                                 c, size, part.word, shards));
    if (size / shards < per_class)
      throw KeyError(
          fmt::format("data.{}_per_class", part.word),
          fmt::format(
              "data.{0}_per_class = {1} is more than a shard holds (class {2} has {3} {0} samples, "
              "{4} "
              "in its smallest of {5} shards): set it to {4} or less, or take fewer data.clients",
              part.word, per_class, c, size, size / shards, shards));
  }
}

/// Hands the shards of a part to the clients that the label table names, in random order.
std::vector<Indices> deal_shards(const Request& request, const Part& part, std::int64_t shards,
                                 const std::vector<std::int32_t>& table, std::int64_t per_class) {
  std::vector<std::vector<std::int64_t>> waiting(request.classes);  // taken from the end
  for (std::size_t c = 0; c < request.classes; ++c) {
    waiting[c].resize(static_cast<std::size_t>(shards));
    std::iota(waiting[c].begin(), waiting[c].end(), 0);
    request.stream(Draw::shard_order, part.number, static_cast<std::uint32_t>(c))
        .shuffle(std::span(waiting[c]));
  }
  const auto s = static_cast<std::size_t>(request.config.classes_per_client);
  std::vector<Indices> split(request.clients);
  for (std::size_t k = 0; k < request.clients; ++k) {
    const auto labels = std::span(table).subspan(k * s, s);
    for (auto label = labels.begin(); label != labels.end(); ++label) {
      const auto c = static_cast<std::size_t>(*label);
      const auto shard = waiting[c].back();
      waiting[c].pop_back();
      const bool held = std::find(labels.begin(), label, *label) != label;
      if (per_class > 0 && held) continue;
      // Leftovers go one each to the first shards.
      const auto size = part.class_size(c) / shards;
      const auto leftovers = part.class_size(c) % shards;
      const auto begin = part.by_class[c].begin() + shard * size + std::min(shard, leftovers);
      const auto count = per_class > 0 ? per_class : size + (shard < leftovers ? 1 : 0);
      split[k].insert(split[k].end(), begin, begin + count);
    }
  }
  return split;
}

Partition draw_shards(const Request& request) {
  const auto& config = request.config;
  const auto shards = count_shards(request);
  check_shards(request.train, shards, config.train_per_class);
  check_shards(request.test, shards, config.test_per_class);
  std::vector<std::int32_t> table(static_cast<std::size_t>(shards) * request.classes);
  for (std::size_t i = 0; i < table.size(); ++i)
    table[i] = static_cast<std::int32_t>(i % request.classes);
  request.stream(Draw::label_table).shuffle(std::span(table));
  return {deal_shards(request, request.train, shards, table, config.train_per_class),
          deal_shards(request, request.test, shards, table, config.test_per_class)};
}

// ---- dirichlet

using ClassShares = std::vector<Shares>;  ///< [class][client]

/// One draw of how many training samples of each class every client gets.
ClassShares draw_class_shares(const Request& request, std::uint32_t attempt) {
  const auto& part = request.train;
  ClassShares shares;
  std::vector<std::int64_t> held(request.clients);
  for (std::size_t c = 0; c < request.classes; ++c) {
    const auto stream = request.stream(Draw::weights, attempt, static_cast<std::uint32_t>(c));
    auto weights = draw_dirichlet_weights(request.config.beta, request.clients, stream);
    const auto is_full = [&](std::size_t k) {
      return held[k] * request.config.clients >= part.size;
    };
    bool somebody = false;
    for (std::size_t k = 0; k < request.clients; ++k) {
      if (is_full(k)) weights[k] = 0;
      somebody = somebody || weights[k] > 0;
    }
    // All whose weight did not vanish were full: the others share. (All are full only after the
    // last sample is gone.)
    if (!somebody)
      for (std::size_t k = 0; k < request.clients; ++k) weights[k] = is_full(k) ? 0 : 1;
    if (part.by_class[c].empty())
      shares.emplace_back(request.clients, 0);
    else
      shares.push_back(share_by_weight(part.class_size(c), weights));
    for (std::size_t k = 0; k < request.clients; ++k) held[k] += shares.back()[k];
  }
  return shares;
}

/// Test samples of each class, in proportion to who holds its training samples.
ClassShares follow_train(const Request& request, const ClassShares& train) {
  ClassShares shares;
  for (std::size_t c = 0; c < request.classes; ++c) {
    if (request.train.by_class[c].empty())
      shares.emplace_back(request.clients, 0);
    else
      shares.push_back(share_by_remainder(request.test.class_size(c), train[c]));
  }
  return shares;
}

/// Samples of the client that has the fewest.
std::int64_t fewest(const ClassShares& shares) {
  Shares sums(shares.front().size());
  for (const auto& column : shares)
    std::transform(sums.begin(), sums.end(), column.begin(), sums.begin(), std::plus<>());
  return *std::min_element(sums.begin(), sums.end());
}

std::vector<Indices> deal_classes(const Request& request, const Part& part,
                                  const ClassShares& shares) {
  std::vector<Indices> split(request.clients);
  for (std::size_t c = 0; c < request.classes; ++c)
    deal(part.by_class[c], shares[c],
         request.stream(Draw::sample_order, part.number, static_cast<std::uint32_t>(c)), split);
  return split;
}

Partition draw_dirichlet(const Request& request) {
  std::int64_t best = 0;
  for (std::uint32_t attempt = 0; attempt < kMostDraws; ++attempt) {
    const auto train = draw_class_shares(request, attempt);
    best = std::max(best, fewest(train));
    if (fewest(train) < request.config.min_samples) continue;
    const auto test = follow_train(request, train);
    if (fewest(test) < 1) continue;
    return {deal_classes(request, request.train, train), deal_classes(request, request.test, test)};
  }
  const auto why = best < request.config.min_samples
                       ? fmt::format("the best left one with {} training samples", best)
                       : std::string("where training samples sufficed, one had no test sample");
  throw KeyError(
      "data.min_samples",
      fmt::format(
          "none of {} draws of data.partition = \"dirichlet\" gives each of {} clients {} training "
          "samples and a test sample ({}): raise data.beta = {:g}, or lower data.min_samples or "
          "data.clients",
          kMostDraws, request.clients, request.config.min_samples, why, request.config.beta));
}

// ---- iid, quantity

Partition draw_iid(const Request& request) {
  const auto even = [&](const Part& part) {
    return deal_part(request, part, share_evenly(part.size, request.clients));
  };
  return {even(request.train), even(request.test)};
}

Partition draw_quantity(const Request& request) {
  const auto& config = request.config;
  const auto weights =
      draw_dirichlet_weights(config.beta, request.clients, request.stream(Draw::weights));
  auto train = share_by_weight(request.train.size - config.clients * config.min_samples, weights);
  for (auto& share : train) share += config.min_samples;
  auto test = share_by_remainder(request.test.size, train);
  leave_nobody_out(test);
  return {deal_part(request, request.train, train), deal_part(request, request.test, test)};
}

/// Checks what no kind of partition can do without.
void check_sizes(const Request& request) {
  const auto n = request.config.clients;
  for (const auto* part : {&request.train, &request.test})
    if (n > part->size)
      throw KeyError("data.clients",
                     fmt::format("data.clients = {} is more than the {} samples of the {} part "
                                 "(every client needs one): set it to {} or less",
                                 n, part->size, part->word, part->size));
  const auto kind = request.config.partition;
  const bool promises_least = kind == PartitionKind::dirichlet || kind == PartitionKind::quantity;
  if (promises_least && n * request.config.min_samples > request.train.size)
    throw KeyError("data.min_samples",
                   fmt::format("data.min_samples = {} for each of data.clients = {} is more than "
                               "the {} training samples "
                               "that there are: lower one of the two",
                               request.config.min_samples, n, request.train.size));
}

Partition draw(const Request& request) {
  switch (request.config.partition) {
    case PartitionKind::shards: return draw_shards(request);
    case PartitionKind::dirichlet: return draw_dirichlet(request);
    case PartitionKind::iid: return draw_iid(request);
    case PartitionKind::quantity: return draw_quantity(request);
  }
  throw std::logic_error("unknown kind of partition");
}

}  // namespace

Partition draw_partition(const DataConfig& config, std::uint64_t seed, int classes,
                         std::span<const std::int32_t> train_labels,
                         std::span<const std::int32_t> test_labels) {
  const auto count = static_cast<std::size_t>(classes);
  const Request request{config,
                        seed,
                        static_cast<std::size_t>(config.clients),
                        count,
                        make_part(0, "train", count, train_labels),
                        make_part(1, "test", count, test_labels)};
  check_sizes(request);
  auto partition = draw(request);
  for (auto* split : {&partition.train, &partition.test})
    for (auto& indices : *split) std::sort(indices.begin(), indices.end());
  return partition;
}

std::vector<std::int64_t> class_counts(const std::vector<Partition::Indices>& split, int classes,
                                       std::span<const std::int32_t> labels) {
  const auto width = static_cast<std::size_t>(classes);
  std::vector<std::int64_t> counts(split.size() * width);
  for (std::size_t k = 0; k < split.size(); ++k)
    for (const auto i : split[k])
      ++counts[k * width + static_cast<std::size_t>(labels[static_cast<std::size_t>(i)])];
  return counts;
}

}  // namespace fedselect
