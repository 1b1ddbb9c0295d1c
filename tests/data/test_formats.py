"""Formats of data sets whose samples belong to no client, written by their own tools (numpy, h5py) and read by the built
program: `data convert` writes what was read into the plain layout, which h5py reads. ctest sets FEDSELECT_PROGRAM."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "tools"))
from make_idx import make_idx  # noqa: E402
from data_folder import Folder, cycle, expect, random_images  # noqa: E402
from program import finish, program  # noqa: E402

TRAIN, TEST = 24, 12


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


# ---- CIFAR


def write_cifar(path, images, *label_columns):
    planar = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    columns = [np.asarray(column, np.uint8)[:, None] for column in label_columns]
    path.write_bytes(np.concatenate([*columns, planar], axis=1).tobytes())


def write_cifar10(folder):
    images, labels = random_images(TRAIN, 32, 32, 3), cycle(TRAIN)
    write_cifar(folder / "data_batch_1.bin", images[:10], labels[:10])
    write_cifar(folder / "data_batch_2.bin", images[10:], labels[10:])
    test, test_labels = random_images(TEST, 32, 32, 3), cycle(TEST)
    write_cifar(folder / "test_batch.bin", test, test_labels)
    return images, labels, test, test_labels


def test_cifar10(folder):
    images, labels, test, test_labels = write_cifar10(folder.data)
    read = folder.convert()
    expect(read, "train", images, labels)
    expect(read, "test", test, test_labels)
    info = folder.info()
    assert "32 x 32 pixels, 3 channels" in info
    mean = " ".join(f"{m:.4f}" for m in (images / 255).mean((0, 1, 2)))
    deviation = " ".join(f"{d:.4f}" for d in (images / 255).std((0, 1, 2)))
    assert f"mean       {mean}\n" in info and f"deviation  {deviation}\n" in info


def test_cifar100_takes_fine_labels(folder):
    images, test = random_images(TRAIN, 32, 32, 3), random_images(TEST, 32, 32, 3)
    write_cifar(folder.data / "train.bin", images, cycle(TRAIN) + 5, cycle(TRAIN))
    write_cifar(folder.data / "test.bin", test, cycle(TEST) + 5, cycle(TEST))
    read = folder.convert()
    expect(read, "train", images, cycle(TRAIN))
    expect(read, "test", test, cycle(TEST))


def test_cifar_truncated(folder):
    write_cifar10(folder.data)
    file = folder.data / "data_batch_2.bin"
    file.write_bytes(file.read_bytes()[:-1])
    assert "data_batch_2.bin is truncated" in folder.refusal()
    file.write_bytes(b"")
    assert "data_batch_2.bin is truncated" in folder.refusal()
    file.unlink()
    (folder.data / "test_batch.bin").unlink()
    assert "test_batch.bin" in folder.refusal()


# ---- CIFAR-10-C


def test_cifar10c_severities(folder):
    _, _, _, labels = write_cifar10(folder.data)
    corrupted = folder.path / "CIFAR-10-C"
    corrupted.mkdir()
    images = random_images(5 * TEST, 32, 32, 3)
    np.save(corrupted / "fog.npy", images)
    np.save(corrupted / "labels.npy", np.tile(labels, 5).astype(np.uint8))
    keys = f'test_images = "{corrupted / "fog.npy"}"\n'
    for severity in (1, 5):
        read = folder.convert(keys + f"test_severity = {severity}")
        expect(read, "test", images[(severity - 1) * TEST : severity * TEST], labels)
    assert ":6:1: data.test_severity = 6 is more than the 5" in folder.refusal(keys + "test_severity = 6")
    np.save(corrupted / "labels.npy", np.tile(labels[::-1], 5))
    assert "has other labels than the test part" in folder.refusal(keys)
    np.save(corrupted / "fog.npy", images[:, :16])
    assert "fog.npy doesn't hold bytes of the shape" in folder.refusal(keys)


# ---- npy


def write_npy(folder, images, labels, test, test_labels):
    np.save(folder / "train_images.npy", images)
    np.save(folder / "train_labels.npy", labels)
    np.save(folder / "test_images.npy", test)
    np.save(folder / "test_labels.npy", test_labels)


@pytest.mark.parametrize("kind", ["u1", "i1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8"])
def test_npy(folder, kind):
    images, test = random_images(TRAIN, 3, 5, 2), random_images(TEST, 3, 5, 2)
    write_npy(folder.data, images, cycle(TRAIN).astype(kind), test, cycle(TEST).astype(kind))
    read = folder.convert()
    expect(read, "train", images, cycle(TRAIN))
    expect(read, "test", test, cycle(TEST))


def test_npy_of_one_channel(folder):
    images, test = random_images(TRAIN, 3, 5), random_images(TEST, 3, 5)
    write_npy(folder.data, images, cycle(TRAIN), test, cycle(TEST))
    expect(folder.convert(), "train", images[..., None], cycle(TRAIN))


def test_npy_malformed(folder):
    images, test = random_images(TRAIN, 3, 5), random_images(TEST, 3, 5)
    write_npy(folder.data, images, cycle(TRAIN), test, cycle(TEST))
    file = folder.data / "train_images.npy"
    good = file.read_bytes()

    def refusal(content):
        file.write_bytes(content)
        return folder.refusal()

    assert "is truncated" in refusal(good[:-1])
    assert "is too long" in refusal(good + b"0")
    assert "is no .npy file" in refusal(b"")
    assert "is no .npy file" in refusal(b"PK" + good)
    assert "is truncated" in refusal(good[:20])
    assert "is truncated" in refusal(good.replace(b"(24, 3, 5)", b"(24, 3, 8)"))
    assert "is not in C order" in refusal(good.replace(b"False", b"True "))
    np.save(file, images.astype(np.float32))
    assert "must hold unsigned bytes" in folder.refusal()
    np.save(file, images[0])
    assert "must hold images" in folder.refusal()
    np.save(file, images[:-1])
    assert "train_labels.npy must hold 23 labels" in folder.refusal()
    np.save(file, images)
    np.save(folder.data / "train_labels.npy", cycle(TRAIN) / 2)
    assert "train_labels.npy holds no whole numbers" in folder.refusal()
    np.save(folder.data / "train_labels.npy", cycle(TRAIN) - 1)
    assert "sample 0 has label -1" in folder.refusal()
    np.save(folder.data / "train_labels.npy", cycle(TRAIN) + 2**31 - 3)
    assert "has label 2147483645" in folder.refusal()
    np.save(folder.data / "train_labels.npy", cycle(TRAIN) + 2**31)
    assert "holds too large a number" in folder.refusal()


# ---- the plain layout


def test_plain_layout_by_hand(folder):
    images, test = random_images(TRAIN, 4, 4), random_images(TEST, 4, 4)
    folder.data = folder.path / "mine.h5"
    with h5py.File(folder.data, "w") as file:
        file.attrs["format"], file.attrs["version"] = "fedselect-data", 1
        file["train/images"], file["train/labels"] = images, cycle(TRAIN).astype(np.int16)
        file["test/images"], file["test/labels"] = test, cycle(TEST).astype(np.uint8)
        file["groups/name"], file["groups/kind"] = ["z", "a"], "domain"
        file["train/groups"], file["test/groups"] = np.arange(TRAIN) % 2, np.arange(TEST) % 2
    read = folder.convert('partition = "domain"')
    expect(read, "train", images[..., None], cycle(TRAIN))
    np.testing.assert_array_equal(read["partition/train_indices"][:12], np.arange(0, TRAIN, 2))

    def refusal(name, value):
        with h5py.File(folder.data, "a") as file:
            old = file[name][()]
            del file[name]
            file[name] = value
        message = folder.refusal('partition = "domain"')
        with h5py.File(folder.data, "a") as file:
            del file[name]
            file[name] = old
        return message

    assert "/train/groups has the group 2" in refusal("train/groups", np.arange(TRAIN) % 3)
    assert "/test/labels must hold 12 numbers" in refusal("test/labels", cycle(11))
    assert "/test/images has images of another shape" in refusal("test/images", random_images(TEST, 5, 4))
    assert "/train/images" in refusal("train/images", images.astype(np.float32) + 0.5)
    assert "/train/images" in refusal("train/images", images[0])
    assert '/groups/kind is "person"' in refusal("groups/kind", "person")
    with h5py.File(folder.data, "a") as file:
        file.attrs["version"] = 2
    assert "attribute version is 2, this program reads 1" in folder.refusal()


# ---- what is said of folders


def test_unknown_folder(folder):
    text = folder.refusal()
    assert "is no data set of a known format" in text and "data_batch_1.bin (cifar10)" in text


def test_no_pipe_is_waited_for(folder):
    write_cifar10(folder.data)
    folder.expect_no_wait_for("data_batch_2.bin")
    (folder.data / "data_batch_1.bin").unlink()
    images, test = random_images(TRAIN, 3, 5), random_images(TEST, 3, 5)
    write_npy(folder.data, images, cycle(TRAIN), test, cycle(TEST))
    folder.expect_no_wait_for("test_labels.npy")
    make_idx(folder.data)
    folder.expect_no_wait_for("train-labels-idx1-ubyte")


def test_nothing_is_overwritten(folder):
    make_idx(folder.data)
    config = folder.config()
    command = [program(), "data", "convert", str(config), str(folder.path / "a.h5")]
    finish(command, True)
    done = finish(command, False)
    assert done.returncode == 2 and "a.h5 exists" in done.stderr


def test_idx_has_no_image_size(folder):
    make_idx(folder.data)
    assert ":5:1: data.image_size means something for folders of images only" in folder.refusal("image_size = 9")
    assert "image_size" in folder.refusal('format = "idx"\nimage_size = 9')
