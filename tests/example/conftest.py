"""What the tests of the example share."""

from pathlib import Path

import pytest

from freesound.job import Job
from freesound.synthetic import make_corpus

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Mark every test of this folder."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.example)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """32 clips to train on and 16 to test, two and one of each kind of sound."""
    folder = tmp_path_factory.mktemp("data") / "corpus"
    make_corpus(folder, per_class=2, test_per_class=1)
    return folder


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory):
    """16 clips, half of which are held out with two folds."""
    folder = tmp_path_factory.mktemp("data") / "tiny"
    make_corpus(folder, per_class=1, test_per_class=1)
    return folder


@pytest.fixture
def job(tmp_path):
    """A job on a data folder that has labels only."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train_curated.csv").write_text("fname,labels\na.wav,Bark\nb.wav,Meow\n")
    return Job(tmp_path / "data", tmp_path / "run")
