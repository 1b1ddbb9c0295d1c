#include "fed/simplex_program.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace fedselect {

namespace {

constexpr double kTolerance = 1e-12;  // relative to the largest diagonal entry
constexpr double kLeastPivot = 1e-14;

using Numbers = std::vector<double>;

/// Solves the linear system [n][n + 1] by elimination with pivoting; empty if it is singular.
Numbers solve(Numbers system, std::size_t n) {
  const auto at = [&](std::size_t row, std::size_t column) -> double& {
    return system[row * (n + 1) + column];
  };
  for (std::size_t k = 0; k < n; ++k) {
    std::size_t pivot = k;
    for (std::size_t row = k + 1; row < n; ++row)
      if (std::abs(at(row, k)) > std::abs(at(pivot, k))) pivot = row;
    if (!(std::abs(at(pivot, k)) > kLeastPivot)) return {};
    for (std::size_t column = k; column <= n; ++column) std::swap(at(k, column), at(pivot, column));
    for (std::size_t row = k + 1; row < n; ++row) {
      const double factor = at(row, k) / at(k, k);
      for (std::size_t column = k; column <= n; ++column) at(row, column) -= factor * at(k, column);
    }
  }
  Numbers x(n);
  for (std::size_t k = n; k-- > 0;) {
    double rest = at(k, n);
    for (std::size_t column = k + 1; column < n; ++column) rest -= at(k, column) * x[column];
    x[k] = rest / at(k, k);
  }
  return x;
}

/// The search: weights on the simplex, and the set of indices that may be above 0.
class Search {
 public:
  Search(std::span<const double> q, std::size_t n, std::size_t start)
      : q_(q), n_(n), weights_(n, 0.0), members_{start} {
    weights_[start] = 1;
    for (std::size_t j = 0; j < n; ++j) scale_ = std::max(scale_, q[j * n + j]);
  }

  /// Takes in the index along which the value falls most steeply. False: nothing to gain.
  bool extend() {
    Numbers slopes(n_, 0.0);  // Q a, half the gradient
    for (std::size_t j = 0; j < n_; ++j)
      for (const std::size_t k : members_) slopes[j] += q_[j * n_ + k] * weights_[k];
    const double mean = std::inner_product(slopes.begin(), slopes.end(), weights_.begin(), 0.0);
    const auto steepest = std::min_element(slopes.begin(), slopes.end());
    const auto index = static_cast<std::size_t>(steepest - slopes.begin());
    if (!(*steepest < mean - kTolerance * scale_) || is_member(index)) return false;
    members_.push_back(index);
    return true;
  }

  /// Minimises over the members, of which those go that would be below 0. False: rounding is all
  /// that is left to gain.
  bool settle() {
    for (;;) {
      const Numbers target = affine_minimum();
      if (target.empty()) return false;
      double step = 1;  // how far towards it the weights stay >= 0
      std::size_t leaves = members_.size();
      for (std::size_t i = 0; i < members_.size(); ++i) {
        const double weight = weights_[members_[i]];
        if (target[i] > 0) continue;
        const double limit = weight > 0 ? weight / (weight - target[i]) : 0;
        if (leaves == members_.size() || limit < step) step = limit, leaves = i;
      }
      for (std::size_t i = 0; i < members_.size(); ++i) {
        double& weight = weights_[members_[i]];
        weight = std::max(weight + step * (target[i] - weight), 0.0);
      }
      if (leaves == members_.size()) return true;
      weights_[members_[leaves]] = 0;
      members_.erase(members_.begin() + static_cast<std::ptrdiff_t>(leaves));
    }
  }

  /// The weights, with their sum rounded to 1.
  Numbers weights() const {
    const double sum = std::accumulate(weights_.begin(), weights_.end(), 0.0);
    Numbers result(weights_);
    for (double& weight : result) weight /= sum;
    return result;
  }

 private:
  bool is_member(std::size_t index) const {
    return std::find(members_.begin(), members_.end(), index) != members_.end();
  }

  /// Weights of the members, of any sign but with sum 1, that minimise: Q b + m = 0 with a common
  /// m.
  Numbers affine_minimum() const {
    const std::size_t k = members_.size();
    Numbers system((k + 1) * (k + 2), 0.0);
    for (std::size_t i = 0; i < k; ++i) {
      for (std::size_t j = 0; j < k; ++j)
        system[i * (k + 2) + j] = q_[members_[i] * n_ + members_[j]] / scale_;
      system[i * (k + 2) + k] = system[k * (k + 2) + i] = 1;
    }
    system[k * (k + 2) + k + 1] = 1;
    return solve(std::move(system), k + 1);
  }

  std::span<const double> q_;
  std::size_t n_;
  double scale_ = 0;
  Numbers weights_;
  std::vector<std::size_t> members_;
};

}  // namespace

std::vector<double> minimize_on_simplex(std::span<const double> q, std::size_t n,
                                        std::size_t start) {
  Search search(q, n, start);
  const std::size_t most = 10 * n;  // far more than are needed; rounding could make it circle
  for (std::size_t i = 0; i < most && search.extend(); ++i)
    if (!search.settle()) break;
  return search.weights();
}

}  // namespace fedselect
