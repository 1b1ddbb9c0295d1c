#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "ops/guarded_arrays.hpp"

/// Finite differences in double precision, for gradients that no formula of ours has touched.
namespace fedselect::ops::test {

using Doubles = std::vector<double>;

inline double dot(const Doubles& a, const Doubles& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// The gradient of f by each value of x.
inline Doubles slopes(const Doubles& x, const std::function<double(const Doubles&)>& f) {
  Doubles gradient;
  constexpr double h = 1e-5;
  for (std::size_t i = 0; i < x.size(); ++i) {
    Doubles plus = x;
    Doubles minus = x;
    plus[i] += h;
    minus[i] -= h;
    gradient.push_back((f(plus) - f(minus)) / (2 * h));
  }
  return gradient;
}

inline Doubles doubles_of(Clients<float>& clients, std::size_t g) {
  return {clients[g], clients[g] + clients.sizes[g]};
}

}  // namespace fedselect::ops::test
