"""Frequency encoding: position and values of the channel, and messages about bad input."""

import numpy as np
import pytest
import torch

from rankaudio import FrequencyEncoding, frequency_encoding


@pytest.mark.parametrize("shape", [(2, 7, 5), (2, 1, 7, 5), (2, 3, 7, 5)])
def test_appends_a_linear_map_and_keeps_the_rest(shape):
    x = torch.randn(shape)
    y = frequency_encoding(x)
    channels = 1 if len(shape) == 3 else shape[1]
    assert y.shape == (2, channels + 1, 7, 5)
    assert torch.equal(y[:, :channels], x.reshape(2, channels, 7, 5))
    expected = np.linspace(-1, 1, 7, dtype=np.float32)[:, None].repeat(5, axis=1)
    for row in y[:, -1]:
        np.testing.assert_allclose(row, expected, atol=1e-7)


def test_any_range():
    y = frequency_encoding(torch.zeros(1, 5, 2, dtype=torch.float64), low=0.0, high=10.0)
    assert y[0, 1, :, 0].tolist() == [0.0, 2.5, 5.0, 7.5, 10.0]
    falling = frequency_encoding(torch.zeros(1, 3, 2), low=1, high=-1)
    assert falling[0, 1, :, 1].tolist() == [1.0, 0.0, -1.0]


@pytest.mark.parametrize("channel_dim", [0, 1, 3, -1, -3])
def test_any_position_of_the_channel_axis(channel_dim):
    x = torch.randn(4, 3, 6, 5)  # axis 2 is frequency
    y = frequency_encoding(x, channel_dim=channel_dim, frequency_dim=2)
    channels = y.movedim(channel_dim, 0)
    assert torch.equal(channels[:-1], x.movedim(channel_dim, 0))
    encoding = channels[-1].movedim(1 if channel_dim % 4 < 2 else 2, 0)
    torch.testing.assert_close(encoding[:, 0, 0], torch.linspace(-1, 1, 6))
    assert torch.equal(encoding, encoding[:, :1, :1].expand_as(encoding))


@pytest.mark.slow
def test_one_graph_for_all_sizes():
    """With dynamic shapes the settings are symbolic too. A check of them must not break the graph."""
    torch.compiler.reset()
    compiled = torch.compile(frequency_encoding, fullgraph=True, dynamic=True, backend="eager")
    for shape in [(2, 7, 5), (3, 9, 4)]:
        x = torch.randn(shape)
        assert torch.equal(compiled(x), frequency_encoding(x))


def test_channels_last_layout_from_three_axes():
    x = torch.randn(2, 6, 5)
    y = FrequencyEncoding(frequency_dim=1, channel_dim=-1)(x)
    assert y.shape == (2, 6, 5, 2)
    assert torch.equal(y[..., 0], x)
    torch.testing.assert_close(y[0, :, 0, 1], torch.linspace(-1, 1, 6))


def test_float64_and_half_precision_keep_their_dtype_and_digits():
    y = frequency_encoding(torch.zeros(1, 4, 2, dtype=torch.float64))
    assert y[0, 1, :, 0].tolist() == pytest.approx([-1, -1 / 3, 1 / 3, 1], abs=1e-15)
    for dtype in (torch.float16, torch.bfloat16):
        half = frequency_encoding(torch.zeros(1, 4, 2, dtype=dtype))
        assert half.dtype == dtype
        assert torch.equal(half[0, 1, :, 0], torch.linspace(-1, 1, 4).to(dtype))


def test_defaults_of_the_module_are_those_of_the_function():
    x = torch.randn(2, 3, 7, 5)
    assert torch.equal(FrequencyEncoding()(x), frequency_encoding(x))
    assert torch.equal(FrequencyEncoding()(x[:, 0]), frequency_encoding(x[:, 0]))


def test_one_band_is_the_lowest():
    assert frequency_encoding(torch.zeros(1, 1, 3))[0, 1].tolist() == [[-1.0, -1.0, -1.0]]


@pytest.mark.parametrize(
    ("x", "settings", "error", "message"),
    [
        (torch.zeros(7, 5), {}, ValueError, "spectrogram: wanted 3 or 4 axes"),
        (torch.zeros(2, 7, 5).int(), {}, TypeError, "spectrogram: wanted a floating-point tensor"),
        (
            torch.zeros(2, 7, 5),
            {"channel_dim": -2},
            ValueError,
            "channel_dim: wanted another axis than frequency_dim",
        ),
        (
            torch.zeros(2, 7, 5),
            {"channel_dim": 4},
            ValueError,
            "channel_dim: wanted an integer from -4 to 3, got 4",
        ),
        (torch.zeros(2, 7, 5), {"low": "bass"}, TypeError, "low: wanted a number, got 'bass'"),
    ],
)
def test_bad_input_is_named(x, settings, error, message):
    with pytest.raises(error, match=message):
        frequency_encoding(x, **settings)
