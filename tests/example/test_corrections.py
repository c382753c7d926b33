"""Tables about single clips: corrections, trusted clips, and what is chosen among noisy clips."""

import pytest
import torch

from freesound.corpus import read_corpus
from freesound.corrections import read_decisions, with_corrections
from freesound.noisy_choice import choose_by_agreement, take_decisions
from rankaudio.data import LabelTable
from tiny_recipe import rows_of, write_csv

CLASSES = ("Bark", "Meow", "Purr")
LABELS = LabelTable(("a.wav", "b.wav", "c.wav"), CLASSES, torch.eye(3, dtype=torch.bool))


def write(folder, header, *rows):
    write_csv(folder / "table.csv", header, rows)
    return folder / "table.csv"


class TestCorrections:
    def test_labels_are_replaced_and_clips_removed(self, tmp_path):
        path = write(tmp_path, ["fname", "labels"], ["c.wav", "Bark,Meow"], ["a.wav", ""])
        corrected, rows = with_corrections(LABELS, path)
        assert corrected.names == ("b.wav", "c.wav")
        assert corrected.target.int().tolist() == [[0, 1, 0], [1, 1, 0]]
        assert rows.tolist() == [1, 2]
        assert torch.equal(LABELS.target, torch.eye(3, dtype=torch.bool))

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([["a.wav", "Bark"], ["x.wav", "Bark"]], "line 3: wanted the name of a clip in the data, got 'x"),
            ([["a.wav", "Bark"], ["a.wav", "Meow"]], "line 3: wanted each clip once, got 'a.wav' again"),
            ([["b.wav", "Hum"]], "line 2: wanted labels that are classes, got 'Hum'"),
            ([["b.wav"]], "line 2: wanted 2 fields, got 1"),
            ([["a.wav", ""], ["b.wav", ""], ["c.wav", ""]], "wanted at least one clip to be left"),
        ],
    )
    def test_bad_rows_are_named(self, tmp_path, rows, message):
        path = write(tmp_path, ["fname", "labels"], *rows)
        with pytest.raises(ValueError, match=f"table.csv.*{message}"):
            with_corrections(LABELS, path)

    def test_a_missing_column(self, tmp_path):
        with pytest.raises(ValueError, match="wanted a column 'labels', got the columns fname, label"):
            with_corrections(LABELS, write(tmp_path, ["fname", "label"], ["a.wav", "Bark"]))

    def test_other_clips_stay_in_their_folds(self, corpus, tmp_path):
        plain = read_corpus(corpus)
        first, second = plain.curated.names[:2]
        path = write(tmp_path, ["fname", "labels"], [first, ""], [second, plain.classes[0]])
        corrected = read_corpus(corpus, corrections=path)
        assert corrected.curated.names == plain.curated.names[1:]
        assert corrected.curated.target[0].nonzero().tolist() == [[0]]
        assert torch.equal(corrected.draw_folds(4, 1), plain.draw_folds(4, 1)[1:])


class TestDecisions:
    def test_given_and_other_labels(self, tmp_path):
        path = write(
            tmp_path,
            ["fname", "decision", "labels"],
            ["c.wav", "keep", "Bark"],
            ["a.wav", "Keep", ""],
            ["b.wav", "drop", ""],
        )
        trusted, dropped = read_decisions(path, LABELS)
        assert trusted.names == ("c.wav", "a.wav")
        assert trusted.target.int().tolist() == [[1, 0, 0], [1, 0, 0]]
        assert dropped == ("b.wav",)

    def test_names_alone_are_kept(self, tmp_path):
        trusted, dropped = read_decisions(write(tmp_path, ["fname"], ["b.wav"]), LABELS)
        assert (trusted.names, dropped) == (("b.wav",), ())
        assert trusted.target.int().tolist() == [[0, 1, 0]]

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            (["a.wav", "maybe"], "line 2: wanted keep or drop as decision, got 'maybe'"),
            (["x.wav", "drop"], "line 2: wanted the name of a clip in the data, got 'x.wav'"),
            (["a.wav", "drop"], "wanted at least one clip to keep, got none"),
        ],
    )
    def test_bad_rows_are_named(self, tmp_path, row, message):
        with pytest.raises(ValueError, match=f"table.csv.*{message}"):
            read_decisions(write(tmp_path, ["fname", "decision"], row), LABELS)

    def test_a_clip_without_a_label_cannot_be_trusted(self, tmp_path):
        empty = LabelTable(LABELS.names, CLASSES, torch.zeros(3, 3, dtype=torch.bool))
        with pytest.raises(ValueError, match="line 2: wanted a clip with a label, got none"):
            read_decisions(write(tmp_path, ["fname"], ["b.wav"]), empty)


GIVEN = [["a.wav", "Bark"], ["b.wav", "Meow"], ["c.wav", "Hum"], ["d.wav", "Purr,Bark"], ["e.wav", "Purr"]]
SCORES = [[3, 1, 0], [2, 1, 0], [5, 0, 0], [1, 9, 2], [0, 1, 4.5]]


class TestChoice:
    """Agreement: e and a 1 (e has the larger margin), d 7/12, b 1/2; c has no label of a class."""

    @staticmethod
    def names(path):
        return [row["fname"] for row in rows_of(path)]

    @pytest.fixture
    def tables(self, tmp_path):
        write_csv(tmp_path / "noisy.csv", ["fname", "labels"], GIVEN)
        rows = [[row[0], *scores] for row, scores in zip(GIVEN, SCORES, strict=True)]
        write_csv(tmp_path / "scores.csv", ["fname", *CLASSES], reversed(rows))
        return tmp_path

    @pytest.mark.parametrize(
        ("trusted", "dropped", "expected"),
        [
            (0.4, 0.4, (["e.wav", "a.wav"], ["e.wav", "a.wav", "d.wav"], {"b.wav", "c.wav"})),
            (0.2, 0.0, (["e.wav"], ["e.wav", "a.wav", "d.wav", "b.wav"], {"c.wav"})),
            (0.4, 0.6, (["e.wav", "a.wav"], ["e.wav", "a.wav"], {"b.wav", "c.wav", "d.wav"})),
        ],
    )
    def test_by_agreement(self, tables, trusted, dropped, expected):
        out = tables / "trusted.csv"
        choose_by_agreement(
            tables / "noisy.csv",
            tables / "scores.csv",
            out,
            classes=CLASSES,
            trusted=trusted,
            dropped=dropped,
        )
        assert self.names(out) == expected[0]
        assert self.names(tables / "kept.csv") == expected[1]
        assert set(self.names(tables / "dropped.csv")) == expected[2]
        assert rows_of(out)[0]["labels"] == "Purr"

    def test_no_clip_to_trust(self, tables):
        with pytest.raises(ValueError, match="wanted at least one clip to trust"):
            choose_by_agreement(
                *(tables / name for name in ("noisy.csv", "scores.csv", "out.csv")),
                classes=CLASSES,
                trusted=0.01,
                dropped=0.0,
            )

    def test_by_a_table(self, tables):
        path = write(tables, ["fname", "decision"], ["d.wav", "keep"], ["a.wav", "drop"])
        take_decisions(tables / "noisy.csv", path, tables / "trusted.csv", classes=CLASSES)
        assert [tuple(row.values()) for row in rows_of(tables / "trusted.csv")] == [("d.wav", "Bark,Purr")]
        assert self.names(tables / "kept.csv") == ["b.wav", "d.wav", "e.wav"]
        assert self.names(tables / "dropped.csv") == ["a.wav", "c.wav"]

    def test_nothing_is_dropped(self, tables):
        """Tables without rows are written too."""
        write_csv(tables / "noisy.csv", ["fname", "labels"], [row for row in GIVEN if row[1] != "Hum"])
        paths = [tables / name for name in ("noisy.csv", "scores.csv", "trusted.csv")]
        choose_by_agreement(*paths, classes=CLASSES, trusted=0.5, dropped=0.0)
        assert len(rows_of(tables / "kept.csv")) == 4
        assert rows_of(tables / "dropped.csv") == []
        take_decisions(paths[0], write(tables, ["fname"], ["b.wav"]), paths[2], classes=CLASSES)
        assert len(rows_of(tables / "kept.csv")) == 4
        assert rows_of(tables / "dropped.csv") == []
