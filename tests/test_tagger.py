"""Tagger: one Module from waveform to scores, and one file that says everything."""

import pytest
import torch
from torch import nn

from rankaudio import CNN1d, CNN2d, LogMel, LogSTFT, Tagger

NAMES = ["Bark", "Meow", "Purr"]


def build(kind="2d max"):
    dims, pooling = kind.split()
    if dims == "2d":
        return Tagger(LogMel(), CNN2d(3, base_depth=4, pooling=pooling, rnn_units=8), classes=NAMES)
    return Tagger(LogSTFT(), CNN1d(3, base_depth=4, pooling=pooling, rnn_units=8), classes=NAMES)


KINDS = pytest.mark.parametrize("kind", ["2d max", "2d rnn", "1d max", "1d rnn"])


@KINDS
def test_one_file_brings_back_everything(kind, tmp_path):
    tagger, x = build(kind), torch.randn(2, 30_000)
    tagger(x)
    tagger.save(tmp_path / "model.pt")
    again = Tagger.load(tmp_path / "model.pt")
    assert not again.training
    assert again.classes == tuple(NAMES)
    assert again.sample_rate == 44100
    assert again.frontend.settings() == tagger.frontend.settings()
    assert again.backbone.settings() == tagger.backbone.settings()
    assert torch.equal(again(x), tagger.eval()(x))
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


def test_the_file_is_tensors_and_plain_types(tmp_path):
    build().save(tmp_path / "model.pt")
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    assert content["backbone"]["type"] == "CNN2d"
    assert content["classes"] == NAMES


@KINDS
def test_a_clip_scores_the_same_alone_and_in_a_padded_batch(kind):
    torch.manual_seed(0)
    tagger = build(kind)
    tagger(torch.randn(4, 40_000))
    tagger.eval()
    lengths = torch.tensor([60_000, 1, 100, 1023, 1024, 33_333])
    batch = torch.randn(6, 60_000)
    for row, length in enumerate(lengths):
        batch[row, length:] = torch.nan
    with torch.no_grad():
        together = tagger(batch, lengths)
        for row, length in enumerate(lengths.tolist()):
            alone = tagger(batch[row : row + 1, :length])
            torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-5)
    assert together.isfinite().all()


class PlainFrontend(nn.Module):
    """Someone else's: no lengths, no settings."""

    def forward(self, waveform):
        return waveform.unfold(1, 64, 64).transpose(1, 2)


def test_a_foreign_frontend_serves_and_is_given_back_when_loading(tmp_path):
    tagger = Tagger(PlainFrontend(), CNN2d(3, base_depth=4)).eval()
    x = torch.randn(2, 5000)
    assert tagger.sample_rate is None
    tagger.save(tmp_path / "model.pt")
    with pytest.raises(
        ValueError, match=r"model.pt: frontend: wanted one of LogMel, LogSTFT, got 'PlainFrontend'"
    ):
        Tagger.load(tmp_path / "model.pt")
    assert torch.equal(Tagger.load(tmp_path / "model.pt", frontend=PlainFrontend())(x), tagger(x))
    with pytest.raises(TypeError, match="PlainFrontend has no method frame_lengths"):
        tagger(x, torch.tensor([5000, 3]))


def test_files_of_something_else_are_refused(tmp_path):
    path = tmp_path / "other.pt"
    torch.save({"weight": torch.zeros(3), "bias": torch.zeros(3)}, path)
    with pytest.raises(
        ValueError, match=r"other.pt: wanted a file written by Tagger.save .*keys weight, bias"
    ):
        Tagger.load(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match="other.pt: wanted a file written by Tagger.save"):
        Tagger.load(path)
    torch.save(nn.Linear(2, 2), path)  # a pickled program
    with pytest.raises(ValueError, match="other.pt: wanted a file written by Tagger.save"):
        Tagger.load(path)
    with pytest.raises(FileNotFoundError, match="missing.pt"):
        Tagger.load(tmp_path / "missing.pt")


def test_a_truncated_file_is_refused(tmp_path):
    build().save(tmp_path / "model.pt")
    whole = (tmp_path / "model.pt").read_bytes()
    (tmp_path / "model.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="model.pt: wanted a file written by Tagger.save"):
        Tagger.load(tmp_path / "model.pt")


def test_tensors_of_another_model_are_refused(tmp_path):
    build().save(tmp_path / "model.pt")
    with pytest.raises(ValueError, match="model.pt: its tensors do not fit CNN2d"):
        Tagger.load(tmp_path / "model.pt", backbone=CNN2d(3, base_depth=5))


def test_a_failed_save_leaves_the_file_that_was_there(tmp_path, monkeypatch):
    tagger = build()
    tagger.save(tmp_path / "model.pt")
    before = (tmp_path / "model.pt").read_bytes()

    def full_disk(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="no space"):
        tagger.save(tmp_path / "model.pt")
    assert (tmp_path / "model.pt").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_finds_no_room_is_an_oserror(tmp_path):
    resource = pytest.importorskip("resource")
    tagger = Tagger(LogMel(), CNN2d(3, base_depth=16), classes=NAMES)
    tagger.save(tmp_path / "model.pt")
    before = (tmp_path / "model.pt").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            tagger.save(tmp_path / "model.pt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]
    assert (tmp_path / "model.pt").read_bytes() == before


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: Tagger(LogMel(), CNN2d(3), classes=["a", "b"]),
            ValueError,
            "classes: wanted 3 names, .* got 2",
        ),
        (
            lambda: Tagger(LogMel(), CNN2d(2), classes=["a", "a"]),
            ValueError,
            "classes: wanted names that differ",
        ),
        (lambda: build()(torch.zeros(44100)), ValueError, "waveform: wanted 2 axes"),
        (lambda: build()(torch.zeros(2, 0)), ValueError, "waveform"),
        (lambda: build()(torch.zeros(2, 100).int()), TypeError, "waveform: wanted a floating-point"),
        (lambda: build()(torch.zeros(2, 100), torch.tensor([100, 101])), ValueError, "lengths: .* got 101"),
    ],
)
def test_bad_input_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()
