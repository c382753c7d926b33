"""The chain: order of its parts, enable and disable, record and replay."""

import copy
import io
import math
import pickle

import pytest
import torch

from random_clips import seed
from rankaudio.augmentation import Augmentation, Mixer
from rankaudio.chain import Chain
from rankaudio.masking import PadOrCrop, RandomCrop, RandomResizedCrop, ShuffleChunks, SpecAugment
from rankaudio.mixing import ORMixup, RandomMixer, SigmoidConcatMixup, WeightedMixup


def wave_chain():
    return Chain(
        {
            "shuffle": ShuffleChunks(chunk_length=7, p=0.5),
            "crop": RandomCrop(size=(20, 30)),
            "mixup": ORMixup(p=0.7),
        }
    )


def spectrogram_chain():
    mixer = RandomMixer([(SigmoidConcatMixup(p=1.0), 0.6), (WeightedMixup(p=1.0), 0.4)], p=0.8)
    return Chain(
        {
            "fit": PadOrCrop(size=24, fill="minimum", wrap=0.5),
            "resize": RandomResizedCrop(),
            "mask": SpecAugment(),
            "mix": mixer,
        }
    )


def batch_of(clips, *shape):
    generator = seed(9)
    values = torch.randn(clips, *shape, generator=generator)
    lengths = torch.randint(1, shape[-1] + 1, (clips,), generator=generator)
    for row, length in enumerate(lengths):
        values[row, ..., length:] = math.nan
    return values, torch.eye(clips), lengths


CHAINS = {"waveforms": (wave_chain, (40,)), "spectrograms": (spectrogram_chain, (12, 40))}
every_chain = pytest.mark.parametrize(("make", "shape"), CHAINS.values(), ids=CHAINS)


def assert_same(ours, theirs):
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@every_chain
def test_chain_is_its_parts_one_after_the_other(make, shape):
    chain, (values, target, lengths) = make(), batch_of(6, *shape)
    ours = chain(values, target, lengths, generator=seed(1))
    generator = seed(1)
    for part in make().get_submodule("_parts").children():
        if isinstance(part, Mixer):
            values, target, lengths = part(values, target, lengths, generator=generator)
        else:
            values, lengths = part(values, lengths, generator=generator)
    assert_same(ours, (values, target, lengths))
    assert ours[0].isfinite().all()


@every_chain
def test_record_holds_the_draws_and_replays_them(make, shape):
    chain, batch = make(), batch_of(6, *shape)
    *result, record = chain.record(*batch, generator=seed(1))
    assert_same(result, chain(*batch, generator=seed(1)))
    assert list(record) == list(chain.names)
    assert all(field.shape[0] == 6 for draw in record.values() for field in draw.values())
    saved = io.BytesIO()
    torch.save(record, saved)
    saved.seek(0)
    record = torch.load(saved, weights_only=True)
    chain.eval().disable()
    values, target, lengths = batch
    assert_same(result, chain.replay(values, target, record, lengths))


def test_one_clip_replays_alone():
    chain, (values, target, lengths) = wave_chain(), batch_of(6, 40)
    chain.disable("mixup")
    result, _, new_lengths, record = chain.record(values, target, lengths, generator=seed(1))
    for row in range(6):
        one = slice(row, row + 1)
        alone, _, length = chain.replay(
            values[one, : lengths[row]], target[one], Chain.example(record, row), lengths[one]
        )
        assert length == new_lengths[row]
        assert torch.equal(alone[0, :length], result[row, :length])


def test_a_part_taken_out_of_the_record_is_not_replayed():
    chain, (values, target, lengths) = wave_chain(), batch_of(6, 40)
    *_, record = chain.record(values, target, lengths, generator=seed(1))
    mixed = chain.replay(values, target, {"mixup": record["mixup"]}, lengths)
    assert not torch.equal(mixed[1], target)
    whole = chain.replay(values, target, {"shuffle": record["shuffle"]}, lengths)
    assert torch.equal(whole[1], target)
    assert torch.equal(whole[2], lengths)


@every_chain
def test_chain_does_nothing_in_eval_mode(make, shape):
    batch = batch_of(3, *shape)
    *result, record = make().eval().record(*batch)
    assert all(a is b for a, b in zip(result, batch, strict=True))
    assert record == {}


def test_parts_are_disabled_and_enabled():
    chain, batch = wave_chain(), batch_of(6, 40)
    chain.disable("mixup", "crop")
    assert [name for name in chain.names if chain.enabled(name)] == ["shuffle"]
    *result, record = chain.record(*batch, generator=seed(1))
    assert list(record) == ["shuffle"]
    assert result[1] is batch[1]
    chain.train().enable("mixup")
    assert list(chain.record(*batch)[3]) == ["shuffle", "mixup"]
    chain.enable()
    assert list(chain.record(*batch)[3]) == list(chain.names)
    chain.disable()
    assert all(a is b for a, b in zip(chain(*batch), batch, strict=True))


def test_a_part_with_p_zero_draws_nothing():
    chain = Chain({"shuffle": ShuffleChunks(p=0.0), "crop": RandomCrop(size=5)})
    assert list(chain.record(*batch_of(3, 40))[3]) == ["crop"]


def test_disabled_parts_are_shown_and_copied():
    chain = wave_chain()
    chain.disable("mixup")
    for twin in (chain, copy.deepcopy(chain), pickle.loads(pickle.dumps(chain))):
        assert "shuffle, crop, mixup (off)" in repr(twin)
    assert chain.state_dict() == {}


def test_partners_reach_every_mixer():
    chain = Chain({"one": ORMixup(p=1.0), "two": WeightedMixup(p=1.0)})
    allowed = torch.tensor([False, False, True, False])
    *_, record = chain.record(torch.randn(4, 9), torch.eye(4), partners=allowed)
    assert {name: draw["partner"].tolist() for name, draw in record.items()} == {
        "one": [2] * 4,
        "two": [2] * 4,
    }


def test_without_lengths():
    chain = Chain({"shuffle": ShuffleChunks(chunk_length=3, p=1.0), "mixup": ORMixup(p=1.0)})
    waveform, _, lengths = chain(torch.randn(3, 20), torch.eye(3), generator=seed(0))
    assert waveform.shape == (3, 20)
    assert lengths is None


def test_user_defined_parts_work():
    class HalfLevel(Augmentation):
        def draw(self, clips, lengths=None, *, generator=None):
            return {"row": torch.arange(clips.shape[0])}

        def replay(self, clips, draw, lengths=None):
            return clips / 2, lengths

    chain = Chain({"half": HalfLevel(), "again": HalfLevel()})
    assert torch.equal(chain(torch.ones(1, 4), torch.ones(1, 1))[0], torch.full((1, 4), 0.25))
    assert HalfLevel().eval()(torch.ones(1, 4))[0].sum() == 4


@pytest.mark.parametrize("base", [Augmentation, Mixer])
def test_a_base_class_alone_is_not_implemented(base):
    with pytest.raises(NotImplementedError):
        base(p=1.0)(torch.ones(1, 4), *([torch.ones(1, 1)] if base is Mixer else []))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Chain([ORMixup()]), TypeError, "parts: wanted Modules by name"),
        (lambda: Chain({1: ORMixup()}), TypeError, "parts: wanted strings as names, got 1"),
        (
            lambda: Chain({"relu": torch.nn.ReLU()}),
            TypeError,
            "parts: wanted an Augmentation or a Mixer as relu, got ReLU",
        ),
        (
            lambda: wave_chain().disable("mix"),
            ValueError,
            "name: wanted one of shuffle, crop, mixup, got 'mix'",
        ),
        (lambda: wave_chain().enable("mix"), ValueError, "name: wanted one of .*, got 'mix'"),
        (lambda: wave_chain().enabled("mix"), ValueError, "name: wanted one of .*, got 'mix'"),
        (
            lambda: wave_chain().replay(torch.ones(1, 4), torch.ones(1, 1), {"mix": {}}),
            ValueError,
            "name: wanted one of .*, got 'mix'",
        ),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("partners", torch.ones(3, dtype=torch.bool), ValueError, r"wanted shape \(2,\)"),
        ("partners", torch.ones(2), TypeError, "wanted a bool tensor"),
        ("groups", torch.ones(3, dtype=torch.long), ValueError, r"wanted shape \(2,\)"),
        ("groups", torch.ones(2), TypeError, "wanted"),
        ("groups", torch.ones(2, dtype=torch.long, device="meta"), ValueError, "wanted a tensor on cpu"),
        ("target", torch.ones(3, 1), ValueError, "wanted"),
    ],
)
@pytest.mark.parametrize("call", ["forward", "record"])
def test_a_batch_is_checked_even_if_no_part_uses_it(call, name, value, error, message):
    chain = Chain({"shuffle": ShuffleChunks()})
    batch = {"waveform": torch.ones(2, 4), "target": torch.ones(2, 1), name: value}
    with pytest.raises(error, match=f"{name}: {message}"):
        getattr(chain, call)(**batch)
