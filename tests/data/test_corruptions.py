"""Corruptions of the built program that draw noise, against numpy given the same noise. ctest sets FEDSELECT_PROGRAM.

Each reference is make_cifar_c.py's formula (Hendrycks and Dietterich, ICLR 2019) from OpenCV's, SciPy's, scikit-image's and
ImageMagick's documented operations, in double precision. Kinds that draw nothing, and plain noise, are in test_shifts.py.
"""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "tools"))
from data_folder import Folder  # noqa: E402
from random_stream import FEATURE_SHIFT, RandomStream, philox  # noqa: E402

SEED = 1  # the default
COUNT = 3
SHAPES = [(28, 28, 1), (32, 32, 3)]
NAMES = {SHAPES[0]: "grey28", SHAPES[1]: "rgb32"}


def smooth_images(shape, count=COUNT):
    """Random coarse patterns, all values of a byte."""
    random = np.random.default_rng(4)
    height, width, channels = shape
    coarse = [Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8)) for _ in range(count)]
    return np.stack([np.asarray(x.resize((width, height), Image.BICUBIC))[..., :channels] for x in coarse])


def corrupted(folder, images, kind, severity, ranks=1):
    """The training part after the corruption; all images belong to client 0."""
    for part in ("train", "test"):
        np.save(folder.data / f"{part}_images.npy", images)
        np.save(folder.data / f"{part}_labels.npy", np.arange(len(images)) % 3)
    keys = f'partition = "iid"\nclients = 1\ncorruption = "{kind}"\ncorruption_severity = {severity}'
    return folder.convert(keys, ranks=ranks)["train/images"]


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


# ---- filters


def correlate(x, kernel, mode):
    """Weighted sums around each pixel of (height, width, channels) or (height, width)."""
    r = len(kernel) // 2
    padded = np.pad(x, [(r, r), (r, r)] + [(0, 0)] * (x.ndim - 2), mode=mode)
    height, width = x.shape[:2]
    return sum(kernel[i][j] * padded[i : i + height, j : j + width] for i in range(2 * r + 1) for j in range(2 * r + 1))


def gaussian(x, sigma, mode="edge", truncate=4.0):
    if sigma == 0:
        return x
    radius = int(truncate * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return correlate(x, np.outer(weights, weights) / weights.sum() ** 2, mode)


def clipped_zoom(x, factor):
    for axis in (0, 1):
        side = x.shape[axis]
        crop = int(np.ceil(side / factor))
        first = (side - crop) // 2
        grown = int(np.round(crop * factor))
        trim = (grown - side) // 2
        at = np.linspace(0, crop - 1, grown)[trim : trim + side] + first
        x = np.apply_along_axis(lambda line, at=at: np.interp(at, np.arange(len(line)), line), axis, x)
    return x


def motion_blur_of_imagemagick(x, radius, sigma, angle):
    """One-sided Gaussian of 2 * radius + 1 weights; nearest pixels; the upper 8 of 16 bits."""
    weights = np.exp(-np.arange(2 * radius + 1) ** 2 / (2 * sigma**2))
    height, width = x.shape[:2]
    reach = 2 * radius + 1
    padded = np.pad(x, [(reach, reach), (reach, reach), (0, 0)], mode="edge")
    out = np.zeros(x.shape)
    for i, weight in enumerate(weights / weights.sum()):
        right = int(np.ceil(i * np.cos(np.radians(angle)) - 0.5))
        down = int(np.ceil(i * np.sin(np.radians(angle)) - 0.5))
        out += weight * padded[reach + down :][:height, reach + right :][:, :width]
    return np.round(out * 257) // 257


def luminance(x):
    return x @ [0.299, 0.587, 0.114] if x.shape[2] == 3 else x[..., 0]


# ---- kinds: bytes x, severity from 0, a random stream; returns values in [0, 1] before they are cut


def glass_blur(x, s, random):
    sigma, passes = [(0.05, 1), (0.25, 1), (0.4, 1), (0.25, 2), (0.4, 2)][s]
    x = np.floor(np.clip(gaussian(x / 255, sigma), 0, 1) * 255)
    height, width = x.shape[:2]
    for _ in range(passes):
        draws = random.below(2, (height - 2) * (width - 2), 2)[::-1].reshape(height - 2, width - 2, 2)
        # Every pixel of row and column 2 on has a new value, from the one, two or three beside it.
        rows, columns = np.mgrid[2:height, 2:width]
        x[2:, 2:] = x[rows - draws[..., 1], columns - draws[..., 0]]
    return gaussian(x / 255, sigma)


def motion_blur(x, s, random):
    radius, sigma = [(6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)][s]
    return motion_blur_of_imagemagick(x, radius, sigma, -45 + 90 * random.uniform(1)[0]) / 255


def zoom_blur(x, s, random):
    factors = np.arange(1, [1.06, 1.11, 1.16, 1.21, 1.26][s], 0.01)
    x = x / 255
    return (x + sum(clipped_zoom(x, factor) for factor in factors)) / (len(factors) + 1)


def snow(x, s, random):
    mean, deviation, zoom, threshold, radius, sigma, keep = [
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ][s]
    layer = clipped_zoom(mean + deviation * random.normal(*x.shape[:2], 1), zoom)
    layer[layer < threshold] = 0
    angle = -135 + 90 * random.uniform(1)[0]
    layer = motion_blur_of_imagemagick(np.floor(np.clip(layer, 0, 1) * 255), radius, sigma, angle) / 255
    x = x / 255
    x = keep * x + (1 - keep) * np.maximum(x, luminance(x)[..., None] * 1.5 + 0.5)
    return x + layer + np.rot90(layer, 2)


def frost(x, s, random):
    """This program's own sheet of ice; the weights are published."""
    picture, ice = [(1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)][s]
    height, width = x.shape[:2]
    sheet = 0
    for spacing, weight in ((8, 0.5), (4, 0.3), (2, 0.2)):
        rows, columns = (height - 1) // spacing + 2, (width - 1) // spacing + 2
        grid = random.uniform(rows, columns)
        grid = np.stack([np.interp(np.arange(width) / spacing, np.arange(columns), line) for line in grid])
        grid = np.stack([np.interp(np.arange(height) / spacing, np.arange(rows), line) for line in grid.T], axis=1)
        sheet = sheet + weight * (1 - np.abs(2 * grid - 1)) ** 2
    return picture * (x / 255) + ice * sheet[..., None]


def fog(x, s, random):
    thickness, decay = [(0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)][s]
    heights = np.zeros((1, 1))
    roughness = 100.0

    def middle(total):
        return total / 4 + roughness * (2 * random.uniform(*total.shape) - 1) * roughness

    while len(heights) < 32:  # the torus gets twice as fine
        east, south = np.roll(heights, -1, 1), np.roll(heights, -1, 0)
        centres = middle(heights + east + south + np.roll(east, -1, 0))
        across = middle(heights + east + centres + np.roll(centres, 1, 0))
        down = middle(heights + south + centres + np.roll(centres, 1, 1))
        finer = np.empty((2 * len(heights), 2 * len(heights)))
        finer[::2, ::2], finer[::2, 1::2], finer[1::2, ::2], finer[1::2, 1::2] = heights, across, down, centres
        heights = finer
        roughness /= decay
    heights = (heights - heights.min()) / (heights.max() - heights.min())
    x = x / 255
    most = x.max()
    return (x + thickness * heights[: x.shape[0], : x.shape[1], None]) * most / (most + thickness)


def sample(x, rows, columns, mode):
    """Linear between the pixels of a picture that goes on as `mode` says."""
    room = 60
    padded = np.pad(x, [(room, room), (room, room), (0, 0)], mode=mode)
    rows, columns = rows + room, columns + room
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    upper = padded[top, left] * (1 - right) + padded[top, left + 1] * right
    lower = padded[top + 1, left] * (1 - right) + padded[top + 1, left + 1] * right
    return upper * (1 - down) + lower * down


def elastic(x, s, random):
    shift, sigma, shear = [(0, 0, 2.56), (1.6, 6.4, 2.24), (2.56, 1.92, 1.92), (3.2, 1.28, 1.6), (3.2, 0.96, 0.96)][s]
    side = len(x)
    middle, leg = side // 2, side // 3
    before = np.array([[middle + leg, middle + leg], [middle + leg, middle - leg], [middle - leg, middle - leg]])
    after = before + shear * (2 * random.uniform(3, 2) - 1)

    def homogeneous(points):
        return np.vstack([points.T, np.ones(3)])

    back = homogeneous(before) @ np.linalg.inv(homogeneous(after))
    rows, columns = np.mgrid[:side, :side]
    at = back @ np.stack([columns.ravel(), rows.ravel(), np.ones(side * side)])
    x = sample(x / 255, at[1].reshape(side, side), at[0].reshape(side, side), "reflect")
    right, down = (
        gaussian(2 * random.uniform(side, side) - 1, sigma, "symmetric", 3.0) * shift for _ in ("right", "down")
    )
    return sample(x, rows + down, columns + right, "symmetric")


def canny(x, low, high):
    gx = correlate(x, [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], "edge")
    gy = correlate(x, [[-1, -2, -1], [0, 0, 0], [1, 2, 1]], "edge")
    size = np.abs(gx) + np.abs(gy)
    around = np.pad(size, 1)
    height, width = x.shape

    def beside(down, right):
        return around[1 + down : 1 + down + height, 1 + right : 1 + right + width]

    angle = np.degrees(np.arctan2(np.abs(gy), np.abs(gx)))
    across = (size > beside(0, -1)) & (size >= beside(0, 1))
    along = (size > beside(-1, 0)) & (size >= beside(1, 0))
    falling = (size > beside(-1, -1)) & (size > beside(1, 1))
    rising = (size > beside(-1, 1)) & (size > beside(1, -1))
    diagonal = np.where((gx < 0) != (gy < 0), rising, falling)
    ridge = (size > low) & np.where(angle < 22.5, across, np.where(angle > 67.5, along, diagonal))
    edges = ridge & (size > high)
    while True:
        grown = correlate(edges.astype(int), np.ones((3, 3), int), "constant") > 0
        if ((grown & ridge) == edges).all():
            return edges
        edges = grown & ridge


def chamfer(marks, most):
    """Shortest paths over steps of length 1, 1.4 and 2.1969."""
    far = np.where(marks, 0.0, most)
    height, width = far.shape
    for _ in range(height + width):
        around = np.pad(far, 2, constant_values=most)
        for i in range(-2, 3):
            for j in range(-2, 3):
                length = {(0, 1): 1, (1, 1): 1.4, (1, 2): 2.1969}.get(tuple(sorted((abs(i), abs(j)))))
                if length:
                    far = np.minimum(far, around[2 + i :, 2 + j :][:height, :width] + length)
    return far


def spatter(x, s, random):
    mean, deviation, sigma, threshold, strength, mud = [
        (0.62, 0.1, 0.7, 0.7, 0.5, False),
        (0.65, 0.1, 0.8, 0.7, 0.5, False),
        (0.65, 0.3, 1, 0.69, 0.5, False),
        (0.65, 0.1, 0.7, 0.69, 0.6, True),
        (0.65, 0.1, 0.5, 0.68, 0.6, True),
    ][s]
    liquid = gaussian(mean + deviation * random.normal(*x.shape[:2]), sigma)
    liquid[liquid < threshold] = 0
    colour = np.array([63, 42, 20] if mud else [175, 238, 238]) / 255
    if x.shape[2] == 1:
        colour = luminance(colour[None, None])[0]
    x = x / 255
    if mud:
        cover = gaussian((liquid > threshold).astype(float), strength)
        cover[cover < 0.8] = 0
        return x * (1 - cover[..., None]) + colour * cover[..., None]
    ones = np.ones((3, 3))
    liquid = np.floor(liquid * 255).astype(int)
    relief = np.floor(correlate(chamfer(canny(liquid, 50, 150), 20.0), ones, "reflect") / 9 + 1e-9).astype(int)
    counts = np.bincount(relief.ravel(), minlength=256)
    first = relief.min()
    counts[first] = 0
    relief = np.round(np.cumsum(counts) * (255 / max(counts.sum(), 1)))[relief] if counts.sum() else relief
    relief = np.clip(correlate(relief, [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], "reflect"), 0, 255)
    relief = np.round(correlate(relief, ones, "reflect") / 9)
    light = liquid * relief
    return x + strength * (light / max(light.max(), 1))[..., None] * colour


KINDS = [glass_blur, motion_blur, zoom_blur, snow, frost, fog, elastic, spatter]


@pytest.mark.parametrize("shape", SHAPES, ids=NAMES.get)
@pytest.mark.parametrize("severity", range(1, 6))
@pytest.mark.parametrize("reference", KINDS)
def test_formulas(folder, reference, severity, shape):
    images = smooth_images(shape)
    found = corrupted(folder, images, reference.__name__.replace("_", "-"), severity)
    wanted = []
    for i, x in enumerate(images):
        values = reference(x, severity - 1, RandomStream(SEED, FEATURE_SHIFT, 0, 0, i))
        wanted.append(np.uint8(np.clip(values, 0, 1) * 255))
    # Values that are whole before they are cut may fall to either side.
    assert np.abs(found.astype(int) - np.stack(wanted)).max() <= 1
    assert (found != np.stack(wanted)).mean() < 0.02
    assert (found != images).mean() > 0.02


# ---- what holds whatever is drawn

ALL = [reference.__name__.replace("_", "-") for reference in KINDS]


def test_streams_are_those_of_random123():
    """Known answers of Philox4x32-10, from Random123's kat_vectors."""
    assert [f"{x:08x}" for x in philox([[0] * 4], (0, 0))[0]] == "6627e8d5 e169c58d bc57ac4c 9b00dbd8".split()
    ones = 2**32 - 1
    assert [f"{x:08x}" for x in philox([[ones] * 4], (ones, ones))[0]] == "408f276d 41c83b0e a20bc7c6 6d5451fd".split()


@pytest.mark.parametrize("shape", SHAPES, ids=NAMES.get)
@pytest.mark.parametrize("kind", ["glass-blur", "motion-blur", "zoom-blur", "elastic"])
def test_what_moves_pixels_leaves_one_grey_alone(folder, kind, shape):
    """But for the truncation of what is whole."""
    for severity in (1, 5):
        found = corrupted(folder, np.full((COUNT, *shape), 102, np.uint8), kind, severity)
        assert set(np.unique(found)) <= {101, 102}


@pytest.mark.parametrize("shape", SHAPES, ids=NAMES.get)
def test_severities_are_in_order(folder, shape):
    """The mean change of a value grows; of the others the published parameters don't say so at each step."""
    images = smooth_images(shape, 12)
    for kind in ("motion-blur", "zoom-blur", "fog"):
        changes = [np.abs(corrupted(folder, images, kind, s).astype(int) - images).mean() for s in range(1, 6)]
        assert changes == sorted(changes), kind
        assert changes[4] > 1.5 * changes[0], kind
    for kind in ("snow", "frost"):
        mild, strong = (np.abs(corrupted(folder, images, kind, s).astype(int) - images).mean() for s in (1, 5))
        assert strong > mild, kind


@pytest.mark.parametrize("shape", SHAPES, ids=NAMES.get)
def test_what_falls_on_black(folder, shape):
    black = np.zeros((12, *shape), np.uint8)
    # Fog has the contrast of the picture, so it isn't seen on black.
    assert not corrupted(folder, black, "fog", 5).any()
    # Ice is 0 to 1 times its weight.
    ice = corrupted(folder, black, "frost", 5) / 255
    assert ice.min() >= 0 and 0.35 < ice.max() <= 0.45 and 0.1 < ice.mean() < 0.25
    # Black is whitened to (1 - keep) / 2 and flakes are brighter; there are more of them, turned by 180 degrees.
    snow = corrupted(folder, black, "snow", 3)
    assert snow.min() == int(0.1 * 0.5 * 255) and snow.max() > 50
    np.testing.assert_array_equal(snow, np.rot90(snow, 2, (1, 2)))
    # Drops of water are turquoise, mud is brown, and neither is brighter than its colour.
    for severity, strength, colour in ((2, 0.5, (175, 238, 238)), (4, 1, (63, 42, 20))):
        drops = corrupted(folder, black, "spatter", severity)
        colour = colour if shape[2] == 3 else np.dot(colour, [0.299, 0.587, 0.114])
        most = np.multiply(strength, colour)
        assert (drops <= most + 1e-9).all()
        assert 0.001 < (drops > 0).any(3).mean() < 0.2
        if shape[2] == 3:
            bright = drops[drops.max(3) > 40]
            assert len(bright) and np.abs(bright / bright.max(1, keepdims=True) - most / most.max()).max() < 0.05


@pytest.mark.parametrize("shape", SHAPES, ids=NAMES.get)
@pytest.mark.parametrize("kind", ALL)
def test_same_bits_on_any_number_of_ranks(folder, kind, shape):
    images = smooth_images(shape)
    one = corrupted(folder, images, kind, 4)
    np.testing.assert_array_equal(one, corrupted(folder, images, kind, 4))
    np.testing.assert_array_equal(one, corrupted(folder, images, kind, 4, ranks=3))
    if kind != "zoom-blur":  # which draws nothing
        same = corrupted(folder, np.stack([images[0]] * COUNT), kind, 4)
        assert (same[0] != same[1]).any() and (same[0] != same[2]).any()


@pytest.mark.parametrize("kind", ALL)
def test_images_need_not_be_square(folder, kind):
    images = smooth_images((20, 45, 3))
    found = corrupted(folder, images, kind, 3)
    assert found.shape == images.shape
    assert (found != images).mean() > 0.02


def test_kinds_are_listed_where_one_is_misspelt(folder):
    corrupted(folder, smooth_images(SHAPES[1]), "fog", 1)
    text = folder.refusal('corruption = "frog"')
    for kind in ALL:
        assert kind in text
