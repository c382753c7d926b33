"""Every address on the way to a file is checked: those of a record, and those of redirects."""

import json
import socket
import threading
from contextlib import contextmanager

import pytest

from tools.download.web import check_hop, check_url, open_url
from zenodo import SET, SIZES, download, refused

TEST_ZIP = f"{SET}.audio_test.zip"


@contextmanager
def listening():
    """Listen on a port, and count the connections."""
    made = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        done = threading.Event()

        def accept():
            while not done.is_set():
                try:
                    made.append(server.accept()[0].close())
                except TimeoutError:
                    continue

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}", made
        done.set()
        thread.join()


@pytest.mark.parametrize("scheme", ["ftp", "file", "data", "gopher"])
@pytest.mark.parametrize("key", ["record", TEST_ZIP])
def test_a_redirect_to_another_kind_of_address_makes_no_connection(zenodo, tmp_path, scheme, key):
    with listening() as (host, made):
        zenodo.redirects[key] = [f"{scheme}://{host}/x"] * 9
        refused(
            zenodo, tmp_path / "data", "--parts", "test", match=f"redirect.*{scheme}:|{scheme}.* not allowed"
        )
    assert made == []
    assert zenodo.pauses == []
    assert not (tmp_path / "data" / "test").exists()


def test_a_redirect_in_the_middle_of_a_chain_is_checked(zenodo, tmp_path):
    here = f"{zenodo.api}/records/3612637"
    with listening() as (host, made):
        zenodo.redirects["record"] = [here, here, f"ftp://{host}/x"]
        refused(zenodo, tmp_path / "data", match="wanted an address that begins with https:// .*ftp:")
    assert made == []


def test_a_redirect_on_the_same_server_is_followed(zenodo, tmp_path):
    content = f"{zenodo.api}/records/3612637/files/{TEST_ZIP}/content"
    zenodo.redirects = {TEST_ZIP: [content], "record": ["/api/records/3612637"]}
    download(zenodo, tmp_path / "data", "--parts", "test")
    assert len(list((tmp_path / "data" / "test").iterdir())) == SIZES["test"]


def test_endless_redirects_end_in_one_line(zenodo, tmp_path):
    zenodo.redirects["record"] = ["/api/records/3612637"] * 20
    refused(zenodo, tmp_path / "data", match="records/3612637: HTTP 302 .*infinite loop")


@pytest.mark.parametrize(
    ("source", "target", "match"),
    [
        (
            "https://zenodo.org/a",
            "http://zenodo.org/a",
            "wanted an address over https, got http://zenodo.org/a",
        ),
        ("http://zenodo.org/a", "ftp://mirror.org/a", "wanted an address that begins with https://"),
        ("http://zenodo.org/a", "http:///a", "wanted an address that begins with https://"),
        ("http://zenodo.org/a", "http://[::1/a", "wanted an address that begins with https://"),
        ("https://zenodo.org/a", "https://127.0.0.1/a", "wanted an address on the public internet"),
        ("https://zenodo.org/a", "https://[::1]:80/a", "wanted an address on the public internet"),
        ("https://zenodo.org/a", "https://[::ffff:127.0.0.1]/a", "wanted an address on the public internet"),
        ("http://zenodo.org/a", "http://169.254.169.254/a", "wanted an address on the public internet"),
        ("http://zenodo.org/a", "http://2130706433/a", "wanted an address on the public internet"),
        ("https://zenodo.org/a", "https://looks-public.org/a", "wanted an address on the public internet"),
    ],
)
def test_steps_that_are_refused(source, target, match):
    with pytest.raises(OSError, match=match) as caught:
        check_hop(source, target)
    assert str(caught.value).startswith(f"{source}, redirected: ")


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("https://zenodo.org/a", "https://mirror.org/b"),
        ("http://zenodo.org/a", "https://mirror.org/b"),
        ("http://127.0.0.1:1/a", "http://127.0.0.1:2/b"),  # a mirror in the network of the user
        ("https://10.0.0.1/a", "https://zenodo.org/a"),
        ("https://zenodo.org/a", "https://no-such-host.invalid/a"),  # behind a proxy, names may be unknown
    ],
)
def test_steps_that_are_allowed(source, target):
    """A step that is refused is an error."""
    assert check_hop(source, target) is None


def test_addresses_in_the_record_are_steps_too(zenodo, tmp_path, monkeypatch):
    """A record on the internet cannot name a file on a machine of the local network."""
    monkeypatch.setattr("tools.download.web._is_inner", lambda host: host == "127.0.0.2")
    record = zenodo.record()
    record["files"][0]["links"] = {"self": "http://127.0.0.2:1/x"}
    zenodo.answer = json.dumps(record).encode()
    refused(
        zenodo, tmp_path / "data", match="wanted an address on the public internet, got http://127.0.0.2:1/x"
    )
    assert [key for key, _ in zenodo.log] == ["record"]


@pytest.mark.parametrize(
    "url", ["http://a/\x1b[31m", "http://a\n/", "http://a/\u202e", "ftp://a", "http://", 3]
)
def test_addresses_with_control_characters_are_refused(url):
    with pytest.raises(ValueError, match="links: wanted an address that begins with https://") as caught:
        check_url("links", url)
    assert str(caught.value).isprintable()


def test_a_reason_with_control_characters_is_printed_without_them(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            with server.accept()[0] as connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 404 No\x1b[31m way\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with (
            pytest.raises(OSError, match="HTTP 404 No") as caught,
            open_url(f"http://127.0.0.1:{server.getsockname()[1]}/"),
        ):
            pass
        thread.join()
    assert str(caught.value).isprintable()
