"""Split archives: the same files as before packing, and an error for every kind of damage."""

import io
import struct
import subprocess
import zipfile

import pytest

from tools.download.split_zip import Joined, open_zip
from tools.download.unpack import unpack
from zenodo import SET, snapshot, split_by_hand, split_by_info_zip, zipped


def by_hand_zip64(folder, out):
    return split_by_hand(folder, out, zip64=True)


def by_hand_small(folder, out):
    """Write parts so small that the directory is in several of them."""
    return split_by_hand(folder, out, size=300)


@pytest.mark.parametrize("split", [split_by_info_zip, split_by_hand, by_hand_zip64, by_hand_small, zipped])
def test_split_archives_give_the_files_that_were_packed(archives, tmp_path, split):
    source = archives[0] / f"{SET}.audio_train_noisy"
    (tmp_path / "out").mkdir()
    paths = split(source, tmp_path / "out" / "a.zip")
    assert len(paths) > 3 or split is zipped
    before = snapshot(tmp_path / "out")
    sizes = unpack(paths, tmp_path / "clips", desc="")
    assert snapshot(tmp_path / "out") == before
    assert sizes == {path.name: path.stat().st_size for path in source.iterdir()}
    for path in source.iterdir():
        assert (tmp_path / "clips" / path.name).read_bytes() == path.read_bytes()
    if split is split_by_info_zip:
        # The zip program joins the parts, and zipfile reads the result.
        whole = tmp_path / "whole.zip"
        subprocess.run(["zip", "-q", "-s", "0", str(paths[-1]), "--out", str(whole)], check=True, timeout=60)
        with zipfile.ZipFile(whole) as theirs, open_zip(paths) as ours:
            assert ours.namelist() == theirs.namelist()
            assert ours.testzip() is None


def test_members_after_four_gibibytes(tmp_path):
    """The first part is a sparse file of 4 GiB, so later offsets need Zip64."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x.wav").write_bytes(b"sound" * 100)
    paths = [tmp_path / "a.z01", *split_by_hand(tmp_path / "d", tmp_path / "a.zip", size=10**6)]
    with paths[0].open("wb") as hole:
        hole.truncate(2**32 + 10)
    data = bytearray(paths[1].read_bytes())
    entry, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    struct.pack_into("<H", data, entry + 34, 1)
    struct.pack_into("<2H", data, end + 4, 1, 1)
    paths[1].write_bytes(data)
    with open_zip(paths) as archive:
        assert archive.infolist()[0].header_offset == 2**32 + 10 + 4
        assert archive.read("d/x.wav") == b"sound" * 100


@pytest.mark.parametrize("split", [split_by_hand, by_hand_zip64])
def test_missing_parts_and_short_files_are_refused(archives, tmp_path, split):
    paths = split(archives[0] / f"{SET}.audio_train_noisy", tmp_path / "a.zip")
    count = len(paths)

    def refuse(paths, match):
        with pytest.raises(ValueError, match=match) as caught, open_zip(paths) as archive:
            archive.testzip()
        assert str(paths[-1]) in str(caught.value)

    refuse(paths[1:], "wanted a zip archive in|Zip64 end")
    refuse(
        paths[-1:], f"in 1 files: its (end says that it has {count}|Zip64 end is said to be in part {count})"
    )
    refuse(paths[:-1], "it has no end record")
    whole = paths[-1].read_bytes()
    for at in [len(whole) - 30, len(whole) // 2, 10, 0]:
        paths[-1].write_bytes(whole[:at])
        refuse(paths, "no end record")


@pytest.mark.parametrize("split", [split_by_hand, by_hand_zip64])
@pytest.mark.parametrize("flip", [0xFF, 0x01, 0x80])
def test_a_wrong_byte_in_the_directory(tmp_path, split, flip):
    """Either unpacking works, or the message names the archive."""
    (tmp_path / "d").mkdir()
    for name in "xy":
        (tmp_path / "d" / f"{name}.wav").write_bytes(name.encode() * 100)
    (path,) = split(tmp_path / "d", tmp_path / "a.zip")
    whole, outcomes = path.read_bytes(), set()
    for index in range(whole.index(b"PK\1\2"), len(whole)):
        path.write_bytes(whole[:index] + bytes([whole[index] ^ flip]) + whole[index + 1 :])
        try:
            unpack([path], tmp_path / f"clips{index}", desc="")
        except (ValueError, OSError) as error:
            outcomes.add(str(path) in str(error))
    assert outcomes == {True}


def test_joined_files_are_one_file():
    pieces = [b"abc", b"", b"defgh", b"", b"i"]
    joined = Joined([io.BytesIO(piece) for piece in pieces])
    whole = b"".join(pieces)
    buffered = io.BufferedReader(joined, 4)
    assert buffered.read() == whole
    for start in range(11):
        for count in range(11):
            buffered.seek(start)
            assert buffered.read(count) == whole[start : start + count]
    assert joined.seek(-2, io.SEEK_END) == 7
    assert joined.seek(1, io.SEEK_CUR) == 8
    assert joined.read_at(2, 4) == b"cdef"
    with pytest.raises(ValueError, match="wanted 9 bytes from 3 on, got 6"):
        joined.read_at(3, 9)
