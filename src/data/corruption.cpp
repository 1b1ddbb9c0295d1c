#include "data/corruption.hpp"

#include <stdexcept>

#include "data/corruptions/blur.hpp"
#include "data/corruptions/colour.hpp"
#include "data/corruptions/digital.hpp"
#include "data/corruptions/image.hpp"
#include "data/corruptions/noise.hpp"
#include "data/corruptions/spatter.hpp"
#include "data/corruptions/weather.hpp"

namespace fedselect {

namespace {

using namespace corruptions;

void change_image(Image& image, Corruption kind, int severity, RandomStream& random) {
  switch (kind) {
    case Corruption::gaussian_noise: return add_gaussian_noise(image, severity, random);
    case Corruption::shot_noise: return add_shot_noise(image, severity, random);
    case Corruption::impulse_noise: return add_impulse_noise(image, severity, random);
    case Corruption::defocus_blur: return blur_defocus(image, severity);
    case Corruption::glass_blur: return blur_glass(image, severity, random);
    case Corruption::motion_blur: return blur_motion(image, severity, random);
    case Corruption::zoom_blur: return blur_zoom(image, severity);
    case Corruption::snow: return add_snow(image, severity, random);
    case Corruption::frost: return add_frost(image, severity, random);
    case Corruption::fog: return add_fog(image, severity, random);
    case Corruption::brightness: return brighten(image, severity);
    case Corruption::contrast: return reduce_contrast(image, severity);
    case Corruption::elastic: return stretch(image, severity, random);
    case Corruption::speckle_noise: return add_speckle_noise(image, severity, random);
    case Corruption::gaussian_blur: return blur_gaussian(image, severity);
    case Corruption::spatter: return add_spatter(image, severity, random);
    case Corruption::saturate: return saturate(image, severity);
    default: throw std::logic_error("not a kind of corruption");
  }
}

}  // namespace

bool corrupts(Corruption kind, int channels) {
  return kind > Corruption::any &&
         (kind != Corruption::saturate || channels == static_cast<int>(kColours));
}

Picture corrupt(const Picture& picture, Corruption kind, int severity, RandomStream& random) {
  if (kind == Corruption::pixelate) return pixelate(picture, severity);
  if (kind == Corruption::jpeg) return compress(picture, severity);
  auto image = to_unit(picture);
  change_image(image, kind, severity, random);
  return to_picture(image);
}

}  // namespace fedselect
