#pragma once

#include "ops/cpu/simd.hpp"

namespace fedselect::ops::cpu::FEDSELECT_ISA {

/// Columns that one panel of B has: two vectors.
inline constexpr Index kPanel = 2 * kWidth;
/// Rows of C that the largest register block has.
#if defined(__AVX512F__)
inline constexpr Index kBlockRows = 14;
#else
inline constexpr Index kBlockRows = 6;
#endif

/// C = sum over `batch` of A_i B_i, plus bias or what C holds. Strides are in floats.
///
/// Element (r, k) of A_i: a[i a_batch + r a_row + k a_step]. Column j of B's panel p (kPanel
/// columns each), row k: b[i b_batch + p b_panel + k b_step + j]. b_panel = kPanel: a plain
/// row-major matrix. B is never read behind its last column.
struct Product {
  const float* a = nullptr;
  Index a_row = 0, a_step = 1, a_batch = 0;
  const float* b = nullptr;
  Index b_step = 0, b_panel = kPanel, b_batch = 0;
  float* c = nullptr;
  Index c_row = 0;
  Index rows = 0, columns = 0, depth = 0, batch = 1;
  const float* bias = nullptr;  ///< per column
  bool accumulate = false;      ///< adds to C; excludes bias
  bool rows_outer =
      false;           ///< walks the panels for each block of rows instead of the other way round
  Index prefetch = 0;  ///< while a panel is read, fetches what lies this many floats behind in B
};

void multiply(const Product& product);

/// to[j to_row + i] = from[i from_row + j] for i < rows, j < columns.
void transpose(const float* from, Index from_row, Index rows, Index columns, float* to,
               Index to_row);

/// sums[j] += the sum over the rows of x[row][j].
void add_column_sums(const float* x, Index rows, Index columns, float* sums);

void fill(float* x, Index size, float value);
void copy(const float* from, Index size, float* to);

}  // namespace fedselect::ops::cpu::FEDSELECT_ISA
