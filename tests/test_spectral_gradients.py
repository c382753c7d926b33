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
