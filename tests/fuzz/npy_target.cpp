// The four .npy files of a data set; the first one stands for other test images too.

#include "data/formats/formats.hpp"
#include "dataset.hpp"

using namespace fedselect;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::InputFolder folder;
  const auto files = fuzz::split(data, size, 4);
  folder.write("train_images.npy", files[0]);
  folder.write("train_labels.npy", files[1]);
  folder.write("test_images.npy", files[2]);
  folder.write("test_labels.npy", files[3]);
  const auto others = folder.write("others/images.npy", files[0]);
  folder.write("others/labels.npy", files[1]);
  fuzz::use_dataset(folder.path(), DataFormat::npy);
  fuzz::accepts([&] {
    const auto reader = formats::replace_test_images(formats::open_npy(folder.path()), others, 1);
    std::vector<std::byte> pixels(reader->header().size(PartKind::test) *
                                  reader->header().image.size());
    reader->read_pixels(PartKind::test, pixels);
  });
  return 0;
}
