"""Frame-wise scores: maxima over the time of each step in plain loops, the clip's score, and padding."""

import pytest
import torch
from torch import nn

from rankaudio import LogMel, Tagger
from rankaudio.backbones import AxisPoolCNN
from rankaudio.events import events
from rankaudio.inference import FramewiseTagger
from small_networks import N_BINS, SMALL_FRONTENDS, SMALL_NETWORKS, small_frontend, small_tagger, used_tagger

WITH_STEPS = [name for name, build in SMALL_NETWORKS.items() if build(1).frames_per_step is not None]
WITHOUT = [name for name in SMALL_NETWORKS if name not in WITH_STEPS]
every_network = pytest.mark.parametrize("name", WITH_STEPS)


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def outputs_of_blocks(network, spectrogram):
    """The output of every block for a clip without padding."""
    found = []
    hooks = [
        block.register_forward_hook(lambda _, __, output: found.append(output[0])) for block in network.blocks
    ]
    network.features(spectrogram)
    for hook in hooks:
        hook.remove()
    return found


def hierarchical_by_hand(network, spectrogram, context):
    """Maxima of the values that each block has at the time of the steps around a step."""
    maps = outputs_of_blocks(network, spectrogram)[network.start_deep_supervision_on :]
    maps = [x[0].reshape(x.shape[1], -1, x.shape[-1]).amax(1) for x in maps]
    steps = maps[0].shape[-1]
    rows = []
    for step in range(steps):
        near = [other for other in range(steps) if abs(other - step) <= context]
        at = [
            torch.cat([x[:, min(other // 2**k, x.shape[-1] - 1)] for k, x in enumerate(maps)])
            for other in near
        ]
        rows.append(torch.stack(at).amax(0))
    return torch.stack(rows, dim=-1)[None]


def axis_pooling_by_hand(network, spectrogram, context):
    values = outputs_of_blocks(network, spectrogram)[-1][0]
    rows = []
    for step in range(values.shape[-1]):
        low, high = max(0, step - context), step + context + 1
        maximum = values[..., low:high].amax(-1)
        bins = [maximum[:, min(k, maximum.shape[1] - 1)] for k in range(2 * ((maximum.shape[1] + 1) // 2))]
        means = [torch.stack(bins[first::2]).mean(0) for first in (0, 1)]
        rows.append(torch.cat(means))
    return torch.stack(rows, dim=-1)[None]


@every_network
@pytest.mark.parametrize("frames", [16, 23, 61])
@pytest.mark.parametrize("context", [0, 1, 9])
@torch.no_grad()
def test_features_of_steps_are_maxima_over_their_time(name, frames, context):
    network = used_tagger(name).backbone
    spectrogram = noise(1, N_BINS, frames)
    literal = axis_pooling_by_hand if isinstance(network, AxisPoolCNN) else hierarchical_by_hand
    found, steps = network.step_features(spectrogram, context=context)
    assert steps is None or steps.tolist() == [found.shape[-1]]
    torch.testing.assert_close(found, literal(network, spectrogram, context), rtol=1e-6, atol=1e-6)


@every_network
@torch.no_grad()
def test_a_context_that_covers_the_clip_gives_its_score_to_each_step(name):
    tagger = used_tagger(name)
    waveform, lengths = noise(4, 2100), torch.tensor([2100, 1030, 70, 1])
    clip = tagger(waveform, lengths)
    steps = FramewiseTagger(tagger, context=60.0)(waveform, lengths)
    for row, length in enumerate(lengths):
        alone = FramewiseTagger(tagger).score(waveform[row, :length]).scores
        torch.testing.assert_close(
            steps[row, : len(alone)], clip[row].expand(len(alone), -1), rtol=1e-5, atol=1e-5
        )
        assert bool((steps[row, len(alone) :] == -torch.inf).all())


@pytest.mark.parametrize("name", [name for name in WITH_STEPS if name.startswith("CNN")])
@torch.no_grad()
def test_features_of_a_clip_are_the_maximum_over_its_steps(name):
    network = used_tagger(name).backbone
    for frames in (1, 7, 8, 9, 40, 47):
        spectrogram, lengths = noise(3, N_BINS, frames), torch.tensor([frames, 1, (frames + 1) // 2])
        features, steps = network.step_features(spectrogram, lengths)
        rows = [row[:, :count].amax(-1) for row, count in zip(features, steps, strict=True)]
        assert torch.equal(torch.stack(rows), network.features(spectrogram, lengths))
        assert all(bool((row[:, count:] == 0).all()) for row, count in zip(features, steps, strict=True))


@every_network
@pytest.mark.parametrize("context", [0.0, 0.05])
@torch.no_grad()
def test_padding_has_no_influence(name, context):
    framewise = FramewiseTagger(used_tagger(name), context=context)
    waveform, lengths = noise(4, 3000), torch.tensor([3000, 1999, 64, 1])
    for row, length in enumerate(lengths):
        waveform[row, length:] = torch.nan
    batch = framewise(waveform, lengths)
    for row, length in enumerate(lengths):
        alone = framewise.score(waveform[row, :length]).scores
        torch.testing.assert_close(batch[row, : len(alone)], alone, rtol=1e-5, atol=1e-5)
        assert bool((batch[row, len(alone) :] == -torch.inf).all())


@every_network
@pytest.mark.parametrize("pad_mode", ["reflect", "same"])
@pytest.mark.parametrize("total", [1, 255, 256, 2048, 3001])
def test_times_of_steps_cover_the_clip(name, pad_mode, total):
    tagger = used_tagger(name)
    kind = tagger.backbone.default_frontend
    frontend = type(small_frontend(kind))(**SMALL_FRONTENDS[kind], pad_mode=pad_mode)
    framewise = FramewiseTagger(Tagger(frontend, tagger.backbone).eval())
    scores, starts, ends = framewise.score(noise(total))
    assert len(scores) == len(starts) == len(ends)
    assert starts[0] == 0
    assert ends[-1] == total / 8000
    assert torch.equal(starts[1:], ends[:-1])
    assert bool((ends > starts).all())
    hop = frontend.hop_length
    step = tagger.backbone.frames_per_step * hop
    for k, start in enumerate(starts.tolist()):
        first_frame_begins = k * step - (hop / 2 if pad_mode == "reflect" else 0)
        assert start == max(0.0, first_frame_begins) / 8000
    assert framewise.step_seconds == step / 8000


@every_network
@pytest.mark.parametrize("steps", [8, 16])
def test_a_step_has_the_frames_that_the_network_says(name, steps):
    network = used_tagger(name).backbone.eval()
    frames = steps * network.frames_per_step
    assert network.step_features(noise(1, N_BINS, frames))[0].shape[-1] == steps
    if steps == 16:
        lengths = torch.tensor([frames, frames // 2])
        assert network.step_features(noise(2, N_BINS, frames), lengths)[1].tolist() == [16, 8]


def test_a_burst_changes_the_steps_around_it_and_no_other():
    """Convolutions see some steps around theirs; the network has three blocks of two convolutions."""
    framewise = FramewiseTagger(used_tagger("CNN2d, max"))
    waveform = 0.01 * noise(40_000)
    quiet = framewise.score(waveform)
    waveform[20_000:20_200] += noise(200, seed=1)
    changed = (framewise.score(waveform).scores != quiet.scores).any(1)
    times = (quiet.starts[changed].min(), quiet.ends[changed].max())
    assert times[0] <= 2.5 <= times[1]
    assert times[1] - times[0] < 0.4
    assert events(quiet._replace(scores=changed[:, None].float()), 0.5)[0][:2] == times


def test_side_inputs_are_those_of_the_clip():
    torch.manual_seed(0)
    network = AxisPoolCNN(3, base_depth=2, rnn_units=2)
    tagger = Tagger(small_frontend("DecibelMel"), network, classes=["a", "b", "c"]).eval()
    framewise, waveform = FramewiseTagger(tagger, context=60.0), noise(1, 3000)
    with torch.no_grad():
        torch.testing.assert_close(framewise(waveform)[0, 0], tagger(waveform)[0])
        longer = {**tagger.side_inputs(waveform), "duration": torch.ones(1, 1)}
        torch.testing.assert_close(
            framewise(waveform, side_inputs=longer)[0, 0], tagger(waveform, side_inputs=longer)[0]
        )


def test_score_restores_the_mode_and_needs_no_gradient():
    tagger = used_tagger("CNN2d, max").train()
    scores = FramewiseTagger(tagger).score(noise(1000)).scores
    assert tagger.training
    assert not scores.requires_grad
    with pytest.raises(ValueError, match="tagger: wanted eval mode, got training mode"):
        FramewiseTagger(tagger)(noise(1, 1000))


def test_a_file_is_scored_as_its_waveform(tmp_path):
    import soundfile

    soundfile.write(tmp_path / "a.wav", 0.1 * noise(1000).numpy(), 8000, subtype="FLOAT")
    framewise = FramewiseTagger(used_tagger("CNN2d, max"))
    for mine, theirs in zip(
        framewise.score(tmp_path / "a.wav"), framewise.score(0.1 * noise(1000)), strict=True
    ):
        assert torch.equal(mine, theirs)
    with pytest.raises(FileNotFoundError):
        framewise.score(str(tmp_path / "none.wav"))
    with pytest.raises(ValueError, match=r"waveform: wanted 1 axes"):
        framewise.score(noise(1, 1000))


@pytest.mark.parametrize("name", WITHOUT)
def test_networks_without_maxima_over_time_are_refused(name):
    tagger = small_tagger(name)
    with pytest.raises(TypeError, match="tagger: wanted a network with maxima over time .* got"):
        FramewiseTagger(tagger)
    with pytest.raises(TypeError, match="network: wanted one with maxima over time before its classifier"):
        tagger.backbone.step_features(noise(1, N_BINS, 30))


def test_other_frontends_and_settings_are_refused():
    backbone = SMALL_NETWORKS["CNN2d, max"](2)
    with pytest.raises(TypeError, match="tagger: wanted a frontend with hop_length and sample_rate"):
        FramewiseTagger(Tagger(nn.Identity(), backbone))
    with pytest.raises(TypeError, match="tagger: wanted a Tagger, got"):
        FramewiseTagger(backbone)
    with pytest.raises(ValueError, match="context: wanted a finite number >= 0"):
        FramewiseTagger(Tagger(LogMel(), backbone), context=-1)
    with pytest.raises(ValueError, match="context: wanted an integer >= 0"):
        backbone.step_features(noise(1, N_BINS, 30), context=-1)
