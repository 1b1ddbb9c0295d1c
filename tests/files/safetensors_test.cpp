#include "files/safetensors.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.hpp"
#include "scratch_folder.hpp"

namespace fedselect {
namespace {

namespace fs = std::filesystem;
using testing::bytes_of_file;
using testing::message_of;
using testing::ScratchFolder;

/// A file with this header and these bytes behind it.
std::string assemble(const std::string& header, const std::string& data) {
  const std::uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + header + data;
}

std::string entry(const char* name, const char* dtype, const char* shape, int begin, int end) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})", name, dtype,
                     shape, begin, end);
}

std::string object(const std::string& entries) { return fmt::format("{{{}}}", entries); }

template <class T>
std::string raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

class Safetensors : public ::testing::Test {
 protected:
  std::vector<FloatTensor> read(const std::string& bytes) const {
    testing::write_bytes(path_, bytes);
    return read_safetensors(path_);
  }
  std::string refusal(const std::string& bytes) const {
    const std::string message = message_of<InputError>([&] { read(bytes); });
    EXPECT_EQ(message.find(path_.string() + ": "), 0U) << message;
    EXPECT_TRUE(message.ends_with("fedselect export)")) << message;
    return message;
  }
  void expect_refusal(const std::string& bytes, std::string_view reason) const {
    EXPECT_NE(refusal(bytes).find(reason), std::string::npos) << refusal(bytes);
  }

  ScratchFolder folder_;
  fs::path path_ = folder_ / "model.safetensors";
};

TEST_F(Safetensors, ReadsEveryFloatingType) {
  const std::string header =
      object(entry("half", "F16", "[7]", 24, 38) + "," + entry("one", "F32", "[2,2]", 0, 16) +
             R"(,"__metadata__":{"format":"pt"},)" + entry("wide", "F64", "[]", 16, 24) + "," +
             entry("brain", "BF16", "[3]", 38, 44) + "," + entry("none", "F32", "[0,3]", 44, 44) +
             "," + entry("bn.num_batches_tracked", "I64", "[]", 44, 52)) +
      "  ";
  const auto tensors = read(assemble(
      header, raw<float>({1, 2, -0.0F, 1e-40F}) + raw<double>({0.1}) +
                  raw<std::uint16_t>({0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00, 0x7e00, 0x8000}) +
                  raw<std::uint16_t>({0x3f80, 0xff80, 0x0001}) + raw<std::int64_t>({3})));
  ASSERT_EQ(tensors.size(), 5U);
  EXPECT_EQ(tensors[0].name, "one");
  EXPECT_EQ(tensors[0].shape, (std::vector<std::uint64_t>{2, 2}));
  EXPECT_EQ(raw(tensors[0].values), raw<float>({1, 2, -0.0F, 1e-40F}));
  EXPECT_EQ(tensors[1].values, std::vector<float>{0.1F});
  EXPECT_TRUE(tensors[1].shape.empty());
  const auto& half = tensors[2].values;
  EXPECT_EQ(std::vector<float>(half.begin(), half.begin() + 4),
            (std::vector<float>{1, -2, std::ldexp(1.0F, -24), 65504}));
  EXPECT_EQ(half[4], std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(half[5]));
  EXPECT_TRUE(half[6] == 0 && std::signbit(half[6]));
  EXPECT_EQ(tensors[3].values[0], 1);
  EXPECT_EQ(tensors[3].values[1], -std::numeric_limits<float>::infinity());
  EXPECT_EQ(tensors[4].name, "none");
  EXPECT_TRUE(tensors[4].values.empty());
}

TEST_F(Safetensors, RefusesBrokenHeaders) {
  const std::string good = entry("a", "F32", "[1]", 0, 4);
  const std::string data = raw<float>({1});
  ASSERT_EQ(read(assemble(object(good), data)).size(), 1U);
  for (const auto& [header, reason] : std::initializer_list<std::pair<std::string, const char*>>{
           {"", "not JSON"},
           {"[]", "no JSON object"},
           {"7", "no JSON object"},
           {object(good).substr(0, 20), "not JSON"},
           {object(good) + "}", "not JSON"},
           {object(good + "," + good), R"(tensor "a" comes twice)"},
           {R"({"a":7})", "described by no object"},
           {R"({"a":{}})", "lacks dtype, shape or data_offsets"},
           {R"({"a":{"dtype":"F32","shape":[1]}})", "lacks"},
           {R"({"a":{"dtype":"F32","dtype":"F32"}})", "has dtype twice"},
           {R"({"a":{"dtype":3}})", R"(impossible "dtype")"},
           {R"({"a":{"dtype":["F32"]}})", R"(impossible "dtype")"},
           {R"({"a":{"shape":[[1]]}})", R"(impossible "shape")"},
           {R"({"a":{"shape":[-1]}})", R"(impossible "shape")"},
           {R"({"a":{"shape":[1.0]}})", R"(impossible "shape")"},
           {R"({"a":{"shape":null}})", R"(impossible "shape")"},
           {R"({"a":{"shape":[1e999]}})", "not JSON"},
           {R"({"a":{"weight":1}})", R"(unknown field "weight")"},
           {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}})", "3 data_offsets"},
           {R"({"__metadata__":{"x":1}})", "impossible"},
           {object(entry("a", "I32", "[1]", 0, 4)), R"(type "I32")"},
           {object(entry("a", "I64", "[]", 0, 4)), R"(type "I64")"},
           {std::string(100000, '['), "no JSON object"},
           {R"({"a":{"shape":)" + std::string(100000, '['), "impossible"},
           {std::string("{\"\xff\":1}"), "not JSON"}})
    expect_refusal(assemble(header, data), reason);
}

TEST_F(Safetensors, RefusesBytesThatDoNotFit) {
  const std::string data = raw<float>({1, 2});
  for (const auto& [entries, reason] : std::initializer_list<std::pair<std::string, const char*>>{
           {entry("a", "F32", "[1]", 0, 4), "has 4 bytes behind the last tensor"},
           {"", "has 8 bytes behind the last tensor"},
           {entry("a", "F32", "[1]", 4, 8), "gaps and overlaps"},
           {entry("a", "F32", "[2]", 0, 8) + "," + entry("b", "F32", "[1]", 4, 8), "overlaps"},
           {entry("a", "F32", "[2]", 0, 8) + "," + entry("b", "F32", "[2]", 0, 8), "overlaps"},
           {entry("a", "F32", "[2]", 8, 0), "overlaps"},
           {entry("a", "F32", "[3]", 0, 12), "ends at byte 12 of 8"},
           {entry("a", "F32", "[3]", 0, 8), "not what its shape says"},
           {entry("a", "F32", "[]", 0, 8), "not what its shape says"},
           {entry("a", "F32", "[0]", 0, 8), "not what its shape says"},
           {entry("a", "F32", "[4611686018427387904,4]", 0, 8), "not what its shape says"},
           {entry("a", "F32", "[4611686018427387906]", 0, 8), "not what its shape says"}})
    expect_refusal(assemble(object(entries), data), reason);
  expect_refusal("1234567", "has 7 bytes");
  expect_refusal(std::string(8, '\xff'), "claims a header of 18446744073709551615");
  expect_refusal(assemble("{}", "").substr(0, 9), "claims a header of 2");
  expect_refusal(assemble(object(entry("a", "F64", "[1]", 0, 8)), raw<double>({1e300})),
                 R"(tensor "a" holds a value that is too large)");
}

TEST_F(Safetensors, RefusesWhatIsNoFile) {
  testing::write_bytes(folder_ / "empty", "");
  for (const char* name : {"none", ".", "empty"}) {
    const auto message = message_of<InputError>([&] { read_safetensors(folder_ / name); });
    EXPECT_NE(message.find("is missing, empty, or can't be read"), std::string::npos) << message;
  }
}

std::string written(const fs::path& path) {
  const std::vector<float> values{1.5F, -0.0F, 3, 4, 5, 6};
  const std::int64_t count = 0;
  const std::vector<std::uint8_t> bits{1, 0, 1};
  write_safetensors(
      path, {{"mask", {3}, TensorView::Type::uint8, std::as_bytes(std::span(bits))},
             {"fc.weight", {2, 3}, TensorView::Type::float32, std::as_bytes(std::span(values))},
             {"bn.num_batches_tracked",
              {},
              TensorView::Type::int64,
              std::as_bytes(std::span(&count, 1))}});
  return bytes_of_file(path);
}

TEST_F(Safetensors, WritesTheSameBytesAgain) {
  const std::string bytes = written(path_);
  EXPECT_EQ(bytes, written(path_));
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof(length));
  EXPECT_EQ(length % 8, 0U);
  EXPECT_EQ(bytes.size(), 8 + length + 8 + 24 + 3);
  EXPECT_EQ(bytes.substr(8, 30), R"({"__metadata__":{"format":"pt")");
  EXPECT_NE(bytes.find(R"("mask":{"dtype":"U8","shape":[3],"data_offsets":[32,35]})"),
            std::string::npos);
  EXPECT_FALSE(fs::exists(folder_ / "model.safetensors.partial"));
}

TEST_F(Safetensors, ReadsWhatItWrote) {
  const std::vector<float> values{1.5F, -0.0F, std::nextafter(1.0F, 2.0F)};
  write_safetensors(path_,
                    {{"w", {3, 1}, TensorView::Type::float32, std::as_bytes(std::span(values))}});
  const auto tensors = read_safetensors(path_);
  ASSERT_EQ(tensors.size(), 1U);
  EXPECT_EQ(tensors[0].shape, (std::vector<std::uint64_t>{3, 1}));
  EXPECT_EQ(raw(tensors[0].values), raw(values));
}

/// A torn file is always refused; one with a changed byte is refused or read, and nothing else.
TEST_F(Safetensors, SurvivesEveryCutAndChange) {
  const std::string header = object(entry("fc.weight", "F32", "[2,3]", 0, 24) + "," +
                                    entry("fc.bias", "F16", "[2]", 24, 28));
  const std::string whole = assemble(header, std::string(28, '\x11'));
  for (std::size_t size = 1; size < whole.size(); ++size) refusal(whole.substr(0, size));
  for (std::size_t i = 0; i < whole.size(); ++i)
    for (const int change : {0x01, 0x04, 0x80, 0xff}) {
      std::string changed = whole;
      changed[i] = static_cast<char>(changed[i] ^ change);
      std::size_t values = 0;
      const auto message = message_of<InputError>([&] {
        for (const auto& tensor : read(changed)) values += tensor.values.size();
      });
      EXPECT_TRUE(message.empty() ? values <= 14 : message.find(path_.string()) == 0) << message;
    }
}

}  // namespace
}  // namespace fedselect
