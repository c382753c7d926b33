"""CNN1d and CNN2d: golden numbers of the original networks, their parts, and messages about bad input."""

from pathlib import Path

import numpy as np
import pytest
import torch

from golden import golden_state
from rankaudio import CNN1d, CNN2d, LogMel, LogSTFT, lsep_loss, mel_filterbank
from rankaudio.backbones._layers import max_pool_by_two
from rankaudio.backbones._reference_names import from_reference

GOLDEN = Path(__file__).parent / "golden"
REFERENCES = {
    "cnn2d_max": (LogMel(), CNN2d, {"pooling": "max"}),
    "cnn2d_rnn": (LogMel(), CNN2d, {"pooling": "rnn"}),
    "cnn1d_max": (LogSTFT(), CNN1d, {"pooling": "max"}),
    "cnn1d_rnn": (LogSTFT(), CNN1d, {"pooling": "rnn"}),
    "cnn1d_mel_max": (LogMel(), CNN1d, {"pooling": "max", "n_bins": 128}),
}


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
    # The originals give the third clip other scores in this batch than alone. Ours are equal.
    alone = torch.from_numpy(golden["logits_clip3_unpadded"])
    torch.testing.assert_close(padded, torch.cat([logits[:2], alone]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", REFERENCES)
def test_a_training_pass_equals_the_originals(name):
    """The features are computed in float32 as in the originals, because rounding matters near silence."""
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
        [parameters[from_reference(str(key))].grad.norm() for key in golden["train_grad_norm_names"]]
    )
    theirs = torch.from_numpy(golden["train_grad_norms"]).float()
    assert len(ours) == len(parameters)
    # The gradient of a bias before a batch norm is rounding only, so there is an absolute tolerance too.
    torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=3e-5)


def test_depths_grow_and_round_down():
    assert [block.conv.out_channels for block in CNN1d(2, n_blocks=6, base_depth=50).blocks] == [
        50,
        75,
        112,
        168,
        253,
        379,
    ]


def test_frequency_encoding_distinguishes_bands():
    """The same shape 32 bands higher, a multiple of the pooling: only the network with encoding sees it."""
    torch.manual_seed(0)
    x = torch.zeros(2, 128, 64)
    x[0, 40:44, 30:34] = x[1, 72:76, 30:34] = 1.0
    plain, encoded = (
        CNN2d(3, base_depth=6, n_blocks=3, frequency_encoding=on).eval() for on in (False, True)
    )
    torch.testing.assert_close(plain(x)[0], plain(x)[1])
    assert (encoded(x)[0] - encoded(x)[1]).abs().max() > 1e-4


@pytest.mark.parametrize("bins", [None, 1, 2, 7])
def test_pooling_by_two_rounds_down_to_one_at_least(bins):
    shape = (3, 9) if bins is None else (3, bins, 9)
    x, frames = torch.randn(4, *shape), torch.tensor([9, 4, 3, 1])
    pooled, left = max_pool_by_two(x, frames)
    assert left.tolist() == [4, 2, 1, 1]
    assert pooled.shape[2:] == (() if bins is None else (max(bins // 2, 1),)) + (4,)
    pairs = x[..., :8].unflatten(-1, (4, 2)).amax(-1)
    if bins == 7:
        pairs = pairs[:, :, :6].unflatten(2, (3, 2)).amax(3)
    elif bins == 2:
        pairs = pairs.amax(2, keepdim=True)
    assert torch.equal(pooled[:3], pairs[:3])
    first = x[3, ..., 0] if bins in (None, 1) else x[3, :, : bins // 2 * 2, 0].unflatten(1, (-1, 2)).amax(2)
    assert torch.equal(pooled[3, ..., 0], first)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: CNN2d(0), ValueError, "n_classes: wanted an integer >= 1, got 0"),
        (lambda: CNN2d(3, pooling="mean"), ValueError, "pooling: wanted one of 'max', 'rnn', got 'mean'"),
        (lambda: CNN2d(3, n_blocks=2, start_deep_supervision_on=2), ValueError, "start_deep_supervision_on"),
        (lambda: CNN1d(3, dropout=1.5), ValueError, "dropout: wanted a finite number from 0 to 1, got 1.5"),
        (lambda: CNN1d(3, growth_rate=0.5), ValueError, "growth_rate"),
        (
            lambda: CNN1d(3, n_blocks=1, base_depth=2**31, start_deep_supervision_on=0),
            ValueError,
            "growth_rate: wanted a depth below 2",
        ),
        (lambda: CNN1d("3"), TypeError, "n_classes: wanted an integer, got '3'"),
        (lambda: CNN2d(3)(torch.zeros(2, 9)), ValueError, "spectrogram: wanted 3 or 4 axes"),
        (lambda: CNN2d(3)(torch.zeros(2, 2, 9, 9)), ValueError, r"wanted \(B, 1, F, N\)"),
        (lambda: CNN2d(3)(torch.zeros(2, 9, 0)), ValueError, "F and N from 1"),
        (lambda: CNN1d(3)(torch.zeros(2, 128, 9)), ValueError, r"wanted \(B, 129, N\)"),
        (lambda: CNN1d(3)(torch.zeros(129, 9)), ValueError, r"spectrogram: wanted 3 axes \(a single clip is"),
        (lambda: CNN1d(3)(torch.zeros(1, 1, 129, 9)), ValueError, "spectrogram: wanted 3 axes, got"),
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
