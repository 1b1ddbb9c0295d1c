#include "data/image_file.hpp"

#include <fmt/format.h>
#include <jpeglib.h>
#include <png.h>

#include <csetjmp>
#include <cstdio>  // jpeglib.h needs it before
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <system_error>

#include "base/error.hpp"
#include "files/regular_file.hpp"

namespace fedselect {

namespace {

constexpr std::uint64_t kMostPixels = std::uint64_t{1} << 26;
constexpr int kColours = 3;
constexpr std::size_t kPngSignature = 8;

using Bytes = std::vector<std::uint8_t>;

/// Both libraries report errors by a call that must not return: it jumps back to where decoding
/// began. Objects with destructors therefore live outside the functions that call setjmp.
struct Failure {
  std::jmp_buf back;
  char text[JMSG_LENGTH_MAX] = "damaged";
};

/// Whether the picture may have this size; then there is room for it.
bool make_room(Picture& picture, std::uint64_t height, std::uint64_t width, int channels) {
  if (height == 0 || width == 0 || height > kMostPixels / width) return false;
  picture.height = static_cast<int>(height);
  picture.width = static_cast<int>(width);
  picture.channels = channels;
  picture.pixels.resize(height * width * static_cast<std::size_t>(channels));
  return true;
}

std::uint8_t* row_of(Picture& picture, std::size_t y) {
  return picture.pixels.data() +
         y * static_cast<std::size_t>(picture.width) * static_cast<std::size_t>(picture.channels);
}

constexpr const char* kTooLarge = "of more than 2^26 pixels, or of none";
// What no file of so few bytes holds is refused before there is room for it.
constexpr const char* kTooFewBytes = "it has too few bytes for so many pixels";
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 30;
constexpr std::uint64_t kMostDeflated = 1032;     // bytes that a byte of a PNG can stand for
constexpr std::uint64_t kMostPixelsAByte = 4096;  // of a JPEG: 64 for each of a few bits

// ---- PNG

struct PngInput {
  const Bytes* bytes;
  std::size_t at = 0;
};

void read_png_bytes(png_structp png, png_bytep out, std::size_t count) {
  auto* input = static_cast<PngInput*>(png_get_io_ptr(png));
  if (count > input->bytes->size() - input->at) png_error(png, "truncated");
  std::memcpy(out, input->bytes->data() + input->at, count);
  input->at += count;
}

[[noreturn]] void fail_png(png_structp png, png_const_charp text) {
  auto* failure = static_cast<Failure*>(png_get_error_ptr(png));
  std::snprintf(failure->text, sizeof(failure->text), "%s", text);
  std::longjmp(failure->back, 1);
}

void ignore_png_warning(png_structp /*png*/, png_const_charp /*text*/) {}

struct Png {
  png_structp png = nullptr;
  png_infop info = nullptr;
  explicit Png(Failure& failure)
      : png(png_create_read_struct(PNG_LIBPNG_VER_STRING, &failure, fail_png, ignore_png_warning)),
        info(png == nullptr ? nullptr : png_create_info_struct(png)) {
    if (info == nullptr) throw SystemError("libpng: out of memory");
  }
  ~Png() { png_destroy_read_struct(&png, &info, nullptr); }
  Png(const Png&) = delete;
  Png& operator=(const Png&) = delete;
};

/// Decodes into `picture` and says whether that went well; if not, `failure` says why.
bool decode_png(Png& file, PngInput& input, std::vector<png_bytep>& rows, Picture& picture,
                Failure& failure) {
  if (setjmp(failure.back) != 0) return false;
  png_set_read_fn(file.png, &input, read_png_bytes);
  png_read_info(file.png, file.info);
  if (png_get_rowbytes(file.png, file.info) *
          std::uint64_t{png_get_image_height(file.png, file.info)} >
      kMostDeflated * input.bytes->size())
    fail_png(file.png, kTooFewBytes);
  png_set_strip_16(file.png);
  png_set_expand(file.png);
  png_set_gray_to_rgb(file.png);
  png_set_strip_alpha(file.png);
  png_set_interlace_handling(file.png);
  png_read_update_info(file.png, file.info);
  if (png_get_channels(file.png, file.info) != kColours ||
      !make_room(picture, png_get_image_height(file.png, file.info),
                 png_get_image_width(file.png, file.info), kColours))
    fail_png(file.png, kTooLarge);
  for (std::size_t y = 0; y < static_cast<std::size_t>(picture.height); ++y)
    rows.push_back(row_of(picture, y));
  png_read_image(file.png, rows.data());
  png_read_end(file.png, nullptr);
  return true;
}

bool decode_png(const Bytes& bytes, Picture& picture, Failure& failure) {
  Png file(failure);
  PngInput input{&bytes};
  std::vector<png_bytep> rows;
  return decode_png(file, input, rows, picture, failure);
}

// ---- JPEG

struct JpegErrors {
  jpeg_error_mgr manager;  // first: libjpeg knows only this
  Failure* failure;
};

[[noreturn]] void fail_jpeg(j_common_ptr jpeg) {
  auto* failure = reinterpret_cast<JpegErrors*>(jpeg->err)->failure;
  jpeg->err->format_message(jpeg, failure->text);
  std::longjmp(failure->back, 1);
}

/// libjpeg goes on after some damage with a warning and grey pixels; here that is a failure too.
void fail_on_jpeg_warning(j_common_ptr jpeg, int level) {
  if (level < 0) fail_jpeg(jpeg);
}

jpeg_error_mgr* set_errors(JpegErrors& errors, Failure& failure) {
  auto* manager = jpeg_std_error(&errors.manager);
  manager->error_exit = fail_jpeg;
  manager->emit_message = fail_on_jpeg_warning;
  errors.failure = &failure;
  return manager;
}

bool decode_jpeg(const Bytes& bytes, J_COLOR_SPACE colours, Picture& picture, Failure& failure) {
  jpeg_decompress_struct jpeg;
  JpegErrors errors;
  jpeg.err = set_errors(errors, failure);
  if (setjmp(failure.back) != 0) {
    jpeg_destroy_decompress(&jpeg);
    return false;
  }
  jpeg_create_decompress(&jpeg);
  jpeg_mem_src(&jpeg, bytes.data(), bytes.size());
  jpeg_read_header(&jpeg, TRUE);
  jpeg.out_color_space = colours;
  jpeg_calc_output_dimensions(&jpeg);
  const bool has_bytes =
      std::uint64_t{jpeg.output_height} * jpeg.output_width <= kMostPixelsAByte * bytes.size();
  if (!has_bytes ||
      !make_room(picture, jpeg.output_height, jpeg.output_width, jpeg.output_components)) {
    std::snprintf(failure.text, sizeof(failure.text), "%s", has_bytes ? kTooLarge : kTooFewBytes);
    jpeg_destroy_decompress(&jpeg);
    return false;
  }
  jpeg_start_decompress(&jpeg);
  while (jpeg.output_scanline < jpeg.output_height) {
    JSAMPROW row = row_of(picture, jpeg.output_scanline);
    jpeg_read_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_decompress(&jpeg);
  jpeg_destroy_decompress(&jpeg);
  return true;
}

/// `out` is malloc's, also after a failure.
bool encode_jpeg(Picture& picture, int quality, unsigned char*& out, unsigned long& size,
                 Failure& failure) {
  jpeg_compress_struct jpeg;
  JpegErrors errors;
  jpeg.err = set_errors(errors, failure);
  if (setjmp(failure.back) != 0) {
    jpeg_destroy_compress(&jpeg);
    return false;
  }
  jpeg_create_compress(&jpeg);
  jpeg_mem_dest(&jpeg, &out, &size);
  jpeg.image_height = static_cast<JDIMENSION>(picture.height);
  jpeg.image_width = static_cast<JDIMENSION>(picture.width);
  jpeg.input_components = picture.channels;
  jpeg.in_color_space = picture.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, quality, TRUE);
  jpeg_start_compress(&jpeg, TRUE);
  while (jpeg.next_scanline < jpeg.image_height) {
    JSAMPROW row = row_of(picture, jpeg.next_scanline);
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  return true;
}

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& why) {
  throw InputError(fmt::format(
      "{} can't be read as an image ({}): replace or remove it, or set data.path to another folder",
      path.string(), why));
}

}  // namespace

Picture read_image_file(const std::filesystem::path& path) {
  if (const std::string what = irregularity(path); !what.empty()) refuse(path, "it " + what);
  std::ifstream stream(path, std::ios::binary);
  if (!stream) refuse(path, "it can't be opened");
  std::error_code error;
  if (std::filesystem::file_size(path, error) > kMostBytes || error)
    refuse(path, "it is larger than 1 GiB");
  const Bytes bytes{std::istreambuf_iterator<char>(stream), {}};
  Picture picture;
  Failure failure;
  const bool is_png =
      bytes.size() >= kPngSignature && png_sig_cmp(bytes.data(), 0, kPngSignature) == 0;
  const bool is_jpeg = bytes.size() >= 2 && bytes[0] == 0xFF && bytes[1] == 0xD8;
  if (!is_png && !is_jpeg) refuse(path, "it is neither PNG nor JPEG");
  const bool done =
      is_png ? decode_png(bytes, picture, failure) : decode_jpeg(bytes, JCS_RGB, picture, failure);
  if (!done) refuse(path, failure.text);
  return picture;
}

Picture through_jpeg(const Picture& picture, int quality) {
  Picture copy = picture;
  Failure failure;
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  const bool encoded = encode_jpeg(copy, quality, bytes, size, failure);
  const std::unique_ptr<unsigned char, void (*)(void*)> owner(bytes, std::free);
  if (!encoded || !decode_jpeg(Bytes(bytes, bytes + size),
                               picture.channels == 1 ? JCS_GRAYSCALE : JCS_RGB, copy, failure))
    throw SystemError(fmt::format("libjpeg: {}", failure.text));
  return copy;
}

}  // namespace fedselect
