"""Rules for all effects: draws, padding, edge cases, and errors that name the argument."""

import math

import pytest
import torch

from rankaudio.effects import (
    AddNoise,
    Gain,
    Overdrive,
    PitchShift,
    Reverb,
    Speed,
    Tempo,
    ThirdPlaceEffects,
    add_noise,
    gain,
    overdrive,
    pitch_shift,
    reverb,
    speed,
    tempo,
)
from rankaudio.lengths import length_mask

MODULES = {
    "noise": AddNoise,
    "gain": Gain,
    "overdrive": Overdrive,
    "reverb": Reverb,
    "pitch shift": PitchShift,
    "speed": Speed,
    "tempo": Tempo,
    "third place": ThirdPlaceEffects,
}
FUNCTIONS = {
    "gain": (gain, {"decibels": -3.0}),
    "overdrive": (overdrive, {"decibels": 9.0, "colour": 30.0}),
    "reverb": (reverb, {"reverberance": 30.0, "stereo_depth": 40.0, "room_scale": 20.0}),
    "pitch shift": (pitch_shift, {"cents": 130.0}),
    "speed": (speed, {"factor": 0.93}),
    "tempo": (tempo, {"factor": 1.07}),
}
WITH_NOISE = {**FUNCTIONS, "noise": (add_noise, {"noise": torch.linspace(-1, 1, 70), "snr": 10.0})}
every_module = pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
every_function = pytest.mark.parametrize(("function", "settings"), FUNCTIONS.values(), ids=FUNCTIONS)
with_noise = pytest.mark.parametrize(("function", "settings"), WITH_NOISE.values(), ids=WITH_NOISE)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int) -> torch.Tensor:
    return 0.1 * torch.randn(shape, generator=seeded())


def uneven(clips: torch.Tensor) -> torch.Tensor:
    """Return a silent start, then a tone, then the tone with noise."""
    time = torch.arange(clips.shape[1]) / 44100
    tone = 0.3 * torch.sin(2 * torch.pi * 440 * time)
    late = (time > 0.3) * 0.5
    return (tone + late * clips) * (time > 0.05)


@every_module
def test_draws_repeat_and_stay_in_their_ranges(module):
    effect = module(p=0.5)
    draw, again, other = (effect.draw(torch.zeros(500, 1), generator=seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(draw["chosen"], again["chosen"])
    assert 200 < draw["chosen"].sum() < 300
    assert list(draw) == ["chosen", *effect.ranges]
    for name, (low, high) in effect.ranges.items():
        values = draw[name]
        assert torch.equal(values, again[name])
        assert low <= values.min() <= values.max() <= high
        if low < high:
            assert values.unique().numel() > 7
            assert not torch.equal(values, other[name])


def test_an_integer_stays_in_its_range_if_a_draw_is_rounded_up(monkeypatch):
    def largest(count, low, high, *, device, generator):
        return torch.full((count,), high, device=device, dtype=torch.float64)

    monkeypatch.setattr("rankaudio._random.uniform", largest)
    effects = ThirdPlaceEffects(p=1.0)
    drawn = effects.draw(torch.zeros(3, 1))
    assert {name: drawn[name].tolist() for name in effects.ranges} == {
        name: [high] * 3 for name, (_, high) in effects.ranges.items()
    }


def test_third_place_effects_draw_integers_up_to_both_ends():
    drawn = ThirdPlaceEffects().draw(torch.zeros(20000, 1), generator=seeded())
    for name in ("reverberance", "room_scale", "stereo_depth"):
        assert drawn[name].unique().tolist() == list(range(50))
    assert drawn["decibels"].unique().tolist() == list(range(2, 10))
    assert drawn["cents"].unique().tolist() == list(range(-300, 300))
    assert 0.9 <= drawn["factor"].min() < 0.901
    assert 1.099 < drawn["factor"].max() <= 1.1


@every_module
def test_a_draw_can_be_replayed(module):
    effect, clips, lengths = module(p=0.5), noise(6, 6000), torch.tensor([6000, 5999, 3000, 1, 6000, 40])
    ours = effect(clips, lengths, generator=seeded(5))
    again = effect.replay(clips, effect.draw(clips, lengths, generator=seeded(5)), lengths)
    assert torch.equal(ours[0], again[0])
    assert torch.equal(ours[1], again[1])


@every_module
def test_clips_not_chosen_stay_as_they_are(module):
    effect, clips, lengths = module(p=0.5), noise(4, 5000), torch.tensor([5000, 700, 5000, 700])
    draw = effect.draw(clips, generator=seeded(1))
    chosen = torch.tensor([True, True, False, False])
    changed, new = effect.replay(clips, draw | {"chosen": chosen}, lengths)
    assert torch.equal(changed[2, :5000], clips[2])
    assert torch.equal(changed[3, :700], clips[3, :700])
    assert not changed[3, 700:].any()
    assert new[2:].tolist() == [5000, 700]
    assert not torch.equal(changed[0, :5000], clips[0])


@every_module
def test_p_zero_and_eval_return_the_input_itself(module):
    clips, lengths = noise(2, 50), torch.tensor([50, 3])
    for effect in (module(p=0.0), module(p=1.0).eval()):
        result = effect(clips, lengths)
        assert result[0] is clips
        assert result[1] is lengths
        assert effect(clips)[1] is None


def test_third_place_effects_are_four_effects_in_order():
    effects = ThirdPlaceEffects(p=1.0)
    clips, lengths = noise(3, 9000), torch.tensor([9000, 5000, 400])
    drawn = effects.draw(clips, generator=seeded())
    room = {name: drawn[name] for name in ("reverberance", "room_scale", "stereo_depth")}
    x, _ = reverb(clips, lengths, **room)
    x, _ = pitch_shift(x, lengths, cents=drawn["cents"])
    x, _ = overdrive(x, lengths, decibels=drawn["decibels"], colour=20)
    x, new = speed(x, lengths, factor=drawn["factor"], size=10000)
    ours = effects.replay(clips, drawn, lengths)
    torch.testing.assert_close(ours[0], x, rtol=0, atol=1e-5)
    assert torch.equal(ours[1], new)


@every_module
@pytest.mark.parametrize("kind", ["noise", "uneven"])
def test_a_clip_alone_and_in_a_padded_batch_is_the_same(module, kind):
    effect = module(p=1.0)
    # Vector instructions compute four rows of impulse responses at a time. A fifth row takes another path.
    clips = noise(5, 30000) if kind == "noise" else uneven(noise(5, 30000))
    lengths = torch.tensor([30000, 20001, 9000, 29999, 12345])
    draw = effect.draw(clips, generator=seeded(2))
    together, new = effect.replay(clips, draw, lengths)
    for row, length in enumerate(lengths.tolist()):
        own = {name: value[[row]] for name, value in draw.items()}
        alone, own_length = effect.replay(clips[[row], :length], own, lengths[[row]])
        end = int(own_length)
        assert end == int(new[row])
        torch.testing.assert_close(together[row, :end], alone[0, :end], rtol=0, atol=1e-5)
        assert not together[row, end:].any()
        assert not alone[0, end:].any()


@every_function
def test_padding_has_no_influence(function, settings):
    clips, lengths = noise(2, 3000), torch.tensor([3000, 1200])
    spoiled = clips.clone()
    spoiled[1, 1200:] = torch.nan
    ours = function(spoiled, lengths, **settings)[0]
    assert torch.equal(ours, function(clips, lengths, **settings)[0])


@every_module
@pytest.mark.parametrize("tracked", [False, True])
def test_padding_has_no_influence_on_modules(module, tracked):
    effect, clips, lengths = module(p=0.5), noise(4, 3000), torch.tensor([3000, 1200, 900, 2500])
    draw = effect.draw(clips, generator=seeded(1)) | {"chosen": torch.tensor([True, True, False, False])}
    spoiled = clips.masked_fill(~length_mask(lengths, 3000), torch.nan).requires_grad_(tracked)
    ours, after = effect.replay(spoiled, draw, lengths)
    assert torch.equal(ours, effect.replay(clips.requires_grad_(tracked), draw, lengths)[0])
    assert not ours[~length_mask(after, ours.shape[1])].any()


@with_noise
@pytest.mark.parametrize("tracked", [False, True])
@pytest.mark.parametrize("ends", [[400], [400, 400], [400, 7, 1]], ids=str)
def test_a_batch_that_is_longer_than_its_clips_keeps_its_size(function, settings, ends, tracked):
    clips, lengths = noise(len(ends), 500).requires_grad_(tracked), torch.tensor(ends)
    ours, after = function(clips, lengths, **settings)
    assert ours.shape[1] == function(clips, None, **settings)[0].shape[1]
    shorter, _ = function(clips[:, :400], lengths, **settings)
    torch.testing.assert_close(ours[:, : shorter.shape[1]], shorter, rtol=0, atol=1e-6)
    assert not ours[~length_mask(after, ours.shape[1])].any()


@with_noise
@pytest.mark.parametrize("lengths", [None, torch.zeros(0, dtype=torch.long)], ids=["", "with lengths"])
def test_an_empty_batch_has_the_samples_of_a_full_one(function, settings, lengths):
    some = function(noise(1, 50), None, **settings)[0]
    none, after = function(noise(1, 50)[:0], lengths, **settings)
    assert none.shape == (0, some.shape[1])
    assert after is None or len(after) == 0


@pytest.mark.parametrize("function", [overdrive, speed])
def test_constants_from_inference_mode_serve_gradients(function):
    """Constants are stored at the first call, and a tensor of inference mode has no gradients."""
    settings = {"factor": 0.9} if function is speed else {}
    clip = noise(1, 700).double()
    with torch.inference_mode():
        function(clip, **settings)
    clip = clip.requires_grad_()
    (slope,) = torch.autograd.grad(function(clip, **settings)[0].sum(), clip)
    assert slope.isfinite().all()


@every_function
@pytest.mark.parametrize("samples", [1, 2, 4000])
@pytest.mark.parametrize("kind", ["silence", "square", "full scale"])
def test_edge_cases_are_finite_with_finite_gradients(function, settings, samples, kind):
    clip = {
        "silence": torch.zeros(1, samples),
        "square": (torch.arange(samples) % 100 < 50).float()[None] * 2 - 1,
        "full scale": torch.ones(1, samples),
    }[kind].requires_grad_()
    result, _ = function(clip, **settings)
    assert result.isfinite().all()
    if kind == "silence" and function is not overdrive:
        assert not result.any()
    result.square().sum().backward()
    assert clip.grad.isfinite().all()


@every_function
def test_result_is_the_same_with_and_without_gradients(function, settings):
    """With gradients the computation may take another path."""
    clip = noise(2, 3000)
    plain, _ = function(clip, **settings)
    tracked, _ = function(clip.clone().requires_grad_(), **settings)
    torch.testing.assert_close(tracked.detach(), plain, rtol=0, atol=1e-6)


@every_function
def test_chunks_of_a_batch_give_the_result_of_the_batch(function, settings, monkeypatch):
    clips = noise(5, 3000)
    whole, _ = function(clips, **settings)
    monkeypatch.setattr("rankaudio.effects._chunks.CHUNK_SAMPLES", 6000)
    torch.testing.assert_close(function(clips, **settings)[0], whole, rtol=0, atol=1e-6)


@every_function
def test_one_number_is_a_tensor_of_that_number(function, settings):
    clips = noise(2, 3000)
    each = {name: torch.full((2,), value) for name, value in settings.items()}
    exact = {name: torch.full((2,), value, dtype=torch.float64) for name, value in settings.items()}
    whole, _ = function(clips, **settings)
    torch.testing.assert_close(function(clips, **exact)[0], whole, rtol=0, atol=1e-6)
    assert function(clips, **each)[0].shape == whole.shape


@every_function
@pytest.mark.parametrize(
    ("clips", "lengths", "error", "message"),
    [
        (torch.zeros(9), None, ValueError, r"waveform: wanted shape \(B, T\) \(a single clip is"),
        (torch.zeros(2, 0), None, ValueError, "waveform: wanted at least one sample"),
        (torch.zeros(2, 9).int(), None, TypeError, "waveform: wanted a floating-point tensor"),
        (torch.zeros(2, 9), torch.tensor([9]), ValueError, r"lengths: wanted shape \(2,\)"),
        (torch.zeros(2, 9), torch.tensor([9, 10]), ValueError, "lengths: wanted values from 1 to 9, got 10"),
        (torch.zeros(2, 9), torch.tensor([9.0, 1.0]), TypeError, "lengths: wanted integers"),
    ],
)  # fmt: skip
def test_bad_clips_are_named(function, settings, clips, lengths, error, message):
    with pytest.raises(error, match=message):
        function(clips, lengths, **settings)


@every_function
def test_bad_parameters_are_named(function, settings):
    clips = torch.zeros(2, 40)
    for name in settings:
        for value, error, message in [
            ("much", TypeError, f"{name}: wanted a number, got 'much'"),
            (1e9, ValueError, f"{name}: wanted a finite number from .* got 1000000000.0"),
            (torch.zeros(3), ValueError, rf"{name}: wanted shape \(2,\)"),
            (torch.tensor([True, False]), TypeError, f"{name}: wanted a number or a tensor of real numbers"),
            (torch.tensor([1.0, math.nan]), ValueError, f"{name}: wanted finite values from .* got nan"),
            (torch.zeros(2, device="meta"), ValueError, f"{name}: wanted a tensor on cpu"),
        ]:
            with pytest.raises(error, match=message):
                function(clips, **{**settings, name: value})


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Gain(p=1.5), ValueError, "p: wanted a finite number from 0 to 1, got 1.5"),
        (lambda: Gain(decibels=3.0), TypeError, "decibels: wanted two numbers"),
        (lambda: Overdrive(colour=(30, 20)), ValueError, "colour: wanted .* ascending"),
        (lambda: Reverb(room_scale=(0, 101)), ValueError, "room_scale: wanted a finite number from 0 to 100"),
        (lambda: Reverb(sample_rate=44100.0), TypeError, "sample_rate: wanted an integer"),
        (lambda: PitchShift(n_fft=1022), ValueError, "n_fft: wanted a multiple of 6, got 1022"),
        (lambda: Speed(factor=(0, 1)), ValueError, "factor: wanted a finite number from 0.1 to 10, got 0"),
        (lambda: Tempo(n_fft=8), ValueError, "n_fft: wanted an integer >= 16"),
        (lambda: Gain().draw(torch.zeros(5)), ValueError, "waveform: wanted shape .B, T."),
        (lambda: speed(torch.zeros(1, 9), factor=1.0, size=0), ValueError, "size: wanted an integer >= 1"),
        (
            lambda: reverb(torch.zeros(1, 9), tail=-1.0),
            ValueError,
            "tail: wanted a finite number from 0 to 3600",
        ),
    ],
)
def test_bad_settings_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def replay_as_on_an_accelerator(effect, waveform, draw, lengths, monkeypatch):
    """Replay on the path that reads no values, which computes all clips."""
    monkeypatch.setattr("rankaudio.effects._base.can_read", lambda _: False)
    return effect.replay(waveform, draw, lengths)


@pytest.mark.slow
@every_module
@pytest.mark.parametrize("with_lengths", [True, False])
def test_a_cpu_computes_only_the_chosen_clips_with_the_same_result(module, with_lengths, monkeypatch):
    monkeypatch.setattr("rankaudio.effects._base._GROUP_SAMPLES", 9000)
    effect = module(p=0.6)
    waveform, lengths = (
        uneven(noise(9, 4000)).double(),
        torch.tensor([4000, 90, 2000, 1, 3999, 1500, 700, 701, 90]),
    )
    if not with_lengths:
        lengths = None
    draw = effect.draw(waveform, lengths, generator=seeded())
    assert 2 < draw["chosen"].sum() < 8
    seen = []
    change = effect._change

    def counted(clips, some_lengths, parameters):
        seen.append(clips.shape)
        return change(clips, some_lengths, parameters)

    effect._change = counted
    ours = effect.replay(waveform, draw, lengths)
    if module is not Gain:  # which multiplies every clip, by 1 if it is not chosen
        assert sum(rows for rows, _ in seen) == draw["chosen"].sum()
    if with_lengths:
        assert sum(rows * samples for rows, samples in seen) < 1.5 * lengths[draw["chosen"]].sum()
    expected = replay_as_on_an_accelerator(effect, waveform, draw, lengths, monkeypatch)
    torch.testing.assert_close(ours[0], expected[0], rtol=0, atol=1e-9)
    assert (ours[1] is None) == (expected[1] is None)
    if ours[1] is not None:
        assert torch.equal(ours[1], expected[1])


@every_module
@pytest.mark.parametrize(
    "lengths", [None, torch.tensor([500, 20, 1])], ids=["without lengths", "with lengths"]
)
@pytest.mark.parametrize("p", [0.5, 1.0])
def test_without_chosen_clips_the_result_is_the_padded_batch(module, lengths, p, monkeypatch):
    effect, waveform = module(p=p), noise(3, 500)
    draw = effect.draw(waveform, generator=seeded()) | {"chosen": torch.zeros(3, dtype=torch.bool)}
    ours, after = effect.replay(waveform, draw, lengths)
    wanted = waveform if lengths is None else waveform * length_mask(lengths, 500)
    assert torch.equal(ours[:, :500], wanted)
    assert not ours[:, 500:].any()
    expected, expected_after = replay_as_on_an_accelerator(effect, waveform, draw, lengths, monkeypatch)
    assert torch.equal(ours, expected)
    assert (after is None and expected_after is None) or torch.equal(after, expected_after)
