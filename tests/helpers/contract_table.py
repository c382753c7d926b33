"""The table of the contracts: a case for each public name, and what the tests of the contracts share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from rankaudio import (
    Chain,
    Deltas,
    FrequencyEncoding,
    Gain,
    LogMel,
    LogSTFT,
    LSEPLoss,
    ORMixup,
    Overdrive,
    PadOrCrop,
    PitchShift,
    RandomCrop,
    RandomMixer,
    RandomResizedCrop,
    Resample,
    Reverb,
    ShuffleChunks,
    SigmoidConcatMixup,
    SpecAugment,
    Speed,
    Tempo,
    ThirdPlaceEffects,
    WeightedMixup,
    deltas,
    frequency_encoding,
    gain,
    log_mel,
    log_stft,
    lsep_loss,
    or_mixup,
    overdrive,
    pad_or_crop,
    pitch_shift,
    random_crop,
    random_resized_crop,
    resample,
    reverb,
    shuffle_chunks,
    sigmoid_concat_mixup,
    spec_augment,
    speed,
    tempo,
    weighted_mixup,
)
from rankaudio.backbones import CBAM, AxisPool, SqueezeExcite
from rankaudio.chain import OneOf, SomeOf
from rankaudio.effects import AddNoise
from rankaudio.losses import (
    AsymmetricLoss,
    FocalLoss,
    LqLoss,
    SmoothedBCELoss,
    ZLPRLoss,
    asymmetric_loss,
    focal_loss,
    lq_loss,
    smoothed_bce_loss,
    zlpr_loss,
)
from rankaudio.masking import CutSegment, cut_segment
from rankaudio.spectral import (
    DecibelMel,
    DeltaChannels,
    WaveformStatistics,
    decibel_mel,
    waveform_statistics,
)
from small_networks import N_BINS, SMALL_NETWORKS, small_tagger

WAVEFORM_FUNCTIONS = (decibel_mel, log_mel, log_stft, waveform_statistics)
# A 2048-sample window in miniature, so that the whole table takes seconds.
MEL = {"sample_rate": 8000, "n_fft": 64, "hop_length": 32, "n_mels": 12, "f_min": 50.0}
STFT = {"sample_rate": 8000, "n_fft": 32, "hop_length": 16}
LENGTHS = torch.tensor([200, 33, 1])


def seeded(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(7))


def labels(*shape: int) -> Tensor:
    return (seeded(*shape) > 0.3).double()


@dataclass(frozen=True)
class Case:
    """A Module, the function of the same idea, and the inputs of both (float64)."""

    module: Callable[[], nn.Module]
    inputs: Callable[[int], tuple[Tensor, ...]]
    function: Callable[..., object] | None = None
    random: bool = False
    has_p: bool = True
    network: bool = False
    time_axis: int | None = None
    settings: dict[str, object] = field(default_factory=dict)
    # An effect's function takes what its Module draws, and draws nothing itself.
    effect: bool = False

    def built(self, dtype: torch.dtype = torch.float64) -> nn.Module:
        torch.manual_seed(0)
        module = self.module().to(dtype)
        return module.eval() if self.network else module


def waves(batch: int) -> tuple[Tensor]:
    return (seeded(batch, 200),)


def effect(module: Callable[..., nn.Module], function: Callable[..., object], **settings: object) -> Case:
    return Case(
        lambda: module(p=1.0, **settings),
        waves,
        function,
        random=True,
        has_p=False,
        settings=settings,
        effect=True,
    )


CASES = {
    "lsep": Case(LSEPLoss, lambda b: (seeded(b, 5), labels(b, 5)), lsep_loss),
    "lsep graded": Case(
        lambda: LSEPLoss(graded=True),
        lambda b: (seeded(b, 5), seeded(b, 5)),
        lsep_loss,
        settings={"graded": True},
    ),
    "lsep weighted": Case(
        lambda: LSEPLoss(class_weight=torch.arange(1.0, 6.0), reduction="sum"),
        lambda b: (seeded(b, 5), labels(b, 5)),
        lsep_loss,
        settings={"class_weight": torch.arange(1.0, 6.0), "reduction": "sum"},
    ),
    "ZLPR weighted": Case(
        lambda: ZLPRLoss(class_weight=torch.arange(1.0, 6.0)),
        lambda b: (seeded(b, 5), labels(b, 5)),
        zlpr_loss,
        settings={"class_weight": torch.arange(1.0, 6.0)},
    ),
    "ASL": Case(AsymmetricLoss, lambda b: (seeded(b, 5), labels(b, 5)), asymmetric_loss),
    "focal weighted": Case(
        lambda: FocalLoss(class_weight=torch.arange(1.0, 6.0)),
        lambda b: (seeded(b, 5), labels(b, 5)),
        focal_loss,
        settings={"class_weight": torch.arange(1.0, 6.0)},
    ),
    "Lq": Case(LqLoss, lambda b: (seeded(b, 5), labels(b, 5)), lq_loss),
    "smoothed BCE": Case(SmoothedBCELoss, lambda b: (seeded(b, 5), labels(b, 5)), smoothed_bce_loss),
    "frequency encoding": Case(
        FrequencyEncoding, lambda b: (seeded(b, 6, 9),), frequency_encoding, time_axis=-1
    ),
    "resample": Case(
        lambda: Resample(old_rate=3, new_rate=2),
        waves,
        resample,
        settings={"old_rate": 3, "new_rate": 2},
    ),
    "log-mel": Case(lambda: LogMel(**MEL), waves, log_mel, time_axis=-1, settings=MEL),
    "log-STFT": Case(
        lambda: LogSTFT(**STFT), waves, log_stft, time_axis=-1, settings={"n_fft": 32, "hop_length": 16}
    ),
    "log-mel, matmul": Case(
        lambda: LogMel(**MEL, transform="matmul"),
        waves,
        log_mel,
        time_axis=-1,
        settings={**MEL, "transform": "matmul"},
    ),
    "deltas": Case(Deltas, lambda b: (seeded(b, 6, 20),), deltas, time_axis=-1),
    "deltas in a chain": Case(DeltaChannels, lambda b: (seeded(b, 6, 20),), time_axis=-1),
    "decibel mel": Case(
        lambda: DecibelMel(**MEL, scale=0.01),
        waves,
        decibel_mel,
        time_axis=-1,
        settings={**MEL, "scale": 0.01},
    ),
    "decibel mel, same frames": Case(
        lambda: DecibelMel(**MEL, ref="max", pad_mode="same"),
        waves,
        decibel_mel,
        time_axis=-1,
        settings={**MEL, "ref": "max", "pad_mode": "same"},
    ),
    "waveform statistics": Case(
        lambda: WaveformStatistics(windows=16), waves, waveform_statistics, settings={"windows": 16}
    ),
    "CBAM": Case(lambda: CBAM(4, reduction=2), lambda b: (seeded(b, 4, 6, 20),), network=True, time_axis=-1),
    "squeeze and excitation": Case(
        lambda: SqueezeExcite(4), lambda b: (seeded(b, 4, 6, 20),), network=True, time_axis=-1
    ),
    "axis pooling": Case(AxisPool, lambda b: (seeded(b, 4, 6, 20),), time_axis=-1),
    "axis pooling, size 3": Case(
        lambda: AxisPool(size=3, first="frequency"), lambda b: (seeded(b, 4, 7, 20),), time_axis=-1
    ),
    "OR-mixup": Case(
        lambda: ORMixup(p=1.0),
        lambda b: (seeded(b, 200), labels(b, 4)),
        or_mixup,
        random=True,
        settings={"p": 1.0},
    ),
    "weighted mixup": Case(
        lambda: WeightedMixup(p=1.0),
        lambda b: (seeded(b, 40), labels(b, 4)),
        weighted_mixup,
        random=True,
        settings={"p": 1.0},
    ),
    "weighted mixup, beta": Case(
        lambda: WeightedMixup(p=1.0, beta=0.4),
        lambda b: (seeded(b, 6, 20), labels(b, 4)),
        weighted_mixup,
        random=True,
        settings={"p": 1.0, "beta": 0.4},
    ),
    "sigmoid concat mixup": Case(
        lambda: SigmoidConcatMixup(p=1.0),
        lambda b: (seeded(b, 6, 20), labels(b, 4)),
        sigmoid_concat_mixup,
        random=True,
        settings={"p": 1.0},
    ),
    "random mixer": Case(
        lambda: RandomMixer([(SigmoidConcatMixup(p=1.0), 0.6), (WeightedMixup(p=1.0), 0.4)]),
        lambda b: (seeded(b, 6, 20), labels(b, 4)),
        random=True,
    ),
    "shuffle chunks": Case(
        lambda: ShuffleChunks(chunk_length=30, p=1.0),
        waves,
        shuffle_chunks,
        random=True,
        settings={"chunk_length": 30, "p": 1.0},
    ),
    "random crop": Case(
        lambda: RandomCrop(size=(5, 70)), waves, random_crop, random=True, settings={"size": (5, 70)}
    ),
    "pad or crop": Case(
        lambda: PadOrCrop(size=50, fill="mean", wrap=0.5),
        waves,
        pad_or_crop,
        random=True,
        has_p=False,
        settings={"size": 50, "fill": "mean", "wrap": 0.5},
    ),
    "cut segment": Case(
        lambda: CutSegment(size=50), waves, cut_segment, random=True, has_p=False, settings={"size": 50}
    ),
    "SpecAugment": Case(
        lambda: SpecAugment(p=1.0),
        lambda b: (seeded(b, 12, 40),),
        spec_augment,
        random=True,
        settings={"p": 1.0},
    ),
    "random resized crop": Case(
        lambda: RandomResizedCrop(p=1.0),
        lambda b: (seeded(b, 12, 24),),
        random_resized_crop,
        random=True,
        settings={"p": 1.0},
    ),
    "chain": Case(
        lambda: Chain({"shuffle": ShuffleChunks(chunk_length=30, p=1.0), "mixup": ORMixup(p=1.0)}),
        lambda b: (seeded(b, 200), labels(b, 4)),
        random=True,
    ),
    "one of": Case(
        lambda: OneOf([Gain(p=1.0), Speed(p=1.0), ShuffleChunks(chunk_length=30, p=1.0)]), waves, random=True
    ),
    "some of": Case(
        lambda: SomeOf([Speed(p=1.0), ShuffleChunks(chunk_length=30, p=1.0), Gain(p=1.0)], k=(2, 3)),
        waves,
        random=True,
    ),
    "noise": Case(lambda: AddNoise(p=1.0, noise="pink"), waves, random=True, effect=True),
    "noise from clips": Case(
        lambda: AddNoise(p=1.0, noise=[seeded(50), seeded(300)]), waves, random=True, effect=True
    ),
    "gain": effect(Gain, gain, decibels=(-6.0, 6.0)),
    "overdrive": effect(Overdrive, overdrive, decibels=(2.0, 9.0), colour=(0.0, 50.0)),
    "reverb": effect(Reverb, reverb, reverberance=(0.0, 20.0), pre_delay=(0.0, 20.0), sample_rate=1000),
    "pitch shift": effect(PitchShift, pitch_shift, cents=(-300.0, 300.0), n_fft=48),
    "speed": effect(Speed, speed, factor=(0.9, 1.1)),
    "tempo": effect(Tempo, tempo, factor=(0.9, 1.1), n_fft=48),
    "third-place effects": Case(
        lambda: ThirdPlaceEffects(p=1.0, sample_rate=1000, n_fft=48), waves, random=True, effect=True
    ),
    **{
        name: Case(partial(build, 3), lambda b: (seeded(b, N_BINS, 40),), network=True, time_axis=-1)
        for name, build in SMALL_NETWORKS.items()
    },
    **{
        f"tagger, {name}": Case(partial(small_tagger, name), waves, network=True, time_axis=-1)
        for name in ("CNN2d, max", "CNN2d, rnn")
    },
}
# Names that the table cannot hold, with the tests that hold them to their contracts.
ELSEWHERE = {
    "test_metrics.py": {"ClassLwlrap", "Lwlrap", "lwlrap"},
    "test_average_precision.py": {"AveragePrecision", "ClassAveragePrecision", "average_precision"}
    | {"ClassRoc", "d_prime", "roc_auc"},
    "test_intervals.py": {"Interval", "PairedTest", "bootstrap", "paired_test"},
    "test_thresholds.py": {"ClassF1", "F1", "ThresholdFit", "f1", "fit_thresholds"},
    "test_calibration.py": {"Calibration", "CalibrationFit", "fit_calibration"},
    "test_chain.py": {"Augmentation", "Mixer"},
    "test_noise.py": {"add_noise"},
    "test_lengths.py": {"frame_lengths", "length_mask"},
    # The gradient of soft bootstrapping is not that of its value.
    "test_losses_noisy.py": {"AuxiliaryLoss", "AuxiliaryScores", "LSoftLoss", "SourceLoss", "l_soft_loss"},
    "test_smoothed_bce.py": {"smooth_labels"},
    "test_label_decision.py": {"CountHead", "ThresholdHead"},
    "test_trim.py": {"trim_silence"},
    "test_first_place_transforms.py": {"centre_crop"},
    "test_spectral.py": {"mel_filterbank"},
    "test_decibels_and_deltas.py": {"power_to_db"},
    "test_networks.py": {"Network"},
    "test_pool_sampler.py": {"PoolDraws", "PoolSampler"},
    "test_windowed_tagger.py": {"FrameWindows", "WindowedTagger", "frame_windows"},
    "test_segments.py": {"SegmentedTagger"},
    "test_framewise_tagger.py": {"FramewiseTagger"},
    "test_streams.py": {"Stream", "StreamScores", "score_stream"},
    "test_events.py": {"Event", "events"},
    "test_event_files.py": {"write_audacity", "write_events", "write_raven"},
    "test_inference.py": {"WindowScores", "predict", "predict_long"},
    "test_noisy.py": {
        "LabelQuality",
        "calibrate_scores",
        "label_agreement",
        "label_margin",
        "label_quality",
        "label_threshold",
        "relabel",
        "select_agreeing",
    },
    "test_second_level.py": {"SecondLevelFit", "SecondLevelNetwork", "WindowMean", "fit_second_level"},
    "test_linear_stacking.py": {"LinearStacking", "fit_linear_stacking"},
    "test_second_level_search.py": {"SecondLevelSearch", "SecondLevelTrial", "search_second_level"},
    "test_ensemble.py": {
        "BlendFit",
        "StackedTables",
        "blend",
        "blend_tables",
        "fit_blend_weights",
        "stack_tables",
    },
    "test_data_*.py": {
        "AudioInfo",
        "Batch",
        "ClipDataset",
        "FoldBalance",
        "LabelTable",
        "LengthBucketSampler",
        "ScoreTable",
        "audio_info",
        "fold_balance",
        "load_audio",
        "multilabel_folds",
        "pad_collate",
        "random_folds",
        "read_classes",
        "read_labels",
        "read_scores",
        "write_bytes",
        "write_labels",
        "write_scores",
        "write_text",
    },
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def cases_where(is_chosen: Callable[[Case], bool]):
    chosen = {name: case for name, case in CASES.items() if is_chosen(case)}
    return pytest.mark.parametrize("case", chosen.values(), ids=chosen)


def cases_with(**wanted: object):
    return cases_where(lambda case: all(getattr(case, key) == value for key, value in wanted.items()))


def tensors(result: object) -> list[Tensor]:
    parts = result if isinstance(result, tuple) else (result,)
    return [part for part in parts if part is not None]


def call(
    case: Case, target: Callable[..., object], inputs: tuple[Tensor, ...], **settings: object
) -> list[Tensor]:
    if case.random:
        settings["generator"] = torch.Generator().manual_seed(3)
    return tensors(target(*inputs, **settings))


def assert_same(ours: list[Tensor], theirs: list[Tensor], **tolerance: object) -> None:
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, **tolerance)
