"""A small valid call of every public method with arguments, for tests that spoil one argument at a time."""

import copy
import inspect
from pathlib import Path

import torch

import rankaudio
from public_names import public_names
from rankaudio import LengthBucketSampler, Lwlrap, ORMixup, ShuffleChunks, WeightedMixup
from rankaudio.augmentation import Mixer
from rankaudio.backbones import CBAM, AxisPool, AxisPoolCNN, SqueezeExcite
from rankaudio.chain import Chain, SomeOf
from rankaudio.data import ClipDataset, LabelTable, PoolSampler
from rankaudio.decisions import Calibration, CountHead, ThresholdHead
from rankaudio.ensemble import LinearStacking, SecondLevelNetwork, WindowMean, fit_second_level
from rankaudio.inference import FramewiseTagger, SegmentedTagger, Stream, WindowedTagger
from rankaudio.losses import AsymmetricLoss, AuxiliaryLoss, FocalLoss, SmoothedBCELoss, SourceLoss, ZLPRLoss
from rankaudio.masking import CutSegment
from rankaudio.metrics import F1, AveragePrecision
from rankaudio.spectral import DecibelMel, DeltaChannels, Deltas, LogMel, LogSTFT, WaveformStatistics
from small_networks import SMALL_NETWORKS, small_tagger
from valid_calls import (
    AXIS,
    GENERATOR,
    LENGTHS,
    LOSS,
    MASK,
    MIXING,
    SCORES,
    SIDE,
    SPEC,
    SPECTROGRAM,
    TARGET,
    WAVE,
    WAVES,
    Call,
)  # fmt: skip

# Bases: every subclass is called instead.
BASES = ("Augmentation", "Mixer", "Network")
FEATURE_MAP = {"x": SPECTROGRAM.reshape(3, 4, 3, 40), "lengths": LENGTHS}
MEMBERS = {"scores": torch.rand(2, 3, 4)}


def methods_with_arguments() -> set[str]:
    """Return the methods of all public classes as ``Class.method``, without inherited ones."""
    found = set()
    for name, cls in public_names().items():
        for method, raw in vars(cls).items() if inspect.isclass(cls) and name not in BASES else ():
            function = getattr(raw, "__func__", raw)
            if inspect.isfunction(function) and not method.startswith("_"):
                is_own = not isinstance(raw, staticmethod)
                if len(inspect.signature(function).parameters) > is_own:
                    found.add(f"{name}.{method}")
    return found


def calls_of_methods(folder: Path) -> dict[str, Call]:
    """Return the calls; ``folder`` has the files of :func:`valid_calls.write_files`."""
    tagger, axis, metric = small_tagger("CNN2d, max"), AxisPoolCNN(**AXIS), Lwlrap(4)
    auxiliary = SMALL_NETWORKS["AuxSkipAttention"](2)
    skip = SMALL_NETWORKS["SkipAttention"](2)
    level = SecondLevelNetwork(n_classes=4, n_members=2, hidden=2, reduction=2)
    settings = {"stop": 1, "max_epochs": 1, "draws_per_epoch": 4, "batch_size": 4}
    settings |= {"hidden": 2, "reduction": 2}
    fit = fit_second_level(MEMBERS["scores"], TARGET, folds=torch.arange(3), **settings)
    sides = SegmentedTagger(tagger, seconds=0.005), WindowedTagger(tagger, window=8, hop=4)
    metrics = (metric, AveragePrecision(4), F1(4, thresholds=torch.zeros(4)))
    weighted = {"mask": MASK, "sample_weight": torch.ones(3)}
    step = {**SPEC, "context": 0}
    framewise, scale = FramewiseTagger(tagger).eval(), Calibration(torch.ones(4), torch.zeros(4))
    embedding = {"embedding": SCORES}
    states = {
        **{
            f"{type(one).__name__}.load_state_dict": (one.load_state_dict, one.state_dict())
            for one in metrics
        },
        "SecondLevelNetwork.load_reference_state_dict": (
            level.load_reference_state_dict,
            reference_state(level),
        ),
        "SkipAttention.load_reference_state_dict": (
            skip.load_reference_state_dict,
            {name.replace("classifier.", "fc."): value for name, value in skip.state_dict().items()},
        ),
    }
    source, table = torch.tensor([0, 1, 0]), LabelTable(["a.wav"], ["x"], torch.ones(1, 1) > 0)
    pools = PoolSampler([[0, 1]], shares=[1], draws_per_epoch=4, batch_size=2)
    several = SourceLoss([rankaudio.losses.LqLoss(reduction="none")] * 2)
    methods = [
        (auxiliary.all_scores, SPEC), (auxiliary.forward, SPEC),
        (auxiliary.reset_classifier, {"n_classes": 2}),
        (AuxiliaryLoss(several).forward, {"outputs": SCORES, "target": TARGET, "source": source}),
        (AxisPool().frame_lengths, {"lengths": LENGTHS}), (AxisPool().forward, FEATURE_MAP),
        (axis.features, {**SPEC, "side_inputs": SIDE}), (axis.forward, {**SPEC, "side_inputs": SIDE}),
        (SqueezeExcite(channels=4).forward, FEATURE_MAP),
        (CBAM(channels=4, reduction=2).forward, FEATURE_MAP),
        (ClipDataset.from_table, {"folder": folder, "table": table, "sample_rate": 8000,
                                  "max_seconds": 1.0, "crop": "random", "cache": False,
                                  "start": 0.001, "seconds": [0.02]}),
        (DecibelMel().forward, WAVE), (LogMel().forward, WAVE), (WaveformStatistics(windows=4).forward, WAVE),
        (Deltas().forward, SPEC), (rankaudio.FrequencyEncoding().forward, {"spectrogram": SPECTROGRAM}),
        (rankaudio.Resample(old_rate=3, new_rate=2).forward, WAVE),
        (LengthBucketSampler([9, 2], max_samples=20).set_epoch, {"epoch": 1}),
        (pools.draws, {"epoch": 1}), (pools.set_epoch, {"epoch": 1, "start": 0}),
        (LinearStacking(n_classes=4, n_members=2).forward, MEMBERS), (level.forward, MEMBERS),
        (fit.predict, MEMBERS),
        (LogMel.from_descriptor, {"descriptor": "mel_64_32_12", "sample_rate": 8000}),
        (LogSTFT.from_descriptor, {"descriptor": "stft_64_32", "sample_rate": 8000}),
        (rankaudio.losses.LSoftLoss().forward, LOSS), (rankaudio.losses.LqLoss().forward, LOSS),
        (SmoothedBCELoss().forward, {**LOSS, "mask": MASK, "sample_weight": torch.ones(3)}),
        (several.forward, {**LOSS, "source": source}),
        *[(one.update, {**LOSS, **weighted}) for one in metrics],
        *[(one.compute, {"sync": False}) for one in metrics],
        *[(one.merge, {"other": copy.deepcopy(one)}) for one in metrics],
        *[(one.to, {"device": "cpu"}) for one in metrics],
        *[(loss().forward, {**LOSS, **weighted}) for loss in (AsymmetricLoss, FocalLoss, ZLPRLoss)],
        (CountHead(n_features=4).forward, embedding),
        (ThresholdHead(n_features=4, n_classes=4).forward, embedding),
        (scale.forward, {"scores": SCORES}), (axis.step_features, {**step, "side_inputs": SIDE}),
        (Stream(tagger).push, {"block": WAVES[0]}),
        (SMALL_NETWORKS["CNN2d, max"](2).step_features, step), (framewise.score, {"waveform": WAVES[0]}),
        (framewise.forward, {"waveform": WAVES, "lengths": None, "side_inputs": {}}),
        *[(side.forward, {"waveform": WAVES, "lengths": None, "side_inputs": {}}) for side in sides],
        (SMALL_NETWORKS["SkipAttention"](2).features, SPEC), (SMALL_NETWORKS["CNN2d, max"](2).features, SPEC),
        (tagger.embed, {"waveform": WAVES, "lengths": None, "side_inputs": {}}),
        (tagger.side_inputs, {"waveform": WAVES, "lengths": None}),
        (tagger.spectrogram, {"waveform": WAVES, "lengths": None}),
    ]  # fmt: skip
    calls = {f"{_owner(function)}.{function.__name__}": Call(function, given) for function, given in methods}
    calls |= {name: Call(function, {"state": state}) for name, (function, state) in states.items()}
    return calls | calls_of_draws()


def reference_state(level: SecondLevelNetwork) -> dict[str, torch.Tensor]:
    """Return the state dict of a second level under the names of the original."""
    names = ["scale.fc1", "scale.fc2", "linear1", "relu1", "linear2", "relu2", "fc"]
    layers = [level.scale[0], level.scale[2], *(level.layers[i] for i in (0, 1, 3, 4, 6))]
    named = zip(names, layers, strict=True)
    return {f"{name}.{key}": value for name, layer in named for key, value in layer.state_dict().items()}


def _owner(function: object) -> str:
    owner = function.__self__
    return (owner if inspect.isclass(owner) else type(owner)).__name__


def calls_of_draws() -> dict[str, Call]:
    """Return calls of ``draw`` and ``replay`` of one Module of each kind, and of the same of a chain."""
    calls = {}
    for module, clips, name in [
        (ShuffleChunks(chunk_length=9, p=1.0), WAVES[:, :40], "clips"),
        (rankaudio.RandomCrop(size=(5, 7)), WAVES[:, :40], "clips"),
        (rankaudio.PadOrCrop(size=15), WAVES[:, :40], "clips"),
        (CutSegment(size=15), WAVES[:, :40], "clips"),
        (SomeOf([ShuffleChunks(chunk_length=9), rankaudio.Gain()], k=(1, 2)), WAVES[:, :40], "clips"),
        (rankaudio.SpecAugment(p=1.0), SPECTROGRAM, "spectrogram"),
        (rankaudio.RandomResizedCrop(p=1.0), SPECTROGRAM, "spectrogram"),
        (rankaudio.Gain(p=1.0), WAVES[:, :40], "waveform"),
        (ORMixup(p=1.0), WAVES[:, :40], "waveform"),
        (WeightedMixup(p=1.0), SPECTROGRAM, "clips"),
        (rankaudio.SigmoidConcatMixup(p=1.0), SPECTROGRAM, "clips"),
        (rankaudio.RandomMixer([(WeightedMixup(), 1.0)]), SPECTROGRAM, "clips"),
    ]:
        given = {name: clips, "lengths": LENGTHS}
        draw = module.draw(clips, LENGTHS, generator=torch.Generator().manual_seed(0))
        is_mixer = isinstance(module, Mixer)
        more = {key: MIXING[key] for key in ("partners", "groups")} if is_mixer else {}
        target = {"target": TARGET} if is_mixer else {}
        kind = type(module).__name__
        calls[f"{kind}.draw"] = Call(module.draw, {**given, **more, "generator": GENERATOR})
        calls[f"{kind}.replay"] = Call(module.replay, {**given, **target, "draw": draw})
    deltas, chain = DeltaChannels(), Chain({"crop": rankaudio.RandomCrop(size=5)})
    calls["DeltaChannels.draw"] = Call(
        deltas.draw, {"clips": SPECTROGRAM, "lengths": LENGTHS, "generator": GENERATOR}
    )
    calls["DeltaChannels.replay"] = Call(
        deltas.replay, {"clips": SPECTROGRAM, "draw": {}, "lengths": LENGTHS}
    )
    batch = {"waveform": WAVES[:, :40], "target": TARGET, "lengths": LENGTHS}
    record = chain.record(*batch.values())[-1]
    calls["Chain.replay"] = Call(chain.replay, {**batch, "record": record})
    more = {**batch, **{key: MIXING[key] for key in ("partners", "groups", "generator")}}
    calls["Chain.record"], calls["Chain.forward"] = Call(chain.record, more), Call(chain.forward, more)
    calls["Chain.enabled"] = Call(chain.enabled, {"name": "crop"})
    calls["Chain.example"] = Call(chain.example, {"record": record, "index": 0})
    windows = {"windows": torch.rand(3, 2, 4)}
    counts = {"counts": torch.tensor([2, 1, 2]), "generator": GENERATOR}
    calls["WindowMean.forward"] = Call(WindowMean().forward, {**windows, **counts})
    calls["WindowMean.draw"] = Call(WindowMean().draw, {**windows, **counts})
    calls["WindowMean.replay"] = Call(WindowMean().replay, {**windows, "kept": torch.ones(3, 2).bool()})
    return calls
