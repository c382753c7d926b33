"""Label and score tables, their files, and the message for each mistake in a file."""

import math
import os
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rankaudio.data import (
    LabelTable,
    ScoreTable,
    read_classes,
    read_labels,
    read_scores,
    write_labels,
    write_scores,
)

KAGGLE = 'fname,labels\nb.wav,Meow\na.wav,"Meow,Bark"\nc.wav,"Bass drum"\n'


def table() -> LabelTable:
    return LabelTable(("b.wav", "a.wav"), ("Bark", "Meow"), torch.tensor([[False, True], [True, True]]))


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "BOM"])
def test_files_in_the_layout_of_kaggle(tmp_path, mark, line_end):
    path = tmp_path / "train.csv"
    path.write_bytes(mark + KAGGLE.replace("\n", line_end).encode())
    labels = read_labels(str(path))
    assert labels.names == ("b.wav", "a.wav", "c.wav")
    assert labels.classes == ("Bark", "Bass drum", "Meow")
    assert labels.target.dtype == torch.bool
    assert labels.target.int().tolist() == [[0, 0, 1], [1, 0, 1], [0, 1, 0]]
    assert len(labels) == 3


def test_other_columns_blank_lines_and_space_do_not_matter(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text('license,labels,fname\nCC0,"Bark , Meow",a.wav\n\n"CC,BY",Meow,b.wav\n\n')
    labels = read_labels(path)
    assert labels.names == ("a.wav", "b.wav")
    assert labels.classes == ("Bark", "Meow")
    assert labels.target.int().tolist() == [[1, 1], [0, 1]]


def test_given_classes_set_the_order(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("fname,labels\na.wav,Bark\n")
    labels = read_labels(path, classes=["Meow", "Bark", "Chirp"])
    assert labels.classes == ("Meow", "Bark", "Chirp")
    assert labels.target.int().tolist() == [[0, 1, 0]]


def test_labels_of_no_class_can_be_left_out(tmp_path):
    path = tmp_path / "noisy.csv"
    path.write_text('fname,labels\na,"Gunshot,Meow"\nb,Gunshot\nc,\nd,"Bark,,"\n')
    labels = read_labels(path, classes=("Bark", "Meow"), strict=False)
    assert labels.target.int().tolist() == [[0, 1], [0, 0], [0, 0], [1, 0]]
    assert read_labels(path, strict=False).classes == ("Bark", "Gunshot", "Meow")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ": wanted a header line, got an empty file"),
        ("\n\n", ": wanted a header line, got an empty file"),
        ("fname,labels\n", ": wanted at least one row below the header, got none"),
        ("name,labels\na,Bark\n", ": wanted a column 'fname', got the columns name, labels"),
        ("fname,label\na,Bark\n", ": wanted a column 'labels', got the columns fname, label"),
        ("fname,labels,labels\na,Bark,Bark\n", ": columns: wanted different names, got 'labels' twice"),
        ("fname,labels\na,Bark\nb,Meow\na,Bark\n", ", line 4: 'a' is already on line 2"),
        ("fname,labels\n,Bark\n", ", line 2: wanted a file name, got an empty field"),
        (
            "fname,labels\na,Bark\nb,\n",
            ", line 3: wanted a label, got an empty one (left out with strict=False)",
        ),
        (
            'fname,labels\na,"Bark,,Meow"\n',
            ", line 2: wanted a label, got an empty one (left out with strict=False)",
        ),
        (
            "fname,labels\na,Bark\n\nb,Moo\n",
            ", line 4: wanted one of the 2 classes, got 'Moo' (left out with strict=False)",
        ),
        ("fname,labels\na,Bark,Meow\n", ", line 2: wanted 2 fields as in the header, got 3"),
        ("fname,labels\na\n", ", line 2: wanted 2 fields as in the header, got 1"),
        ('fname,labels\na,"Bark\n', ", line 2: not CSV: unexpected end of data"),
        (b"fname,labels\na,M\xe9ow\n", ": wanted text in UTF-8, got byte 0xe9 at position 16"),
    ],
)
def test_bad_label_files_are_named(tmp_path, content, message):
    path = tmp_path / "train.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match="^" + re.escape(f"{path}{message}")):
        read_labels(path, classes=("Bark", "Meow"))


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


class TestTablesOfTheWorld:
    """Tables that people have: read as they are meant, or refused with the cure."""

    @pytest.mark.parametrize(
        ("cell", "labels"),
        [
            ("\"['X', 'Y']\"", ("X", "Y")),
            ("['X']", ("X",)),
            ('"[""it\'s"", \' Y \']"', ("Y", "it's")),
            ("  X ", ("X",)),
            ("\u200bX\ufeff", ("X",)),
            ("\u00a0X\u00a0drum", ("X drum",)),
            ("Cafe\u0301", ("Caf\u00e9",)),
            ("Music [live]", ("Music [live]",)),
        ],
    )
    def test_labels_are_read_as_meant(self, tmp_path, cell, labels):
        assert read_labels(write(tmp_path / "t.csv", f"fname,labels\na.wav,{cell}\n")).classes == labels

    @pytest.mark.parametrize(
        ("cell", "message"),
        [
            ("X;Y", "got 'X;Y'; read the table with separator=';'"),
            ("X|Y", r"got 'X\|Y'; read the table with separator='\|'"),
            ("X\tY", r"separator='\\t'"),
            ('"[X, Y]"', r"got '\[X'; write labels without brackets"),
            ("\"['X' 'Y']\"", "write labels without brackets"),
            ("[]", "wanted a label, got an empty one"),
            (' "X"', "write labels without brackets and quotes"),
        ],
    )
    def test_several_labels_in_one_are_refused(self, tmp_path, cell, message):
        path = write(tmp_path / "t.csv", f"fname,labels\na.wav,{cell}\n")
        with pytest.raises(ValueError, match=f"t.csv, line 2: .*{message}"):
            read_labels(path)

    def test_classes_can_allow_any_label(self, tmp_path):
        names = ("X;Y", "[]", "['X']", "[X")
        table = LabelTable(("a", "b", "c", "d"), names, torch.eye(4, dtype=torch.bool))
        write_labels(tmp_path / "t.csv", table)
        assert torch.equal(read_labels(tmp_path / "t.csv", classes=names).target, table.target)

    @pytest.mark.parametrize("strict", [True, False])
    def test_several_classes_in_one_label_are_not_left_out(self, tmp_path, strict):
        path = write(tmp_path / "t.csv", "fname,labels\na.wav,X;Y\n")
        with pytest.raises(ValueError, match="line 2: wanted one class, got 'X;Y', which has several"):
            read_labels(path, classes=("X", "Y"), strict=strict)

    def test_another_separator(self, tmp_path):
        path = write(tmp_path / "t.csv", 'fname,labels\na.wav,"Speech, male; X"\nb.wav,X\n')
        table = read_labels(path, separator=";")
        assert table.classes == ("Speech, male", "X")
        assert table.target.int().tolist() == [[1, 1], [0, 1]]
        for separator, error in (("", ValueError), (None, TypeError)):
            with pytest.raises(error, match="separator: wanted"):
                read_labels(path, separator=separator)

    def test_spellings_that_look_alike_are_one_class(self, tmp_path):
        path = write(tmp_path / "t.csv", "fname,labels\na,Caf\u00e9\nb,Cafe\u0301\nc,Caf\u00e9\u200b\n")
        assert read_labels(path).classes == ("Caf\u00e9",)
        table = read_labels(path, classes=("Cafe\u0301",))
        assert table.classes == ("Cafe\u0301",)
        assert table.target.all()

    def test_columns_of_other_names(self, tmp_path):
        path = write(
            tmp_path / "t.csv",
            "primary_label,secondary_labels,filename,filename2\nx,\"['y', 'z']\",x/1.ogg,\ny,[],y/2.ogg,\n",
        )
        labels = ("primary_label", "secondary_labels")
        table = read_labels(path, name_column="filename", label_column=labels)
        assert table.names == ("x/1.ogg", "y/2.ogg")
        assert table.target.int().tolist() == [[1, 1, 1], [0, 1, 0]]
        assert read_labels(path, name_column="filename", label_column="primary_label").classes == ("x", "y")
        with pytest.raises(TypeError, match="name_column: wanted a string, got 3"):
            read_labels(path, name_column=3)
        for wrong, error in ((3, TypeError), ([], ValueError), ([3], TypeError)):
            with pytest.raises(error, match="label_column: wanted"):
                read_labels(path, label_column=wrong)

    def test_row_numbers_of_pandas_are_left_out(self, tmp_path):
        path = write(tmp_path / "t.csv", ",fname,labels\n0,a.wav,X\n1,b.wav,Y\n")
        assert read_labels(path).names == ("a.wav", "b.wav")
        path = write(tmp_path / "s.csv", ",fname,X,Y\n0,a.wav,1,2\n1,b.wav,3,4\n")
        table = read_scores(path)
        assert (table.names, table.classes) == (("a.wav", "b.wav"), ("X", "Y"))
        assert table.scores.tolist() == [[1, 2], [3, 4]]
        assert read_classes(path) == ("X", "Y")

    @pytest.mark.parametrize("first", ["Unnamed: 0", ""])
    def test_other_row_numbers_are_refused_with_the_cure(self, tmp_path, first):
        path = write(tmp_path / "s.csv", f"{first},fname,X\n7,a.wav,1\n")
        with pytest.raises(ValueError, match=r"in pandas with to_csv\(index=False\)"):
            read_scores(path)

    def test_a_comma_at_the_end_of_every_line_is_left_out(self, tmp_path):
        assert read_labels(write(tmp_path / "t.csv", "fname,labels,\na.wav,X,\n")).classes == ("X",)
        assert read_scores(write(tmp_path / "s.csv", "fname,X,\na.wav,1,\n")).classes == ("X",)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "fname;labels\na.wav;X,Y\n",
                ": wanted commas between the fields, got ';'; write it with commas",
            ),
            ("fname\tlabels\na.wav\tX\n", r": wanted commas between the fields, got '\\t'"),
            ('fname, labels\na.wav, "X,Y"\n', ", line 2: .*got 3; remove the space before the quote"),
            ("fname,labels\na.wav,X,\n", ", line 2: .*got 3; remove the comma at the end"),
            ("fname,labels\n  ,X\n", ", line 2: wanted a file name, got an empty field"),
            ("fname,labels\na\0,X\n", ", line 2: wanted a file name, got .*zero byte"),
        ],
    )
    def test_tables_in_another_form_are_refused_with_the_cure(self, tmp_path, text, message):
        path = write(tmp_path / "t.csv", text)
        with pytest.raises(ValueError, match=f"t.csv{message}"):
            read_labels(path)

    def test_space_around_file_names_is_left_out(self, tmp_path):
        path = write(tmp_path / "t.csv", "fname , labels\n a.wav ,X\n")
        assert read_labels(path).names == ("a.wav",)
        with pytest.raises(ValueError, match="names: wanted names without space at their ends, got ' a'"):
            write_labels(path, LabelTable((" a",), ("X",), torch.ones(1, 1, dtype=torch.bool)))

    @pytest.mark.parametrize("number", ["1_000", "\u0661\u0662", "0x10", "1,5", "infinity", "1e", "."])
    def test_what_only_python_calls_a_number_is_refused(self, tmp_path, number):
        path = write(tmp_path / "s.csv", f'fname,X\na.wav,"{number}"\n')
        with pytest.raises(ValueError, match="line 2: wanted a finite float32 number, got"):
            read_scores(path)

    @pytest.mark.parametrize("number", ["1", "-1.", "+.5", "1e-3", " 2E+4 "])
    def test_numbers_in_every_plain_form_are_read(self, tmp_path, number):
        path = write(tmp_path / "s.csv", f"fname,X\na.wav,{number}\n")
        assert read_scores(path).scores.item() == pytest.approx(float(number))


def test_files_that_are_missing(tmp_path):
    for read in (read_labels, read_classes, read_scores):
        with pytest.raises(FileNotFoundError, match=r"gone\.csv"):
            read(tmp_path / "gone.csv")
        with pytest.raises(TypeError, match="path: wanted a path"):
            read(None)


def test_rows_are_joined_by_name(tmp_path):
    labels = table().select(["a.wav", "b.wav"])
    assert labels.names == ("a.wav", "b.wav")
    assert labels.target.int().tolist() == [[1, 1], [0, 1]]
    assert table().select([]).target.shape == (0, 2)
    scores = ScoreTable(("a.wav", "b.wav", "c.wav"), ("Bark", "Meow"), torch.arange(6.0).reshape(3, 2))
    assert scores.select(table().names).scores.tolist() == [[2.0, 3.0], [0.0, 1.0]]


@given(st.permutations(range(8)), st.integers(0, 8))
def test_selection_undoes_any_order(order, count):
    names = tuple(f"{i}.wav" for i in range(8))
    target = torch.eye(8, dtype=torch.bool)
    mixed = LabelTable([names[i] for i in order], names, target[list(order)])
    assert torch.equal(mixed.select(names[:count]).target, target[:count])


def test_names_that_are_missing_are_listed_up_to_five():
    with pytest.raises(
        ValueError, match="names: wanted names of the table's 2 clips, got 1 unknown: 'c.wav'$"
    ):
        table().select(["a.wav", "c.wav"])
    with pytest.raises(ValueError, match=r"got 7 unknown: '0', '1', '2', '3', '4', \.\.\.$"):
        table().select([*"0123456", "a.wav"])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"names": ("a", "a")}, ValueError, "names: wanted different names, got 'a' twice"),
        ({"classes": ("x", "")}, ValueError, "classes: wanted different names, got an empty name"),
        ({"classes": "xy"}, TypeError, "classes: wanted a list of strings, got 'xy'"),
        ({"names": (1, 2)}, TypeError, "names: wanted a list of strings"),
        ({"target": torch.ones(3, 2).bool()}, ValueError, r"target: wanted shape \(2, 2\), got a bool"),
        ({"target": torch.ones(2, 2)}, TypeError, "target: wanted a bool tensor, got a float32"),
        ({"target": [[True]]}, TypeError, "target: wanted a torch.Tensor"),
    ],
)
def test_inconsistent_tables_are_refused(change, error, message):
    with pytest.raises(error, match=message):
        LabelTable(**{"names": ("a", "b"), "classes": ("x", "y"), "target": torch.ones(2, 2).bool()} | change)


@given(
    st.lists(
        st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3),
        min_size=1,
        max_size=5,
    )
)
def test_scores_are_read_as_the_same_float32_numbers(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("scores") / "scores.csv"
    names, classes = [f"clip {i}.wav" for i in range(len(rows))], ["Bark", 'say "hi"', "a, b"]
    write_scores(path, ScoreTable(names, classes, torch.tensor(rows)))
    back = read_scores(path)
    assert back.names == tuple(names)
    assert back.classes == tuple(classes) == read_classes(path)
    assert torch.equal(back.scores, torch.tensor(rows))


def test_numbers_that_round_to_infinity_in_float32_are_refused(tmp_path):
    halfway = 2.0**128 - 2.0**103  # between the largest float32 number and 2^128
    path = tmp_path / "s.csv"
    for sign in (1, -1):
        path.write_text(f"fname,x\na,{sign * math.nextafter(halfway, 0)!r}\n")
        assert read_scores(path).scores.item() == sign * torch.finfo(torch.float32).max
        path.write_text(f"fname,x\na,{sign * halfway!r}\n")
        with pytest.raises(ValueError, match="line 2: wanted a finite float32 number"):
            read_scores(path)


def test_scores_in_half_precision_or_with_gradients_are_written(tmp_path):
    scores = torch.tensor([[0.1, -3.0]], dtype=torch.bfloat16, requires_grad=True)
    write_scores(tmp_path / "s.csv", ScoreTable(["a"], ["x", "y"], scores))
    assert torch.equal(read_scores(tmp_path / "s.csv").scores, scores.detach().float())


def test_classes_of_a_sample_submission_without_clips(tmp_path):
    path = tmp_path / "sample_submission.csv"
    path.write_text("fname,Bark,Meow\n")
    assert read_classes(path) == ("Bark", "Meow")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("fname\na\n", ": wanted the columns 'fname' and then one per class, got fname"),
        ('""\n""\n', ": wanted the columns 'fname' and then one per class, got "),
        ("Bark,fname\n1,a\n", ": wanted the columns 'fname' and then one per class, got Bark, fname"),
        ("fname,x,x\na,1,2\n", ": columns: wanted different names, got 'x' twice"),
        ("fname,x,\na,1,2\n", ": columns: wanted different names, got an empty name"),
        ("fname,x\na,1\nb,two\n", ", line 3: wanted a finite float32 number, got 'two'"),
        ("fname,x\na,\n", ", line 2: wanted a finite float32 number, got ''"),
        ("fname,x\na,nan\n", ", line 2: wanted a finite float32 number, got 'nan'"),
        ("fname,x\na,-inf\n", ", line 2: wanted a finite float32 number, got '-inf'"),
        ("fname,x\na,1e39\n", ", line 2: wanted a finite float32 number, got '1e39'"),
        ("fname,x\na,1\na,1\n", ", line 3: 'a' is already on line 2"),
        ("fname,x\n", ": wanted at least one row below the header, got none"),
    ],
)
def test_bad_score_files_are_named(tmp_path, content, message):
    path = tmp_path / "scores.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match="^" + re.escape(f"{path}{message}") + "$"):
        read_scores(path)


def test_files_are_replaced_atomically(tmp_path, monkeypatch):
    path = tmp_path / "scores.csv"

    def table(scores):
        return ScoreTable(("a",), ("x",), scores)

    write_scores(path, table(torch.ones(1, 1)))
    before = path.read_text()
    with pytest.raises(ValueError, match="scores: wanted finite numbers, got nan"):
        write_scores(path, table(torch.full((1, 1), math.nan)))
    with pytest.raises(TypeError, match="table: wanted a ScoreTable, got None"):
        write_scores(path, None)

    def fail(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        patch.setattr("pathlib.Path.replace", fail)
        with pytest.raises(OSError, match="disk full"):
            write_scores(path, table(torch.zeros(1, 1)))
    assert path.read_text() == before
    write_scores(path, table(torch.zeros(1, 1)))
    assert path.read_text() == "fname,x\na,0\n"
    assert [each.name for each in tmp_path.iterdir()] == ["scores.csv"]


def test_labels_are_read_as_they_were_written(tmp_path):
    target = torch.tensor([[True, False, True], [False, False, False], [False, True, False]])
    table = LabelTable(("a.wav", "b, c.wav", "d.wav"), ("Bark", 'say "hi"', "Meow (cat)"), target)
    write_labels(tmp_path / "labels.csv", table)
    back = read_labels(tmp_path / "labels.csv", classes=table.classes, strict=False)
    assert back.names == table.names
    assert torch.equal(back.target, target)


def test_labels_that_could_not_be_read_again_are_refused(tmp_path):
    for name in ("a, b", " a", "a "):
        with pytest.raises(ValueError, match=f"classes: wanted names without commas .* got '{name}'"):
            write_labels(tmp_path / "l.csv", LabelTable(("x",), (name,), torch.ones(1, 1, dtype=torch.bool)))
    with pytest.raises(TypeError, match="table: wanted a LabelTable, got None"):
        write_labels(tmp_path / "l.csv", None)
    assert not list(tmp_path.iterdir())
