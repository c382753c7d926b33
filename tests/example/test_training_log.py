"""What a fold writes about its training: tables, and scalars for TensorBoard."""

import pytest

from freesound.engine import Trainer
from freesound.state import Table
from rankaudio import lwlrap
from rankaudio.data import read_labels, read_scores
from training import Interrupted, interrupt_at, train, without_seconds


def test_tables_are_whole_after_every_row(tmp_path):
    table = Table(tmp_path / "t.csv", ["a", "b"])
    for row in range(3):
        table.add({"a": row, "b": -row})
        assert len((tmp_path / "t.csv").read_text().splitlines()) == row + 2


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
class TestTensorBoard:
    def test_scalars_of_each_epoch_are_there_once(self, tiny_corpus, tmp_path, monkeypatch):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        options = ["--tensorboard", "--epochs", "3"]
        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "_write_epoch", interrupt_at(2, Trainer._write_epoch))
            with pytest.raises(Interrupted):
                train(tiny_corpus, tmp_path / "r", *options)
        train(tiny_corpus, tmp_path / "r", *options, "--resume")
        folder = tmp_path / "r" / "fold_0"
        events = EventAccumulator(str(folder / "tensorboard")).Reload()
        rows, _ = without_seconds(folder)
        for tag, column in [
            ("loss", "train_loss"),
            ("valid_lwlrap", "valid_lwlrap"),
            ("learning_rate", "learning_rate"),
        ]:
            scalars = events.Scalars(tag)
            assert [scalar.step for scalar in scalars] == [1, 2, 3]
            values = [float(row[column]) for row in rows]
            assert [scalar.value for scalar in scalars] == pytest.approx(values, rel=1e-3)
        assert len(events.Scalars("seconds")) == 3
        valid = read_scores(folder / "valid.csv")
        target = read_labels(tiny_corpus / "train_curated.csv", classes=valid.classes).select(valid.names).target
        best = max(range(3), key=lambda epoch: float(rows[epoch]["valid_lwlrap"]))
        for name, value, support in zip(
            valid.classes, *lwlrap(valid.scores, target, average=None), strict=True
        ):
            if support:
                seen = events.Scalars(f"valid_lwlrap_of/{name}")[best].value
                assert seen == pytest.approx(float(value), abs=1e-6)

    def test_none_if_not_wanted_or_not_installed(self, tiny_corpus, tmp_path, monkeypatch):
        train(tiny_corpus, tmp_path / "r", "--epochs", "1", "--no-tensorboard")
        assert not (tmp_path / "r" / "fold_0" / "tensorboard").exists()
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
        with pytest.raises(SystemExit, match="--tensorboard: wanted TensorBoard to be installed"):
            train(tiny_corpus, tmp_path / "s", "--epochs", "1", "--tensorboard")
