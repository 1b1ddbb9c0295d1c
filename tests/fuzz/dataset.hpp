#pragma once

#include "data/dataset.hpp"
#include "target.hpp"

namespace fedselect::fuzz {

/// Does what the program does with a data set before it trains on it.
inline void use_dataset(const std::filesystem::path& path, DataFormat format) {
  accepts([&] {
    const auto self = make_self_communicator();
    DataConfig config;
    config.path = path;
    config.format = format;
    describe_dataset(load_dataset(config, *self));
  });
}

}  // namespace fedselect::fuzz
