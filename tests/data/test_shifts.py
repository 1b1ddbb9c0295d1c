"""Rotations and corruptions of the built program against numpy and Pillow. ctest sets FEDSELECT_PROGRAM."""

import colorsys
import math
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "tools"))
from data_folder import Folder  # noqa: E402

COUNT, SIDE = 12, 32
RANDOM = np.random.default_rng(2)
ONE_CLIENT = 'partition = "iid"\nclients = 1\n'


def smooth_images(count, side=SIDE, channels=3):
    """Random coarse patterns, all values of a byte."""
    images = []
    for _ in range(count):
        coarse = Image.fromarray(RANDOM.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        images.append(np.asarray(coarse.resize((side, side), Image.BICUBIC)))
    return np.stack(images)[..., :channels]


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def write(folder, images):
    """The same images in both parts."""
    for part in ("train", "test"):
        np.save(folder.data / f"{part}_images.npy", images)
        np.save(folder.data / f"{part}_labels.npy", np.arange(len(images)) % 3)
    return images


def corrupt(folder, kind, severity):
    keys = f'{ONE_CLIENT}corruption = "{kind}"\ncorruption_severity = {severity}'
    return folder.convert(keys)["train/images"]


# ---- kinds without noise, image by image, as make_cifar_c.py has them


def blur_axis(x, weights, axis):
    radius = len(weights) // 2
    padded = np.pad(x, [(radius, radius) if a == axis else (0, 0) for a in range(3)], mode="edge")
    return sum(w * np.take(padded, np.arange(i, i + x.shape[axis]), axis) for i, w in enumerate(weights))


def gaussian(sigma, radius):
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return weights / weights.sum()


def gaussian_blur(x, s):
    sigma = [0.4, 0.6, 0.7, 0.8, 1][s]
    weights = gaussian(sigma, int(4 * sigma + 0.5))
    return blur_axis(blur_axis(x / 255, weights, 0), weights, 1)


def defocus_blur(x, s):
    radius, alias = [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)][s]
    grid = np.arange(-8, 9)
    disk = (grid[:, None] ** 2 + grid**2 <= radius**2).astype(float)
    disk = disk[..., None] / disk.sum()
    weights = gaussian(alias, 1)
    kernel = blur_axis(blur_axis(disk, weights, 0), weights, 1)[..., 0]
    padded = np.pad(x / 255, ((8, 8), (8, 8), (0, 0)), mode="reflect")
    height, width = x.shape[:2]
    return sum(
        kernel[i, j] * padded[i : i + height, j : j + width] for i in range(17) for j in range(17) if kernel[i, j]
    )


def through_hsv(x, change):
    out = np.empty(x.shape)
    for y in range(x.shape[0]):
        for i in range(x.shape[1]):
            out[y, i] = colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*(x[y, i] / 255))))
    return out


def brightness(x, s):
    more = [0.05, 0.1, 0.15, 0.2, 0.3][s]
    return through_hsv(x, lambda h, sat, v: (h, sat, min(v + more, 1)))


def saturate(x, s):
    factor, more = [(0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)][s]
    return through_hsv(x, lambda h, sat, v: (h, min(sat * factor + more, 1), v))


def contrast(x, s):
    mean = (x / 255).mean((0, 1), keepdims=True)
    return (x / 255 - mean) * [0.75, 0.5, 0.4, 0.3, 0.15][s] + mean


@pytest.mark.parametrize("severity", range(1, 6))
@pytest.mark.parametrize("reference", [gaussian_blur, defocus_blur, brightness, saturate, contrast])
def test_formulas(folder, reference, severity):
    images = write(folder, smooth_images(4))
    found = corrupt(folder, reference.__name__.replace("_", "-"), severity)
    wanted = np.stack([np.uint8(np.clip(reference(x, severity - 1), 0, 1) * 255) for x in images])
    # Values that are whole before the truncation may fall to either side: with a mean of 9 pixels one in 9 is.
    assert np.abs(found.astype(int) - wanted).max() <= 1
    assert (found != wanted).mean() < (0.12 if reference is defocus_blur else 0.02)
    assert (found != images).mean() > 0.1 or reference is defocus_blur and severity == 1


@pytest.mark.parametrize("severity", range(1, 6))
@pytest.mark.parametrize("channels", [1, 3])
def test_pixelate_and_jpeg_are_pillows(folder, severity, channels):
    images = write(folder, smooth_images(COUNT, channels=channels))
    pictures = [Image.fromarray(x[..., 0] if channels == 1 else x) for x in images]
    coarse = int(SIDE * [0.95, 0.9, 0.85, 0.75, 0.65][severity - 1])
    wanted = [p.resize((coarse, coarse), Image.BOX).resize((SIDE, SIDE), Image.BOX) for p in pictures]
    np.testing.assert_array_equal(corrupt(folder, "pixelate", severity), np.reshape([*map(np.asarray, wanted)], images.shape))
    wanted = []
    for picture in pictures:
        picture.save(folder.path / "x.jpg", quality=[80, 65, 58, 50, 40][severity - 1])
        wanted.append(np.asarray(Image.open(folder.path / "x.jpg")))
    np.testing.assert_array_equal(corrupt(folder, "jpeg", severity), np.reshape(wanted, images.shape))


# ---- noise


@pytest.mark.parametrize("severity", range(1, 6))
def test_noise(folder, severity):
    """On one grey, mean and deviation of each kind are known; truncation takes half a step."""
    grey = 102
    images = write(folder, np.full((COUNT, SIDE, SIDE, 3), grey, np.uint8))
    x, n = grey / 255, images.size
    s = severity - 1
    for kind, deviation in (
        ("gaussian-noise", [0.04, 0.06, 0.08, 0.09, 0.10][s]),
        ("shot-noise", math.sqrt(x / [500, 250, 100, 75, 50][s])),
        ("speckle-noise", x * [0.06, 0.1, 0.12, 0.16, 0.2][s]),
    ):
        noise = (corrupt(folder, kind, severity) + 0.5) / 255 - x
        assert abs(noise.mean()) < 5 * deviation / math.sqrt(n) + 0.002, kind
        assert abs(noise.std() / deviation - 1) < 0.03, kind
    found = corrupt(folder, "impulse-noise", severity)
    amount = [0.01, 0.02, 0.03, 0.05, 0.07][s]
    for value in (0, 255):
        share = amount / 2
        assert abs((found == value).mean() - share) < 5 * math.sqrt(share / n)
    assert set(np.unique(found)) == {0, grey, 255}


def test_noise_differs_between_samples_and_parts(folder):
    write(folder, np.full((COUNT, 8, 8, 3), 99, np.uint8))
    read = folder.convert(ONE_CLIENT + 'corruption = "gaussian-noise"')
    everything = np.concatenate([read["train/images"], read["test/images"]]).reshape(2 * COUNT, -1)
    assert len(np.unique(everything, axis=0)) == 2 * COUNT


# ---- rotation


def test_quarter_turns_move_whole_pixels(folder):
    images = write(folder, smooth_images(COUNT, side=9))
    read = folder.convert('partition = "iid"\nclients = 6\nrotation = 90\nrotation_kind = "steps"')
    for part in ("train", "test"):
        offsets, indices = read[f"partition/{part}_offsets"], read[f"partition/{part}_indices"]
        for client in range(6):
            for i in indices[offsets[client] : offsets[client + 1]]:
                np.testing.assert_array_equal(read[f"{part}/images"][i], np.rot90(images[i], client))


def test_any_angle(folder):
    images = write(folder, smooth_images(COUNT))
    read = folder.convert('partition = "iid"\nclients = 2\nrotation = 30\nrotation_kind = "steps"')
    offsets, indices = read["partition/train_offsets"], read["partition/train_indices"]
    first, second = indices[: offsets[1]], indices[offsets[1] :]
    np.testing.assert_array_equal(read["train/images"][first], images[first])
    y, x = np.mgrid[:SIDE, :SIDE]
    inside = np.hypot(y - SIDE / 2 + 0.5, x - SIDE / 2 + 0.5) < SIDE / 2 - 2
    for i in second:
        wanted = np.asarray(Image.fromarray(images[i]).rotate(30, Image.BILINEAR))
        assert np.abs(read["train/images"][i][inside].astype(int) - wanted[inside]).max() <= 1
        assert not read["train/images"][i][0, 0].any()


def test_drawn_angles_stay_within_their_range(folder):
    """A white wedge to the right of the centre shows by how much it was turned."""
    y, x = np.mgrid[:41, :41] - 20
    image = np.where((x > 5) & (np.abs(y) < 3), 255, 0).astype(np.uint8)
    write(folder, np.repeat(image[None, ..., None], 30, axis=0))
    read = folder.convert('partition = "iid"\nclients = 30\nrotation = 60')
    angles = []
    for picture in read["train/images"][..., 0].astype(float):
        angles.append(math.degrees(math.atan2(-(picture * y).sum(), (picture * x).sum())))
    assert max(map(abs, angles)) < 61 and min(angles) < -25 and max(angles) > 25


# ---- which client gets what


def test_clients_draw_kind_and_severity(folder):
    """Every client has one kind of its own; the same on any number of ranks; other keys don't change the draw."""
    images = write(folder, np.repeat(smooth_images(1), 40, axis=0))
    keys = 'partition = "iid"\nclients = 20\ncorruption = "any"\ncorruption_severity = 0'
    one = folder.convert(keys)
    three = folder.convert(keys, ranks=3)
    for name in ("train/images", "test/images"):
        np.testing.assert_array_equal(one[name], three[name])
    assert (one["train/images"] != images).any((1, 2, 3)).sum() > 30
    turned = folder.convert(keys + "\nrotation = 360\nrotation_kind = \"steps\"")
    np.testing.assert_array_equal(one["train/images"], turned["train/images"])


def test_statistics_are_of_the_shifted_images(folder):
    write(folder, np.full((COUNT, 8, 8, 1), 102, np.uint8))
    read = folder.convert(ONE_CLIENT + 'corruption = "brightness"\ncorruption_severity = 2')
    # 0.4 + 0.1; the product with 255 is truncated.
    assert set(np.unique(read["train/images"])) == {127}


def test_what_cannot_be_shifted(folder):
    write(folder, smooth_images(COUNT, channels=1))
    assert ':7:1: data.corruption = "saturate" needs colour images' in folder.refusal(
        ONE_CLIENT + 'corruption = "saturate"'
    )
    with h5py.File(folder.path / "p.h5", "w") as file:
        file["partition/train_indices"], file["partition/train_offsets"] = [0, 1, 1, 2], [0, 2, 4]
        file["partition/test_indices"], file["partition/test_offsets"] = [0, 1], [0, 1, 2]
    keys = f'partition = "file"\npartition_file = "{folder.path / "p.h5"}"\n'
    folder.convert(keys)
    text = folder.refusal(keys + "rotation = 5")
    assert ":7:1: data.rotation: sample 1 belongs to the clients 0 and 1" in text
