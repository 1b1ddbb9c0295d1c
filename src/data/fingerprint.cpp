#include "data/fingerprint.hpp"

#include "base/hash.hpp"

namespace fedselect {

std::uint64_t fingerprint(const Dataset& data, const Partition& partition, Communicator& comm) {
  std::vector<std::uint64_t> value;
  if (comm.is_root()) {
    Hash hash;
    for (const Samples* samples : {&data.train, &data.test}) {
      hash.add_bytes({samples->pixels.get(), samples->size * data.image.size()});
      hash.add(samples->label_values());
    }
    for (const auto* split : {&partition.train, &partition.test})
      for (const auto& indices : *split) {
        hash.add_value(static_cast<std::int64_t>(indices.size()));
        hash.add(indices);
      }
    value.push_back(hash.value());
  }
  return gather_on_all(comm, value).front();
}

}  // namespace fedselect
