"""predict and predict_long: order of the clips, bounded batches, bad clips, windows of a recording."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import Dataset

from rankaudio import CNN2d, LogMel, Tagger, predict, predict_long
from small_networks import every_network, used_tagger

LENGTHS = [3000, 1, 20_000, 512, 3001, 45_000, 20_000, 7]


@pytest.fixture(scope="module")
def tagger():
    torch.manual_seed(0)
    model = Tagger(LogMel(), CNN2d(3, base_depth=4))
    model(torch.randn(4, 20_000))
    return model.eval()


@pytest.fixture(scope="module")
def clips():
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(length, generator=generator) for length in LENGTHS]


class Recorder(nn.Module):
    """Scores that are sums over each clip, and a record of the batches."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def forward(self, waveform, lengths=None):
        self.batches.append((tuple(waveform.shape), lengths))
        assert torch.is_inference_mode_enabled()
        return waveform.sum(1, keepdim=True)


@pytest.mark.parametrize("workers", [0, 2])
def test_scores_equal_those_of_each_clip_alone_in_order(tagger, clips, workers):
    scores = predict(tagger, clips, max_samples=50_000, workers=workers)
    with torch.no_grad():
        alone = torch.cat([tagger(clip[None]) for clip in clips])
    torch.testing.assert_close(scores, alone, rtol=0, atol=1e-5)
    assert not scores.is_inference()


def test_embeddings_equal_those_of_each_clip_alone_in_order(tagger, clips):
    embeddings = predict(tagger, clips, embed=True, max_samples=50_000)
    with torch.no_grad():
        alone = torch.cat([tagger.embed(clip[None]) for clip in clips])
        scores = tagger.backbone.classifier(embeddings)
    torch.testing.assert_close(embeddings, alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(scores, predict(tagger, clips, max_samples=50_000), rtol=0, atol=1e-5)
    assert predict(tagger, [], embed=True).shape == (0, embeddings.shape[1])


def test_windows_have_embeddings_too(tagger, clips):
    found = predict_long(tagger, clips[5], window=0.5, hop=0.25, embed=True)
    windows = [clip for _, clip in windows_by_hand(clips[5], 22_050, 11_025)]
    assert torch.equal(found.scores, predict(tagger, windows, embed=True))
    assert len(found.starts) == len(windows)


def test_embeddings_need_a_tagger_with_that_method(clips):
    with pytest.raises(TypeError, match="tagger: wanted a Module with a method embed, got Recorder"):
        predict(Recorder(), clips, embed=True)


# In standard deviations of the scores; test_tagger.py says what was measured.
@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float16, 0.03), (torch.bfloat16, 0.3)])
@every_network
def test_taggers_in_half_precision_predict(name, dtype, allowed):
    tagger, half = used_tagger(name), used_tagger(name).to(dtype)
    clips = [torch.randn(length) for length in (3000, 200, 1500, 3000)]
    for batch in (clips, [clip.to(dtype) for clip in clips]):
        expected = predict(tagger, [clip.float() for clip in batch])
        scores = predict(half, batch)
        assert scores.dtype == torch.float32
        torch.testing.assert_close(scores, expected, rtol=0, atol=allowed * float(expected.std()))


def test_batches_keep_the_budget_and_the_longest_goes_first(clips):
    recorder = Recorder()
    scores = predict(recorder, clips, max_samples=40_000)
    torch.testing.assert_close(
        scores, torch.stack([clip.sum() for clip in clips])[:, None], rtol=1e-4, atol=1e-3
    )
    sizes = [shape[0] * shape[1] for shape, _ in recorder.batches]
    assert sizes[0] == 45_000  # longer than the budget, and alone
    assert all(size <= 40_000 for size in sizes[1:])
    widths = [shape[1] for shape, _ in recorder.batches]
    assert widths == sorted(widths, reverse=True)
    assert any(lengths is None for _, lengths in recorder.batches)  # where no clip is padded


class Pairs(Dataset):
    """A labelled data set with one bad clip, and with lengths."""

    lengths = torch.tensor([10, 20, 30])

    def __len__(self):
        return 3

    def __getitem__(self, index):
        if index == 1:
            raise OSError("b.wav: broken")
        return torch.ones(int(self.lengths[index])), torch.tensor([1.0])


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_clip_costs_its_own_row_only(workers):
    bad = []
    scores = predict(Recorder(), Pairs(), workers=workers, on_error=lambda *error: bad.append(error))
    assert scores[[0, 2]].tolist() == [[10.0], [30.0]]
    assert scores[1].isnan().all()
    assert [(index, str(error)) for index, error in bad] == [(1, "b.wav: broken")]
    with pytest.raises(OSError, match="broken"):
        predict(Recorder(), Pairs(), workers=workers)


def test_progress_counts_to_the_end(clips):
    seen = []
    predict(Recorder(), clips, max_samples=40_000, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (8, 8)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_every_process_scores_all_clips(tagger, clips, monkeypatch):
    """The sampler splits training batches over the ranks; predict must not."""
    expected = predict(tagger, clips)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    assert torch.equal(predict(tagger, clips), expected)


def test_modes_are_as_before(tagger, clips):
    tagger.train()
    tagger.backbone.blocks[0].eval()
    predict(tagger, clips[:2])
    assert tagger.training
    assert not tagger.backbone.blocks[0].training
    tagger.eval()


def test_no_clips_have_no_scores(tagger):
    assert predict(tagger, []).shape == (0, 3)
    assert predict(Recorder(), []).shape == (0, 0)


@pytest.mark.parametrize(
    ("clips", "settings", "error", "message"),
    [
        ([torch.zeros(2, 5)], {}, ValueError, r"clips\[0\]: wanted shape \(T,\)"),
        ([torch.zeros(5), torch.zeros(0)], {}, ValueError, r"clips\[1\]: wanted shape \(T,\) with T from 1"),
        (["a.wav"], {}, TypeError, r"clips\[0\]: wanted a torch.Tensor, got 'a.wav'"),
        (iter([]), {}, TypeError, "clips: wanted waveforms or a dataset with a length"),
        ([torch.zeros(5)], {"lengths": [5, 5]}, ValueError, "lengths: wanted 1, one for each clip, got 2"),
        ([torch.zeros(5)], {"max_samples": 0}, ValueError, "max_samples: wanted an integer >= 1, got 0"),
        ([torch.zeros(5)], {"workers": -1}, ValueError, "workers: wanted an integer from 0 to 1024, got -1"),
    ],
)
def test_bad_input_is_named(clips, settings, error, message):
    with pytest.raises(error, match=message):
        predict(Recorder(), clips, **settings)


def test_nan_in_a_clip_stays_in_its_row(tagger):
    clips = [torch.randn(5000, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    spoiled = [clips[0], clips[1].clone(), clips[2]]
    spoiled[1][2000] = torch.nan
    scores, wanted = predict(tagger, spoiled), predict(tagger, clips)
    assert scores[1].isnan().all()
    assert torch.equal(scores[[0, 2]], wanted[[0, 2]])


def windows_by_hand(waveform, window, hop):
    """Cut windows one after the other until one reaches the end. Return pairs of first sample and window."""
    cut, start = [], 0
    while start < len(waveform):
        cut.append((start, waveform[start : start + window]))
        if start + window >= len(waveform):
            break
        start += hop
    return cut


@given(total=st.integers(1, 300), window=st.integers(1, 90), hop=st.integers(1, 120))
def test_windows_are_those_cut_by_hand(total, window, hop):
    waveform = torch.arange(1.0, total + 1)
    by_hand = windows_by_hand(waveform, window, hop)
    scores, starts, ends = predict_long(
        Recorder(), waveform, window=window / 100, hop=hop / 100, sample_rate=100
    )
    assert scores[:, 0].tolist() == [float(clip.sum()) for _, clip in by_hand]
    assert starts.tolist() == [start / 100 for start, _ in by_hand]
    assert ends.tolist() == [(start + len(clip)) / 100 for start, clip in by_hand]
    assert starts.dtype == ends.dtype == torch.float64


@pytest.mark.parametrize("total", [50_000, 44_100, 44_101, 3000, 1])
def test_scores_of_windows_are_those_of_predict_on_them(tagger, total):
    waveform = torch.randn(total, generator=torch.Generator().manual_seed(2))
    clips = [clip for _, clip in windows_by_hand(waveform, 11_025, 4410)]
    scores, starts, _ = predict_long(tagger, waveform, window=0.25, hop=0.1, max_samples=30_000)
    assert torch.equal(scores, predict(tagger, clips, max_samples=30_000))
    with torch.no_grad():
        alone = torch.cat([tagger(clip[None]) for clip in clips])
    torch.testing.assert_close(scores, alone, rtol=0, atol=1e-5)
    assert len(starts) == len(clips)


def test_long_recordings_go_in_batches_with_progress():
    recorder, seen = Recorder(), []
    waveform = torch.ones(10_050)
    scores, _, _ = predict_long(
        recorder,
        waveform,
        window=1.0,
        hop=0.5,
        sample_rate=100,
        max_samples=1000,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert scores[:, 0].tolist() == [100.0] * 200
    assert max(shape[0] * shape[1] for shape, _ in recorder.batches) <= 1000
    assert seen[-1] == (200, 200)
    assert len(seen) == len(recorder.batches) == 20


def test_sample_rate_is_the_taggers_unless_given(tagger):
    waveform = torch.zeros(20_000)
    assert predict_long(tagger, waveform, window=0.25, hop=0.1).starts.tolist() == [0, 0.1, 0.2, 0.3]
    other = predict_long(tagger, waveform, window=0.5, hop=0.5, sample_rate=22_050).starts
    assert other.tolist() == [0, 0.5]


SETTINGS = {"window": 1.0, "hop": 0.5, "sample_rate": 100}


@pytest.mark.parametrize(
    ("waveform", "settings", "error", "message"),
    [
        ([0.0], {}, TypeError, r"waveform: wanted a torch.Tensor or a path, got \[0.0\]"),
        (torch.zeros(9, dtype=torch.int16), {}, TypeError, "waveform: wanted a floating-point tensor"),
        (torch.zeros(1, 9), {}, ValueError, "waveform: wanted 1 axes"),
        (torch.zeros(0), {}, ValueError, r"waveform: wanted shape \(T,\) with T from 1"),
        (
            torch.zeros(9),
            {"window": 0.0},
            ValueError,
            "window: wanted at least one sample of 1/100 s, got 0.0",
        ),
        (torch.zeros(9), {"hop": 0.004}, ValueError, "hop: wanted at least one sample of 1/100 s, got 0.004"),
        (torch.zeros(9), {"hop": -1}, ValueError, "hop: wanted a finite number >= 0, got -1"),
        (torch.zeros(9), {"window": float("inf")}, ValueError, "window: wanted a finite number"),
        (torch.zeros(9), {"window": "1"}, TypeError, "window: wanted a number, got '1'"),
        (torch.zeros(9), {"sample_rate": 44.1}, TypeError, "sample_rate: wanted an integer, got 44.1"),
        (
            torch.zeros(9),
            {"sample_rate": None},
            ValueError,
            "sample_rate: wanted a number, as Recorder has none",
        ),
    ],
)
def test_bad_recordings_and_windows_are_named(waveform, settings, error, message):
    with pytest.raises(error, match=message):
        predict_long(Recorder(), waveform, **{**SETTINGS, **settings})
