"""The reference networks: the originals' numbers, and padding that changes nothing."""

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from golden import golden_state
from rankaudio import CNN1d, CNN2d, LogMel, LogSTFT, lsep_loss, mel_filterbank
from rankaudio.backbones import _masked_norm
from rankaudio.backbones._layers import max_pool_by_two
from rankaudio.backbones._masked_norm import MaskedBatchNorm
from rankaudio.backbones.hierarchical_cnn import _from_reference

GOLDEN = Path(__file__).parent / "golden"
REFERENCES = {
    "cnn2d_max": (LogMel(), CNN2d, {"pooling": "max"}),
    "cnn2d_rnn": (LogMel(), CNN2d, {"pooling": "rnn"}),
    "cnn1d_max": (LogSTFT(), CNN1d, {"pooling": "max"}),
    "cnn1d_rnn": (LogSTFT(), CNN1d, {"pooling": "rnn"}),
    "cnn1d_mel_max": (LogMel(), CNN1d, {"pooling": "max", "n_bins": 128}),
}
SMALL = {
    "2d max": lambda: CNN2d(4, base_depth=6),
    "2d rnn": lambda: CNN2d(4, base_depth=6, pooling="rnn", rnn_units=5),
    "2d plain": lambda: CNN2d(4, base_depth=6, frequency_encoding=False, start_deep_supervision_on=0),
    "1d max": lambda: CNN1d(4, n_bins=40, base_depth=6),
    "1d rnn": lambda: CNN1d(4, n_bins=40, base_depth=6, pooling="rnn", rnn_units=5),
}
small_networks = pytest.mark.parametrize("build", SMALL.values(), ids=SMALL)


def reference(name):
    frontend, network, settings = REFERENCES[name]
    golden = np.load(GOLDEN / f"{name}.npz")
    model = network(80, base_depth=16, **settings)
    model.load_reference_state_dict(golden_state(golden))
    clips = np.load(GOLDEN / "model_waveforms.npz")
    waveform = torch.from_numpy(clips["waveforms"].astype(np.float32) * clips["scale"])
    return frontend, model, golden, waveform, torch.from_numpy(clips["target"])


@pytest.mark.parametrize("name", REFERENCES)
def test_logits_equal_the_originals(name):
    frontend, model, golden, waveform, _ = reference(name)
    with torch.no_grad():
        logits = model.eval()(frontend(waveform))
        lengths = torch.tensor([88200, 88200, 52920])
        padded = model(frontend(waveform, lengths), frontend.frame_lengths(lengths))
    torch.testing.assert_close(logits, torch.from_numpy(golden["logits"]), rtol=0, atol=1e-5)
    # In this batch the originals gave the third clip other scores than alone. We do not.
    alone = torch.from_numpy(golden["logits_clip3_unpadded"])
    torch.testing.assert_close(padded, torch.cat([logits[:2], alone]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", REFERENCES)
def test_a_training_pass_equals_the_originals(name):
    """From features computed in float32 as the originals did: near silence each rounding tells."""
    frontend, model, golden, waveform, target = reference(name)
    settings = {"window": torch.hann_window(frontend.n_fft), "return_complex": True}
    x = torch.stft(waveform, frontend.n_fft, frontend.hop_length, **settings).abs()
    x = mel_filterbank() @ x if isinstance(frontend, LogMel) else x
    logits = model.train()((x + 1e-4).log())
    loss = lsep_loss(logits, target)
    loss.backward()
    torch.testing.assert_close(logits, torch.from_numpy(golden["train_logits"]), rtol=1e-4, atol=3e-5)
    assert loss.item() == pytest.approx(golden["train_lsep_loss"].item(), rel=1e-5)
    parameters = dict(model.named_parameters())
    ours = torch.stack(
        [parameters[_from_reference(str(key))].grad.norm() for key in golden["train_grad_norm_names"]]
    )
    theirs = torch.from_numpy(golden["train_grad_norms"]).float()
    assert len(ours) == len(parameters)
    # A bias before a normalisation has no gradient but rounding, hence the absolute part.
    torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=3e-5)


@small_networks
def test_a_clip_scores_the_same_alone_and_in_any_batch(build):
    torch.manual_seed(0)
    model = build().double()
    model(torch.randn(4, 40, 64).double())  # running statistics that are not the initial ones
    model.eval()
    lengths = torch.tensor([70, 1, 2, 3, 16, 31, 33, 64])
    batch = torch.randn(8, 40, 70).double()
    for row, length in enumerate(lengths):
        batch[row, :, length:] = math.nan
    together = model(batch, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = model(batch[row : row + 1, :, :length])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-12)
    assert together.isfinite().all()


@small_networks
def test_padding_has_no_influence_in_training_either(build):
    """Statistics of batch normalisation, running ones too, and every gradient."""
    torch.manual_seed(0)
    model = build().double().train()
    wider = copy.deepcopy(model)
    lengths = torch.tensor([37, 1, 12, 30])
    batch = torch.randn(4, 40, 37).double()
    spoiled = torch.cat([batch, torch.full((4, 40, 10), 1e6).double()], dim=-1)
    for row, length in enumerate(lengths):
        spoiled[row, :, length:] = 1e6 * torch.randn(40, 47 - length).double()
    for network, x in ((model, batch), (wider, spoiled)):
        network(x, lengths).square().sum().backward()
    for (name, ours), theirs in zip(model.named_parameters(), wider.parameters(), strict=True):
        torch.testing.assert_close(
            ours.grad, theirs.grad, rtol=1e-7, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}"
        )
    for (name, ours), theirs in zip(model.named_buffers(), wider.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=lambda m, n=name: f"{n}: {m}")


@small_networks
def test_full_lengths_are_no_lengths(build):
    torch.manual_seed(0)
    model, x = build().double(), torch.randn(3, 40, 50).double()
    other = copy.deepcopy(model)
    torch.testing.assert_close(model(x), other(x, torch.full((3,), 50)), rtol=1e-9, atol=1e-10)
    for ours, theirs in zip(model.buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)


@small_networks
@pytest.mark.parametrize("frames", [1, 2, 31, 32, 33])
def test_short_clips_have_finite_scores_and_gradients(build, frames):
    model, x = build(), torch.randn(2, 40, frames, requires_grad=True)
    scores = model(x)
    scores.sum().backward()
    assert scores.shape == (2, 4)
    assert scores.isfinite().all()
    assert x.grad.isfinite().all()


@small_networks
def test_a_training_batch_of_one_clip_works(build):
    model = build().train()
    scores = model(torch.randn(1, 40, 20))
    scores.sum().backward()
    assert scores.shape == (1, 4)
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in model.parameters())


@small_networks
def test_an_empty_batch_has_no_scores(build):
    assert build().eval()(torch.zeros(0, 40, 20)).shape == (0, 4)


@small_networks
def test_settings_rebuild_the_network(build):
    model = build()
    again = type(model)(**model.settings())
    again.load_state_dict(model.state_dict())
    x = torch.randn(2, 40, 33)
    assert torch.equal(again.eval()(x), model.eval()(x))
    assert repr(again) == repr(model)


def test_depths_grow_and_round_down():
    assert [block.conv.out_channels for block in CNN1d(2, n_blocks=6, base_depth=50).blocks] == [
        50,
        75,
        112,
        168,
        253,
        379,
    ]


def test_frequency_encoding_tells_bands_apart():
    """The same blob 32 bands up, aligned with pooling: only the network with encoding notices."""
    x = torch.zeros(2, 128, 64)
    x[0, 40:44, 30:34] = x[1, 72:76, 30:34] = 1.0
    blind, seeing = (CNN2d(3, base_depth=6, n_blocks=3, frequency_encoding=on).eval() for on in (False, True))
    torch.testing.assert_close(blind(x)[0], blind(x)[1])
    assert (seeing(x)[0] - seeing(x)[1]).abs().max() > 1e-4


@pytest.mark.parametrize("shape", [(3, 5, 17), (3, 5, 8, 17)])
def test_masked_batch_norm_equals_batch_norm_of_the_real_frames(shape):
    torch.manual_seed(0)
    x = torch.randn(shape).double() * 3 + 100
    mask = torch.zeros(3, *(1,) * (len(shape) - 2), 17, dtype=torch.bool)
    for row, length in enumerate([17, 4, 1]):
        mask[row, ..., :length] = True
    ours, theirs = MaskedBatchNorm(5).double(), nn.BatchNorm1d(5).double()
    real = x.movedim(1, -1)[mask.movedim(1, -1).squeeze(-1).expand(x.movedim(1, -1).shape[:-1])]
    expected = theirs(real)
    got = ours(x, mask).movedim(1, -1)[mask.movedim(1, -1).squeeze(-1).expand(x.movedim(1, -1).shape[:-1])]
    torch.testing.assert_close(got, expected)
    for a, b in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(a, b)


def normalise_by_formula(x, norm, act, mask):
    """One channel after the other, with the values that are real and no others."""
    channels = []
    for c in range(x.shape[1]):
        real = torch.ones_like(x[:, :1], dtype=torch.bool) if mask is None else mask.expand_as(x[:, :1])
        values = x[:, c : c + 1][real]
        standard = (x[:, c : c + 1] - values.mean()) / (values.var(correction=0) + norm.eps).sqrt()
        y = norm.weight[c] * standard + norm.bias[c]
        y = y if act is None else torch.where(y > 0, y, act.weight[c] * y)
        channels.append(torch.where(real, y, 0))
    return torch.cat(channels, 1)


@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 7), (6, 3, 4, 7)])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("with_act", [False, True])
@pytest.mark.parametrize("clips_at_a_time", [1, 4, 6])
def test_normalising_in_pieces_has_the_values_and_gradients_of_the_formula(
    monkeypatch, shape, masked, with_act, clips_at_a_time
):
    monkeypatch.setattr(_masked_norm, "_CHUNK_VALUES", clips_at_a_time * math.prod(shape[1:]))
    torch.manual_seed(0)
    norm, act = MaskedBatchNorm(3).double(), nn.PReLU(3, init=0.3).double() if with_act else None
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    mask = None
    if masked and len(shape) > 2:
        frames = torch.tensor([7, 1, 3, 7, 2, 5])
        mask = (torch.arange(7) < frames[:, None]).reshape(6, *(1,) * (len(shape) - 2), 7)
    x = (torch.randn(shape).double() * 3 + 5).requires_grad_()
    leaves = [x, norm.weight, norm.bias, *(() if act is None else (act.weight,))]
    towards = torch.randn(shape).double()

    got, expected = norm(x, mask, act=act), normalise_by_formula(x, norm, act, mask)
    assert "ChunkedBatchNorm" in type(got.grad_fn).__name__
    torch.testing.assert_close(got, expected)
    for ours, theirs in zip(
        torch.autograd.grad(got, leaves, towards), torch.autograd.grad(expected, leaves, towards), strict=True
    ):
        torch.testing.assert_close(ours, theirs)
    if mask is not None:  # the operations that a compiler and an accelerator run
        plain = MaskedBatchNorm(3).double()
        plain.load_state_dict({"weight": norm.weight, "bias": norm.bias}, strict=False)
        torch.testing.assert_close(torch.where(mask, plain._normalise(x, mask), 0), norm(x, mask))


def test_statistics_of_a_channels_last_batch_are_exact():
    # A million values a channel: PyTorch's own variance is off by 1e-4 here, and so scores by as much.
    torch.manual_seed(0)
    x = (torch.randn(8, 4, 64, 512) * 2 + 1).contiguous(memory_format=torch.channels_last)
    norm = MaskedBatchNorm(4, momentum=1.0)
    norm(x)
    values = x.double().movedim(1, 0).flatten(1)
    torch.testing.assert_close(norm.running_mean.double(), values.mean(1), rtol=1e-6, atol=0)
    torch.testing.assert_close(norm.running_var.double(), values.var(1), rtol=1e-6, atol=0)


def test_a_second_gradient_is_refused_rather_than_wrong():
    x = torch.randn(4, 3, 9, requires_grad=True)
    (grad,) = torch.autograd.grad(MaskedBatchNorm(3)(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


@pytest.mark.parametrize("bins", [None, 1, 2, 7])
def test_halving_rounds_down_to_one_at_least(bins):
    shape = (3, 9) if bins is None else (3, bins, 9)
    x, frames = torch.randn(4, *shape), torch.tensor([9, 4, 3, 1])
    halved, left = max_pool_by_two(x, frames)
    assert left.tolist() == [4, 2, 1, 1]
    assert halved.shape[2:] == (() if bins is None else (max(bins // 2, 1),)) + (4,)
    pairs = x[..., :8].unflatten(-1, (4, 2)).amax(-1)
    if bins == 7:
        pairs = pairs[:, :, :6].unflatten(2, (3, 2)).amax(3)
    elif bins == 2:
        pairs = pairs.amax(2, keepdim=True)
    assert torch.equal(halved[:3], pairs[:3])
    held = x[3, ..., 0] if bins in (None, 1) else x[3, :, : bins // 2 * 2, 0].unflatten(1, (-1, 2)).amax(2)
    assert torch.equal(halved[3, ..., 0], held)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: CNN2d(0), ValueError, "n_classes: wanted an integer >= 1, got 0"),
        (lambda: CNN2d(3, pooling="mean"), ValueError, "pooling: wanted one of 'max', 'rnn', got 'mean'"),
        (lambda: CNN2d(3, n_blocks=2, start_deep_supervision_on=2), ValueError, "start_deep_supervision_on"),
        (lambda: CNN1d(3, dropout=1.5), ValueError, "dropout: wanted a finite number from 0 to 1, got 1.5"),
        (lambda: CNN1d(3, growth_rate=0.5), ValueError, "growth_rate"),
        (lambda: CNN1d("3"), TypeError, "n_classes: wanted an integer, got '3'"),
        (lambda: CNN2d(3)(torch.zeros(2, 9)), ValueError, "spectrogram: wanted 3 or 4 axes"),
        (lambda: CNN2d(3)(torch.zeros(2, 2, 9, 9)), ValueError, r"wanted \(B, 1, F, N\)"),
        (lambda: CNN2d(3)(torch.zeros(2, 9, 0)), ValueError, "F and N from 1"),
        (lambda: CNN1d(3)(torch.zeros(2, 128, 9)), ValueError, r"wanted \(B, 129, N\)"),
        (lambda: CNN1d(3)(torch.zeros(2, 129, 9).int()), TypeError, "spectrogram: wanted a floating-point"),
        (
            lambda: CNN1d(3)(torch.zeros(2, 129, 9), torch.tensor([9])),
            ValueError,
            r"lengths: wanted shape \(2,\)",
        ),
        (lambda: CNN1d(3)(torch.zeros(2, 129, 9), torch.tensor([10, 9])), ValueError, "lengths: .* got 10"),
    ],
)
def test_bad_input_is_named(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_a_reference_state_dict_of_another_model_is_refused():
    _, model, _, _, _ = reference("cnn1d_max")
    with pytest.raises(RuntimeError, match=r"Missing key.*blocks\.0"):
        model.load_reference_state_dict({"conv9.weight": torch.zeros(3)})
