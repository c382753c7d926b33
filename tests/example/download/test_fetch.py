"""Fetching over a network that fails: resumed transfers, checksums, attempts."""

import io
import ssl
from email.message import Message
from http.server import ThreadingHTTPServer
from urllib.error import HTTPError, URLError

import pytest

from tools.download import command
from zenodo import SET, SIZES, Handler, download, refused

TEST_ZIP = f"{SET}.audio_test.zip"


def leave(root, data):
    """Write the part of the test archive that an earlier attempt left."""
    (root / "archives").mkdir(parents=True)
    (root / "archives" / f"{TEST_ZIP}.part").write_bytes(data)


def test_a_broken_connection_is_resumed(zenodo, tmp_path):
    zenodo.cuts[TEST_ZIP] = [1000, 0, 2000]
    download(zenodo, tmp_path / "data", "--parts", "test")
    asked = [ranged for key, ranged in zenodo.fetched() if key == TEST_ZIP]
    assert asked == [None, "bytes=1000-", "bytes=1000-", "bytes=3000-"]
    assert len(list((tmp_path / "data" / "test").iterdir())) == SIZES["test"]


def test_five_attempts_without_new_bytes_end_the_program_and_the_next_call_resumes(zenodo, tmp_path):
    root = tmp_path / "data"
    zenodo.cuts[TEST_ZIP] = [1000] + [0] * 5
    refused(zenodo, root, "--parts", "test", match="gave up after 5 attempts: .*(1,000 of|IncompleteRead)")
    assert zenodo.pauses == [1, 2, 4, 8, 16]
    part = root / "archives" / f"{TEST_ZIP}.part"
    assert part.read_bytes() == zenodo.files[TEST_ZIP][:1000]
    zenodo.fetched()
    download(zenodo, root, "--parts", "test")
    assert zenodo.fetched() == [(TEST_ZIP, "bytes=1000-")]
    assert (root / "test.csv").exists()


def test_a_server_without_ranges_is_asked_for_the_whole_file(zenodo, tmp_path):
    zenodo.ranges = False
    zenodo.cuts[TEST_ZIP] = [5000, 300, 7000]
    download(zenodo, tmp_path / "data", "--parts", "test")
    assert [key for key, _ in zenodo.fetched()].count(TEST_ZIP) == 4
    assert len(list((tmp_path / "data" / "test").iterdir())) == SIZES["test"]


@pytest.mark.parametrize("left", ["longer", "whole", "wrong", "empty"])
def test_parts_of_earlier_attempts(zenodo, tmp_path, left):
    root, data = tmp_path / "data", zenodo.files[TEST_ZIP]
    leave(root, {"longer": data + b"more", "whole": data, "wrong": b"x" * 100, "empty": b""}[left])
    if left == "wrong":
        refused(
            zenodo, root, "--parts", "test", match="wanted .* with MD5 .*kept as .*bad, run the program again"
        )
        assert not (root / "test").exists()
        assert (root / "archives" / f"{TEST_ZIP}.bad").read_bytes()[100:] == data[100:]
        zenodo.fetched()
    download(zenodo, root, "--parts", "test")
    asked = [ranged for key, ranged in zenodo.fetched() if key == TEST_ZIP]
    assert asked == ([] if left == "whole" else [None])
    assert (root / "test.csv").exists()
    assert not (root / "archives").exists()


def test_wrong_checksum_is_refused_and_nothing_unpacked(zenodo, tmp_path):
    root = tmp_path / "data"
    zenodo.md5s[TEST_ZIP] = "0" * 32
    message = refused(zenodo, root, "--parts", "test", match=f"wanted .* with MD5 {'0' * 32}")
    assert TEST_ZIP in message
    assert not (root / "test").exists()
    assert [path.name for path in (root / "archives").iterdir()] == [f"{TEST_ZIP}.bad"]
    assert (root / "meta" / "vocabulary.csv").exists()
    del zenodo.md5s[TEST_ZIP]
    download(zenodo, root, "--parts", "test")
    assert not (root / "archives").exists()


@pytest.mark.parametrize("lie", [-1, 1])
@pytest.mark.parametrize("have", [0, 500])
def test_wrong_size_is_refused(zenodo, tmp_path, lie, have):
    root, size = tmp_path / "data", len(zenodo.files[TEST_ZIP])
    leave(root, zenodo.files[TEST_ZIP][:have])
    zenodo.sizes[TEST_ZIP] = size + lie
    match = f"{TEST_ZIP}.*: wanted {size + lie:,} bytes, as the record says, the server has {size:,}"
    refused(zenodo, root, "--parts", "test", match=match)
    assert not (root / "test").exists()


def test_a_file_that_became_shorter_after_a_part_was_received(zenodo, tmp_path):
    """The server answers 416 for the rest. The next request is for the whole file, which has another size."""
    data = zenodo.files[TEST_ZIP]
    leave(tmp_path / "data", data[:-10])
    zenodo.sizes[TEST_ZIP], zenodo.files[TEST_ZIP] = len(data), data[:1000]
    refused(zenodo, tmp_path / "data", "--parts", "test", match="the server has 1,000")
    assert zenodo.log[-2:] == [(TEST_ZIP, f"bytes={len(data) - 10}-"), (TEST_ZIP, None)]


def test_an_answer_with_another_start_is_not_appended(zenodo, tmp_path):
    leave(tmp_path / "data", zenodo.files[TEST_ZIP][:500])
    zenodo.shift = 1
    download(zenodo, tmp_path / "data", "--parts", "test")
    assert zenodo.fetched()[-2:] == [(TEST_ZIP, "bytes=500-"), (TEST_ZIP, None)]


def test_a_wrong_certificate_is_not_tried_again(zenodo, tmp_path, monkeypatch):
    def fail(request, timeout):
        raise URLError(ssl.SSLCertVerificationError("certificate verify failed"))

    monkeypatch.setattr("tools.download.web.urlopen", fail)
    refused(zenodo, tmp_path / "data", match="records/3612637: .*certificate verify failed")
    assert zenodo.pauses == []


def test_the_default_api_is_zenodo(tmp_path, monkeypatch):
    asked = []

    def note(request, timeout):
        asked.append((request.full_url, timeout))
        raise HTTPError(request.full_url, 403, "Forbidden", Message(), io.BytesIO())

    monkeypatch.setattr("tools.download.web.urlopen", note)
    with pytest.raises(SystemExit, match="HTTP 403 Forbidden"):
        command.main(["--root", str(tmp_path / "data")])
    assert asked == [("https://zenodo.org/api/records/3612637", 60)]


def test_a_missing_file_is_not_tried_again(zenodo, tmp_path):
    zenodo.statuses[TEST_ZIP] = [404]
    refused(zenodo, tmp_path / "data", "--parts", "test", match=f"{TEST_ZIP}/content: HTTP 404 Not Found")
    assert zenodo.pauses == []
    assert zenodo.fetched()[-1] == (TEST_ZIP, None)


def test_a_busy_server_is_asked_again_after_a_pause(zenodo, tmp_path):
    zenodo.statuses = {"record": [503, 429], TEST_ZIP: [500, 502]}
    download(zenodo, tmp_path / "data", "--parts", "test")
    assert zenodo.pauses == [2, 7, 2, 4]
    zenodo.statuses = {"record": [500] * 9}
    refused(zenodo, tmp_path / "data", match="records/3612637: gave up after 5 attempts: HTTP 500")
    assert len(zenodo.statuses["record"]) == 4


def test_addresses_without_a_server(zenodo, tmp_path):
    address = zenodo.api.replace("/api", "/nothing")
    zenodo.api, api = address, zenodo.api
    refused(zenodo, tmp_path / "data", match="nothing/records/3612637: HTTP 404")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as closed:
        port = closed.server_port
    zenodo.api = f"http://127.0.0.1:{port}/api"
    refused(zenodo, tmp_path / "data", match="gave up after 5 attempts: .*refused")
    for address in ("file:///etc", "zenodo", "ftp://127.0.0.1/api", "http://"):
        zenodo.api = address
        refused(zenodo, tmp_path / "data", match="--api: wanted an address that begins with https://")
    zenodo.api = api
