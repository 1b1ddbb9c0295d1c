#pragma once

// CUDA's short vectors, with their alignment.

#define FEDSELECT_VECTOR2(Name, T, bytes) \
  struct alignas(bytes) Name {            \
    T x, y;                               \
  };                                      \
  constexpr Name make_##Name(T x, T y) { return {x, y}; }
#define FEDSELECT_VECTOR4(Name, T, bytes) \
  struct alignas(bytes) Name {            \
    T x, y, z, w;                         \
  };                                      \
  constexpr Name make_##Name(T x, T y, T z, T w) { return {x, y, z, w}; }

FEDSELECT_VECTOR2(float2, float, 8)
FEDSELECT_VECTOR2(double2, double, 16)
FEDSELECT_VECTOR2(int2, int, 8)
FEDSELECT_VECTOR2(uint2, unsigned, 8)
FEDSELECT_VECTOR2(longlong2, long long, 16)
FEDSELECT_VECTOR2(ulonglong2, unsigned long long, 16)
FEDSELECT_VECTOR4(float4, float, 16)
FEDSELECT_VECTOR4(int4, int, 16)
FEDSELECT_VECTOR4(uint4, unsigned, 16)
FEDSELECT_VECTOR4(uchar4, unsigned char, 4)

#undef FEDSELECT_VECTOR2
#undef FEDSELECT_VECTOR4

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
