"""The tables of the Kaggle layout, from the published ones."""

import shutil

import pytest

from tools.download.layout import read_vocabulary
from zenodo import SET, refused, zipped


def test_vocabularies_with_and_without_a_header(tmp_path):
    path = tmp_path / "vocabulary.csv"
    for text in ("0,b\n1,a\n", "index,label\r\n0,b\r\n1,a\r\n", "\ufeff0,b,/m/1\n\n1,a,/m/2\n"):
        path.write_text(text, encoding="utf-8")
        assert read_vocabulary(path) == ["a", "b"]
    for text, match in [
        ("a\nb\n", "line 2: wanted a number and the name of a class"),
        ("label\n", "line 1: wanted a number"),
        ("0,a\n1,\n", "line 2: wanted a number"),
        ("0,a\n1,a\n", "wanted different classes"),
        ("", "wanted rows, got an empty file"),
    ]:
        path.write_text(text)
        with pytest.raises(ValueError, match=match):
            read_vocabulary(path)
    path.write_bytes(b"0,\xff\n")
    with pytest.raises(ValueError, match="wanted CSV in UTF-8"):
        read_vocabulary(path)


@pytest.mark.parametrize(
    ("table", "text", "match"),
    [
        (
            "test",
            "fname,labels\nt0000000.wav,Bark\n",
            "wanted a column 'usage', got the columns fname, labels",
        ),
        ("test", "fname,labels,usage\nt0000000.wav,Bark,\n", "line 2: wanted fname, labels, usage, got"),
        ("test", "fname,labels,usage\nno.wav,Bark,Public\n", "1 of 1 clips are not in .*test: no.wav"),
        (
            "train_curated",
            "fname,labels\nc0000000.wav,Quack\n",
            "wanted labels of the vocabulary, got .*Quack",
        ),
    ],
)
def test_tables_that_do_not_match_the_clips(zenodo, archives, tmp_path, table, text, match):
    meta = tmp_path / f"{SET}.meta"
    shutil.copytree(archives[0] / meta.name, meta)
    (meta / f"{table}_post_competition.csv").write_text(text)
    (packed,) = zipped(meta, tmp_path / "meta.zip")
    zenodo.files[f"{SET}.meta.zip"] = packed.read_bytes()
    refused(zenodo, tmp_path / "data", match=match)
