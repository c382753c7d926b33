"""Tagger: one Module from waveform to scores, embeddings and half precision, and one file for all of it."""

import copy

import pytest
import torch
from torch import nn

from rankaudio import CNN2d, LogMel, SpecAugment, Tagger
from small_networks import every_network, small_tagger, used_tagger

NAMES = ["Bark", "Meow", "Purr"]


def untrained():
    return small_tagger("CNN2d, max", NAMES)


def padded_batch():
    """Clips of many lengths, with NaN in the padding."""
    generator = torch.Generator().manual_seed(1)
    lengths = torch.tensor([6000, 1, 100, 223, 224, 3333])
    batch = torch.randn(6, 6000, generator=generator)
    for row, length in enumerate(lengths):
        batch[row, length:] = torch.nan
    return batch, lengths


@every_network
def test_one_file_restores_everything(name, tmp_path):
    tagger, x = small_tagger(name, NAMES), torch.randn(2, 30_000)
    tagger(x)
    tagger.save(tmp_path / "model.pt")
    again = Tagger.load(tmp_path / "model.pt")
    assert not again.training
    assert again.classes == tuple(NAMES)
    assert again.sample_rate == tagger.sample_rate == 8000
    assert again.frontend.settings() == tagger.frontend.settings()
    assert again.backbone.settings() == tagger.backbone.settings()
    assert torch.equal(again(x), tagger.eval()(x))
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


def test_the_file_is_tensors_and_plain_types(tmp_path):
    untrained().save(tmp_path / "model.pt")
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    assert content["backbone"]["type"] == "CNN2d"
    assert content["classes"] == NAMES


@every_network
def test_a_clip_scores_the_same_alone_and_in_a_padded_batch(name):
    tagger = used_tagger(name)
    batch, lengths = padded_batch()
    with torch.no_grad():
        for method in (tagger, tagger.embed):
            together = method(batch, lengths)
            for row, length in enumerate(lengths.tolist()):
                alone = method(batch[row : row + 1, :length])
                torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-5)
            assert together.isfinite().all()


@every_network
def test_the_spectrogram_is_a_half_step(name):
    tagger = used_tagger(name)
    batch, lengths = padded_batch()
    spectrogram, frames = tagger.spectrogram(batch, lengths)
    assert torch.equal(frames, tagger.frontend.frame_lengths(lengths))
    assert torch.equal(spectrogram, tagger.frontend(batch, lengths))
    assert torch.equal(tagger.backbone(spectrogram, frames), tagger(batch, lengths))
    clip = batch[:1]
    spectrogram, frames = tagger.spectrogram(clip)
    assert frames is None
    assert torch.equal(tagger.backbone(spectrogram), tagger(clip))
    masked, frames = SpecAugment(p=1.0)(*tagger.spectrogram(batch, lengths))
    assert tagger.backbone(masked, frames).isfinite().all()


@every_network
def test_an_embedding_is_what_the_classifier_gets(name):
    tagger = used_tagger(name)
    batch, lengths = padded_batch()
    embedding = tagger.embed(batch, lengths)
    assert embedding.shape == (len(batch), tagger.backbone.n_features)
    assert torch.equal(tagger.backbone.classifier(embedding), tagger(batch, lengths))


# Largest difference from float32 on the same waveform, in standard deviations of the scores or embeddings.
# Measured with six seeds: 0.016 and 0.22.
HALF = {torch.float16: 0.03, torch.bfloat16: 0.3}


@pytest.mark.slow
@every_network
@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("with_lengths", [False, True])
def test_half_precision_is_close_to_float32(name, dtype, with_lengths):
    tagger = used_tagger(name)
    waveform, lengths = padded_batch()
    waveform = waveform.nan_to_num(0)
    given = (lengths,) if with_lengths else ()
    half = copy.deepcopy(tagger).to(dtype)
    assert {p.dtype for p in half.backbone.parameters()} == {dtype}
    assert all(
        torch.equal(a, b) for a, b in zip(half.frontend.buffers(), tagger.frontend.buffers(), strict=True)
    )
    assert half.spectrogram(waveform, *given)[0].dtype == dtype
    with torch.no_grad():
        for method in ("forward", "embed"):
            for x in (waveform, waveform.to(dtype)):
                expected = getattr(tagger, method)(x.float(), *given)
                allowed = HALF[dtype] * float(expected.std())
                got = getattr(half, method)(x, *given)
                assert got.dtype == dtype
                torch.testing.assert_close(got.float(), expected, rtol=0, atol=allowed)


def test_half_and_bfloat16_keep_frontends_of_others_in_float32():
    class Windowed(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("window", torch.full((64,), 0.1))

        def forward(self, waveform):
            assert waveform.dtype == self.window.dtype
            return (waveform.unfold(1, 64, 64) * self.window).transpose(1, 2)

    tagger = Tagger(Windowed(), CNN2d(3, base_depth=4, n_blocks=2)).eval()
    expected = tagger.frontend.window.clone()
    for cast, dtype in ((tagger.half, torch.float16), (tagger.bfloat16, torch.bfloat16)):
        assert cast()(torch.randn(2, 5000).to(dtype)).dtype == dtype
        assert torch.equal(tagger.frontend.window, expected)
    assert tagger.double().frontend.window.dtype == torch.float64
    assert tagger.to("meta").frontend.window.is_meta


@pytest.mark.slow
@every_network
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_file_keeps_the_dtype_of_the_backbone(name, dtype, tmp_path):
    tagger, x = used_tagger(name).to(dtype), torch.randn(2, 3000)
    tagger.save(tmp_path / "model.pt")
    again = Tagger.load(tmp_path / "model.pt")
    assert {p.dtype for p in again.backbone.parameters()} == {dtype}
    assert torch.equal(again(x), tagger(x))


@every_network
def test_other_classes_get_a_new_last_layer(name, tmp_path):
    tagger, x = used_tagger(name), torch.randn(2, 3000)
    before = tagger.embed(x)
    tagger.reset_classifier(["Hiss", "Drip"])
    assert tagger.classes == ("Hiss", "Drip")
    assert tagger(x).shape == (2, 2)
    assert torch.equal(tagger.embed(x), before)
    tagger.save(tmp_path / "model.pt")
    again = Tagger.load(tmp_path / "model.pt")
    assert again.classes == ("Hiss", "Drip")
    assert torch.equal(again(x), tagger(x))


def test_bad_classes_change_nothing():
    tagger = untrained()
    for bad, message in (
        (["a", "a"], "classes: wanted different names"),
        ([], "classes: wanted at least one name"),
    ):
        with pytest.raises(ValueError, match=message):
            tagger.reset_classifier(bad)
    assert tagger.classes == tuple(NAMES)
    assert tagger.backbone.n_classes == 3


def test_a_backbone_without_the_methods_of_a_network_is_named():
    tagger = Tagger(PlainFrontend(), nn.Sequential(nn.Flatten(), nn.Linear(640, 3)))
    assert tagger(torch.randn(2, 640)).shape == (2, 3)
    with pytest.raises(TypeError, match="backbone: wanted a Module with a method features, got Sequential"):
        tagger.embed(torch.randn(2, 640))
    with pytest.raises(TypeError, match="backbone: wanted .* method reset_classifier, got Sequential"):
        tagger.reset_classifier(["a"])


class PlainFrontend(nn.Module):
    """A frontend of another library: no lengths, no settings."""

    def forward(self, waveform):
        return waveform.unfold(1, 64, 64).transpose(1, 2)


def test_a_frontend_of_another_library_works_and_is_passed_when_loading(tmp_path):
    tagger = Tagger(PlainFrontend(), CNN2d(3, base_depth=4)).eval()
    x = torch.randn(2, 5000)
    assert tagger.sample_rate is None
    tagger.save(tmp_path / "model.pt")
    with pytest.raises(
        ValueError, match=r"model.pt: frontend: wanted one of LogMel, .*, got 'PlainFrontend'"
    ):
        Tagger.load(tmp_path / "model.pt")
    assert torch.equal(Tagger.load(tmp_path / "model.pt", frontend=PlainFrontend())(x), tagger(x))
    with pytest.raises(TypeError, match="PlainFrontend has no method frame_lengths"):
        tagger(x, torch.tensor([5000, 3]))


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "other.pt"
    torch.save({"weight": torch.zeros(3), "bias": torch.zeros(3)}, path)
    with pytest.raises(
        ValueError, match=r"other.pt: wanted a file written by Tagger.save .*keys weight, bias$"
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
    untrained().save(tmp_path / "model.pt")
    whole = (tmp_path / "model.pt").read_bytes()
    (tmp_path / "model.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="model.pt: wanted a file written by Tagger.save"):
        Tagger.load(tmp_path / "model.pt")


def test_tensors_of_another_model_are_refused(tmp_path):
    untrained().save(tmp_path / "model.pt")
    with pytest.raises(ValueError, match="model.pt: its tensors do not fit CNN2d"):
        Tagger.load(tmp_path / "model.pt", backbone=CNN2d(3, base_depth=5))


def test_a_failed_save_leaves_the_file_that_was_there(tmp_path, monkeypatch):
    tagger = untrained()
    tagger.save(tmp_path / "model.pt")
    before = (tmp_path / "model.pt").read_bytes()

    def full_disk(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="no space"):
        tagger.save(tmp_path / "model.pt")
    assert (tmp_path / "model.pt").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_is_an_oserror(tmp_path):
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
            "classes: wanted different names",
        ),
        (
            lambda: untrained()(torch.zeros(44100)),
            ValueError,
            "wanted 2 axes .a single clip is waveform.None",
        ),
        (lambda: untrained()(torch.zeros(2, 0)), ValueError, "waveform"),
        (
            lambda: untrained()(torch.zeros(2, 100).int()),
            TypeError,
            "waveform: wanted a floating-point",
        ),
        (
            lambda: untrained()(torch.zeros(2, 100), torch.tensor([100, 101])),
            ValueError,
            "lengths: .* got 101",
        ),
    ],
)
def test_bad_input_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()
