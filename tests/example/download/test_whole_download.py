"""The whole download against a local server: what is in the folder afterwards, and after a second call."""

import shutil

import pytest

from freesound import tasks
from freesound.plans.base import Clips, Machine, Member, Network, Optim
from rankaudio import lwlrap
from rankaudio.data import read_classes, read_labels, read_scores
from tools.download.disk import size_text
from tools.download.layout import KNOWN_FAULTS
from tools.download.parts import PARTS
from zenodo import CLASSES, SET, SIZES, download, refused, snapshot


def test_download_writes_the_kaggle_layout_and_a_second_call_changes_nothing(
    zenodo, archives, tmp_path, capsys
):
    source, _, tables = archives
    root = tmp_path / "data"
    download(zenodo, root)
    files = {"sample_submission.csv", "test.csv", "train_curated.csv", "train_noisy.csv"}
    folders = {".download", "doc", "faulty", "meta", "test", "train_curated", "train_noisy"}
    assert {path.name for path in root.iterdir()} == files | folders
    assert read_classes(root / "sample_submission.csv") == tuple(CLASSES)
    for part, (folder, stem) in PARTS.items():
        for path in (source / f"{SET}.{stem}").iterdir():
            where = root / ("faulty" if path.name in KNOWN_FAULTS else folder) / path.name
            assert where.read_bytes() == path.read_bytes()
        if part not in tables:
            continue
        table = read_labels(root / f"{folder}.csv", classes=CLASSES)
        expected = {name: labels for name, labels in tables[part] if name not in KNOWN_FAULTS}
        assert table.names == tuple(expected)
        assert {path.name for path in (root / folder).iterdir()} == set(expected)
        for name, row in zip(table.names, table.target.tolist(), strict=True):
            assert {CLASSES[c] for c in range(3) if row[c]} == set(expected[name].split(","))
    assert (root / "test.csv").read_text().splitlines()[:3] == [
        "fname,labels,usage",
        "t0000000.wav,Bark,Public",
        "t0000001.wav,Chirp,Private",
    ]
    assert read_scores(root / "sample_submission.csv").names == read_labels(root / "test.csv").names

    assert len(zenodo.fetched()) == len(zenodo.files)
    before = snapshot(root)
    capsys.readouterr()
    download(zenodo, root)
    assert zenodo.fetched() == []
    assert snapshot(root) == before
    assert capsys.readouterr().out == f"{root}: meta, doc, curated, test, noisy complete\n"


def test_the_folder_works_for_train_predict_and_evaluate(zenodo, tmp_path):
    root, run, out = tmp_path / "data", tmp_path / "run", tmp_path / "scores.csv"
    download(zenodo, root)
    member = Member(
        network=Network("CNN2d", {"base_depth": 4, "n_blocks": 2}),
        clips=Clips(noisy=True, folds=1),
        optim=Optim(epochs=1),
    )
    machine = Machine(device="cpu", tensorboard=False)
    tasks.train(member, root, run, machine=machine)
    tasks.predict_folder(run, root / "test", out, machine=machine)
    printed = [line.split() for line in tasks.evaluate(out, root / "test.csv").splitlines()]
    scores, labels = read_scores(out), read_labels(root / "test.csv", classes=CLASSES)
    for line, rows, count in [(printed[-2], slice(0, None, 2), 3), (printed[-1], slice(1, None, 2), 4)]:
        names = labels.names[rows]
        expected = float(lwlrap(scores.select(names).scores, labels.select(names).target))
        assert [*line[1:3], *line[-2:]] == [str(count), f"{expected:.4f}", "3", "clips"]
        low, high = (float(end.strip("[],")) for end in line[3:5])
        assert low <= expected <= high
    assert [printed[-2][0], printed[-1][0]] == ["public", "private"]


def test_archives_and_sizes_are_printed_first(zenodo, tmp_path, capsys):
    download(zenodo, tmp_path / "data", "--parts", "test")
    printed = capsys.readouterr().out
    size = len(zenodo.files[f"{SET}.audio_test.zip"])
    assert f"{SET}.audio_test.zip  {size / 1000:.1f} kB" in printed
    assert "to fetch, at most about" in printed
    assert "noisy" not in printed


def test_sizes_have_units():
    sizes = {999: "999 B", 1000: "1.0 kB", 4_123_000: "4.1 MB", 12_345_678_901: "12.3 GB"}
    assert {count: size_text(count) for count in sizes} == sizes


def test_some_parts_first_and_the_others_later(zenodo, tmp_path):
    root = tmp_path / "data"
    download(zenodo, root, "--parts", "test")
    assert {key for key, _ in zenodo.fetched()} == {f"{SET}.meta.zip", f"{SET}.audio_test.zip"}
    assert {path.name for path in root.glob("*.csv")} == {"test.csv", "sample_submission.csv"}
    download(zenodo, root)
    assert f"{SET}.meta.zip" not in {key for key, _ in zenodo.fetched()}
    assert {path.name for path in root.glob("train*.csv")} == {"train_curated.csv", "train_noisy.csv"}
    shutil.rmtree(root / "train_noisy")
    download(zenodo, root)
    assert {key for key, _ in zenodo.fetched()} == {key for key in zenodo.files if "noisy" in key}
    assert len(list((root / "train_noisy").iterdir())) == SIZES["noisy"]


def test_documents_need_no_other_part(zenodo, tmp_path, capsys):
    download(zenodo, tmp_path / "data", "--parts", "doc")
    assert [key for key, _ in zenodo.fetched()] == [f"{SET}.doc.zip"]
    assert (tmp_path / "data" / "doc" / "LICENSE-DATASET").exists()
    assert capsys.readouterr().out.endswith("doc complete\n")


def test_faulty_clips_are_moved_out_and_back(zenodo, tmp_path):
    root = tmp_path / "data"
    options = ["--parts", "curated"]
    faulty = {KNOWN_FAULTS[0], KNOWN_FAULTS[5]}
    download(zenodo, root, *options, "--keep-faulty")
    assert not (root / "faulty").exists()
    assert faulty < set(read_labels(root / "train_curated.csv").names)
    zenodo.fetched()
    download(zenodo, root, *options)
    assert {path.name for path in (root / "faulty").iterdir()} == faulty
    assert not faulty & set(read_labels(root / "train_curated.csv").names)
    download(zenodo, root, *options, "--keep-faulty")
    assert faulty < {path.name for path in (root / "train_curated").iterdir()}
    download(zenodo, root, *options)
    shutil.rmtree(root / "faulty")
    download(zenodo, root, *options)
    assert zenodo.fetched() == []
    download(zenodo, root, *options, "--keep-faulty")
    assert [key for key, _ in zenodo.fetched()] == [f"{SET}.audio_train_curated.zip"]
    assert faulty < set(read_labels(root / "train_curated.csv").names)


def test_archives_are_kept_on_request_and_used_if_they_are_there(zenodo, tmp_path):
    root = tmp_path / "data"
    download(zenodo, root, "--keep-archives")
    kept = {path.name: path.read_bytes() for path in (root / "archives").iterdir()}
    assert kept == zenodo.files
    zenodo.fetched()
    other = tmp_path / "other"
    shutil.copytree(root / "archives", other / "archives")
    download(zenodo, other)
    assert zenodo.fetched() == []
    assert not (other / "archives").exists()
    assert len(list((other / "train_noisy").iterdir())) == SIZES["noisy"]


def test_a_folder_with_other_files_is_refused(zenodo, tmp_path):
    (tmp_path / "train_curated.csv").write_text("mine")
    refused(zenodo, tmp_path, match="--root: wanted a new or empty folder")
    refused(zenodo, tmp_path / "train_curated.csv", match="--root: wanted a folder")
    assert (tmp_path / "train_curated.csv").read_text() == "mine"
    assert zenodo.log == []


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "null", "5", "{}", "[" * 100_000, '{"archives": {}}'),
        *('{"archives": {}, "members": null}', '{"archives": {}, "members": ["a"]}'),
        *('{"archives": {}, "members": {"a": "5"}}', '{"archives": 1, "members": {}}'),
    ],
)
def test_a_damaged_state_is_named(zenodo, tmp_path, content):
    root = tmp_path / "data"
    (root / ".download").mkdir(parents=True)
    (root / ".download" / "meta.json").write_text(content)
    wanted = r"\.download/meta\.json: wanted the state of a download, got .*damaged file; remove it"
    refused(zenodo, root, "--parts", "meta", match=wanted)
    (root / ".download" / "meta.json").unlink()
    download(zenodo, root, "--parts", "meta")
