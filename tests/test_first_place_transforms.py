"""The first-place system's crops, masks and mixers for given draws; channels, and groups of partners."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from rankaudio import Chain
from rankaudio._fill import fill_values
from rankaudio.masking import (
    PadOrCrop,
    RandomCrop,
    RandomResizedCrop,
    ShuffleChunks,
    SpecAugment,
    centre_crop,
    frame_windows,
    pad_or_crop,
    spec_augment,
)
from rankaudio.mixing import ORMixup, RandomMixer, SigmoidConcatMixup, WeightedMixup
from rankaudio.spectral import DeltaChannels

FOLDER = Path(__file__).parent / "golden"
TRANSFORMS, MIXERS = np.load(FOLDER / "argus_transforms.npz"), np.load(FOLDER / "argus_mixers.npz")
MIXER_MODULES = {
    "concat": lambda: SigmoidConcatMixup(p=1.0),
    "weighted": lambda: WeightedMixup(p=1.0),
    "random": lambda: RandomMixer([(SigmoidConcatMixup(p=1.0), 0.6), (WeightedMixup(p=1.0), 0.4)]),
}
AUGMENTATIONS = {
    "pad or crop": lambda: PadOrCrop(size=12, fill="minimum", wrap=0.5),
    "pad with the mean": lambda: PadOrCrop(size=30, fill="mean"),
    "crop": lambda: RandomCrop(size=8),
    "shuffle": lambda: ShuffleChunks(chunk_length=4, p=1.0),
    "resized crop": lambda: RandomResizedCrop(p=1.0),
    "masks": lambda: SpecAugment(p=1.0, frequency=0.9, time=0.9, fill="mean"),
}


def tensor(golden, name):
    values = golden[name]
    return torch.from_numpy(values if values.dtype.kind == "i" else values.astype(np.float32))


def image(name):
    return tensor(TRANSFORMS, name)[None]


def seed(number):
    return torch.Generator().manual_seed(number)


def masks(rows):
    """From the original's rows (width and first bin, width and first frame) to a draw of SpecAugment."""
    rows = torch.as_tensor(rows)
    names = ("frequency_width", "frequency_start", "time_width", "time_start")
    return {name: rows[None, :, column] for column, name in enumerate(names)}


def box(row):
    """From the original's bin, frame, height and width to a draw of RandomResizedCrop."""
    names = ("bottom", "start", "height", "width")
    return {name: torch.tensor([value]) for name, value in zip(names, row.tolist(), strict=True)}


@pytest.mark.parametrize("frames", [32, 101, 256])
@pytest.mark.parametrize(("kind", "wrapped"), [("constant", False), ("wrap", True)])
def test_padding_equals_the_original(frames, kind, wrapped):
    pad = PadOrCrop(size=256, fill="minimum")
    draw = {"start": torch.tensor([0]), "wrapped": torch.tensor([wrapped])}
    ours, _ = pad.replay(image(f"pad{frames}_image"), draw)
    assert torch.equal(ours, image(f"pad{frames}_{kind}"))


@pytest.mark.parametrize("frames", [256, 257, 300, 301])
def test_the_centre_crop_starts_where_the_originals_does(frames):
    start = int(TRANSFORMS[f"center{frames}_start"])
    ours, _ = centre_crop(torch.arange(float(frames))[None, None], size=256)
    assert ours[0, 0].tolist() == list(range(start, start + 256))


def test_the_centre_crop_of_a_short_clip_is_padded_as_in_training():
    ours, _ = centre_crop(image("pad101_image"), size=256, fill="minimum")
    assert torch.equal(ours, image("pad101_constant"))


def test_the_centre_crop_is_that_of_each_clip():
    clips, lengths = torch.randn(4, 5, 40), torch.tensor([40, 21, 8, 1])
    for row, length in enumerate(lengths):
        clips[row, :, length:] = math.nan
    together, new_lengths = centre_crop(clips, lengths, size=20, fill="mean")
    assert new_lengths.tolist() == [20] * 4
    for row, length in enumerate(lengths.tolist()):
        alone, none = centre_crop(clips[row : row + 1, :, :length], size=20, fill="mean")
        torch.testing.assert_close(together[row : row + 1], alone)
        assert none is None


@pytest.mark.parametrize("number", [0, 1, 2])
def test_masks_equal_the_original(number):
    ours, _ = SpecAugment().replay(image("spec_image"), masks(TRANSFORMS[f"spec{number}_draws"]))
    assert torch.equal(ours, image(f"spec{number}_out"))


@pytest.mark.parametrize("number", [0, 1, 2])
def test_resized_crops_equal_the_original(number):
    row = TRANSFORMS["resize_boxes_bin_frame_height_width"][number]
    ours, _ = RandomResizedCrop().replay(image("spec_image"), box(row))
    torch.testing.assert_close(ours, image(f"resize{number}_out"), rtol=0, atol=1e-5)


def mixed_by(mixer, **draw):
    """Mix the first three pictures of one batch with the other three."""
    clips = torch.cat([tensor(MIXERS, "image"), tensor(MIXERS, "other")])
    target = torch.cat([tensor(MIXERS, "target"), tensor(MIXERS, "other_target")])
    draw["partner"] = torch.tensor([3, 4, 5, 3, 4, 5])
    mixed, labels, _ = mixer.replay(clips, target, draw)
    return mixed[:3], labels[:3]


def test_sigmoid_concat_of_three_channels_equals_the_original():
    radius = tensor(MIXERS, "radius").repeat(2)
    mixed, labels = mixed_by(SigmoidConcatMixup(), radius=radius, position=torch.full((6,), 0.5))
    torch.testing.assert_close(mixed, tensor(MIXERS, "concat_image"), rtol=0, atol=1e-5)
    torch.testing.assert_close(labels, tensor(MIXERS, "concat_target"), rtol=0, atol=1e-6)


def test_weighted_mixup_of_three_channels_equals_the_original():
    mixed, labels = mixed_by(WeightedMixup(), alpha=tensor(MIXERS, "alpha").repeat(2))
    torch.testing.assert_close(mixed, tensor(MIXERS, "add_image"), rtol=0, atol=1e-5)
    torch.testing.assert_close(labels, tensor(MIXERS, "add_target"), rtol=0, atol=1e-6)


def test_the_fade_equals_the_original_for_every_radius():
    shares = tensor(MIXERS, "mask_T256_radius3to12")
    clips = torch.cat([torch.ones(10, 1, 256), torch.zeros(10, 1, 256)])
    draw = {"partner": torch.arange(10, 30) % 20, "radius": torch.arange(20) % 10 + 3.0}
    draw["position"] = torch.full((20,), 0.5)
    mixed, *_ = SigmoidConcatMixup().replay(clips, torch.zeros(20, 1), draw)
    torch.testing.assert_close(mixed[:10, 0], shares, rtol=0, atol=1e-6)


def test_the_whole_training_chain_equals_the_original():
    """At the real size: wrap to 256 frames, resized crop, two masks, derivatives."""
    golden = np.load(FOLDER / "argus_chain.npz")
    chain = Chain(
        {
            "pad": PadOrCrop(size=256, fill="minimum"),
            "crop": RandomResizedCrop(),
            "masks": SpecAugment(fill="minimum"),
            "deltas": DeltaChannels(),
        }
    )
    record = {
        "pad": {"start": torch.tensor([int(golden["start"])]), "wrapped": torch.tensor([True])},
        "crop": box(golden["box_bin_frame_height_width"]),
        "masks": masks(golden["masks_binwidth_bin_framewidth_frame"]),
        "deltas": {},
    }
    picture = tensor(golden, "image")[None] / 100
    ours = chain.replay(picture, torch.zeros(1, 1), record)[0][0]
    torch.testing.assert_close(ours[:, ::8, ::8], tensor(golden, "out_every8th"), rtol=0, atol=1e-5)
    torch.testing.assert_close(ours.mean((1, 2)), tensor(golden, "out_mean"), rtol=0, atol=1e-5)
    std = ours.std((1, 2), correction=0)
    torch.testing.assert_close(std, tensor(golden, "out_std"), rtol=0, atol=1e-5)


# -- channels


@pytest.mark.parametrize("build", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
def test_channels_are_changed_alike(build):
    clips, lengths = torch.randn(4, 3, 10, 24).double(), torch.tensor([24, 24, 17, 9])
    for row, length in enumerate(lengths):
        clips[row, ..., length:] = math.nan
    module = build()
    draw = module.draw(clips, lengths, generator=seed(0))
    for name, values in module.draw(clips[:, 0], lengths, generator=seed(0)).items():
        assert torch.equal(draw[name], values)
    together, ends = module.replay(clips, draw, lengths)
    assert together.shape[:3] == (4, 3, 10)
    for channel in range(3):
        alone, ends_alone = module.replay(clips[:, channel], draw, lengths)
        torch.testing.assert_close(together[:, channel], alone)
        assert torch.equal(ends, ends_alone)


@pytest.mark.parametrize("build", MIXER_MODULES.values(), ids=MIXER_MODULES)
def test_channels_are_mixed_alike(build):
    clips, target, lengths = torch.randn(4, 3, 10, 24), torch.eye(4), torch.tensor([24, 24, 17, 9])
    mixer = build()
    draw = mixer.draw(clips, lengths, generator=seed(0))
    together, labels, ends = mixer.replay(clips, target, draw, lengths)
    flat, flat_labels, flat_ends = mixer.replay(clips.flatten(1, 2), target, draw, lengths)
    torch.testing.assert_close(together.flatten(1, 2), flat)
    assert torch.equal(labels, flat_labels)
    assert torch.equal(ends, flat_ends)


# -- groups


@pytest.mark.parametrize("build", [*MIXER_MODULES.values(), lambda: ORMixup(p=1.0)])
def test_partners_are_from_the_same_group(build):
    groups = torch.tensor([0, 1, 0, 7, 1, 0])
    clips, target = torch.randn(6, 20), torch.eye(6)
    mixer = build()
    seen = torch.zeros(6, 6)
    for number in range(60):
        _, labels, _ = mixer(clips, target, groups=groups, generator=seed(number))
        seen += labels > 0
    same = groups[:, None] == groups
    assert torch.equal(seen > 0, same)
    # The clip that is alone in its group is never mixed.
    mixed, *_ = mixer(clips, target, groups=groups, generator=seed(0))
    assert torch.equal(mixed[3], clips[3])


def test_groups_and_partners_both_hold_and_the_choice_is_uniform():
    groups, allowed = torch.tensor([0, 0, 0, 0, 1, 1]), torch.tensor([True, True, False, True, True, True])
    mixer, counts = WeightedMixup(p=1.0), torch.zeros(6, 6)
    for number in range(900):
        partner = mixer.draw(torch.zeros(6, 9), partners=allowed, groups=groups, generator=seed(number))
        counts[torch.arange(6), partner["partner"]] += 1
    assert (counts[:, 2] == 0).all()
    torch.testing.assert_close(counts[0, [1, 3]] / 900, torch.full((2,), 1 / 2), rtol=0, atol=0.06)
    torch.testing.assert_close(counts[2, [0, 1, 3]] / 900, torch.full((3,), 1 / 3), rtol=0, atol=0.06)


def test_one_group_is_no_group():
    mixer, clips = SigmoidConcatMixup(), torch.zeros(40, 9)
    draws = [mixer.draw(clips, groups=g, generator=seed(3)) for g in (None, torch.full((40,), 5))]
    assert all(torch.equal(draws[0][name], draws[1][name]) for name in draws[0])


def test_a_chain_hands_groups_to_its_mixers():
    chain = Chain({"mix": WeightedMixup(p=1.0, alpha=0.5)})
    _, labels, _ = chain(torch.zeros(4, 9), torch.eye(4), groups=torch.tensor([3, 8, 3, 8]))
    assert torch.equal(labels > 0, torch.tensor([[1, 0, 1, 0], [0, 1, 0, 1]]).bool().repeat(2, 1))


@pytest.mark.parametrize(
    ("groups", "error", "message"),
    [
        (torch.zeros(3).long(), ValueError, r"groups: wanted shape \(2,\)"),
        (torch.zeros(2), TypeError, "groups: wanted integers"),
        (torch.zeros(2).bool(), TypeError, "groups: wanted integers"),
        ([0, 0], TypeError, "groups: wanted a torch.Tensor"),
    ],
)
def test_bad_groups_are_named(groups, error, message):
    with pytest.raises(error, match=message):
        WeightedMixup()(torch.zeros(2, 9), torch.eye(2), groups=groups)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("fill", ["minimum", "mean", 0.5])
def test_filling_keeps_the_dtype(dtype, fill):
    x, lengths = torch.randn(2, 5, 7).to(dtype), torch.tensor([7, 3])
    assert fill_values(x, lengths, fill).dtype == dtype
    assert pad_or_crop(x, lengths, size=9, fill=fill)[0].dtype == dtype
    assert spec_augment(x, lengths, p=1.0, fill=fill)[0].dtype == dtype
    assert frame_windows(x, lengths, window=4, hop=2, fill=fill).windows.dtype == dtype
