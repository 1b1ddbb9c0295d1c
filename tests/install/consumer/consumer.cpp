// Touches a header and a symbol of every installed library: exits with 0 if a config round-trips
// and a network builds.
#include <base/build_info.hpp>
#include <comm/communicator.hpp>
#include <cstdio>
#include <data/partition.hpp>
#include <fed/simulation.hpp>
#include <io/config.hpp>
#include <io/run_writer.hpp>
#include <model/network.hpp>
#include <ops/ops.hpp>

int main() {
  using namespace fedselect;
  const auto comm = make_self_communicator();
  const auto config = parse_config("[[method]]\nname = \"fedselect\"\n", "text", {});
  const std::string written = write_config(config, 0);
  const Network network(config.model, {.height = 28, .width = 28, .channels = 1}, 10);
  const auto ops = ops::make_cpu_ops();
  std::printf("%s%s: %zu parameters on %s, %d rank\n", describe_build().c_str(),
              std::string(config.methods.front().name).c_str(), network.layout().size(),
              ops->device().c_str(), comm->size());
  return written.empty() || network.layout().size() != 1663370 ? 1 : 0;
}
