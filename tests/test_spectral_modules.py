"""LogMel and LogSTFT as Modules: settings, copies, compilation, export, and messages about bad input."""

import copy
import io
import pickle

import pytest
import torch

from rankaudio.spectral import FRONTENDS as TABLE
from rankaudio.spectral import DecibelMel, LogMel, LogSTFT, log_mel, log_stft, mel_filterbank

SMALL_MEL = {"sample_rate": 8000, "n_fft": 64, "hop_length": 24, "n_mels": 10}
SMALL_STFT = {"n_fft": 32, "hop_length": 12}
FRONTENDS = [
    LogMel(**SMALL_MEL),
    LogSTFT(**SMALL_STFT),
    LogMel(**SMALL_MEL, transform="matmul"),
    LogSTFT(**SMALL_STFT, transform="matmul"),
]
both = pytest.mark.parametrize("frontend", FRONTENDS, ids=["mel", "stft", "mel, matmul", "stft, matmul"])


def noise(*shape, dtype=torch.float64, seed=0):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def test_the_table_has_every_frontend():
    assert {"LogMel": LogMel, "LogSTFT": LogSTFT, "DecibelMel": DecibelMel} == TABLE


@both
def test_twins_and_settings(frontend):
    function = log_mel if isinstance(frontend, LogMel) else log_stft
    x, lengths = noise(2, 300, dtype=torch.float32), torch.tensor([300, 40])
    values = frontend.settings()
    assert all(type(value) in (int, float, str, type(None)) for value in values.values())
    rebuilt = type(frontend)(**values)
    assert rebuilt.settings() == values
    assert torch.equal(rebuilt(x, lengths), frontend(x, lengths))
    if function is log_stft:
        values.pop("sample_rate")
    assert torch.equal(function(x, lengths, **values), frontend(x, lengths))
    assert all(f"{name}={value!r}" in repr(frontend) for name, value in values.items())


@both
def test_the_state_dict_is_empty_and_copies_are_whole(frontend):
    assert frontend.state_dict() == {}
    assert list(frontend.parameters()) == []
    x = noise(2, 300, dtype=torch.float32)
    saved = io.BytesIO()
    torch.save(frontend, saved)
    saved.seek(0)
    for twin in (
        copy.deepcopy(frontend),
        pickle.loads(pickle.dumps(frontend)),
        torch.load(saved, weights_only=False),
        copy.deepcopy(frontend).to("meta").to_empty(device="cpu"),
    ):
        assert torch.equal(twin(x), frontend(x))


def test_constants_are_made_on_the_default_device():
    with torch.device("meta"):
        frontend = LogMel()
    assert frontend.window.is_meta
    assert frontend.filterbank.is_meta
    assert torch.equal(frontend.to_empty(device="cpu").filterbank, mel_filterbank())


def test_descriptors():
    mel = LogMel.from_descriptor("mel_2048_1024_128", sample_rate=32000)
    assert mel.settings() == LogMel(sample_rate=32000).settings()
    assert (mel.descriptor, mel.n_bins, mel.sample_rate) == ("mel_2048_1024_128", 128, 32000)
    stft = LogSTFT.from_descriptor("stft_512_100")
    assert stft.settings() == LogSTFT(n_fft=512, hop_length=100).settings()
    assert (stft.descriptor, stft.n_bins, stft.sample_rate) == ("stft_512_100", 257, 44100)
    assert LogSTFT.from_descriptor("stft_512_100", sample_rate=8000).sample_rate == 8000


@pytest.mark.parametrize(
    "descriptor", ["mel", "mel_2048_1024", "stft_256_128", "mel_2048_1024_128_", "mel_2048_-1_128", "", 7]
)
def test_a_bad_descriptor(descriptor):
    with pytest.raises(
        ValueError, match=r"descriptor: wanted the form mel_\{n_fft\}_\{hop_length\}_\{n_mels\}, got"
    ):
        LogMel.from_descriptor(descriptor)
    if descriptor != "stft_256_128":
        with pytest.raises(
            ValueError, match=r"descriptor: wanted the form stft_\{n_fft\}_\{hop_length\}, got"
        ):
            LogSTFT.from_descriptor(descriptor)


def test_a_descriptor_with_a_bad_number():
    with pytest.raises(ValueError, match="n_fft: wanted an even integer, got 2047"):
        LogMel.from_descriptor("mel_2047_1024_128")


@pytest.mark.slow
@both
@pytest.mark.parametrize("with_lengths", [False, True])
def test_compiles_into_one_graph(frontend, with_lengths):
    torch.compiler.reset()
    inputs = (noise(3, 300, dtype=torch.float32), torch.tensor([300, 1, 40]))[: 1 + with_lengths]
    compiled = torch.compile(frontend, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*inputs), frontend(*inputs), rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_the_function_compiles_into_one_graph():
    torch.compiler.reset()
    x = noise(3, 300, dtype=torch.float32)
    compiled = torch.compile(log_mel, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, **SMALL_MEL), log_mel(x, **SMALL_MEL), rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@both
@pytest.mark.parametrize("with_lengths", [False, True])
def test_exports_with_dynamic_batch_and_time(frontend, with_lengths):
    dynamic = torch.export.Dim.DYNAMIC
    shapes = ({0: dynamic, 1: dynamic}, {0: dynamic})[: 1 + with_lengths]
    inputs = (noise(3, 300), torch.tensor([300, 1, 40]))[: 1 + with_lengths]
    program = torch.export.export(frontend, inputs, dynamic_shapes=shapes, strict=False).module()
    for batch, samples in [(3, 300), (5, 1000), (2, 24)]:
        others = (noise(batch, samples), torch.arange(1, batch + 1))[: 1 + with_lengths]
        torch.testing.assert_close(program(*others), frontend(*others), rtol=0, atol=1e-9)


def test_shapes_are_known_without_data():
    assert log_mel(torch.zeros(2, 5000, device="meta")).shape == (2, 128, 5)
    assert log_stft(torch.zeros(2, 5000, device="meta")).shape == (2, 129, 40)


def test_inputs_are_left_alone():
    x, lengths = noise(2, 300), torch.tensor([300, 5])
    before = x.clone(), lengths.clone()
    for function in (log_mel, log_stft):
        function(x, lengths)
    assert torch.equal(x, before[0])
    assert torch.equal(lengths, before[1])


@pytest.mark.parametrize(
    "function", [log_mel, log_stft, LogMel(), LogSTFT()], ids=["log_mel", "log_stft", "LogMel", "LogSTFT"]
)
def test_bad_waveforms(function):
    with pytest.raises(
        ValueError, match=r"waveform: wanted shape \(B, T\) \(a single clip is waveform\[None\]\), got"
    ):
        function(torch.zeros(100))
    with pytest.raises(
        ValueError, match=r"waveform: wanted shape \(B, T\), got a float32 tensor of shape \(2, 1, 9\)"
    ):
        function(torch.zeros(2, 1, 9))
    with pytest.raises(ValueError, match=r"waveform: wanted at least one sample, got .* \(2, 0\)"):
        function(torch.zeros(2, 0))
    with pytest.raises(TypeError, match="waveform: wanted a floating-point tensor, got a int16"):
        function(torch.zeros(2, 9, dtype=torch.int16))
    with pytest.raises(TypeError, match=r"waveform: wanted a torch.Tensor, got \[0\.0\]"):
        function([0.0])


@both
def test_bad_lengths_and_devices(frontend):
    x = torch.zeros(2, 9)
    for lengths, error, message in [
        (torch.tensor([1, 10]), ValueError, "lengths: wanted values from 1 to"),
        (torch.tensor([0, 9]), ValueError, "lengths: wanted values from 1 to"),
        (torch.tensor([9]), ValueError, r"lengths: wanted shape \(2,\)"),
        (torch.tensor([9.0, 9.0]), TypeError, "lengths: wanted integers"),
    ]:
        with pytest.raises(error, match=message):
            frontend(x, lengths)
    with pytest.raises(ValueError, match="waveform: wanted the device of the Module, cpu, got .* meta"):
        frontend(x.to("meta"))


BAD_STFT = [
    ({"n_fft": 0}, ValueError, "n_fft: wanted an integer from 2 to 16,777,216, got 0"),
    ({"n_fft": 255}, ValueError, "n_fft: wanted an even integer, got 255"),
    ({"n_fft": 2.0}, TypeError, "n_fft: wanted an integer"),
    ({"hop_length": 0}, ValueError, "hop_length: wanted an integer >= 1, got 0"),
    ({"power": 3}, ValueError, r"power: wanted 1 \(magnitude\) or 2 \(power\), got 3"),
    ({"eps": 0.0}, ValueError, "eps: wanted a finite number >= 1e-30, got 0"),
    ({"pad_mode": "wrap"}, ValueError, "pad_mode: wanted one of 'reflect', 'constant', 'same', got 'wrap'"),
    ({"transform": "dct"}, ValueError, "transform: wanted one of 'fft', 'matmul', got 'dct'"),
]
BAD_MEL = [
    ({"sample_rate": 0}, ValueError, "sample_rate: wanted an integer >= 1, got 0"),
    ({"n_mels": 0}, ValueError, "n_mels: wanted an integer >= 1, got 0"),
    ({"f_min": -1}, ValueError, "f_min: wanted a finite number from 0 to 22050, got -1"),
    ({"f_max": 22051}, ValueError, "f_max: wanted a finite number from 0 to 22050, got 22051"),
    ({"f_max": "high"}, TypeError, "f_max: wanted a number, got 'high'"),
    ({"f_min": 500, "f_max": 500}, ValueError, "f_max: wanted more than f_min, 500 Hz, got 500 Hz"),
    ({"f_min": 22050}, ValueError, "f_max: wanted more than f_min, 22050 Hz, got 22050 Hz"),
    ({"mel_scale": "bark"}, ValueError, "mel_scale: wanted one of 'slaney', 'htk', got 'bark'"),
    ({"norm": None}, ValueError, "norm: wanted one of 'slaney', 'none', got None"),
]


@pytest.mark.parametrize(("bad", "error", "message"), BAD_STFT + BAD_MEL, ids=str)
def test_bad_settings(bad, error, message):
    calls = [lambda: log_mel(torch.zeros(1, 9), **bad), lambda: LogMel(**bad)]
    if (bad, error, message) in BAD_STFT:
        calls += [lambda: log_stft(torch.zeros(1, 9), **bad), lambda: LogSTFT(**bad)]
    else:
        calls += [lambda: mel_filterbank(**bad)]
    for call in calls:
        with pytest.raises(error, match=message):
            call()
