// A safetensors file, on its own and as the initial model of a small network.

#include "files/safetensors.hpp"
#include "io/initial_model.hpp"
#include "target.hpp"

using namespace fedselect;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::InputFolder folder;
  static const Network network({.name = ModelKind::mlp, .hidden = 2}, {2, 2, 1}, 3);
  const auto path = folder.write("model.safetensors", {reinterpret_cast<const char*>(data), size});
  fuzz::accepts(
      [&] { fill_initial_model(read_safetensors(path), "model.safetensors", network, 1); });
  return 0;
}
