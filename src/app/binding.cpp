#include "app/binding.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <set>
#include <span>
#include <sstream>

namespace fedselect {

namespace {

/// The system's answer for this process; empty where it has more cores than the answer can name.
std::vector<int> own_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  return cores;
}

/// Ranks in a row that a line of the table tells of.
struct Row {
  std::size_t first = 0;
  std::size_t last = 0;
  std::set<int> cores{};  ///< of all of them

  std::string ranks() const {
    return first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last);
  }
};

std::string describe_share(const Row& row, std::size_t cores_each) {
  const std::size_t ranks = row.last - row.first + 1;
  if (ranks == 1 || row.cores.size() >= ranks * cores_each) return "";
  return row.cores.size() < ranks
             ? fmt::format("  {} ranks take turns on {} cores", ranks, row.cores.size())
             : "  shared";
}

}  // namespace

std::string describe_cores(const std::vector<int>& cores) {
  std::string text;
  for (std::size_t i = 0; i < cores.size();) {
    std::size_t end = i + 1;
    while (end < cores.size() && cores[end] == cores[end - 1] + 1) ++end;
    if (!text.empty()) text += ',';
    text +=
        end - i == 1 ? fmt::format("{}", cores[i]) : fmt::format("{}-{}", cores[i], cores[end - 1]);
    i = end;
  }
  return text.empty() ? "?" : text;
}

std::vector<std::string> binding_table(const std::vector<RankPlace>& ranks) {
  std::vector<Row> rows;
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    const bool continues = r > 0 && ranks[r].node == ranks[r - 1].node &&
                           ranks[r].device == ranks[r - 1].device &&
                           ranks[r].cores.size() == ranks[r - 1].cores.size();
    if (!continues) rows.push_back({.first = r});
    rows.back().last = r;
    rows.back().cores.insert(ranks[r].cores.begin(), ranks[r].cores.end());
  }
  std::size_t node_width = 4;
  std::size_t cores_width = 5;
  for (const Row& row : rows) {
    node_width = std::max(node_width, ranks[row.first].node.size());
    cores_width =
        std::max(cores_width, describe_cores({row.cores.begin(), row.cores.end()}).size());
  }
  std::vector<std::string> lines{fmt::format("{:>11}  {:{}}  {:{}}  {:>6}  {}", "ranks", "node",
                                             node_width, "cores", cores_width, "a rank", "device")};
  for (const Row& row : rows) {
    const RankPlace& place = ranks[row.first];
    lines.push_back(fmt::format("{:>11}  {:{}}  {:{}}  {:>6}  {}{}", row.ranks(), place.node,
                                node_width, describe_cores({row.cores.begin(), row.cores.end()}),
                                cores_width, place.cores.size(), place.device,
                                describe_share(row, place.cores.size())));
  }
  return lines;
}

std::vector<std::string> describe_binding(Communicator& comm, const std::string& device) {
  const auto nodes = comm.host_names();
  std::string mine = device + '\n';
  for (const int core : own_cores()) mine += fmt::format("{} ", core);
  const auto all = comm.gather(std::as_bytes(std::span(mine)));
  std::vector<RankPlace> ranks;
  for (std::size_t r = 0; r < all.size(); ++r) {
    std::istringstream text(
        std::string(reinterpret_cast<const char*>(all[r].data()), all[r].size()));
    RankPlace place{.node = nodes[r], .cores = {}, .device = {}};
    std::getline(text, place.device);
    for (int core = 0; text >> core;) place.cores.push_back(core);
    ranks.push_back(std::move(place));
  }
  return ranks.empty() ? std::vector<std::string>() : binding_table(ranks);
}

}  // namespace fedselect
