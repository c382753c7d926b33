"""Too little room on the disk: counted before, and reported with the file's name."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from zenodo import SET, download, refused

Usage = namedtuple("Usage", "total used free")
TEST_ZIP = f"{SET}.audio_test.zip"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_not_tried_again_and_the_message_names_the_file(zenodo, tmp_path, monkeypatch):
    root, plain, full = tmp_path / "data", Path.open, []

    def open_on_a_full_disk(path, mode="r", *args, **kwargs):
        return plain(Path("/dev/full"), "ab") if path in full else plain(path, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", open_on_a_full_disk)
    full.append(root / "archives" / f"{TEST_ZIP}.part")
    refused(zenodo, root, "--parts", "test", match=f"No space left on device: '{full[0]}'")
    assert zenodo.pauses == []
    assert [key for key, _ in zenodo.fetched()].count(TEST_ZIP) == 1
    full[0] = root / "test" / ".t0000002.wav.part"
    refused(zenodo, root, "--parts", "test", match=f"No space left on device: '{full[0]}'")
    assert {path.name for path in (root / "test").iterdir()} == {"t0000000.wav", "t0000001.wav"}


def test_too_little_room_is_refused_before_anything_is_fetched(zenodo, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9 - 50_000, 50_000))
    refused(zenodo, tmp_path / "data", match=r"--root: wanted about [\d.]+ MB free .*, got 50.0 kB")
    assert zenodo.fetched() == []
    assert not (tmp_path / "data").exists()


def test_room_is_counted_for_one_part_after_the_other(zenodo, tmp_path, monkeypatch):
    sizes = {key: len(data) for key, data in zenodo.files.items()}
    total, noisy = sum(sizes.values()), sum(size for key, size in sizes.items() if "noisy" in key)
    # The archives of earlier parts are deleted before the last and largest part is fetched.
    enough = noisy + 1.3 * total + 10
    for free, options, fits in [
        (enough, [], True),
        (0.99 * enough, [], False),
        (enough, ["--keep-archives"], False),
        (2.3 * total + 10, ["--keep-archives"], True),
    ]:
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: Usage(0, 0, int(free)))
        root = tmp_path / f"data {free} {options}"
        if fits:
            download(zenodo, root, *options)
        else:
            refused(zenodo, root, *options, match="--root: wanted about")
