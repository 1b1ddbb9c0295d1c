// An image file, PNG or JPEG, of a data set whose users bring their own.

#include "data/image_file.hpp"
#include "target.hpp"

using namespace fedselect;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::InputFolder folder;
  const auto file = folder.write("image", {reinterpret_cast<const char*>(data), size});
  fuzz::accepts([&] {
    const Picture picture = read_image_file(file);
    const auto pixels = static_cast<std::size_t>(picture.height) *
                        static_cast<std::size_t>(picture.width) *
                        static_cast<std::size_t>(picture.channels);
    if (picture.channels != 3 || pixels != picture.pixels.size())
      fuzz::report("a picture of another size than it says");
  });
  return 0;
}
