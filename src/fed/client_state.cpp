#include "fed/client_state.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace fedselect {

namespace {

enum class MaskForm : std::uint64_t { none, common, words, gaps };

/// Appends to bytes, eight at a time, so that all arrays stand aligned.
class Writer {
 public:
  void number(std::uint64_t value) { array(std::span<const std::uint64_t>(&value, 1)); }
  template <class T>
  void array(std::span<const T> values) {
    const auto more = std::as_bytes(values);
    bytes_.insert(bytes_.end(), more.begin(), more.end());
    bytes_.resize((bytes_.size() + 7) / 8 * 8);
  }
  template <class Vector>
  void counted(const Vector& values) {
    number(values.size());
    array(std::span(values));
  }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : left_(bytes) {}
  std::uint64_t number() { return array<std::uint64_t>(1).front(); }
  template <class T, class Vector = std::vector<T>>
  Vector array(std::size_t count) {
    Vector values(count);
    const std::size_t bytes = count * sizeof(T);
    if (count > 0) std::memcpy(values.data(), left_.data(), bytes);
    left_ = left_.subspan((bytes + 7) / 8 * 8);
    return values;
  }
  template <class T, class Vector = std::vector<T>>
  Vector counted() {
    return array<T, Vector>(number());
  }

 private:
  std::span<const std::byte> left_;
};

/// Bits in words, least significant first.
class BitWriter {
 public:
  void put(std::uint64_t bits, unsigned count) {
    if (count == 0) return;
    const auto at = static_cast<unsigned>(size_ % kWordBits);
    if (at == 0) words_.push_back(0);
    words_.back() |= bits << at;
    if (at + count > kWordBits) words_.push_back(bits >> (kWordBits - at));
    size_ += count;
  }
  std::vector<Word> take() { return std::move(words_); }

 private:
  std::vector<Word> words_;
  std::size_t size_ = 0;
};

class BitReader {
 public:
  explicit BitReader(std::span<const Word> words) : words_(words) {}
  std::uint64_t get(unsigned count) {
    if (count == 0) return 0;
    const std::size_t word = at_ / kWordBits;
    const auto shift = static_cast<unsigned>(at_ % kWordBits);
    std::uint64_t bits = words_[word] >> shift;
    if (shift + count > kWordBits) bits |= words_[word + 1] << (kWordBits - shift);
    at_ += count;
    return bits & low_bits(count);
  }
  /// The number of ones before the next zero, which is passed over.
  std::uint64_t get_unary() {
    std::uint64_t ones = 0;
    for (;;) {
      const auto shift = static_cast<unsigned>(at_ % kWordBits);
      const auto present = static_cast<unsigned>(kWordBits) - shift;
      const auto here = static_cast<unsigned>(std::countr_one(words_[at_ / kWordBits] >> shift));
      ones += here;
      if (here < present) {
        at_ += here + 1;
        return ones;
      }
      at_ += present;
    }
  }

 private:
  std::span<const Word> words_;
  std::size_t at_ = 0;
};

/// Of gaps that follow a geometric distribution with mean `gap`: the number of low bits that makes
/// their code shortest.
unsigned best_rice_bits(double gap) {
  return gap <= 1 ? 0 : static_cast<unsigned>(std::max(0.0, std::round(std::log2(gap * 0.69))));
}

/// Calls visit(j) for each set bit j, ascending.
template <class Visit>
void for_each_bit(std::span<const Word> words, const Visit& visit) {
  for (std::size_t w = 0; w < words.size(); ++w)
    for (Word left = words[w]; left != 0; left &= left - 1)
      visit(w * kWordBits + static_cast<std::size_t>(std::countr_zero(left)));
}

std::vector<Word> encode_gaps(std::span<const Word> words, unsigned rice_bits) {
  BitWriter out;
  std::size_t next = 0;
  for_each_bit(words, [&](std::size_t j) {
    const std::size_t gap = j - next;
    next = j + 1;
    constexpr unsigned kPiece = 32;
    std::size_t ones = gap >> rice_bits;
    for (; ones >= kPiece; ones -= kPiece) out.put(low_bits(kPiece), kPiece);
    out.put(low_bits(ones), static_cast<unsigned>(ones) + 1);
    out.put(gap & low_bits(rice_bits), rice_bits);
  });
  return out.take();
}

std::vector<Word> decode_gaps(std::span<const Word> code, std::size_t words, std::size_t count,
                              unsigned rice_bits) {
  std::vector<Word> mask(words, 0);
  BitReader in(code);
  std::size_t next = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t high = in.get_unary() << rice_bits;
    const std::size_t j = next + (high | in.get(rice_bits));
    set_bit(mask.data(), j);
    next = j + 1;
  }
  return mask;
}

void pack(const MaskPtr& mask, std::vector<MaskPtr>& common, Writer& out) {
  if (!mask) return out.number(static_cast<std::uint64_t>(MaskForm::none));
  if (mask->is_common()) {
    auto found = std::find(common.begin(), common.end(), mask);
    if (found == common.end()) found = common.insert(common.end(), mask);
    out.number(static_cast<std::uint64_t>(MaskForm::common));
    return out.number(static_cast<std::uint64_t>(found - common.begin()));
  }
  const auto words = mask->words();
  const std::size_t count = mask->count();
  const unsigned rice_bits = best_rice_bits(static_cast<double>(words.size() * kWordBits) /
                                            static_cast<double>(std::max<std::size_t>(count, 1)));
  // A gap's code takes a bit more than that many: where half of the bits are set it can't win.
  if (count < words.size() * kWordBits / 4) {
    const auto code = encode_gaps(words, rice_bits);
    if (code.size() + 3 < words.size()) {
      out.number(static_cast<std::uint64_t>(MaskForm::gaps));
      out.number(words.size());
      out.number(count);
      out.number(rice_bits);
      return out.counted(code);
    }
  }
  out.number(static_cast<std::uint64_t>(MaskForm::words));
  out.number(words.size());
  out.array(words);
}

MaskPtr unpack_mask(Reader& in, const std::vector<MaskPtr>& common) {
  switch (static_cast<MaskForm>(in.number())) {
    case MaskForm::none: return nullptr;
    case MaskForm::common: return common[in.number()];
    case MaskForm::words: return std::make_shared<const Mask>(in.counted<Word>());
    case MaskForm::gaps: break;
  }
  const auto words = in.number();
  const auto count = in.number();
  const auto rice_bits = static_cast<unsigned>(in.number());
  const auto code = in.counted<Word>();
  return std::make_shared<const Mask>(decode_gaps(code, words, count, rice_bits));
}

}  // namespace

std::size_t ClientState::bytes() const {
  std::size_t bytes = sizeof(ClientState) + personal.capacity() * sizeof(float) +
                      vectors.capacity() * sizeof(UnsetVector<float>) +
                      scalars.capacity() * sizeof(double);
  for (const auto& vector : vectors) bytes += vector.capacity() * sizeof(float);
  for (const MaskPtr& own : {mask, next_mask})
    if (own && !own->is_common()) bytes += sizeof(Mask) + own->words().size_bytes();
  return bytes;
}

namespace {

void pack(const ClientState& state, std::vector<MaskPtr>& common, Writer& out) {
  pack(state.mask, common, out);
  pack(state.next_mask, common, out);
  out.counted(state.personal);
  out.number(state.vectors.size());
  for (const auto& vector : state.vectors) out.counted(vector);
  out.counted(state.scalars);
}

ClientState unpack(Reader& in, const std::vector<MaskPtr>& common) {
  ClientState state;
  state.mask = unpack_mask(in, common);
  state.next_mask = unpack_mask(in, common);
  using Values = UnsetVector<float>;
  state.personal = in.counted<float, Values>();
  state.vectors.resize(in.number());
  for (auto& vector : state.vectors) vector = in.counted<float, Values>();
  state.scalars = in.counted<double>();
  return state;
}

/// The mask of these words among `common`, to which it is added if need be.
MaskPtr find_or_add(std::vector<Word> words, std::vector<MaskPtr>& common) {
  const auto known = std::find_if(common.begin(), common.end(), [&](const MaskPtr& mask) {
    return std::equal(words.begin(), words.end(), mask->words().begin(), mask->words().end());
  });
  if (known != common.end()) return *known;
  return common.emplace_back(std::make_shared<const Mask>(std::move(words), true));
}

}  // namespace

std::vector<std::byte> pack(const ClientState& state, std::vector<MaskPtr>& common) {
  Writer out;
  pack(state, common, out);
  return out.take();
}

ClientState unpack(std::span<const std::byte> bytes, const std::vector<MaskPtr>& common) {
  Reader in(bytes);
  return unpack(in, common);
}

std::vector<std::byte> pack_whole(const ClientState& state) {
  std::vector<MaskPtr> common;
  Writer body;
  pack(state, common, body);
  Writer out;
  out.number(common.size());
  for (const MaskPtr& mask : common) {
    out.number(mask->words().size());
    out.array(mask->words());
  }
  const auto packed = body.take();
  out.array(std::span<const std::byte>(packed));
  return out.take();
}

ClientState unpack_whole(std::span<const std::byte> bytes, std::vector<MaskPtr>& common) {
  Reader in(bytes);
  std::vector<MaskPtr> own(in.number());
  for (MaskPtr& mask : own) mask = find_or_add(in.counted<Word>(), common);
  return unpack(in, own);
}

}  // namespace fedselect
