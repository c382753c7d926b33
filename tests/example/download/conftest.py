"""The archives of a small data set, and a server that has them."""

import shutil
import urllib.request

import pytest

from tools.download.parts import PARTS
from zenodo import SET, Zenodo, make_set, running, split_by_hand, split_by_info_zip, zipped


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
    """Let no test send a request to another machine."""

    def urlopen(request, timeout):
        assert request.host.startswith("127.0.0.1:")
        return urllib.request.urlopen(request, timeout=timeout)

    monkeypatch.setattr("tools.download.web.urlopen", urlopen)
