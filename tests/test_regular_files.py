"""A named pipe in place of a file: every reader and writer refuses it by name, and none waits."""

import os

import pytest
import torch

from rankaudio import Tagger
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
