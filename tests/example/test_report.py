"""The page about a run: complete, safe, self-contained, with the figures of the metric."""

import base64
import io
import re
import shutil

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from rankaudio import lwlrap
from rankaudio.data import LabelTable, ScoreTable, read_labels, read_scores, write_scores
from report_page import CLASSES, NASTY, Page, refused, report, tone, write_labels, write_run
from tools.report.data import Content, Fold, Part, Training
from tools.report.figures import hardest_clips
from tools.report.media import MAX_SOUND, choose_quality
from tools.report.page import write_page


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path)


class TestPage:
    def test_is_well_formed_and_needs_no_network(self, run, tmp_path):
        data, folder, *_ = run
        report("--run", folder, "--data", data, "--out", tmp_path / "sub" / "r.html")
        text = (tmp_path / "sub" / "r.html").read_text("utf-8")
        page = Page(text)
        assert page.declared == "doctype html"
        for _, attrs, _ in page.elements:
            for key in ("src", "href"):
                assert re.match(r"data:(audio/wav|image/png);base64,|#s\d+$", attrs.get(key, "#s0"))
            assert not {"onclick", "onload", "onerror", "srcset"} & set(attrs)
        targets = {attrs["id"] for _, attrs in page.all("section")}
        assert {attrs["href"][1:] for _, attrs in page.all("a")} == targets
        assert not re.search(r"https?:|url\(|@import", text)
        assert "prefers-color-scheme: dark" in page.texts("style")[0]
        assert page.all("meta", name="viewport")
        assert sorted(page.texts("h3")) == sorted(set(page.texts("h3")))
        assert [path.name for path in (tmp_path / "sub").iterdir()] == ["r.html"]

    def test_names_are_shown_as_they_are(self, run, tmp_path):
        """No name becomes markup or a template: the page has one script, and every name is in the text."""
        data, folder, names, scores, target = run
        report("--run", folder, "--data", data, "--title", NASTY, "--out", tmp_path / "r.html")
        page = Page((tmp_path / "r.html").read_text("utf-8"))
        assert len(page.all("script")) == 1
        assert "alert" not in page.texts("script")[0]
        assert [page.texts("title")[0]] == page.texts("h1") == [NASTY]
        for tag in ("i", "b"):
            assert all("class" in attrs or "style" in attrs for _, attrs in page.all(tag))
        shown = page.texts("span", **{"class": "name"})
        assert set(CLASSES) <= set(shown)
        alts = [attrs["alt"] for _, attrs in page.all("img")]
        expected = [names[one.row] for one in hardest_clips(scores, target, most=12)]
        assert alts == [f"Spectrogram of {name}" for name in expected]
        assert NASTY in page.texts("dd")

    def test_figures_are_those_of_the_metric(self, run, tmp_path):
        data, folder, _, scores, target = run
        report("--run", folder, "--data", data, "--out", tmp_path / "r.html")
        page = Page((tmp_path / "r.html").read_text("utf-8"))
        tiles = dict(
            re.match(r"([\d.]+)(lwlrap, (?:out of fold|fold \d))", text).group(2, 1)
            for text in page.texts("div", **{"class": "tile"}) + page.texts("div", **{"class": "tile small"})
            if "lwlrap, " in text
        )
        assert tiles == {
            "lwlrap, out of fold": f"{float(lwlrap(scores, target)):.3f}",
            "lwlrap, fold 0": f"{float(lwlrap(scores[:4], target[:4])):.3f}",
            "lwlrap, fold 1": f"{float(lwlrap(scores[4:], target[4:])):.3f}",
        }
        value, support = lwlrap(scores, target, average=None)
        bars = page.texts("ul", **{"class": "bars"})[0]
        order = value.argsort(stable=True).tolist()
        clips = ["1 clip" if n == 1 else f"{n} clips" for n in support.int().tolist()]
        assert bars == "".join(f"{CLASSES[c]}{value[c]:.3f}{clips[c]}" for c in order)
        for one in hardest_clips(scores, target, most=12):
            direct = lwlrap(scores[one.row, None], target[one.row, None])
            assert f"LRAP {float(direct):.3f}" in page.texts("small")

    def test_sound_decodes_back(self, run, tmp_path):
        data, folder, names, scores, target = run
        report("--run", folder, "--data", data, "--clips", "2", "--out", tmp_path / "r.html")
        page = Page((tmp_path / "r.html").read_text("utf-8"))
        players = page.all("audio")
        assert len(players) == 2
        for (_, attrs), one in zip(players, hardest_clips(scores, target, most=2), strict=True):
            kind, _, coded = attrs["src"].partition(",")
            assert kind == "data:audio/wav;base64"
            rate, samples = wavfile.read(io.BytesIO(base64.b64decode(coded, validate=True)))
            _, original = wavfile.read(data / "train_curated" / names[one.row])
            assert rate == 44_100
            assert np.abs(samples.astype(int) - original).max() <= 1
        for _, attrs in page.all("img"):
            assert base64.b64decode(attrs["src"].partition(",")[2], validate=True).startswith(b"\x89PNG")

    def test_a_scored_part_is_shown_with_the_folds(self, run, tmp_path):
        data, folder, names, scores, target = run
        shutil.copytree(data / "train_curated", data / "test")
        # Rows are joined by name, because the scores have another order.
        write_scores(tmp_path / "s.csv", ScoreTable(names[::-1], CLASSES, -scores.flip(0)))
        write_labels(tmp_path / "l.csv", names, target)
        parts = ["--scores", tmp_path / "s.csv", "--labels", tmp_path / "l.csv"]
        report("--run", folder, "--data", data, *parts, "--out", tmp_path / "r.html")
        page = Page((tmp_path / "r.html").read_text("utf-8"))
        assert f"{float(lwlrap(-scores, target)):.3f}" in page.texts("strong")
        assert {"Scored part: classes", "Out of fold: classes"} <= set(page.texts("h2"))

    def test_a_run_without_held_out_clips_lists_what_is_missing(self, run, tmp_path):
        data, folder, *_ = run
        shutil.rmtree(folder / "fold_1")
        (folder / "fold_0" / "valid.csv").unlink()
        rows = "epoch,train_loss,valid_lwlrap,learning_rate,seconds\n1,3.0,nan,1e-4,1\n2,2.0,nan,1e-5,1\n"
        (folder / "fold_0" / "metrics.csv").write_text(rows)
        report("--run", folder, "--data", data, "--out", tmp_path / "r.html")
        page = Page((tmp_path / "r.html").read_text("utf-8"))
        assert page.texts("h2") == ["Not on this page", "Learning curves", "Settings"]
        assert page.texts("figcaption") == ["Training loss", "Learning rate"]
        said = page.texts("aside")[0]
        assert "no fold of" in said
        assert "Curves of 1 of 2 folds" in said

    def test_some_folds_only(self, run, tmp_path):
        data, folder, _, scores, target = run
        (folder / "fold_1" / "valid.csv").unlink()
        report("--run", folder, "--data", data, "--out", tmp_path / "r.html")
        page = Page((tmp_path / "r.html").read_text("utf-8"))
        assert "Scores of 4 of 8 curated clips" in page.texts("aside")[0]
        assert f"{float(lwlrap(scores[:4], target[:4])):.3f}" in page.texts("strong")

    def test_the_other_clips_are_shown_if_one_cannot_be_read(self, run, tmp_path):
        data, folder, names, scores, target = run
        hard = [names[one.row] for one in hardest_clips(scores, target, most=12)]
        (data / "train_curated" / hard[0]).unlink()
        (data / "train_curated" / hard[1]).write_bytes(b"no sound <at all>")
        report("--run", folder, "--data", data, "--out", tmp_path / "r.html")
        page = Page((tmp_path / "r.html").read_text("utf-8"))
        gone = page.texts("p", **{"class": "gone"})
        assert len(gone) == 2
        assert hard[0] in gone[0]
        assert hard[1] in gone[1]
        assert len(page.all("audio")) == len(hard) - 2

    def test_an_empty_page(self, tmp_path):
        write_page(tmp_path / "r.html", Content("Empty", figures={"of a blend": "0.9"}, missing=["all"]))
        page = Page((tmp_path / "r.html").read_text("utf-8"))
        assert page.texts("strong") == ["0.9"]
        assert page.texts("h2") == ["Not on this page"]

    def test_perfect_scores_and_clips_without_labels(self, tmp_path):
        target = torch.tensor([[True, False], [False, False]])
        for row, words in ((0, "No clip has a wrong class"), (1, "No clip of this part has a label")):
            table = ScoreTable(("a.wav",), ("A", "B"), torch.tensor([[1.0, 0.0]]))
            labels = LabelTable(("a.wav",), ("A", "B"), target[row, None])
            write_page(tmp_path / "r.html", Content("t", parts=[Part("P", table, labels, tmp_path)]))
            assert words in (tmp_path / "r.html").read_text("utf-8")

    def test_stays_small(self, tmp_path):
        """Ten clips of 30 s, loudest at the end, are cut to their loudest seconds."""
        tone(tmp_path / "0.wav", seconds=30, loud_from=28.5)
        names = tuple(f"{k}.wav" for k in range(10))
        for name in names[1:]:
            (tmp_path / name).symlink_to(tmp_path / "0.wav")
        quality = choose_quality([tmp_path / name for name in names])
        target = torch.eye(10, dtype=torch.bool)
        scores = ScoreTable(names, names, -target.float())
        part = Part("P", scores, LabelTable(names, names, target), tmp_path)
        write_page(tmp_path / "r.html", Content("t", parts=[part]))
        text = (tmp_path / "r.html").read_text("utf-8")
        assert len(text) < 10_000_000
        assert f"cut to their loudest {quality.seconds:g} s" in text
        players = Page(text).all("audio")
        assert len(players) == 10
        assert sum(len(attrs["src"]) for _, attrs in players) <= MAX_SOUND + 10 * 100
        rate, samples = wavfile.read(io.BytesIO(base64.b64decode(players[0][1]["src"].partition(",")[2])))
        assert rate == quality.sample_rate
        assert len(samples) == rate * quality.seconds
        loud = np.abs(samples.astype(int)) > 0.2 * 32767
        assert loud[-rate:].mean() > 0.5
        assert not loud[: len(samples) - 2 * rate].any()

    def test_quality_falls_with_the_number_of_clips(self, tmp_path):
        tone(tmp_path / "0.wav", seconds=12)
        sizes = []
        for count in (1, 5, 20, 48, 200):
            quality = choose_quality([tmp_path / "0.wav"] * count)
            sizes.append(quality.sample_rate * quality.seconds)
            assert sizes[-1] * 2 * count * 4 / 3 <= MAX_SOUND
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[0] == 441_000
        assert choose_quality([tmp_path / "none.wav"]).seconds == 10

    def test_several_trainings_are_named(self, tmp_path):
        fold = Fold("fold 0", [1.0], {"train_loss": [1.0], "valid_lwlrap": [0.5], "learning_rate": [0.1]})
        trainings = [Training(name, {"seed": 1}, [fold]) for name in ("one", "two")]
        write_page(tmp_path / "r.html", Content("t", trainings=trainings))
        assert Page((tmp_path / "r.html").read_text("utf-8")).texts("h3") == ["one", "two"]


class TestSelections:
    def test_table_on_the_page(self, run, tmp_path):
        data, folder, *_ = run
        tables = {
            data / "train_noisy.csv": "fname,labels\na,X\nb,Y\nc,<X>\nd,Y\n",
            tmp_path / "first&.csv": "fname,labels\nc,<X>\na,X\nb,Y\n",
            tmp_path / "truth.csv": 'fname,labels,error\na,X,ok\nb,,oov\nc,<X>,ok\nd,"X,Y",missing\n',
        }
        for path, text in tables.items():
            path.write_text(text)
        selected = ["--selection", tmp_path / "first&.csv"]
        command = ["--run", folder, "--data", data, *selected, "--out", tmp_path / "r.html"]
        report(*command, "--truth", tmp_path / "truth.csv")
        page = Page((tmp_path / "r.html").read_text("utf-8"))
        assert page.texts("td") == ["3 of 4", "2", "66.7%", "100.0%", "50.0%"]
        assert page.texts("li", **{"class": "wrong"})[-1] == "b: Y in truth: no label"
        assert "first&" in page.texts("th")
        report(*command)
        page = Page((tmp_path / "r.html").read_text("utf-8"))
        assert page.texts("td") == ["3 of 4", "–", "–", "–", "–"]

    def test_without_the_noisy_table(self, run, tmp_path):
        data, folder, *_ = run
        (tmp_path / "s.csv").write_text("fname,labels\nc,X\n")
        report(
            "--run", folder, "--data", data, "--selection", tmp_path / "s.csv", "--out", tmp_path / "r.html"
        )
        assert Page((tmp_path / "r.html").read_text("utf-8")).texts("td")[0] == "1"


class TestMistakes:
    def test_options_that_need_each_other(self, run, tmp_path):
        data, folder, *_ = run
        base = ["--run", folder, "--data", data, "--out", tmp_path / "r.html"]
        refused(*base, "--scores", "s.csv", match="--scores, --labels: wanted both")
        refused(*base, "--truth", "t.csv", match="--truth: wanted a --selection")
        refused(*base, "--clips", "25", match="--clips: wanted at most 24")
        assert not (tmp_path / "r.html").exists()

    def test_run_and_data_that_do_not_fit(self, run, tmp_path):
        data, folder, names, _, target = run
        base = ["--data", data, "--out", tmp_path / "r.html", "--run"]
        refused(*base, tmp_path, match=r"--run: wanted a folder that train or recipe wrote")
        write_labels(data / "train_curated.csv", names[:3], target[:3])
        refused(*base, folder, match=r"train_curated.csv lacks clips that the run held out")
        shutil.copy(folder / "fold_0" / "valid.csv", folder / "fold_1" / "valid.csv")
        refused(*base, folder, match="wanted clips that no other fold held out")
        write_scores(folder / "fold_1" / "valid.csv", ScoreTable(["z"], ["A"], torch.ones(1, 1)))
        refused(*base, folder, match="wanted the classes of")
        (folder / "settings.toml").write_text("=")
        refused(*base, folder, match=r"settings.toml: wanted TOML")

    def test_scores_of_other_clips(self, run, tmp_path):
        data, folder, names, scores, target = run
        write_scores(tmp_path / "s.csv", ScoreTable(names[:2], CLASSES, scores[:2]))
        write_labels(tmp_path / "l.csv", names, target)
        parts = ["--scores", tmp_path / "s.csv", "--labels", tmp_path / "l.csv"]
        refused("--run", folder, "--data", data, *parts, match="does not have a row for every clip")
        assert len(read_scores(tmp_path / "s.csv").names) < len(read_labels(tmp_path / "l.csv"))
