"""Unpacking: unsafe archives are refused, and interrupted work continues."""

import io
import shutil
import stat
import struct
import zipfile
from collections import namedtuple

import numpy as np
import pytest

from tools.download import unpack as unpacking
from tools.download.unpack import unpack
from zenodo import SET, SIZES, download, refused, snapshot

Usage = namedtuple("Usage", "total used free")
TEST_ZIP = f"{SET}.audio_test.zip"


def archive_with(path, **members):
    """Write an archive. Each member is its data, or its data and changes of its entry."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in members.items():
            data, changes = value if isinstance(value, tuple) else (value, {})
            info = zipfile.ZipInfo("d/" + name)
            for key, change in changes.items():
                setattr(info, key, change)
            archive.writestr(info, data)
    return path


def with_name(name):
    return {"good.wav": b"good", "evil": (b"evil", {"filename": name})}


@pytest.mark.parametrize(
    ("members", "match"),
    [
        (with_name("../evil.wav"), "'../evil.wav' leaves its folder"),
        (with_name("d/../../evil.wav"), "leaves its folder"),
        (with_name("d/./evil.wav"), "leaves its folder"),
        (with_name("d//evil.wav"), "leaves its folder"),
        (with_name("/evil.wav"), "not a relative path"),
        (with_name("C:/evil.wav"), "not a relative path"),
        (with_name("d/evil.wav:stream"), "not a relative path"),
        (with_name("..\\evil.wav"), "not a relative path"),
        ({"evil": (b"/etc/passwd", {"external_attr": (stat.S_IFLNK | 0o777) << 16})}, "is a link"),
        ({"evil": (b"", {"external_attr": (stat.S_IFIFO | 0o777) << 16})}, "neither a file nor"),
        ({"evil": (b"evil" * 99, {"compress_type": zipfile.ZIP_BZIP2})}, "neither stored nor deflated"),
        ({"evil.wav": b"1", "EVIL.wav": b"2"}, "'d/EVIL.wav' occurs twice"),
        (with_name("d/\x1b[31mevil.wav"), r"'d/\x1b[31mevil.wav' has control characters"),
        (with_name("d/evil\n.wav"), r"'d/evil\n.wav' has control characters"),
        (with_name("d/\u202evil.wav"), r"'d/\u202evil.wav' has control characters"),
        (with_name("d/evil."), "is another name on Windows"),
        (with_name("d/evil /a.wav"), "is another name on Windows"),
        (with_name("d/CON"), "is another name on Windows"),
        (with_name("d/nul.tar.wav"), "is another name on Windows"),
        (with_name("d/Lpt1.wav/a.wav"), "is another name on Windows"),
        (with_name("d/" * 200 + "evil.wav"), "is in more than 32 folders"),
    ],
)
def test_unsafe_members_are_refused_before_anything_is_written(tmp_path, members, match):
    path = archive_with(tmp_path / "a.zip", **members)
    with pytest.raises(ValueError, match="a.zip: refused, nothing unpacked: ") as caught:
        unpack([path], tmp_path / "inner" / "clips", desc="")
    assert match in str(caught.value)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.zip"]


def test_names_like_those_of_devices_are_unpacked(tmp_path):
    names = ["console.wav", "com.wav", "null.wav", ".hidden", "a b.wav", "grün.wav", "com10.wav"]
    path = archive_with(tmp_path / "a.zip", **dict.fromkeys(names, b"x"))
    assert set(unpack([path], tmp_path / "clips", desc="")) == set(names)


def test_a_file_that_unpacks_to_very_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "_NOT_A_BOMB", 10_000)
    bomb = {"x.wav": (bytes(10**6), {"compress_type": zipfile.ZIP_DEFLATED})}
    path = archive_with(tmp_path / "a.zip", **bomb)
    with pytest.raises(ValueError, match=r"a\.zip: refused.* would unpack to 1,000,000 bytes, more than 100"):
        unpack([path], tmp_path / "clips", desc="")
    assert not (tmp_path / "clips").exists()


def test_planted_links_are_not_followed(tmp_path):
    path = archive_with(tmp_path / "a.zip", **{"s/t/x.wav": b"x", "y.wav": b"y"})
    clips, elsewhere = tmp_path / "clips", tmp_path / "elsewhere"
    elsewhere.mkdir()
    for link in (clips / "s", clips / "s" / "t"):
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(elsewhere)
        with pytest.raises(
            ValueError, match=f"a.zip: refused, nothing unpacked: {link} is a link to another"
        ):
            unpack([path], clips, desc="")
        link.unlink()
    victim = elsewhere / "victim"
    victim.write_bytes(b"precious")
    (clips / ".y.wav.part").symlink_to(victim)
    (clips / "y.wav").symlink_to(victim)
    unpack([path], clips, desc="")
    assert [path.name for path in elsewhere.iterdir()] == ["victim"]
    assert (victim.read_bytes(), (clips / "y.wav").read_bytes()) == (b"precious", b"y")
    assert not (clips / "y.wav").is_symlink()


def test_the_folder_itself_may_be_a_link_to_a_larger_disk(tmp_path):
    path = archive_with(tmp_path / "a.zip", **{"x.wav": b"x"})
    (tmp_path / "large").mkdir()
    (tmp_path / "clips").symlink_to(tmp_path / "large")
    unpack([path], tmp_path / "clips", desc="")
    assert (tmp_path / "large" / "x.wav").read_bytes() == b"x"


def test_a_planted_link_in_place_of_a_part_is_not_written_through(zenodo, tmp_path):
    victim, archives = tmp_path / "victim", tmp_path / "data" / "archives"
    archives.mkdir(parents=True)
    (archives / f"{TEST_ZIP}.part").symlink_to(victim)
    refused(zenodo, tmp_path / "data", "--parts", "test", match=r"\.part: wanted a file, got a link")
    assert not victim.exists()


def test_encrypted_members_and_names_with_a_null_are_refused(tmp_path):
    path = archive_with(tmp_path / "a.zip", evil=b"evil")
    data = path.read_bytes()
    for changed, match in [
        (data[:6] + b"\1" + data[7:].replace(b"PK\1\2\24\3\24\0\0", b"PK\1\2\24\3\24\0\1"), "is encrypted"),
        (data.replace(b"d/evil", b"d/e\0il"), "not a relative path"),
    ]:
        assert changed != data
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=match):
            unpack([path], tmp_path / "clips", desc="")
    assert not (tmp_path / "clips").exists()


def test_the_whole_program_refuses_a_path_outside_the_folder(zenodo, tmp_path):
    evil = io.BytesIO()
    archive_with(evil, **with_name("../../evil.wav"))
    zenodo.files[TEST_ZIP] = evil.getvalue()
    refused(zenodo, tmp_path / "a" / "data", match="refused, nothing unpacked: '../../evil.wav' leaves")
    assert not list(tmp_path.rglob("evil.wav"))
    assert not (tmp_path / "a" / "data" / "test").exists()
    assert (tmp_path / "a" / "data" / "train_curated.csv").exists()


def test_the_declared_sizes_must_fit_on_the_disk(tmp_path, monkeypatch):
    path = archive_with(tmp_path / "a.zip", **{"x.wav": b"x" * 1000, "y.wav": b"y" * 1000})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, 1999))
    with pytest.raises(OSError, match="wanted 2,000 bytes on disk to unpack it, got 1,999"):
        unpack([path], tmp_path / "clips", desc="")
    assert list((tmp_path / "clips").iterdir()) == []
    (tmp_path / "clips" / "y.wav").write_bytes(b"y" * 1000)
    assert unpack([path], tmp_path / "clips", desc="") == {"x.wav": 1000, "y.wav": 1000}


def test_a_member_longer_than_declared_is_refused(tmp_path):
    path = archive_with(
        tmp_path / "a.zip", **{"x.wav": (b"x" * 10**6, {"compress_type": zipfile.ZIP_DEFLATED})}
    )
    data = bytearray(path.read_bytes())
    struct.pack_into("<L", data, data.index(b"PK\1\2") + 24, 100)
    path.write_bytes(data)
    with pytest.raises(ValueError, match="a.zip: d/x.wav: Bad CRC-32"):
        unpack([path], tmp_path / "clips", desc="")
    assert list((tmp_path / "clips").iterdir()) == []


@pytest.mark.parametrize("compress_type", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_message_names_the_damaged_member(tmp_path, compress_type):
    sound = np.random.default_rng(1).bytes(5000)
    members = {name: (sound, {"compress_type": compress_type}) for name in ("x.wav", "y.wav")}
    path = archive_with(tmp_path / "a.zip", **members)
    data = bytearray(path.read_bytes())
    data[data.index(b"y.wav") + 2000] ^= 0x55
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"a.zip: d/y.wav: "):
        unpack([path], tmp_path / "clips", desc="")
    assert [path.name for path in (tmp_path / "clips").iterdir()] == ["x.wav"]


def test_a_common_folder_and_files_of_macos_are_left_out(tmp_path):
    one = archive_with(tmp_path / "1.zip", **{"a.wav": b"a", "e/b.wav": b"b", ".DS_Store": b"?"})
    assert unpack([one], tmp_path / "one", desc="") == {"a.wav": 1, "e/b.wav": 1}
    assert (tmp_path / "one" / "e" / "b.wav").read_bytes() == b"b"
    with zipfile.ZipFile(tmp_path / "2.zip", "w") as archive:
        archive.writestr("a.wav", b"a")
        archive.writestr("d/b.wav", b"b")
        archive.writestr("__MACOSX/d/._b.wav", b"?")
    assert unpack([tmp_path / "2.zip"], tmp_path / "two", desc="") == {"a.wav": 1, "d/b.wav": 1}


def test_interrupted_unpacking_continues(zenodo, tmp_path, monkeypatch):
    root, extract, done = tmp_path / "data", unpacking._extract, []

    def interrupted(archive, member, path, bar):
        if len(done) == 5:
            path.with_name(f".{path.name}.part").write_bytes(b"half")
            raise KeyboardInterrupt
        done.append(path)
        extract(archive, member, path, bar)

    with monkeypatch.context() as patch:
        patch.setattr(unpacking, "_extract", interrupted)
        refused(zenodo, root, "--parts", "noisy", "meta", match="interrupted")
    assert not (root / "train_noisy.csv").exists()
    done = [path for path in done if path.parent.name == "train_noisy"]
    assert len(done) == 1
    done[0].with_name("changed.wav").write_bytes(b"not from the archive")
    before, _ = snapshot(root), zenodo.fetched()
    download(zenodo, root, "--parts", "noisy", "meta")
    assert zenodo.fetched() == []
    assert snapshot(root)[done[0]] == before[done[0]]
    assert len(list((root / "train_noisy").glob("n*.wav"))) == SIZES["noisy"]
    assert not list((root / "train_noisy").glob(".*"))
    assert (root / "train_noisy.csv").exists()


def test_changed_clips_are_unpacked_again(tmp_path):
    path = archive_with(tmp_path / "a.zip", **{"x.wav": b"xxxx", "y.wav": b"yyyy", "z.wav": b"zzzz"})
    clips = tmp_path / "clips"
    clips.mkdir()
    (clips / "x.wav").write_bytes(b"xx_x")
    (clips / "y.wav").symlink_to(tmp_path / "elsewhere")
    (clips / "z.wav").write_bytes(b"zzzz")
    before = snapshot(clips)[clips / "z.wav"]
    unpack([path], clips, desc="")
    assert [(clips / f"{name}.wav").read_bytes() for name in "xyz"] == [b"xxxx", b"yyyy", b"zzzz"]
    assert not (clips / "y.wav").is_symlink()
    assert not (tmp_path / "elsewhere").exists()
    assert snapshot(clips)[clips / "z.wav"] == before
