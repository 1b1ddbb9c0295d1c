#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/fields.hpp"

namespace fedselect {

enum class DataFormat { automatic, idx, cifar10, cifar100, npy, tff_hdf5, leaf, images, hdf5 };
inline constexpr std::array<std::string_view, 9> kFormatNames{
    "auto", "idx", "cifar10", "cifar100", "npy", "tff-hdf5", "leaf", "images", "hdf5"};

enum class PartitionKind { shards, dirichlet, iid, quantity, natural, domain, file };
inline constexpr std::array<std::string_view, 7> kPartitionNames{
    "shards", "dirichlet", "iid", "quantity", "natural", "domain", "file"};

/// Whether clients are found in the data set or a file; otherwise data.clients of them are drawn.
inline constexpr bool clients_come_with_data(PartitionKind kind) {
  return kind >= PartitionKind::natural;
}

/// What is done to a client's images. Source: Hendrycks and Dietterich, ICLR 2019 (CIFAR-10-C).
enum class Corruption {
  none,
  any,  ///< each client draws one of those below
  gaussian_noise,
  shot_noise,
  impulse_noise,
  defocus_blur,
  glass_blur,
  motion_blur,
  zoom_blur,
  snow,
  frost,
  fog,
  brightness,
  contrast,
  elastic,
  pixelate,
  jpeg,
  speckle_noise,  ///< from here on CIFAR-10-C's extra kinds
  gaussian_blur,
  spatter,
  saturate
};
inline constexpr std::array<std::string_view, 21> kCorruptionNames{
    "none",         "any",        "gaussian-noise", "shot-noise",    "impulse-noise",
    "defocus-blur", "glass-blur", "motion-blur",    "zoom-blur",     "snow",
    "frost",        "fog",        "brightness",     "contrast",      "elastic",
    "pixelate",     "jpeg",       "speckle-noise",  "gaussian-blur", "spatter",
    "saturate"};

/// How clients get their angle.
enum class RotationKind { drawn, steps };
inline constexpr std::array<std::string_view, 2> kRotationNames{"drawn", "steps"};

/// A number of samples, where 0 stands for "as many as there are".
inline constexpr Interval kCountOrAll{.low = 0, .high = 2147483647};

/// The section [data]: where samples come from and how clients share them.
/// Source: algorithms.md, section 5.
struct DataConfig {
  std::string path = "/usr/share/datasets/fashion-mnist";  ///< folder or file of the data set
  DataFormat format = DataFormat::automatic;
  std::int64_t image_size = 0;     ///< side to which images in folders are brought; 0 = as they are
  double test_fraction = 0.2;      ///< of images in folders without train/ and test/
  std::string test_images;         ///< .npy file in place of the test part's images; empty = none
  std::int64_t test_severity = 1;  ///< which block of it, from 1
  PartitionKind partition = PartitionKind::shards;
  std::int64_t clients = 0;    ///< N; 0 = all that come with the data. describe() makes it 10 for
                               ///< kinds that draw clients
  std::string partition_file;  ///< for file
  std::int64_t classes_per_client = 2;  ///< s, for shards
  std::int64_t train_per_class = 0;     ///< per client and class, for shards; 0 = all
  std::int64_t test_per_class = 0;      ///< per client and class, for shards; 0 = all
  double beta = 0.5;                    ///< concentration, for dirichlet and quantity
  std::int64_t min_samples =
      10;  ///< least training samples of a client, for dirichlet and quantity
  Corruption corruption = Corruption::none;
  std::int64_t corruption_severity = 3;  ///< 1 to 5; 0 = drawn by each client
  double rotation = 0;                   ///< degrees; 0 = none
  RotationKind rotation_kind = RotationKind::drawn;
};

/// Declares the section's keys.
void describe(DataConfig& config, Fields& fields);

}  // namespace fedselect
