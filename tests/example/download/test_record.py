"""Records of Zenodo: wrong formats are refused, and the parts of an archive are sorted."""

import json

import pytest

from tools.download.record import archives_of, read_record
from zenodo import SET, refused

FILE = {
    "key": f"{SET}.meta.zip",
    "size": 3,
    "checksum": "md5:" + "a" * 32,
    "links": {"self": "https://127.0.0.1/"},
}


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        ("<html>", "wanted JSON, got b'<html>'"),
        ("[" * 100_000, "wanted JSON"),
        ("[]", "wanted a record with a list of files"),
        ({"message": "gone"}, "wanted a record with a list of files, got .*gone"),
        ({"files": []}, "wanted a record with a list of files"),
        ({"files": {"entries": {"a": FILE}}}, "wanted a record with a list of files"),
        ({"files": [{"filename": "a", "filesize": 3}]}, r"files\[0\]: wanted key, size, checksum and links"),
        ({"files": [FILE, "a"]}, r"files\[1\]: wanted key, size"),
        ({"files": [FILE | {"links": []}]}, "wanted key, size"),
        ({"files": [FILE | {"links": {}}]}, "wanted key, size"),
        ({"files": [FILE | {"size": "3"}]}, "wanted a name and a number of bytes"),
        ({"files": [FILE | {"size": -3}]}, "wanted a name and a number of bytes"),
        ({"files": [FILE | {"key": None}]}, "wanted a name and a number of bytes"),
        ({"files": [FILE | {"key": "a\x1b[31m"}]}, "wanted a name and a number of bytes"),
        ({"files": [FILE | {"links": {"self": "http://a/\n"}}]}, "wanted an address"),
        ({"files": [FILE | {"checksum": "sha256:aa"}]}, "wanted md5: and 32 digits"),
        ({"files": [FILE | {"checksum": None}]}, "wanted md5: and 32 digits"),
        ({"files": [FILE | {"links": {"self": "file:///etc/passwd"}}]}, "wanted an address"),
        ({"files": [FILE | {"links": {"self": 3}}]}, "wanted an address"),
        ({"files": [FILE | {"key": "../../FSDKaggle2019.meta.zip"}]}, "wanted one file named"),
        ({"files": [FILE, FILE]}, "wanted one file named"),
    ],
)
def test_records_of_another_format(zenodo, tmp_path, answer, match):
    zenodo.answer = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
    refused(zenodo, tmp_path / "data", "--parts", "meta", match=match)
    assert not (tmp_path / "data").exists()


def test_parts_of_an_archive_are_sorted(zenodo):
    files = read_record(zenodo.api, 3612637)
    noisy = archives_of(files[::-1], "audio_train_noisy")
    ends = [file.key.rpartition(".")[2] for file in noisy]
    assert ends == [f"z{index:02d}" for index in range(1, len(noisy))] + ["zip"]
    assert len(noisy) > 3
    for gone in (0, 1):
        with pytest.raises(ValueError, match="wanted all parts of .*audio_train_noisy.zip"):
            archives_of(tuple(file for file in files if file != noisy[gone]), "audio_train_noisy")
    with pytest.raises(ValueError, match="wanted one file named"):
        archives_of(tuple(file for file in files if file != noisy[-1]), "audio_train_noisy")
