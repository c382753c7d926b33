"""Gradients of spectrograms that are written out, against PyTorch's own of a plain computation."""

import pytest
import torch

from rankaudio import LogMel, log_mel, log_stft


def plain(waveform, *, n_fft, hop_length, power, filterbank=None, eps=1e-4):
    """Frames one after the other, a complex FFT, and a dense product."""
    padded = torch.nn.functional.pad(waveform[:, None], (n_fft // 2,) * 2, mode="reflect")[:, 0]
    starts = range(0, padded.shape[1] - n_fft + 1, hop_length)
    window = torch.hann_window(n_fft, dtype=waveform.dtype)
    frames = torch.stack([padded[:, start : start + n_fft] * window for start in starts], dim=-1)
    bins = torch.fft.fft(frames, dim=1)[:, : n_fft // 2 + 1].abs() ** power
    return ((bins if filterbank is None else filterbank @ bins) + eps).log()


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize(("n_fft", "hop_length"), [(64, 32), (64, 16), (64, 20), (64, 64), (64, 100), (6, 1)])
def test_gradients_are_those_of_a_plain_computation(n_fft, hop_length, power):
    settings = {"n_fft": n_fft, "hop_length": hop_length, "power": power}
    for rows in (1, 3):
        clips = torch.randn(rows, 500, dtype=torch.float64)
        filterbank = LogMel(n_fft=64, n_mels=9).double().filterbank if n_fft == 64 else None
        found = []
        for ours in (True, False):
            x = clips.clone().requires_grad_()
            if filterbank is None:
                values = log_stft(x, **settings) if ours else plain(x, **settings)
            elif ours:
                values = log_mel(x, n_mels=9, **settings)
            else:
                values = plain(x, filterbank=filterbank, **settings)
            cotangent = torch.linspace(-1, 2, values.numel(), dtype=torch.float64).reshape(values.shape)
            (quick,) = torch.autograd.grad(values, x, cotangent, retain_graph=True)
            (first,) = torch.autograd.grad(values, x, cotangent, create_graph=True)
            (second,) = torch.autograd.grad(first.square().sum(), x)
            found.append((values, quick, first, second))
        for ours, expected in zip(*found, strict=True):
            torch.testing.assert_close(ours, expected, rtol=1e-7, atol=1e-8)


def test_a_filterbank_that_changes_in_place_or_learns_is_used():
    frontend, clip = LogMel(n_fft=64, hop_length=32, n_mels=9), torch.randn(2, 500)
    before = frontend(clip)
    frontend.filterbank.copy_(frontend.filterbank.flip(0))
    torch.testing.assert_close(frontend(clip), before.flip(1))
    frontend.filterbank.requires_grad_()
    frontend(clip).sum().backward()
    assert frontend.filterbank.grad.abs().sum() > 0


def test_frontends_of_inference_mode_work():
    with torch.inference_mode():
        inside = LogMel(n_fft=64, n_mels=9)
        clip = torch.randn(1, 500)
        values = inside(clip)
    torch.testing.assert_close(LogMel(n_fft=64, n_mels=9)(clip.clone()), values.clone())


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # PyTorch's own, for unfold
def test_transforms_of_functions_see_plain_operations():
    clips = torch.randn(3, 200, dtype=torch.float64)

    def total(clip):
        return log_stft(clip[None], n_fft=64, hop_length=32).sum()

    each = torch.func.vmap(torch.func.grad(total))(clips)
    x = clips.clone().requires_grad_()
    log_stft(x, n_fft=64, hop_length=32).sum().backward()
    torch.testing.assert_close(x.grad, each)


@pytest.mark.parametrize("piece", [1 << 17, 300])
@pytest.mark.parametrize("power", [1, 2])
def test_gradients_of_a_padded_batch_are_those_of_each_clip(power, piece, monkeypatch):
    monkeypatch.setattr("rankaudio.spectral._pieces._PIECE_SAMPLES", piece)
    settings, ends = {"n_fft": 64, "hop_length": 20, "power": power}, [90, 500, 200, 200]
    clips = torch.randn(4, 500, dtype=torch.float64)
    for clip, end in zip(clips, ends, strict=True):
        clip[end:] = torch.nan
    clips.requires_grad_()
    values = log_stft(clips, torch.tensor(ends), **settings)
    weight = torch.randn_like(values)
    (gradient,) = torch.autograd.grad(values, clips, weight)
    for index, end in enumerate(ends):
        alone = clips[index : index + 1, :end].detach().requires_grad_()
        expected = plain(alone, **settings)
        count = expected.shape[2]
        torch.testing.assert_close(values[index : index + 1, :, :count], expected)
        (slope,) = torch.autograd.grad(expected, alone, weight[index : index + 1, :, :count])
        torch.testing.assert_close(gradient[index : index + 1, :end], slope, rtol=1e-7, atol=1e-8)
        assert not gradient[index, end:].any()


@pytest.mark.parametrize("pad_mode", ["reflect", "constant", "same"])
@pytest.mark.parametrize(("n_fft", "hop_length"), [(16, 5), (6, 11)])
def test_gradients_of_short_and_long_clips_in_every_pad_mode(pad_mode, n_fft, hop_length):
    lengths = torch.tensor([40, 1, 8, 9, 3])
    clips = torch.randn(5, 40, dtype=torch.float64, requires_grad=True)
    settings = {"n_fft": n_fft, "hop_length": hop_length, "pad_mode": pad_mode, "power": 2}
    assert torch.autograd.gradcheck(lambda x: log_stft(x, lengths, **settings), clips, fast_mode=True)


def test_the_gradient_does_not_depend_on_threads_that_change_after_the_result(monkeypatch):
    clips = torch.randn(3, 100, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([100, 30, 60])
    expected = torch.autograd.grad(log_stft(clips, lengths, n_fft=16, hop_length=4).sum(), clips)
    values = log_stft(clips, lengths, n_fft=16, hop_length=4).sum()
    monkeypatch.setattr("rankaudio.spectral._pieces._PIECE_SAMPLES", 50)
    assert torch.equal(torch.autograd.grad(values, clips)[0], expected[0])


def test_pieces_keep_memory_from_being_written_to_twice():
    """The result and what its gradient needs do not share memory, so the result may be changed."""
    clips = torch.randn(1, 100, dtype=torch.float64, requires_grad=True)
    for eps in (None, 1e-4):
        expected = torch.autograd.grad(log_stft(clips, n_fft=16, eps=eps).sum(), clips)[0]
        values = log_stft(clips, n_fft=16, eps=eps)
        values.detach().zero_()
        assert torch.equal(torch.autograd.grad(values.sum(), clips)[0], expected)
