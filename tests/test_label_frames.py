"""Labels from data frames: of pandas where it is installed, and of a minimal stand-in."""

import numpy as np
import pytest
import torch

from rankaudio.data import LabelTable

TEXTS = {"file": ["a.wav", "b.wav", "c.wav"], "labels": ["Bark", "Meow, Bark", "Meow"], "note": [1, 2, 3]}
LISTS = TEXTS | {"labels": [["Bark"], ("Meow", "Bark"), np.array(["Meow"])]}
COLUMNS = {"file": TEXTS["file"], "Meow": [0, 1, 1], "Bark": [1.0, 1.0, 0.0]}
TARGET = [[1, 0], [1, 1], [0, 1]]  # Bark, Meow


class Frame:
    """Columns by name, as in every library of data frames."""

    def __init__(self, columns):
        self.columns, self._cells = list(columns), columns

    def __getitem__(self, name):
        return self._cells[name]


def pandas_frame(columns):
    return pytest.importorskip("pandas").DataFrame(columns, index=range(5, 5 + len(columns["file"])))


every_library = pytest.mark.parametrize("frame", [Frame, pandas_frame])


def read(frame, **settings):
    return LabelTable.from_frame(frame, name_column="file", **settings)


@every_library
@pytest.mark.parametrize("columns", [TEXTS, LISTS])
def test_labels_are_texts_or_lists(frame, columns):
    table = read(frame(columns))
    assert table.names == ("a.wav", "b.wav", "c.wav")
    assert table.classes == ("Bark", "Meow")
    assert table.target.int().tolist() == TARGET
    table = read(frame(columns), classes=["Meow", "Purr"], strict=False)
    assert table.target.int().tolist() == [[0, 0], [1, 0], [1, 0]]


@every_library
def test_a_column_for_each_class(frame):
    table = read(frame(COLUMNS), label_column=None)
    assert table.classes == ("Meow", "Bark")
    assert table.target.dtype == torch.bool
    assert table.target.int().tolist() == [row[::-1] for row in TARGET]
    assert read(frame(COLUMNS), label_column=None, classes=["Bark"]).target.int().tolist() == [[1], [1], [0]]
    bools = COLUMNS | {"Meow": [False, True, True]}
    assert torch.equal(read(frame(bools), label_column=None).target, table.target)


def test_separators_and_names_of_columns():
    frame = Frame({"file": ["a", "b"], "tags": ["Bark|Meow", "Meow"]})
    assert read(frame, label_column="tags", separator="|").target.tolist() == [[True, True], [False, True]]


@pytest.mark.parametrize(
    ("frame", "settings", "error", "message"),
    [
        ([1, 2], {}, TypeError, "frame: wanted a data frame with columns by name, got"),
        (Frame({"name": ["a"]}), {}, ValueError, "name_column: wanted a column 'file', got the columns name"),
        (
            Frame({"file": ["a"]}),
            {},
            ValueError,
            "label_column: wanted a column 'labels', got the columns file",
        ),
        (Frame(TEXTS), {"label_column": 7}, TypeError, "label_column: wanted a string, got 7"),
        (Frame(TEXTS), {"separator": ""}, ValueError, "separator: wanted the text between two labels"),
        (Frame(TEXTS), {"strict": 1}, TypeError, "strict: wanted True or False, got 1"),
        (
            Frame(TEXTS | {"file": ["a", "b", "a"]}),
            {},
            ValueError,
            "frame: wanted different names, got 'a' twice",
        ),
        (Frame(TEXTS | {"file": [1, 2, 3]}), {}, TypeError, "frame: wanted a list of strings, got 1"),
        (
            Frame(TEXTS),
            {"classes": ["Bark"]},
            ValueError,
            "frame, row of 'b.wav': wanted one of the 1 classes",
        ),
        (
            Frame(TEXTS | {"labels": ["Bark", None, "Meow"]}),
            {},
            TypeError,
            "frame, row of 'b.wav': wanted labels as a string or a list of strings, got None",
        ),
        (
            Frame(COLUMNS | {"Meow": [0, 0.5, 1]}),
            {"label_column": None},
            ValueError,
            "frame, row of 'b.wav', column 'Meow': wanted 0 or 1, got 0.5",
        ),
        (
            Frame(COLUMNS | {"Meow": [0, 1, None]}),
            {"label_column": None},
            ValueError,
            "frame, row of 'c.wav', column 'Meow': wanted 0 or 1, got None",
        ),
        (
            Frame(COLUMNS | {"Meow": ["0", "1", "1"]}),
            {"label_column": None},
            ValueError,
            "frame, row of 'a.wav', column 'Meow': wanted 0 or 1, got '0'",
        ),
    ],
)
def test_what_is_wrong_is_named(frame, settings, error, message):
    with pytest.raises(error, match=message):
        read(frame, **settings)


def test_a_column_that_is_there_twice_is_refused():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([["a", "x", "y"]], columns=["file", "labels", "labels"])
    with pytest.raises(ValueError, match="label_column: wanted a column 'labels', got that name twice"):
        read(frame)
