"""The scripts of the gallery run, each by itself, and what they say of themselves holds."""

import runpy
from pathlib import Path

import matplotlib as mpl
import pytest
import torch
from matplotlib import pyplot as plt
from scipy.io import wavfile

GALLERY = Path(__file__).parents[2] / "examples" / "gallery"
PAGES = Path(__file__).parents[2] / "docs" / "gallery"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a script in an empty folder and give its names; its picture has to be there afterwards."""
    monkeypatch.chdir(tmp_path)

    def run_script(name):
        with mpl.rc_context({"backend": "agg"}), torch.random.fork_rng(devices=[]):
            names = runpy.run_path(str(GALLERY / f"{name}.py"))
        plt.close("all")
        assert plt.imread(f"{name}.png").std() > 0
        return names

    return run_script


def test_every_script_has_a_page_and_is_tested():
    scripts = {path.stem for path in GALLERY.glob("*.py")}
    assert {path.stem for path in PAGES.glob("*.md")} == scripts
    for name in scripts:
        assert f"```{{script}} {name}\n" in (PAGES / f"{name}.md").read_text()
        assert f'run("{name}")' in Path(__file__).read_text()


def test_ranking_loss_helps_the_model_that_is_too_simple(run):
    gains = run("ranking_loss")["gains"]
    assert gains["linear"].min() > 0.1  # in every seed
    assert gains["hidden"].abs().max() < 0.05


def test_frequency_encoding_helps_where_edges_are_out_of_sight(run):
    names = run("frequency_encoding")
    gain = (names["encoded"] - names["without"]).mean(1)
    assert gain[0] > 0.2  # three layers
    assert abs(gain[-1]) < 0.02  # five layers


def test_augmentations_can_be_heard_and_differ(run, tmp_path):
    versions = run("augmentation")["versions"]
    sounds = {path.stem: wavfile.read(path) for path in tmp_path.glob("*.wav")}
    assert sounds.keys() == versions.keys()
    assert {rate for rate, _ in sounds.values()} == {22_050}
    assert len({wave.tobytes() for _, wave in sounds.values()}) == len(versions) == 7
    assert len(sounds["speed"][1]) == pytest.approx(len(sounds["bird"][1]) / 1.2, abs=1)
    assert sum(path.stat().st_size for path in tmp_path.glob("*.wav")) < 600_000


def test_selected_labels_are_more_often_right_than_the_table(run):
    names = run("noisy_labels")
    curves = names["curves"]
    assert (curves[:, 199] > 0.95).all()
    assert (curves[:, 199] > curves[:, 599]).all()
    assert (curves[:, 599] > curves[:, 999] + 0.15).all()
    share = (names["given"].target == names["truth"].target).all(1).double().mean()
    assert curves[0, -1] == pytest.approx(float(share))


def test_timeline_finds_the_events(run):
    names = run("long_recording")
    assert names["found"] == len(names["EVENTS"]) == 10
    assert names["alarms"] <= 0.03 * names["chances"]
