#include "model/architectures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "base/error.hpp"

namespace fedselect {

namespace {

using Value = NetworkBuilder::Value;

void require_side(const ModelConfig& config, const Value& image, int smallest) {
  const ops::ImageShape& shape = image.shape;
  if (std::min(shape.height, shape.width) >= smallest) return;
  throw KeyError("model.name",
                 fmt::format("model.name = \"{0}\" needs images of at least {1} x {1} pixels, "
                             "these have {2} x {3}: choose model.name = \"mlp\"",
                             kModelNames[static_cast<std::size_t>(config.name)], smallest,
                             shape.height, shape.width));
}

/// The image as PyTorch flattens it; one channel lies so already.
Value flat_image(NetworkBuilder& net) {
  const Value image = net.image();
  return image.shape.channels > 1 ? net.flatten(image) : image;
}

/// Multinomial logistic regression.
void logistic(const ModelConfig& /*config*/, int classes, NetworkBuilder& net) {
  net.linear("fc", flat_image(net), classes);
}

/// One hidden layer.
void mlp(const ModelConfig& config, int classes, NetworkBuilder& net) {
  const Value hidden = net.linear("fc1", flat_image(net), static_cast<int>(config.hidden));
  net.linear("fc2", net.relu(hidden), classes);
}

/// Pooling stands before the activation: the same function, a quarter of the work.
Value conv_pool_relu(const char* name, const Value& in, const NetworkBuilder::ConvForm& form,
                     NetworkBuilder& net) {
  return net.relu(net.max_pool(net.conv(name, in, form), 2));
}

/// Source: McMahan et al., AISTATS 2017.
void cnn(const ModelConfig& config, int classes, NetworkBuilder& net) {
  require_side(config, net.image(), 4);
  Value x = net.image();
  x = conv_pool_relu("conv1", x, {.channels = 32, .kernel = 5, .padding = 2}, net);
  x = conv_pool_relu("conv2", x, {.channels = 64, .kernel = 5, .padding = 2}, net);
  x = net.relu(net.linear("fc1", net.flatten(x), 512));
  net.linear("fc2", x, classes);
}

/// Source: LeCun et al., Proc. IEEE 1998; relu for tanh, max pooling for trainable subsampling, a
/// full second convolution, a linear last layer, as is usual today.
void lenet5(const ModelConfig& config, int classes, NetworkBuilder& net) {
  require_side(config, net.image(), 12);
  Value x = net.image();
  x = conv_pool_relu("conv1", x, {.channels = 6, .kernel = 5, .padding = 2}, net);
  x = conv_pool_relu("conv2", x, {.channels = 16, .kernel = 5}, net);
  x = net.relu(net.linear("fc1", net.flatten(x), 120));
  x = net.relu(net.linear("fc2", x, 84));
  net.linear("fc3", x, classes);
}

/// The ResNets' blocks, normalised as the config says.
class ResNet {
 public:
  ResNet(const ModelConfig& config, NetworkBuilder& net) : config_(config), net_(net) {}

  Value norm(const std::string& name, const Value& in) {
    if (config_.norm == NormKind::batch) return net_.batch_norm(name, in);
    return net_.group_norm(name, in, static_cast<int>(config_.groups));
  }

  /// torchvision's BasicBlock: relu(x + norm(conv(relu(norm(conv(x)))))). Where the shape changes,
  /// x goes through a convolution 1 x 1 and a norm (He et al.: option B).
  Value block(const std::string& name, const Value& in, int channels, int stride) {
    Value x = net_.plain_conv(name + ".conv1", in,
                              {.channels = channels, .kernel = 3, .stride = stride, .padding = 1});
    x = net_.relu(norm(name + ".bn1", x));
    x = net_.plain_conv(name + ".conv2", x, {.channels = channels, .kernel = 3, .padding = 1});
    x = norm(name + ".bn2", x);
    Value shortcut = in;
    if (stride != 1 || in.shape.channels != channels) {
      shortcut = net_.plain_conv(name + ".downsample.0", in,
                                 {.channels = channels, .kernel = 1, .stride = stride});
      shortcut = norm(name + ".downsample.1", shortcut);
    }
    return net_.relu(net_.join(x, shortcut));
  }

  /// `layer<number>`: blocks of one width, the first of which may halve the image.
  Value stage(int number, const Value& in, int blocks, int channels, int stride) {
    Value x = in;
    for (int i = 0; i < blocks; ++i)
      x = block(fmt::format("layer{}.{}", number, i), x, channels, i == 0 ? stride : 1);
    return x;
  }

 private:
  const ModelConfig& config_;
  NetworkBuilder& net_;
};

/// 6 n + 2 layers for images of 32 x 32. Source: He et al., CVPR 2016, section 4.2; shortcuts of
/// option B, so that all ResNets have the same block (the paper has option A here, which keeps no
/// parameters in them).
void cifar_resnet(const ModelConfig& config, int n, int classes, NetworkBuilder& net) {
  require_side(config, net.image(), 3);
  ResNet resnet(config, net);
  Value x = net.plain_conv("conv1", net.image(), {.channels = 16, .kernel = 3, .padding = 1});
  x = net.relu(resnet.norm("bn1", x));
  x = resnet.stage(1, x, n, 16, 1);
  x = resnet.stage(2, x, n, 32, 2);
  x = resnet.stage(3, x, n, 64, 2);
  net.linear("fc", net.mean_pool(x), classes);
}

/// Source: He et al., CVPR 2016, table 1, as torchvision has it; the stem of 3 x 3 for small images
/// is the one that implementations for CIFAR share.
void resnet18(const ModelConfig& config, int classes, NetworkBuilder& net) {
  const bool large_images = config.stem == StemKind::imagenet;
  require_side(config, net.image(), large_images ? 17 : 5);
  ResNet resnet(config, net);
  Value x = net.image();
  if (large_images) {
    x = net.plain_conv("conv1", x, {.channels = 64, .kernel = 7, .stride = 2, .padding = 3});
    x = net.max_pool(net.relu(resnet.norm("bn1", x)), 3, 2, 1);
  } else {
    x = net.plain_conv("conv1", x, {.channels = 64, .kernel = 3, .padding = 1});
    x = net.relu(resnet.norm("bn1", x));
  }
  x = resnet.stage(1, x, 2, 64, 1);
  x = resnet.stage(2, x, 2, 128, 2);
  x = resnet.stage(3, x, 2, 256, 2);
  x = resnet.stage(4, x, 2, 512, 2);
  net.linear("fc", net.mean_pool(x), classes);
}

}  // namespace

void build_network(const ModelConfig& config, int classes, NetworkBuilder& net) {
  switch (config.name) {
    case ModelKind::logistic: return logistic(config, classes, net);
    case ModelKind::mlp: return mlp(config, classes, net);
    case ModelKind::cnn: return cnn(config, classes, net);
    case ModelKind::lenet5: return lenet5(config, classes, net);
    case ModelKind::resnet8: return cifar_resnet(config, 1, classes, net);
    case ModelKind::resnet20: return cifar_resnet(config, 3, classes, net);
    case ModelKind::resnet18: return resnet18(config, classes, net);
  }
}

}  // namespace fedselect
