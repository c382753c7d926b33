"""Side inputs through a tagger: computed, given, padded, saved, predicted, windowed and exported."""

import copy
from functools import partial

import pytest
import torch
from torch import nn

import export
from rankaudio import AxisPoolCNN, CNN2d, LogMel, SpecAugment, Tagger, predict, predict_long
from rankaudio.inference import SegmentedTagger, WindowedTagger
from rankaudio.side_inputs import SIDE_INPUTS
from rankaudio.spectral import waveform_statistics
from small_networks import SideInputNetwork, side_input_tagger, small_frontend, small_tagger

CLASSES = ["a", "b", "c"]


def padded_batch():
    """Clips of many lengths, with NaN in the padding."""
    generator = torch.Generator().manual_seed(1)
    lengths = torch.tensor([6000, 1, 100, 224, 3333])
    batch = torch.randn(5, 6000, generator=generator)
    for row, length in enumerate(lengths):
        batch[row, length:] = torch.nan
    return batch, lengths


def test_statistics_and_duration_are_those_of_the_clips():
    batch, lengths = padded_batch()
    side = side_input_tagger().side_inputs(batch, lengths)
    assert list(side) == ["statistics", "duration"]
    assert torch.equal(side["statistics"], waveform_statistics(batch, lengths))
    torch.testing.assert_close(side["duration"], lengths[:, None] / 80_000)  # 10 s at 8 kHz
    assert (side_input_tagger().side_inputs(batch[:, :100])["duration"] == 100 / 80_000).all()


def test_most_networks_have_none():
    tagger, clips = small_tagger("CNN2d, max").eval(), torch.randn(2, 500)
    assert tagger.side_inputs(clips) == {}
    assert CNN2d.side_inputs == ()
    assert torch.equal(tagger(clips, side_inputs={}), tagger(clips))
    assert Tagger(nn.Identity(), nn.Identity()).side_inputs(clips) == {}


@pytest.mark.parametrize("windowed", [False, True])
def test_a_clip_scores_the_same_alone_and_in_a_padded_batch(windowed):
    tagger = side_input_tagger()
    methods = [WindowedTagger(tagger, window=40, hop=20)] if windowed else [tagger, tagger.embed]
    batch, lengths = padded_batch()
    for method in methods:
        together = method(batch, lengths)
        for row, length in enumerate(lengths.tolist()):
            alone = method(batch[row : row + 1, :length])
            torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-5)


def test_given_side_inputs_take_the_place_of_computed_ones():
    tagger, (batch, lengths) = side_input_tagger(), padded_batch()
    side = tagger.side_inputs(batch, lengths)
    for method in (tagger, tagger.embed, WindowedTagger(tagger, window=40, hop=20)):
        expected = method(batch, lengths)
        assert torch.equal(method(batch, lengths, side), expected)
        assert torch.equal(method(batch, lengths, side_inputs={**side, "other": None}), expected)
        changed = {**side, "duration": side["duration"] + 1}
        assert not torch.equal(method(batch, lengths, changed), expected)


def test_augmentation_of_spectrograms_comes_between():
    tagger, (batch, lengths) = side_input_tagger(), padded_batch()
    spectrogram, frames = tagger.spectrogram(batch, lengths)
    side = tagger.side_inputs(batch, lengths)
    assert torch.equal(tagger.backbone(spectrogram, frames, side), tagger(batch, lengths))
    spectrogram, frames = SpecAugment(p=1.0)(spectrogram, frames)
    assert tagger.backbone(spectrogram, frames, side).isfinite().all()


def test_windows_get_the_side_inputs_of_their_whole_clip():
    tagger, (batch, lengths) = side_input_tagger(), padded_batch()
    windowed, seen = WindowedTagger(tagger, window=40, hop=20, batch_size=3), []
    tagger.backbone.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs), with_kwargs=True)
    windowed(batch, lengths)
    durations = torch.cat([kwargs["side_inputs"]["duration"] for kwargs in seen])
    assert durations.unique().tolist() == (lengths / 80_000).sort().values.tolist()
    assert len(durations) > len(lengths)


@pytest.mark.parametrize("batch_size", [1, 64])
def test_segments_get_the_side_inputs_of_their_whole_clip(batch_size):
    tagger, (batch, lengths) = side_input_tagger(), padded_batch()
    segmented = SegmentedTagger(tagger, seconds=0.1, places=["start"], batch_size=batch_size)
    clips = [clip[:length] for clip, length in zip(batch, lengths.tolist(), strict=True)]
    for row, clip in enumerate(clips):
        segment = torch.nn.functional.pad(clip[:800], (0, max(0, 800 - len(clip))))
        side = tagger.side_inputs(clip[None])
        expected = tagger(segment[None], side_inputs=side)
        torch.testing.assert_close(segmented(batch, lengths)[row : row + 1], expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(segmented(segment[None], side_inputs=side), expected, rtol=0, atol=1e-5)


def test_the_second_place_network_is_saved_with_its_side_inputs(tmp_path):
    network = AxisPoolCNN(3, base_depth=4, rnn_units=4)
    tagger = Tagger(small_tagger("AxisPoolCNN").frontend, network, classes=CLASSES).eval()
    batch, lengths = padded_batch()
    batch, lengths = batch[[0, 4]], lengths[[0, 4]]
    tagger.save(tmp_path / "model.pt")
    again = Tagger.load(tmp_path / "model.pt")
    assert again.backbone.side_inputs == ("statistics", "duration")
    together = again(batch, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = tagger(batch[row : row + 1, :length])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-5)
    clips = [batch[0], batch[1, : lengths[1]]]
    torch.testing.assert_close(predict(again, clips), together, rtol=0, atol=1e-5)


def test_prediction_equals_the_tagger_clip_by_clip():
    tagger, (batch, lengths) = side_input_tagger(), padded_batch()
    clips = [clip[:length] for clip, length in zip(batch, lengths.tolist(), strict=True)]
    for model, embed in ((tagger, False), (tagger, True), (WindowedTagger(tagger, window=40, hop=20), False)):
        method = tagger.embed if embed else model
        expected = torch.cat([method(clip[None]) for clip in clips])
        torch.testing.assert_close(predict(model, clips, embed=embed), expected, rtol=0, atol=1e-5)
    scores, _, _ = predict_long(tagger, clips[0], window=0.25, hop=0.125)
    torch.testing.assert_close(scores[1:2], tagger(clips[0][None, 1000:3000]), rtol=0, atol=1e-5)


def test_one_file_restores_the_tagger(tmp_path):
    tagger, (batch, lengths) = side_input_tagger(), padded_batch()
    tagger.save(tmp_path / "model.pt")
    again = Tagger.load(tmp_path / "model.pt", backbone=SideInputNetwork(3))
    assert torch.equal(again(batch, lengths), tagger(batch, lengths))
    again.reset_classifier(["x", "y"])
    assert torch.equal(again.embed(batch, lengths), tagger.embed(batch, lengths))
    assert again(batch, lengths).shape == (5, 2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_side_inputs_have_the_dtype_of_the_backbone(dtype):
    tagger, (batch, lengths) = side_input_tagger(), padded_batch()
    cast, side = copy.deepcopy(tagger).to(dtype), tagger.side_inputs(batch, lengths)
    assert {value.dtype for value in cast.side_inputs(batch, lengths).values()} == {dtype}
    scores = cast(batch, lengths)
    assert scores.dtype == dtype
    torch.testing.assert_close(scores.float(), tagger(batch, lengths), rtol=0.05, atol=0.05)
    assert torch.equal(cast(batch, lengths, side), scores)
    half = batch.nan_to_num(0).half()
    torch.testing.assert_close(
        tagger.side_inputs(half)["statistics"], waveform_statistics(half.float()), rtol=0, atol=0
    )


def test_a_program_adds_a_side_input(monkeypatch):
    class Loudness(nn.Module):
        side_inputs = ("loudness",)

        def forward(self, spectrogram, lengths=None, side_inputs=None):
            return side_inputs["loudness"]

    tagger = Tagger(LogMel(), Loudness())
    with pytest.raises(
        ValueError, match=r"backbone: wanted side inputs among .*, got 'loudness'; .*adds one"
    ):
        tagger(torch.ones(2, 500))
    monkeypatch.setitem(
        SIDE_INPUTS, "loudness", lambda waveform, lengths, rate: waveform.amax(1, keepdim=True)
    )
    assert tagger(torch.ones(2, 500)).tolist() == [[1], [1]]


def test_wrong_names_and_shapes_are_named():
    tagger, clips = side_input_tagger(), torch.randn(2, 500)
    side = tagger.side_inputs(clips)
    for given, error, message in (
        ({"statistic": 0}, ValueError, "side_inputs: wanted 'statistics', 'duration', got 'statistic'"),
        ({}, ValueError, "side_inputs: wanted 'statistics', 'duration', got none"),
        ([1], TypeError, "side_inputs: wanted tensors by name or None, got"),
        ({**side, "duration": 1.0}, TypeError, r"side_inputs\['duration'\]: wanted a torch.Tensor, got"),
        (
            {**side, "duration": torch.ones(3, 1)},
            ValueError,
            r"side_inputs\['duration'\]: wanted 2 rows on cpu",
        ),
        (
            {**side, "statistics": torch.ones(2, 12, 128)},
            ValueError,
            r"side_inputs\['statistics'\]: wanted shape \(2, 128, 12\)",
        ),
    ):
        with pytest.raises(error, match=message):
            tagger(clips, side_inputs=given)
    with pytest.raises(ValueError, match="side_inputs: wanted 'statistics', 'duration', got none"):
        tagger.backbone(tagger.spectrogram(clips)[0])
    with pytest.raises(TypeError, match="lengths: wanted integers"):
        tagger.side_inputs(clips, torch.ones(2))


def test_a_frontend_without_a_sample_rate_cannot_give_durations():
    class Bare(nn.Module):
        def forward(self, waveform):
            return waveform[:, None].expand(-1, 12, -1)

    tagger = Tagger(Bare(), SideInputNetwork(3))
    with pytest.raises(ValueError, match="sample_rate: wanted a frontend that has one"):
        tagger(torch.randn(2, 500))


def axis_pool_tagger(monkeypatch):
    """The second-place network with few windows, because exporters take each step of a GRU on its own."""
    few = partial(waveform_statistics, windows=2)
    monkeypatch.setitem(SIDE_INPUTS, "statistics", lambda waveform, lengths, _: few(waveform, lengths))
    torch.manual_seed(0)
    frontend = small_frontend("DecibelMel", transform="matmul", ref="max", pad_mode="same")
    tagger = Tagger(frontend, AxisPoolCNN(3, base_depth=2, rnn_units=2), classes=CLASSES)
    tagger(torch.randn(4, 2000))  # for the running statistics
    return tagger.eval()


@pytest.mark.skipif(
    torch.__version__.startswith("2.7."), reason="torch 2.7 cannot export this with dynamic sizes"
)
@pytest.mark.slow
def test_programs_score_any_batch_and_length(tmp_path, monkeypatch):
    tagger = axis_pool_tagger(monkeypatch)
    program = export.exported(tagger, with_lengths=True)
    export.write_onnx(program, tagger, tmp_path / "tagger.onnx")
    for run in (program.module(), export.onnx_runner(tmp_path / "tagger.onnx")):
        for batch, samples in ((1, 40), (2, 33), (1, 4000), (5, 1234)):
            waveform, lengths = export.inputs(batch, samples, True)
            for row, clip, length in zip(run(waveform, lengths), waveform, lengths.tolist(), strict=True):
                assert (row - tagger(clip[None, :length])[0]).abs().max() < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("given", [False, True])
def test_a_tagger_compiles_into_one_graph(given):
    torch.compiler.reset()
    tagger, clips, lengths = side_input_tagger(), torch.randn(3, 700), torch.tensor([700, 200, 33])
    side = (tagger.side_inputs(clips, lengths),) if given else ()
    compiled = torch.compile(tagger, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(clips, lengths, *side), tagger(clips, lengths, *side))
