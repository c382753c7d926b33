"""What no file can be: a named pipe is refused by every reader and writer, and so are names without UTF-8."""

import os

import pytest
import torch

from rankaudio import CNN2d, LogMel, Tagger
from rankaudio._files import write_bytes, write_text
from rankaudio.data import (
    ClipDataset,
    LabelTable,
    ScoreTable,
    audio_info,
    load_audio,
    read_classes,
    read_labels,
    read_scores,
    write_labels,
    write_scores,
)
from small_networks import small_tagger

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")

USES = {
    "audio_info": audio_info,
    "load_audio": load_audio,
    "ClipDataset": lambda path: ClipDataset([path]),
    "read_labels": read_labels,
    "read_scores": read_scores,
    "read_classes": read_classes,
    "Tagger.load": Tagger.load,
    # A file would replace the pipe, and also a device such as /dev/null.
    "write_bytes": lambda path: write_bytes(path, b"x"),
    "write_text": lambda path: write_text(path, "x"),
    "write_labels": lambda path: write_labels(path, LabelTable(["a"], ["x"], torch.eye(1).bool())),
    "write_scores": lambda path: write_scores(path, ScoreTable(["a"], ["x"], torch.zeros(1, 1))),
    "Tagger.save": lambda path: small_tagger("CNN2d, max").save(path),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_named_pipe_is_refused(tmp_path, use):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ValueError, match=f"{pipe}: wanted a regular file, got a named pipe"):
        use(pipe)
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_folder_is_refused(tmp_path, use):
    with pytest.raises((OSError, ValueError), match="Is a directory") as caught:
        use(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("name", [name for name in USES if "write" not in name and "save" not in name])
def test_a_link_to_nothing_is_named(tmp_path, name):
    link = tmp_path / "link"
    link.symlink_to("gone")
    with pytest.raises((OSError, ValueError), match="[Nn]o such file: a link to 'gone'"):
        USES[name](link)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ScoreTable(["x\udcff"], ["a"], torch.zeros(1, 1)), "names: wanted text that UTF-8"),
        (
            lambda: ScoreTable(["x"], ["\udcff"], torch.zeros(1, 1)),
            "classes: wanted text that UTF-8 can hold",
        ),
        (lambda: Tagger(LogMel(), CNN2d(1, base_depth=2), classes=["\ud800"]), "classes: wanted text"),
        (lambda: write_text("never", "x\ud800"), "text: wanted text that UTF-8 can hold"),
    ],
)
def test_names_that_no_table_can_hold_are_refused_early(tmp_path, monkeypatch, make, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        make()
    assert list(tmp_path.iterdir()) == []
