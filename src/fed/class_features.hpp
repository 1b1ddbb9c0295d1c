#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace fedselect {

/// A client's samples as the head of a network sees them: counts and sums of features by class.
class ClassFeatures {
 public:
  /// `sums`: a row a class, as Ops::add_class_sums leaves them.
  ClassFeatures(std::size_t features, std::vector<double> sums)
      : features_(features), sums_(std::move(sums)) {}

  /// Length of a row: the sums of the features, the count, the sum of squares.
  static std::size_t row(std::size_t features) { return features + 2; }

  std::size_t classes() const { return sums_.size() / row(features_); }
  /// Samples of the class.
  double count(std::size_t c) const { return sums_[c * row(features_) + features_]; }
  /// Mean of feature j over the samples of the class; 0 without samples.
  double mean(std::size_t c, std::size_t j) const {
    return count(c) == 0 ? 0 : sums_[c * row(features_) + j] / count(c);
  }
  /// Sum of the squares of all features of the samples of the class.
  double squares(std::size_t c) const { return sums_[c * row(features_) + features_ + 1]; }

 private:
  std::size_t features_;
  std::vector<double> sums_;
};

}  // namespace fedselect
