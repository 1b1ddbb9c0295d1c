"""Every way in which HDF5 files store values that the program reads, written by h5py and so by the HDF5 library: the program,
which reads them without it, must find the same values. ctest sets FEDSELECT_PROGRAM."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))
from data_folder import Folder, cycle, expect, random_images  # noqa: E402

TRAIN, TEST = 50, 9
SHAPE = (5, 7, 3)


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path)
    made.data = tmp_path / "forms.h5"
    return made


def write(path, images, test, labels=cycle, storage=None, **options):
    """The plain layout; `storage`: how create_dataset() stores the images."""
    with h5py.File(path, "w", **options) as file:
        file.attrs["format"], file.attrs["version"] = "fedselect-data", 1
        for part, values in (("train", images), ("test", test)):
            file.create_dataset(f"{part}/images", data=values, **(storage or {}))
            file[f"{part}/labels"] = labels(len(values))


def agrees(folder, **how):
    images, test = random_images(TRAIN, *SHAPE), random_images(TEST, *SHAPE)
    write(folder.data, images, test, **how)
    read = folder.convert('format = "hdf5"')
    expect(read, "train", images, cycle(TRAIN))
    expect(read, "test", test, cycle(TEST))


@pytest.mark.parametrize("filters", [
    {}, {"compression": 9}, {"shuffle": True}, {"fletcher32": True}, {"compression": 1, "shuffle": True, "fletcher32": True}])
@pytest.mark.parametrize("chunks", [(1, 5, 7, 3), (8, 5, 7, 3), (4, 2, 3, 2), (9, 5, 2, 3), (3, 1, 1, 1), (9, 5, 7, 3)])
def test_chunks(folder, chunks, filters):
    agrees(folder, storage={"chunks": chunks, **filters})


@pytest.mark.parametrize("version", ["earliest", "v108"])
def test_versions(folder, version):
    agrees(folder, libver=version)
    agrees(folder, libver=version, storage={"chunks": (4, 2, 3, 2), "compression": 1})


def test_newest_version(folder):
    agrees(folder, libver="latest")
    one_chunk = {"chunks": (TEST, *SHAPE), "compression": 1}
    images, test = random_images(TEST, *SHAPE), random_images(TEST, *SHAPE)
    for storage in (one_chunk, {"chunks": one_chunk["chunks"]}):
        write(folder.data, images, test, storage=storage, libver="latest")
        expect(folder.convert(), "train", images, cycle(TEST))
    # What it has more than one chunk by is not read, and said so.
    write(folder.data, images, test, storage={"chunks": (2, *SHAPE)}, libver="latest")
    assert 'write it with libver="earliest" in h5py' in folder.refusal()


@pytest.mark.parametrize("clients", [9, 200, 12000])
def test_newer_groups_of_many(folder, clients):
    """More than 8 links stand in a heap of their own, of one block, of blocks, of blocks of blocks."""
    folder.data = folder.path / "many"
    folder.data.mkdir()
    labels = np.arange(clients) % 3
    for part in ("train", "test"):
        with h5py.File(folder.data / f"a_{part}.h5", "w", libver="v108") as file:
            for i in range(clients):
                name = f"examples/{i:040}"   # names so long that the heap grows
                file[f"{name}/label"] = labels[i : i + 1]
                file[f"{name}/image"] = np.full((1, 2, 2), i % 251, "u1")
    read = folder.convert('partition = "natural"')
    images = np.broadcast_to((np.arange(clients) % 251)[:, None, None, None], (clients, 2, 2, 1))
    np.testing.assert_array_equal(read["train/images"], images)
    np.testing.assert_array_equal(read["test/labels"], labels)


@pytest.mark.parametrize("kind", ["i1", "u1", "<i2", ">i2", "<u4", ">u4", "<i8", ">i8", "<u8", ">u8"])
def test_kinds_of_numbers(folder, kind):
    agrees(folder, labels=lambda n: cycle(n).astype(kind))


def test_user_block(folder):
    agrees(folder, userblock_size=1024)


def test_shrunk_and_grown(folder):
    images, test = random_images(TRAIN, *SHAPE), random_images(TEST, *SHAPE)
    write(folder.data, images, test, storage={"chunks": (4, *SHAPE), "maxshape": (None, *SHAPE), "compression": 1})
    with h5py.File(folder.data, "a") as file:
        file["train/images"].resize(10, axis=0)
        file["train/images"].resize(TRAIN, axis=0)
    read = folder.convert()
    images[10:] = 0
    expect(read, "train", images, cycle(TRAIN))


def test_chunks_that_were_never_written(folder):
    images, test = random_images(TRAIN, *SHAPE), random_images(TEST, *SHAPE)
    write(folder.data, images, test)
    with h5py.File(folder.data, "a") as file:
        del file["train/images"]
        data = file.create_dataset(
            "train/images", images.shape, "u1", chunks=(4, *SHAPE), compression=1, fillvalue=7)
        data[8:30] = images[8:30]
    images[:8] = images[32:] = 7
    images[30:32] = 7   # the rest of a chunk
    expect(folder.convert(), "train", images, cycle(TRAIN))


def test_compact(folder):
    images, test = random_images(TRAIN, *SHAPE), random_images(TEST, *SHAPE)
    write(folder.data, images, test)
    with h5py.File(folder.data, "a") as file:
        del file["test/images"]
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple(test.shape)
        data = h5py.h5d.create(file["test"].id, b"images", h5py.h5t.STD_U8LE, space, dcpl=properties)
        data.write(h5py.h5s.ALL, h5py.h5s.ALL, test)
    expect(folder.convert(), "test", test, cycle(TEST))


def test_many_chunks_and_a_wrong_checksum(folder):
    """A tree of several levels; then one bit of a value."""
    images, test = random_images(300, *SHAPE), random_images(TEST, *SHAPE)
    write(folder.data, images, test, storage={"chunks": (1, *SHAPE), "fletcher32": True})
    expect(folder.convert(), "train", images, cycle(300))
    content = bytearray(folder.data.read_bytes())
    content[content.index(images[123].tobytes())] ^= 1
    folder.data.write_bytes(content)
    assert "/train/images cannot be read (a checksum in it is wrong)" in folder.refusal()


def test_values_elsewhere(folder, tmp_path):
    """Links and data sets that lead to other files, or to other names, are not followed."""
    outside = tmp_path / "outside.h5"
    images, test = random_images(TRAIN, *SHAPE), random_images(TEST, *SHAPE)
    write(outside, images, test)
    (tmp_path / "raw").write_bytes(images.tobytes())

    def refusal(make):
        write(folder.data, images, test)
        with h5py.File(folder.data, "a") as file:
            del file["train/images"]
            make(file)
        return folder.refusal()

    def virtual(file):
        layout = h5py.VirtualLayout(images.shape, "u1")
        layout[:] = h5py.VirtualSource(str(outside), "train/images", images.shape)
        file.create_virtual_dataset("train/images", layout)

    def set_link(link):
        return lambda file: file.__setitem__("train/images", link)

    assert "is a link to another place" in refusal(set_link(h5py.ExternalLink(str(outside), "/train/images")))
    assert "is a link to another place" in refusal(set_link(h5py.SoftLink("/test/images")))
    raw = [(str(tmp_path / "raw"), 0, images.nbytes)]
    assert "in another file" in refusal(lambda file: file.create_dataset("train/images", images.shape, "u1", external=raw))
    assert "in another file" in refusal(virtual)
