"""The archives of a small data set, and a server that has them."""

import shutil
import socket

import pytest

from tools.download import web
from tools.download.parts import PARTS
from zenodo import SET, Zenodo, make_set, running, split_by_hand, split_by_info_zip, zipped

# Where the names in the tests are. The first is a public address.
PLACES = {"zenodo.org": "8.8.8.8", "mirror.org": "8.8.4.4", "looks-public.org": "10.0.0.7"}


@pytest.fixture(scope="session")
def archives(tmp_path_factory):
    """Return the folder of the clips, the folder of their archives, and the labels of each clip."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("archives")
    tables = make_set(source)
    for part, (_, stem) in PARTS.items():
        where, out = source / f"{SET}.{stem}", folder / f"{SET}.{stem}.zip"
        if part != "noisy":
            zipped(where, out)
        elif shutil.which("zip"):
            split_by_info_zip(where, out)
        else:
            split_by_hand(where, out)
    return source, folder, tables


@pytest.fixture
def zenodo(archives, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    zenodo = Zenodo(archives[1])
    monkeypatch.setattr("tools.download.web.sleep", zenodo.pauses.append)
    with running(zenodo):
        yield zenodo


@pytest.fixture(autouse=True)
def no_other_host(monkeypatch):
    """Let no test send a request to another machine, or ask for its address."""
    plain, resolve = web.urlopen, socket.getaddrinfo

    def urlopen(request, timeout):
        assert request.host.startswith("127.0.0.1:")
        return plain(request, timeout=timeout)

    def getaddrinfo(host, *args, **kwargs):
        return resolve(PLACES.get(host, host), *args, **kwargs)

    monkeypatch.setattr(web, "urlopen", urlopen)
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    web._is_inner.cache_clear()
