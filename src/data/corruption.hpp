#pragma once

#include "base/random.hpp"
#include "data/data_config.hpp"
#include "data/resample.hpp"

namespace fedselect {

/// Severities run from 1 to this.
inline constexpr int kMostSeverity = 5;

/// Whether a kind changes images of so many channels: `saturate` needs colours.
bool corrupts(Corruption kind, int channels);

/// Damages a picture as CIFAR-10-C does, with its severities for images of 32 x 32 pixels. `kind`
/// is neither none nor any. Noise comes from `random`; all else depends on the picture alone.
///
/// Source: Hendrycks and Dietterich, ICLR 2019, and their make_cifar_c.py: the same formulas in
/// double precision and the same truncation to 8 bits; for `frost` a drawn sheet of ice in place of
/// photographs. One channel takes what three equal ones would; where those would become coloured
/// (`spatter`), their brightness. Other sizes than 32 x 32 take the same numbers of pixels, with
/// `pixelate` on int(side * severity's factor).
Picture corrupt(const Picture& picture, Corruption kind, int severity, RandomStream& random);

}  // namespace fedselect
