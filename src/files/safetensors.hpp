#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Safetensors (github.com/huggingface/safetensors): the length of a JSON header in 8 bytes, the
/// header {name: {dtype, shape, data_offsets}}, the tensors' bytes. Little-endian, row-major.
namespace fedselect {

/// A named tensor, whatever its type in the file was.
struct FloatTensor {
  std::string name;
  std::vector<std::uint64_t> shape;  ///< empty: a single value
  std::vector<float> values;         ///< the last axis fastest
};

/// PyTorch's count of the batches that a norm layer has seen ends in this. Nothing here needs it.
inline constexpr std::string_view kBatchCount = "num_batches_tracked";

/// All tensors of a file, in the order of its bytes. F32 as it is; F16 and BF16 exactly; F64
/// rounded. I64 is skipped where it counts batches (kBatchCount).
///
/// Throws InputError, naming file and tensor, for anything else and for a file that breaks the
/// format anywhere: torn, not JSON, names twice, bytes that no tensor or two tensors have, sizes
/// that do not fit. Memory is bounded by a small multiple of the file's size.
std::vector<FloatTensor> read_safetensors(const std::filesystem::path& path);

/// A tensor to be written; its values stay with the caller.
struct TensorView {
  enum class Type { float32, int64, uint8 };

  std::string name;
  std::vector<std::uint64_t> shape;
  Type type = Type::float32;
  std::span<const std::byte> bytes;  ///< little-endian, the last axis fastest
};

/// Writes a file that is there whole or not at all (PartialFile); replaces what is there. The same
/// tensors give the same bytes. Larger types come first, so that all values are aligned. Throws
/// SystemError if it can't.
void write_safetensors(const std::filesystem::path& path, std::vector<TensorView> tensors);

}  // namespace fedselect
