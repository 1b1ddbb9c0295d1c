"""Formats of data sets whose samples belong to natural clients or domains, written by their own tools (h5py, json, Pillow)
and read by the built program as in test_formats.py. ctest sets FEDSELECT_PROGRAM."""

import json
import struct
import sys
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "tools"))
from data_folder import RANDOM, Folder, cycle, expect, random_images  # noqa: E402


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


# ---- TFF and LEAF: natural clients

CLIENTS = {"f0_2": 4, "f0_1": 3, "f1_9": 5}


def write_tff(folder, test_clients=CLIENTS):
    """EMNIST's files; images and labels of train and test in the order of client names."""
    found = []
    for part, clients, prefix in (("train", CLIENTS, 2), ("test", test_clients, 1)):
        images, labels, owners = [], [], []
        with h5py.File(folder / f"fed_emnist_{part}.h5", "w") as file:
            for name in sorted(clients):
                count = clients[name] * prefix
                pixels = random_images(count, 6, 6)
                group = file.create_group(f"examples/{name}")
                group["pixels"] = (pixels / 255).astype(np.float32)
                group["label"] = cycle(count).astype(np.int32)
                images.append(pixels)
                labels.append(cycle(count))
                owners += [name.encode()] * count
        found.append((np.concatenate(images)[..., None], np.concatenate(labels), np.array(owners)))
    return found


def expect_natural(read, train, test):
    for part, (images, labels, owners) in (("train", train), ("test", test)):
        expect(read, part, images, labels)
        np.testing.assert_array_equal(read["groups/name"][read[f"{part}/groups"]], owners)
    assert read["groups/kind"] == b"client"


def test_tff(folder):
    train, test = write_tff(folder.data)
    read = folder.convert('partition = "natural"')
    expect_natural(read, train, test)
    assert list(read["groups/name"]) == [b"f0_1", b"f0_2", b"f1_9"]
    np.testing.assert_array_equal(read["partition/train_offsets"], [0, 6, 14, 24])
    np.testing.assert_array_equal(read["partition/train_indices"], np.arange(24))
    first = folder.convert('partition = "natural"\nclients = 2', ranks=3)
    np.testing.assert_array_equal(first["partition/test_offsets"], [0, 3, 7])
    assert "clients    3 (f0_1, f0_2, f1_9)\n" in folder.info()
    assert ":6:1: data.clients = 4 is more than the 3 clients" in folder.refusal('partition = "natural"\nclients = 4')
    assert ":5:1: data.partition = \"domain\" needs domains" in folder.refusal('partition = "domain"')


def test_natural_clients_need_both_parts(folder):
    write_tff(folder.data, {"f0_1": 3, "f9_9": 2})
    assert "4 (f0_1, f0_2, f1_9, f9_9), 1 of them with training and test samples" in folder.info()
    assert list(folder.convert('partition = "natural"')["partition/test_offsets"]) == [0, 3]


def test_tff_of_bytes(folder):
    images = random_images(6, 4, 4, 3)
    for part in ("train", "test"):
        with h5py.File(folder.data / f"fed_cifar100_{part}.h5", "w") as file:
            file["examples/7/image"] = images
            file["examples/7/label"] = cycle(6)
            file["examples/7/coarse_label"] = cycle(6)
    expect(folder.convert(), "train", images, cycle(6))


def test_tff_malformed(folder):
    write_tff(folder.data)
    name = folder.data / "fed_emnist_train.h5"
    with h5py.File(name, "a") as file:
        file["examples/f0_1/pixels"][0, 0, 0] = 1.5
    assert "has the value 1.5" in folder.refusal()
    with h5py.File(name, "a") as file:
        file["examples/f0_1/pixels"][0, 0, 0] = np.nan
    assert "has the value nan" in folder.refusal()
    with h5py.File(name, "a") as file:
        del file["examples/f0_1/pixels"]
        file["examples/f0_1/pixels"] = np.zeros((6, 5, 5), np.float32)
    assert "has images of" in folder.refusal()
    with h5py.File(name, "a") as file:
        del file["examples/f0_1/pixels"]
        file.create_dataset("examples/f0_1/pixels", (6, 30000, 30000), np.float32, chunks=(1, 64, 64))
    assert "fed_emnist_train.h5" in folder.refusal()
    name.write_bytes(name.read_bytes()[:1000])
    assert "fed_emnist_train.h5" in folder.refusal()
    name.unlink()
    assert "fed_emnist_train.h5" in folder.refusal('format = "tff-hdf5"')


def write_leaf(folder, **changes):
    found = []
    for part, prefix in (("train", 2), ("test", 1)):
        (folder / part).mkdir(exist_ok=True)
        images, labels, owners = [], [], []
        for number, name in enumerate(CLIENTS):
            count = CLIENTS[name] * prefix
            pixels = random_images(count, 36)
            content = {
                "users": [name],
                "num_samples": [count],
                "hierarchies": [["x", {"y": [1]}]],
                "user_data": {name: {"y": cycle(count).tolist(), "x": (pixels / 255).tolist(), **changes}},
            }
            (folder / part / f"all_data_{number}.json").write_text(json.dumps(content))
            images.append(pixels.reshape(-1, 6, 6, 1))
            labels.append(cycle(count))
            owners += [name.encode()] * count
        found.append((np.concatenate(images), np.concatenate(labels), np.array(owners)))
    return found


def test_leaf(folder):
    train, test = write_leaf(folder.data)
    read = folder.convert('partition = "natural"')
    expect_natural(read, train, test)
    # Clients go by name, samples by file.
    np.testing.assert_array_equal(read["partition/train_offsets"], [0, 6, 14, 24])
    np.testing.assert_array_equal(read["partition/train_indices"][:6], np.arange(8, 14))


def test_leaf_malformed(folder):
    write_leaf(folder.data)
    file = folder.data / "train" / "all_data_1.json"
    good = file.read_text()

    def refusal(**user):
        data = {"x": [[0.5] * 36] * 2, "y": [0, 1]} | user
        file.write_text(json.dumps({"user_data": {"a": data}}))
        return folder.refusal()

    assert "has 1 labels for 2 images" in refusal(y=[0])
    assert "has an image of 35 pixels" in refusal(x=[[0.5] * 35] * 2)
    assert "has the pixel 1.5" in refusal(x=[[1.5] * 36] * 2)
    assert "has the label -1" in refusal(y=[-1, 0])
    assert "has a label that is no whole number" in refusal(y=[0.5, 0])
    assert "holds a text" in refusal(x=["a.png", "b.png"])
    assert "has pixels outside" in refusal(x=[0.5] * 72)
    assert "holds an object" in refusal(x=[{}])
    for content in (good[:-5], "", "[" * 100000, '{"user_data": {"a": {"x": [[1e999]]}}}', "\x00"):
        file.write_text(content)
        assert "is truncated or no JSON" in folder.refusal()
    file.write_text((folder.data / "train" / "all_data_0.json").read_text())
    assert "stands there twice" in folder.refusal()
    folder.expect_no_wait_for("train/all_data_1.json")


# ---- images


def write_image(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def read_with_pillow(path, size=None):
    image = Image.open(path).convert("RGB")
    return np.asarray(image.resize((size, size), Image.BILINEAR) if size else image)


def test_image_folders(folder):
    """PNG and JPEG of every colour type, in train/CLASS and test/CLASS."""
    kinds = [
        ("rgb.png", random_images(9, 7, 3), {}),
        ("grey.png", random_images(9, 7), {}),
        ("alpha.png", random_images(9, 7, 4), {}),
        ("one_bit.png", random_images(9, 7) > 99, {}),
        ("colour.jpg", random_images(9, 7, 3), {"quality": 90}),
        ("grey.JPEG", random_images(9, 7), {"quality": 70}),
        ("progressive.jpg", random_images(9, 7, 3), {"progressive": True}),
    ]
    paths, labels = [], []
    for number, cls in enumerate(("ant", "bee")):
        for name, pixels, options in sorted(kinds):
            write_image(folder.data / "train" / cls / name, pixels, **options)
            paths.append(folder.data / "train" / cls / name)
            labels.append(number)
        palette = Image.fromarray(random_images(9, 7, 3)).quantize(16)
        (folder.data / "test" / cls).mkdir(parents=True)
        palette.save(folder.data / "test" / cls / "palette.png")
        (folder.data / "train" / cls / "notes.txt").write_text("no image")
        (folder.data / "train" / cls / ".hidden.png").write_text("no image")
    read = folder.convert('format = "images"\npartition = "iid"\nclients = 2')
    expect(read, "train", [read_with_pillow(path) for path in paths], labels)
    expect(read, "test", [read_with_pillow(folder.data / "test" / cls / "palette.png") for cls in ("ant", "bee")], [0, 1])


@pytest.mark.parametrize("size", [4, 20])
def test_office_home(folder, size):
    """DOMAIN/CLASS/FILE of any size; every fifth image of a class is for tests."""
    for domain in ("Art", "Clipart", "Product"):
        for cls in ("Bed", "Chair"):
            for i in range(10):
                pixels = random_images(int(RANDOM.integers(3, 40)), int(RANDOM.integers(3, 40)), 3)
                write_image(folder.data / domain / cls / f"{i:05}.png", pixels)
    read = folder.convert(f'image_size = {size}\npartition = "domain"', ranks=2)
    paths = sorted(folder.data.glob("*/*/*.png"))
    test = [path for path in paths if int(path.stem) in (4, 9)]
    train = [path for path in paths if path not in test]
    for part, files in (("train", train), ("test", test)):
        expect(
            read, part, [read_with_pillow(path, size) for path in files], [path.parent.name == "Chair" for path in files]
        )
        names = [path.parent.parent.name.encode() for path in files]
        np.testing.assert_array_equal(read["groups/name"][read[f"{part}/groups"]], names)
    assert read["groups/kind"] == b"domain"
    np.testing.assert_array_equal(read["partition/train_offsets"], [0, 16, 32, 48])
    np.testing.assert_array_equal(read["partition/test_offsets"], [0, 4, 8, 12])
    assert "set data.image_size" in folder.refusal('partition = "domain"')


def test_images_malformed(folder):
    for part in ("train", "test"):
        for cls in ("a", "b"):
            write_image(folder.data / part / cls / "0.png", random_images(5, 5, 3))
            write_image(folder.data / part / cls / "1.jpg", random_images(5, 5, 3))
    folder.convert()
    png, jpg = folder.data / "train" / "a" / "0.png", folder.data / "train" / "b" / "1.jpg"
    good_png, good_jpg = png.read_bytes(), jpg.read_bytes()
    huge = good_png[:16] + struct.pack(">II", 2**31 - 1, 2**31 - 1) + good_png[24:]
    flipped = good_png[:50] + bytes([good_png[50] ^ 255]) + good_png[51:]
    for content in (b"", b"GIF89a", good_png[:8], good_png[:40], good_png[:-30], huge, flipped):
        png.write_bytes(content)
        assert f"{png} can't be read as an image" in folder.refusal()
    # A few bytes that promise many pixels get no room for them.
    header = b"IHDR" + struct.pack(">II", 8000, 8000) + good_png[24:29]
    png.write_bytes(good_png[:12] + header + struct.pack(">I", zlib.crc32(header)) + good_png[33:])
    assert "it has too few bytes for so many pixels" in folder.refusal()
    png.write_bytes(good_png)
    size = good_jpg.index(b"\xff\xc0") + 5
    jpg.write_bytes(good_jpg[:size] + struct.pack(">HH", 8000, 8000) + good_jpg[size + 4:])
    assert "it has too few bytes for so many pixels" in folder.refusal()
    jpg.write_bytes(good_jpg)
    for content in (good_jpg[:2], good_jpg[:100], good_jpg[:-20]):
        jpg.write_bytes(content)
        assert f"{jpg} can't be read as an image" in folder.refusal()
    jpg.write_bytes(good_jpg)
    write_image(folder.data / "test" / "c" / "0.png", random_images(5, 5, 3))
    assert "of class c, which has no training images" in folder.refusal()


# ---- the plain layout


def test_plain_layout_is_read_again(folder):
    train, test = write_tff(folder.data)
    first = folder.convert('partition = "natural"')
    assert first["attributes"]["format"] == "fedselect-data" and first["attributes"]["version"] == 1
    folder.data = folder.path / "1.h5"
    second = folder.convert('partition = "natural"')
    expect_natural(second, train, test)
    # A file that came out of it is a partition file too; two ranks, three, the same bytes.
    file = f'partition = "file"\npartition_file = "{folder.data}"'
    folder.convert(file, ranks=3)
    assert (folder.path / "2.h5").read_bytes() == (folder.path / "3.h5").read_bytes()
