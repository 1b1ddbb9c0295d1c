#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "data/resample.hpp"

namespace fedselect {

/// Reads a PNG or JPEG file as 3 channels (red, green, blue): grey is copied to all, 16 bits are
/// cut to their upper 8, transparency is dropped, colour profiles are ignored. Throws InputError,
/// also for an image of more than 2^26 pixels: file, what is wrong, what to do.
Picture read_image_file(const std::filesystem::path& file);

/// What remains of a picture of 1 or 3 channels after JPEG of this quality, 1 to 100, with colours
/// at half the resolution: libjpeg's defaults, which are Pillow's.
Picture through_jpeg(const Picture& picture, int quality);

}  // namespace fedselect
