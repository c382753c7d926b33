"""Streams: equal to the whole recording for all blocks, halos by perturbation, windows, latency, refusals."""

import gc
import math

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rankaudio import CNN1d, CNN2d, LogMel, LogSTFT, Tagger, load_audio
from rankaudio.backbones import NETWORKS, AxisPoolCNN, Network
from rankaudio.backbones._conv_block import halo_of_blocks
from rankaudio.inference import FramewiseTagger, Stream, WindowedTagger, score_stream
from rankaudio.spectral import DecibelMel
from small_networks import (
    N_BINS,
    SMALL_FRONTENDS,
    SMALL_NETWORKS,
    SideInputNetwork,
    small_frontend,
    small_tagger,
    used_tagger,
)

TAKEN = ["CNN1d, max", "CNN2d, max", "CNN2d, no encoding"]
RATE = 8000
every_network = pytest.mark.parametrize("name", TAKEN)


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def tagger_with(name, frontend):
    return Tagger(frontend, used_tagger(name).backbone).eval()


@torch.inference_mode()
def whole(tagger, waveform):
    """The score by definition: all of the recording at once."""
    return tagger.eval()(waveform[None])[0]


def pushed(stream, blocks):
    """What a stream returns for each block, and at the end."""
    return [*(stream.push(block) for block in blocks), stream.finish()]


def joined(results):
    return [torch.cat(parts) for parts in zip(*(result.windows for result in results), strict=True)]


FRONTENDS = {
    "LogMel": small_frontend("LogMel"),
    "LogMel, zeros at the ends": small_frontend("LogMel", pad_mode="constant"),
    "LogMel, gaps between frames": LogMel(**{**SMALL_FRONTENDS["LogMel"], "hop_length": 100}),
    "LogMel, hop not in half a frame": LogMel(**{**SMALL_FRONTENDS["LogMel"], "hop_length": 13}),
    "LogSTFT": small_frontend("LogSTFT"),
    "LogSTFT, by matrices": small_frontend("LogSTFT", transform="matmul"),
    "DecibelMel": DecibelMel(**SMALL_FRONTENDS["DecibelMel"], top_db=None),
}


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(TAKEN),
    frontend=st.sampled_from(list(FRONTENDS)),
    total=st.one_of(st.integers(1, 700), st.integers(1, 7000)),
    sizes=st.lists(
        st.one_of(st.integers(1, 40), st.integers(1, 3000), st.integers(1, 100_000)), min_size=1, max_size=30
    ),
    longer=st.sampled_from([0.0, 0.05, 0.4, 10.0]),
    seed=st.integers(0, 9),
)
def test_any_blocks_give_the_score_of_the_whole(name, frontend, total, sizes, longer, seed):
    tagger = tagger_with(name, FRONTENDS[frontend])
    waveform, blocks, start = noise(total, seed=seed), [], 0
    while start < total:
        blocks.append(waveform[start : start + sizes[len(blocks) % len(sizes)]])
        start += len(blocks[-1])
    stream = Stream(tagger, latency=Stream(tagger).latency + longer)
    found = pushed(stream, blocks)[-1]
    torch.testing.assert_close(found.scores, whole(tagger, waveform), rtol=0, atol=1e-5)
    assert found.seconds == total / tagger.sample_rate


@every_network
def test_single_samples_give_the_score_of_the_whole(name):
    tagger, waveform = used_tagger(name), noise(3001)
    found = pushed(Stream(tagger), waveform.split(1))[-1].scores
    torch.testing.assert_close(found, whole(tagger, waveform), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dims", [1, 2])
def test_reference_networks_with_default_frontends(dims):
    """All five blocks and the default frontends, with fewer channels."""
    torch.manual_seed(0)
    network = CNN1d(5, base_depth=4) if dims == 1 else CNN2d(5, base_depth=4)
    frontend = LogSTFT(sample_rate=RATE) if dims == 1 else LogMel(sample_rate=RATE)
    tagger, waveform = Tagger(frontend, network), noise(400_000 if dims == 2 else 60_000)
    for part in (waveform[:100_000], waveform[:100_000] / 100):
        tagger(part.reshape(10, -1))  # running statistics
    found = pushed(Stream(tagger), waveform.split(100_000))[-1].scores
    torch.testing.assert_close(found, whole(tagger, waveform), rtol=0, atol=1e-5)


@pytest.mark.parametrize("total", [1, 900, 5000])
def test_float64_is_equal_to_rounding_of_float64(total):
    tagger = used_tagger("CNN2d, max").double()
    waveform = noise(total).double()
    found = pushed(Stream(tagger), waveform.split(333))[-1].scores
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, whole(tagger, waveform).float(), rtol=1e-6, atol=1e-7)


def farthest_frames(network, cell, total):
    """Frames before and after a cell that its steps still depend on: each frame changed, one at a time."""
    start, end = cell * network.cell_frames, (cell + 1) * network.cell_frames
    per_step = network.frames_per_step
    spectrogram = noise(1, N_BINS, total).double()

    def of_cell(values):
        return network.step_features(values)[0][0, :, start // per_step : end // per_step]

    plain, depends = of_cell(spectrogram), []
    for frame in range(total):
        for size in (100.0, -100.0):
            changed = spectrogram.clone()
            changed[..., frame] += size
            if not torch.equal(of_cell(changed), plain):
                depends.append(frame)
    return start - min(depends), max(depends) + 1 - end


@pytest.mark.parametrize("n_blocks", [1, 2, 3])
@pytest.mark.parametrize("kind", [CNN1d, CNN2d])
@torch.no_grad()
def test_the_halo_reaches_the_farthest_frame_that_matters_and_no_farther(kind, n_blocks):
    torch.manual_seed(0)
    extra = {"n_bins": N_BINS} if kind is CNN1d else {}
    network = kind(2, n_blocks=n_blocks, base_depth=8, start_deep_supervision_on=0, **extra)
    network.double().eval()
    reach = farthest_frames(network, 4, 9 * network.cell_frames)
    assert reach == (network.halo_frames, network.halo_frames)
    assert network.cell_frames == 2**n_blocks
    assert network.halo_frames == 3 * (2**n_blocks - 1)


@torch.no_grad()
def test_the_halo_follows_the_layers():
    """Wider and dilated kernels need a wider halo, so the numbers are not constants of the class."""
    torch.manual_seed(0)
    network = CNN2d(2, n_blocks=2, base_depth=8, start_deep_supervision_on=0).double().eval()
    network.blocks[1].conv = nn.Conv2d(8, 12, (3, 5), padding=(1, 2)).double()
    network.blocks[0].residual.conv2 = nn.Conv2d(8, 8, 3, padding=(1, 2), dilation=(1, 2)).double()
    halo = halo_of_blocks(network.blocks)
    assert farthest_frames(network, 4, 36) == (halo, halo) == (13, 13)


class LoudestFrames(Network):
    """The smallest network that a stream takes: maxima of each bin in cells of some frames, with no halo."""

    def __init__(self, frames):
        super().__init__()
        self.frames_per_step, self.cell_frames, self.halo_frames = frames, frames, 0
        self.n_classes, self.n_features = 2, N_BINS
        self.classifier = nn.Sequential(nn.Linear(N_BINS, 2))

    def features(self, spectrogram, lengths=None):
        return self.step_features(spectrogram)[0].amax(-1)

    def step_features(self, spectrogram, lengths=None, *, context=0):
        return nn.functional.max_pool1d(spectrogram, self.frames_per_step), None


@pytest.mark.parametrize("frames", [1, 4])
@pytest.mark.parametrize("total", [96, 97, 127, 128, 160, 500])
def test_a_network_of_your_own_is_taken(frames, total):
    torch.manual_seed(0)
    tagger, waveform = Tagger(small_frontend("LogMel"), LoudestFrames(frames)), noise(total)
    for window in (None, frames * 32 / RATE):
        found = pushed(Stream(tagger, window=window), waveform.split(7))
        torch.testing.assert_close(found[-1].scores, whole(tagger, waveform), rtol=0, atol=1e-5)
    assert len(joined(found)[0]) == (total // 32 + 1) // frames


@torch.no_grad()
def test_a_halo_of_one_frame_less_is_noticed():
    """The comparison with the whole sees a halo that is too small."""
    tagger, waveform = used_tagger("CNN2d, max").double(), noise(10_000).double()
    features = tagger.embed(waveform[None])[0]
    for less, equal in ((0, True), (1, False), (5, False)):
        tagger.backbone.halo_frames = 21 - less
        stream = Stream(tagger)
        pushed(stream, [waveform])
        assert torch.allclose(stream._maxima, features, rtol=1e-9, atol=1e-9) == equal


@torch.no_grad()
def literal_windows(tagger, waveform, size, hop):
    """Scores of windows of steps of the whole, in plain loops: first and last step of each, and scores."""
    features = tagger.backbone.step_features(tagger.spectrogram(waveform[None])[0])
    total = features[0].shape[-1] if features[1] is None else int(features[1])
    spans = [(0, min(size, total))]
    while spans[-1][1] < total and spans[-1][0] + hop < total:
        spans.append((spans[-1][0] + hop, min(spans[-1][0] + hop + size, total)))
    maxima = [features[0][0, :, first:end].amax(1) for first, end in spans]
    return spans, tagger.backbone.classifier(torch.stack(maxima))


@every_network
@pytest.mark.parametrize("total", [1, 300, 2003])
@pytest.mark.parametrize(("size", "hop"), [(1, 1), (4, 1), (5, 3), (3, 3), (2, 7), (60, 25)])
def test_windows_are_maxima_over_their_steps(name, total, size, hop):
    tagger, waveform = used_tagger(name), noise(total)
    step = FramewiseTagger(tagger).step_seconds
    for block in (total, 97):
        stream = Stream(tagger, window=size * step, hop=hop * step)
        scores, starts, ends = joined(pushed(stream, waveform.split(block)))
        spans, wanted = literal_windows(tagger, waveform, size, hop)
        torch.testing.assert_close(scores, wanted, rtol=0, atol=1e-5)
        times = FramewiseTagger(tagger).score(waveform)
        assert starts.tolist() == [float(times.starts[first]) for first, _ in spans]
        assert ends.tolist() == [float(times.ends[end - 1]) for _, end in spans]


def test_windows_have_the_scores_of_the_framewise_tagger():
    """A window of 2 c + 1 steps is a step with a context of c, away from the ends of the recording."""
    tagger, waveform = used_tagger("CNN1d, max"), noise(9000)
    step = FramewiseTagger(tagger).step_seconds
    found = score_stream(tagger, waveform, window=9 * step, hop=step, max_samples=1).windows
    steps = FramewiseTagger(tagger, context=4 * step).score(waveform)
    torch.testing.assert_close(found.scores, steps.scores[4:-4], rtol=0, atol=1e-5)


@every_network
@torch.no_grad()
def test_the_score_so_far_is_that_of_the_finished_steps(name):
    tagger, waveform = used_tagger(name), noise(8000)
    stream = Stream(tagger)
    features = tagger.backbone.step_features(tagger.spectrogram(waveform[None])[0])[0]
    step_samples, seen = FramewiseTagger(tagger).step_samples, set()
    for block in waveform.split(250):
        scores, _, seconds = stream.push(block)
        steps = round((seconds * RATE + tagger.frontend.hop_length / 2) / step_samples) if seconds else 0
        if steps == 0:
            assert bool((scores == -torch.inf).all())
            continue
        wanted = tagger.backbone.classifier(features[..., :steps].amax(-1))[0]
        torch.testing.assert_close(scores, wanted, rtol=0, atol=1e-5)
        seen.add(steps)
    assert len(seen) > 5


@every_network
@pytest.mark.parametrize("longer", [0.0, 0.1])
def test_latency_is_the_longest_time_from_a_sound_to_its_score(name, longer):
    tagger = used_tagger(name)
    stream = Stream(tagger, latency=Stream(tagger).latency + longer)
    cell = tagger.backbone.cell_frames * tagger.frontend.hop_length / RATE
    assert Stream(tagger).latency + longer - cell < stream.latency <= Stream(tagger).latency + longer + 1e-9
    lags = []
    for count in range(1, round(2.1 * stream.latency * RATE)):
        scored = stream.push(torch.zeros(1)).seconds
        if scored > 0:
            lags.append(count / RATE - scored)
    assert max(lags) == pytest.approx(stream.latency, abs=1e-9)


def test_latency_of_the_formula():
    tagger = Tagger(LogMel(), CNN2d(2, base_depth=4))
    assert Stream(tagger).latency == ((32 + 93 - 0.5) * 1024 + 1024) / 44_100
    assert Stream(tagger, latency=10.0).latency == ((10 * 32 + 93 - 0.5) * 1024 + 1024) / 44_100
    real = [Stream(tagger, latency=3.0 + k).latency for k in range(20)]
    assert [Stream(tagger, latency=each).latency for each in real] == real
    with pytest.raises(ValueError, match=r"latency: wanted at least 2\.91\d+ s, the least of this tagger"):
        Stream(tagger, latency=2.9)


def test_blocks_are_copied_and_may_be_empty_or_of_any_floating_dtype():
    tagger, waveform = used_tagger("CNN2d, max"), noise(3000)
    stream, buffer = Stream(tagger), torch.empty(100)
    for block in waveform.split(100):
        buffer.copy_(block)
        stream.push(buffer)
        stream.push(buffer[:0])
        buffer.fill_(torch.nan)
    assert torch.equal(stream.finish().scores, pushed(Stream(tagger), [waveform])[-1].scores)
    half = pushed(Stream(tagger), waveform.half().split(100))[-1].scores
    torch.testing.assert_close(half, whole(tagger, waveform.half()), rtol=0, atol=1e-5)
    stream = Stream(tagger)
    stream.push(waveform)
    with pytest.raises(TypeError, match="block: wanted torch.float32, that of the first block, got"):
        stream.push(waveform.double())


@every_network
def test_nan_and_silence_are_as_in_the_whole(name):
    tagger, waveform = used_tagger(name), noise(5000)
    waveform[2000:4000] = 0
    found = score_stream(tagger, waveform, max_samples=1).scores
    torch.testing.assert_close(found, whole(tagger, waveform), rtol=0, atol=1e-5)
    waveform[1234] = torch.nan
    assert bool(whole(tagger, waveform).isnan().all())
    assert bool(score_stream(tagger, waveform, max_samples=1).scores.isnan().all())


def test_modes_and_inputs_are_left_as_they_were():
    tagger, waveform = used_tagger("CNN2d, max").train(), noise(3000)
    tagger.backbone.blocks[0].eval()
    modes, before = [part.training for part in tagger.modules()], waveform.clone()
    found = pushed(Stream(tagger, window=0.1), waveform.split(1000))
    assert [part.training for part in tagger.modules()] == modes
    assert torch.equal(waveform, before)
    ordinary = torch.ones(3, requires_grad=True) * found[-1].scores  # no tensor of inference mode
    ordinary.sum().backward()
    found[-1].scores.zero_()
    assert not found[0].scores.requires_grad


def bytes_of(stream):
    """The bytes of all tensors that a stream holds, without those of its tagger."""
    own = {id(value) for value in [*stream.tagger.parameters(), *stream.tagger.buffers()]}
    seen, todo = {}, [stream]
    while todo:
        for value in gc.get_referents(todo.pop()):
            if isinstance(value, torch.Tensor) and id(value) not in own:
                seen[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
            elif isinstance(value, dict | list) or type(value).__name__ in ("StepStream", "StepWindows"):
                todo.append(value)
    return sum(seen.values())


def test_memory_does_not_grow_with_the_recording():
    stream = Stream(used_tagger("CNN2d, max"), window=0.5, hop=0.1)
    sizes = []
    for part in range(30):
        stream.push(noise(1000 + part))
        sizes.append(bytes_of(stream))
    assert max(sizes[10:]) < 1.1 * max(sizes[:10]) < 200_000
    stream.push(noise(20_000))  # a long block is not kept
    assert bytes_of(stream) < 1.1 * max(sizes)


def test_tensors_files_and_blocks_have_the_same_scores(tmp_path):
    tagger, waveform = used_tagger("CNN2d, max"), (0.1 * noise(20_000)).clamp(-1, 1)
    soundfile.write(tmp_path / "a.wav", waveform.numpy(), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "b.flac", np.stack([waveform, -waveform / 2], 1), 11_025)
    given_waveform = score_stream(tagger, waveform, window=0.2)
    same = [tmp_path / "a.wav", str(tmp_path / "a.wav"), waveform.split(999), iter(waveform.split(1234))]
    for recording in same:
        found = score_stream(tagger, recording, window=0.2)
        assert torch.equal(found.scores, given_waveform.scores)
        assert all(map(torch.equal, found.windows, given_waveform.windows))
        assert found.seconds == given_waveform.seconds == 2.5
    resampled = load_audio(tmp_path / "b.flac", sample_rate=RATE)
    found = score_stream(tagger, tmp_path / "b.flac")
    torch.testing.assert_close(found.scores, whole(tagger, resampled), rtol=0, atol=1e-5)
    assert found.seconds == len(resampled) / RATE


def test_a_file_is_read_in_parts(tmp_path, monkeypatch):
    from rankaudio.inference import _score_stream

    monkeypatch.setattr(_score_stream, "_BLOCK", 1000)
    tagger, waveform = used_tagger("CNN1d, max"), (0.1 * noise(7001)).clamp(-1, 1)
    soundfile.write(tmp_path / "a.wav", waveform.numpy(), RATE, subtype="FLOAT")
    assert torch.equal(score_stream(tagger, tmp_path / "a.wav").scores, score_stream(tagger, waveform).scores)


def test_longer_parts_have_the_same_scores():
    tagger, waveform = used_tagger("CNN2d, max"), noise(15_000)
    for max_samples in (1, 3000, 10_000, 10**9):
        found = score_stream(tagger, waveform, max_samples=max_samples)
        torch.testing.assert_close(found.scores, whole(tagger, waveform), rtol=0, atol=1e-5)


def test_without_a_window_there_are_none():
    results = pushed(Stream(used_tagger("CNN2d, max")), noise(3000).split(1000))
    assert len(results) == 4
    for _, (scores, starts, ends), _ in results:
        assert scores.shape == (0, 3)
        assert len(starts) == len(ends) == 0
        assert scores.dtype == torch.float32
        assert starts.dtype == ends.dtype == torch.float64


@pytest.mark.parametrize("name", [name for name in SMALL_NETWORKS if name not in TAKEN])
def test_networks_that_need_the_whole_recording_are_refused(name):
    with pytest.raises(TypeError, match=r"tagger: wanted a network with .*; predict_long scores windows"):
        Stream(small_tagger(name))


def test_every_network_is_taken_or_refused():
    assert {name.partition(",")[0] for name in SMALL_NETWORKS} == set(NETWORKS)


def test_side_inputs_and_other_frontends_are_refused():
    cure = "; predict_long scores windows with any tagger"
    side = Tagger(small_frontend("LogMel"), AxisPoolCNN(2, base_depth=2))
    with pytest.raises(ValueError, match=f"network without side inputs, got AxisPoolCNN with stat.*{cure}"):
        Stream(side)
    with pytest.raises(TypeError, match="tagger: wanted a network with maxima over time"):
        Stream(Tagger(small_frontend("LogMel"), SideInputNetwork(2)))

    class Louder(LogMel):
        def forward(self, waveform, lengths=None):
            return super().forward(waveform / waveform.abs().amax(), lengths)

    backbone = small_tagger("CNN2d, max").backbone
    refused = {
        Louder(**SMALL_FRONTENDS["LogMel"]): (
            TypeError,
            "frontend among LogMel, LogSTFT, DecibelMel, .* Louder",
        ),
        small_frontend("LogMel", pad_mode="same"): (
            ValueError,
            "pad_mode='reflect' or 'constant', got 'same'",
        ),
        small_frontend("DecibelMel"): (ValueError, "DecibelMel with top_db=None .*, got top_db=80.0"),
        DecibelMel(top_db=None, ref="max"): (ValueError, "got top_db=None and ref='max', which refer to"),
    }
    for frontend, (error, message) in refused.items():
        with pytest.raises(error, match=f"tagger: wanted .*{message}.*{cure}"):
            Stream(Tagger(frontend, backbone))
    with pytest.raises(TypeError, match="tagger: wanted a Tagger, got"):
        Stream(WindowedTagger(small_tagger("CNN2d, max")))


def test_wrong_settings_and_blocks_are_refused():
    tagger = used_tagger("CNN2d, max")
    with pytest.raises(ValueError, match="hop: wanted None without window, got 0.1"):
        Stream(tagger, hop=0.1)
    with pytest.raises(ValueError, match="window: wanted at least half a step of 0.016 s, got 0.001"):
        Stream(tagger, window=0.001)
    with pytest.raises(ValueError, match="hop: wanted at least half a step of 0.016 s, got 0.0"):
        Stream(tagger, window=1.0, hop=0.0)
    with pytest.raises(ValueError, match=r"block: wanted 1 axes, got"):
        Stream(tagger).push(noise(1, 10))
    with pytest.raises(TypeError, match="block: wanted a floating-point tensor"):
        Stream(tagger).push(torch.ones(10, dtype=torch.int16))
    with pytest.raises(TypeError, match=r"waveform\[1\]: wanted a torch.Tensor, got"):
        score_stream(tagger, [noise(10), None])
    with pytest.raises(
        TypeError, match="waveform: wanted a torch.Tensor, a path or blocks of samples, got 3"
    ):
        score_stream(tagger, 3)
    for nothing in ([], [noise(0)], noise(0)):
        with pytest.raises(ValueError, match="waveform: wanted"):
            score_stream(tagger, nothing)
    with pytest.raises(FileNotFoundError):
        score_stream(tagger, "none.wav")


def test_a_stream_ends_once():
    stream = Stream(used_tagger("CNN2d, max"))
    with pytest.raises(ValueError, match=r"block: wanted at least one sample before finish\(\), got none"):
        stream.finish()
    stream.push(noise(10))
    assert math.isfinite(stream.finish().scores.sum())
    for call in (stream.finish, lambda: stream.push(noise(10))):
        with pytest.raises(ValueError, match="stream: wanted one that is not finished"):
            call()
