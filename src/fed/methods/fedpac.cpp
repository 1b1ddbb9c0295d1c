#include <algorithm>

#include "fed/methods.hpp"
#include "fed/methods/personal_layers.hpp"
#include "fed/simplex_program.hpp"

namespace fedselect {

namespace {

/// A personal head, and features held to the classes' centroids over all clients; the server
/// combines heads, for each client with weights that promise it the least test loss. Source: Xu et
/// al., ICLR 2023, algorithm 1. docs/methods.md says what is settled.
class FedPac final : public PersonalHead {
 public:
  void describe(Fields& fields) override {
    PersonalHead::describe(fields);
    fields.integer("head_passes", head_passes_, kCount, "passes on the head, before the body's");
    fields.real("lambda", lambda_, kNonNegative, "weight of the features' distance to centroids");
  }
  void prepare(const ParameterLayout& layout) override {
    PersonalHead::prepare(layout);
    const auto& tensors = layout.tensors();
    const auto weight = std::find_if(tensors.begin(), tensors.end(), [&](const Tensor& tensor) {
      return is_personal(layout, tensor) && tensor.kind == TensorKind::weight;
    });
    classes_ = static_cast<std::size_t>(weight->shape[0]);
    features_ = static_cast<std::size_t>(weight->shape[1]);
  }

  void client_step(ClientGroup& clients, Trainer& trainer, std::int64_t passes) const override {
    clients.personalize(personal());
    write_start(clients, trainer.class_features());
    trainer.passes(head_passes_, Scope::personal);
    trainer.refresh_optimizers();
    trainer.passes(passes - head_passes_, Scope::shared, [&](LocalStep& step) {
      step.aligned_gradient(lambda_, clients.notice());
      step.descend();
    });
    write_centroids(clients, trainer.class_features());
    for (int g = 0; g < clients.size(); ++g)
      clients.read_personal(g, clients.message(g).subspan(head_at(), head_size()));
  }
  void answer(const Messages& messages, const Answer& answer) const override {
    average_centroids(messages, answer.notice);
    const std::vector<double> products = bias_products(messages);
    for (std::size_t i = 0; i < messages.count(); ++i)
      if (!answer.personal[i].empty())
        combine_heads(messages, combining_weights(messages, products, i), answer.personal[i]);
  }

  std::int64_t least_passes() const override { return head_passes_ + 1; }
  Belongings belongings() const override {
    return {.message = head_at() + head_size(),
            .notice = classes_ * centroid_row(),
            .reply = head_size()};
  }

 private:
  // A message: the variance V; a row a class of its samples and their mean feature before the
  // training; the means after it; the head. The notice: a row a class of centroid and samples.
  static constexpr std::size_t kCounts = 1;
  std::size_t centroid_row() const { return features_ + 1; }
  std::size_t means_at() const { return kCounts + classes_; }
  std::size_t centroids_at() const { return means_at() + classes_ * features_; }
  std::size_t head_at() const { return centroids_at() + classes_ * features_; }
  std::size_t head_size() const { return classes_ * (features_ + 1); }

  /// Variance, counts and means of the features with which the clients begin.
  void write_start(ClientGroup& clients, const std::vector<ClassFeatures>& all) const {
    for (int g = 0; g < clients.size(); ++g) {
      const ClassFeatures& features = all[static_cast<std::size_t>(g)];
      const std::span<float> message = clients.message(g);
      double samples = 0, squares = 0, explained = 0;
      for (std::size_t c = 0; c < classes_; ++c) samples += features.count(c);
      for (std::size_t c = 0; c < classes_; ++c) {
        const double share = features.count(c) / samples;
        message[kCounts + c] = static_cast<float>(features.count(c));
        squares += features.squares(c);
        for (std::size_t j = 0; j < features_; ++j) {
          const double part = share * features.mean(c, j);
          explained += part * part;
        }
      }
      write_means(features, message.subspan(means_at()));
      message[0] = static_cast<float>(std::max(squares / samples - explained, 0.0) / samples);
    }
  }
  void write_centroids(ClientGroup& clients, const std::vector<ClassFeatures>& all) const {
    for (int g = 0; g < clients.size(); ++g)
      write_means(all[static_cast<std::size_t>(g)], clients.message(g).subspan(centroids_at()));
  }
  void write_means(const ClassFeatures& features, std::span<float> out) const {
    for (std::size_t c = 0; c < classes_; ++c)
      for (std::size_t j = 0; j < features_; ++j)
        out[c * features_ + j] = static_cast<float>(features.mean(c, j));
  }

  void average_centroids(const Messages& messages, std::span<float> notice) const {
    std::vector<double> sums(features_);
    for (std::size_t c = 0; c < classes_; ++c) {
      double samples = 0;
      std::fill(sums.begin(), sums.end(), 0);
      for (std::size_t i = 0; i < messages.count(); ++i) {
        const double count = messages[i][kCounts + c];
        const auto centroid = messages[i].subspan(centroids_at() + c * features_, features_);
        samples += count;
        for (std::size_t j = 0; j < features_; ++j) sums[j] += count * centroid[j];
      }
      const auto row = notice.subspan(c * centroid_row(), centroid_row());
      for (std::size_t j = 0; j < features_ && samples > 0; ++j)
        row[j] = static_cast<float>(sums[j] / samples);
      row[features_] = static_cast<float>(samples);
    }
  }

  /// Products <h_j, h_k> of all pairs [n][n], where h is the row of p(c) mu_c of a client.
  std::vector<double> bias_products(const Messages& messages) const {
    const std::size_t n = messages.count();
    std::vector<double> products(n * n);
    for (std::size_t j = 0; j < n; ++j)
      for (std::size_t k = 0; k <= j; ++k)
        products[j * n + k] = products[k * n + j] = bias_product(messages[j], messages[k]);
    return products;
  }
  double bias_product(std::span<const float> a, std::span<const float> b) const {
    double sum = 0;
    for (std::size_t c = 0; c < classes_; ++c) {
      const double shares = share(a, c) * share(b, c);
      if (shares == 0) continue;
      const auto x = a.subspan(means_at() + c * features_, features_);
      const auto y = b.subspan(means_at() + c * features_, features_);
      double product = 0;
      for (std::size_t j = 0; j < features_; ++j)
        product += static_cast<double>(x[j]) * static_cast<double>(y[j]);
      sum += shares * product;
    }
    return sum;
  }
  /// p(c): which part of the client's samples is of class c.
  double share(std::span<const float> message, std::size_t c) const {
    double samples = 0;
    for (std::size_t i = 0; i < classes_; ++i) samples += message[kCounts + i];
    return message[kCounts + c] / samples;
  }

  /// The weights of all heads in that of client i.
  static std::vector<double> combining_weights(const Messages& messages,
                                               const std::vector<double>& products, std::size_t i) {
    const std::size_t n = messages.count();
    const auto product = [&](std::size_t j, std::size_t k) { return products[j * n + k]; };
    std::vector<double> program(n * n);
    for (std::size_t j = 0; j < n; ++j) {
      for (std::size_t k = 0; k < n; ++k)  // <h_i - h_j, h_i - h_k>
        program[j * n + k] = product(i, i) - product(i, j) - product(i, k) + product(j, k);
      program[j * n + j] += messages[j][0];
    }
    return minimize_on_simplex(program, n, i);
  }
  void combine_heads(const Messages& messages, const std::vector<double>& weights,
                     std::span<float> out) const {
    for (std::size_t v = 0; v < head_size(); ++v) {
      double sum = 0;
      for (std::size_t j = 0; j < messages.count(); ++j)
        sum += weights[j] * messages[j][head_at() + v];
      out[v] = static_cast<float>(sum);
    }
  }

  std::int64_t head_passes_ = 1;
  double lambda_ = 1;
  std::size_t classes_ = 0;
  std::size_t features_ = 0;
};

}  // namespace

std::unique_ptr<Algorithm> make_fedpac() { return std::make_unique<FedPac>(); }

}  // namespace fedselect
