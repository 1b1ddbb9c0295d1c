// Resident memory of clients at rest: 10,000 clients of mlp (159,010 parameters), 5 % personal,
// each with its own mask, all of them trained; against d/8 bytes of mask and 4 bytes a personal
// value.

#include <cstdio>
#include <fstream>
#include <string>

#include "fed/client_group.hpp"
#include "model/network.hpp"

namespace fedselect {
namespace {

constexpr int kClients = 10000;
constexpr double kPersonal = 0.05;

double resident_bytes() {
  std::ifstream file("/proc/self/statm");
  long total = 0;
  long resident = 0;
  file >> total >> resident;
  return static_cast<double>(resident) * 4096;
}

void measure() {
  const Network network({ModelKind::mlp, 200}, {28, 28, 1}, 10);
  const ParameterLayout& layout = network.layout();
  auto ops = ops::make_cpu_ops();
  PhaseClock clock;
  const auto initial = network.initial_parameters(1);
  ParameterVector global(*ops, 1, initial.size());
  ClientGroup group(*ops, layout, 1, {}, initial, clock);
  const auto everything = Mask::of_tensors(layout, [](const Tensor&) { return true; });
  std::vector<int> ids(kClients);
  for (int k = 0; k < kClients; ++k) ids[static_cast<std::size_t>(k)] = k;
  ClientStore store(kClients, ids);

  const double before = resident_bytes();
  std::size_t personal = 0;
  for (const int& id : ids) {
    group.load(store, {&id, 1}, global, 0);
    group.personalize(everything);
    group.keep_top(kPersonal, SelectionScope::tensor);
    group.save(store);
    personal += store.state(id).personal.size();
  }
  const double measured = (resident_bytes() - before) / kClients;
  const double designed =
      static_cast<double>(layout.size()) / 8 + 4.0 * static_cast<double>(personal) / kClients;
  std::printf(
      "bytes per client at rest: measured %.0f, d/8 + 4 a personal value = %.0f, ratio %.3f\n",
      measured, designed, measured / designed);
}

}  // namespace
}  // namespace fedselect

int main() {
  fedselect::measure();
  return 0;
}
