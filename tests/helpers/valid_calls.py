"""A small valid call of every public function and Module, for tests that spoil one argument at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

import rankaudio
from public_names import public_names
from rankaudio import LogMel, ORMixup, ShuffleChunks, Tagger, WeightedMixup
from rankaudio.backbones import AxisPool, AxisPoolCNN
from rankaudio.chain import SomeOf
from rankaudio.data import LabelTable, ScoreTable
from rankaudio.decisions import Calibration, CountHead, ThresholdHead
from rankaudio.events import Event
from rankaudio.inference import WindowScores
from rankaudio.losses import LqLoss, LSoftLoss, lsep_loss
from small_networks import SMALL_NETWORKS, small_tagger

# Records that functions return. A user does not build them.
RECORDS = {
    "AudioInfo", "AuxiliaryScores", "Batch", "BlendFit", "ClassLwlrap", "LabelQuality", "StackedTables",
    "CalibrationFit", "ClassAveragePrecision", "ClassF1", "ClassRoc", "Interval", "PairedTest",
    "ThresholdFit",
    "WindowScores", "FrameWindows", "PoolDraws", "SecondLevelFit", "SecondLevelSearch", "SecondLevelTrial",
    "Network", "Augmentation", "Mixer", "Event", "FoldBalance", "StreamScores",
}  # fmt: skip
GENERATOR = torch.Generator()
WAVES = torch.randn(3, 200, generator=torch.Generator().manual_seed(0))
SPECTROGRAM = torch.randn(3, 12, 40, generator=torch.Generator().manual_seed(1))
SCORES = torch.randn(3, 4, generator=torch.Generator().manual_seed(2))
TARGET = torch.tensor([[True, False, True, False], [False, True, False, False], [True, True, True, False]])
LENGTHS = torch.tensor([40, 30, 20])
NAMES, CLASSES = ("a.wav", "b.wav", "c.wav"), ("x", "y", "z", "w")
MEL = {"sample_rate": 8000, "n_fft": 64, "hop_length": 32, "n_mels": 12, "f_min": 50.0, "f_max": 4000.0,
       "mel_scale": "htk", "norm": "none", "pad_mode": "reflect", "transform": "fft"}  # fmt: skip
FRAMES = {"n_fft": 64, "hop_length": 32, "power": 2.0, "eps": 1e-4, "pad_mode": "reflect", "transform": "fft"}
DECIBELS = {"ref": 1.0, "amin": 1e-10, "top_db": 80.0}
CNN = {"n_classes": 2, "n_blocks": 2, "base_depth": 2, "growth_rate": 1.5, "pooling": "max",
       "start_deep_supervision_on": 1, "rnn_units": 2, "dropout": 0.0}  # fmt: skip
SKIP = {"n_classes": 2, "in_channels": 3, "delta_width": 9, "base_depth": 2, "spatial_kernel": 3,
        "reduction": 2, "hidden_factor": 2, "dropout": 0.2}  # fmt: skip
AXIS = {"n_classes": 2, "in_channels": 1, "base_depth": 2, "width": 1.0, "stem": "plain", "stem_depth": 2,
        "squeeze_excite": True, "reduction": 2, "highway": False, "pool_time": "mean",
        "pool_frequency": "max", "pool_first": "time", "statistics": True, "duration": True, "rnn_units": 2,
        "statistics_momentum": 0.01}  # fmt: skip
SIDE = {"statistics": torch.zeros(3, 5, 12), "duration": torch.ones(3, 1)}
MIXING = {"lengths": LENGTHS, "p": 1.0, "partners": torch.ones(3, dtype=torch.bool),
          "groups": torch.zeros(3, dtype=torch.long), "generator": GENERATOR}  # fmt: skip
CLIPS = {"clips": WAVES[:, :40], "lengths": LENGTHS}
WAVE = {"waveform": WAVES[:, :40], "lengths": LENGTHS}
SPEC = {"spectrogram": SPECTROGRAM, "lengths": LENGTHS}
LOSS = {"scores": SCORES, "target": TARGET}
MASK = torch.ones(3, 4, dtype=torch.bool)
WEIGHTS = {"mask": MASK, "class_weight": torch.ones(4), "sample_weight": torch.ones(3), "reduction": "sum"}
FOLDS = torch.tensor([0, 1, 0])
WINDOWS = WindowScores(SCORES, torch.arange(3.0), torch.arange(3.0) + 1)
EVENTS = [Event(0.5, 2.0, "x", 3.0, 2.0)]
CLASSES_METRIC = {"average": "macro", "mask": MASK, "sample_weight": torch.ones(3)}
RESAMPLING = {"metric": "f1", "average": "macro", "thresholds": torch.zeros(4), "mask": MASK,
              "groups": FOLDS, "resamples": 3, "level": 0.9, "seed": 1}  # fmt: skip


class Frame(dict[str, list[str]]):
    """Columns by name, as in pandas."""

    columns = ("fname", "labels")


FRAME = Frame(fname=list(NAMES), labels=["x", "y", "x,w"])


@dataclass(frozen=True)
class Call:
    """A callable, and the arguments of a valid call."""

    function: Callable[..., object]
    arguments: dict[str, object]


def score_table() -> ScoreTable:
    return ScoreTable(NAMES, CLASSES, SCORES)


def label_table() -> LabelTable:
    return LabelTable(NAMES, CLASSES, TARGET)


def arguments_by_name(folder: Path) -> dict[str, dict[str, object]]:
    """Return the arguments of every public name; ``folder`` has the files of :func:`write_files`."""
    table = {"tables": [score_table(), score_table()], "names": NAMES, "classes": CLASSES}
    return {
        "AsymmetricLoss": {"gamma_pos": 1.0, "gamma_neg": 4.0, "margin": 0.05, "detach_focus": True,
                           "class_weight": torch.ones(4), "reduction": "sum"},
        "AddNoise": {"p": 0.5, "snr": (3.0, 30.0), "noise": [WAVES[0]]},
        "AuxSkipAttention": SKIP, "SkipAttention": SKIP, "RnnAuxSkipAttention": SKIP,
        "AuxiliaryLoss": {"criterion": lsep_loss, "weights": (1.0, 0.4)},
        "AveragePrecision": {"n_classes": 4, "average": "macro"},
        "AxisPool": {"time": "mean", "frequency": "max", "first": "time", "size": 2, "stride": 2},
        "AxisPoolCNN": AXIS,
        "CBAM": {"channels": 4, "reduction": 2, "kernel_size": 3},
        "CNN1d": {**CNN, "n_bins": 12}, "CNN2d": {**CNN, "in_channels": 1, "frequency_encoding": True},
        "Calibration": {"scale": torch.ones(4), "shift": torch.zeros(4)},
        "Chain": {"parts": {"mix": ORMixup()}},
        "ClipDataset": {"paths": [folder / "a.wav"], "target": TARGET[:1], "sample_rate": 8000,
                        "max_seconds": 1.0, "crop": "random", "cache": False, "start": 0.001,
                        "seconds": [0.02], "names": ["a"]},
        "DecibelMel": {**MEL, **DECIBELS, "scale": 1.0},
        "CountHead": {"n_features": 4, "max_labels": 2, "hidden": (3,)},
        "CutSegment": {"size": 5, "place": "random", "zeros": "signal"},
        "DeltaChannels": {"width": 9, "orders": 2}, "Deltas": {"width": 9},
        "F1": {"n_classes": 4, "thresholds": torch.zeros(4), "average": "macro"},
        "FocalLoss": {"gamma": 2.0, "alpha": 0.25, "class_weight": torch.ones(4), "reduction": "sum"},
        "FrequencyEncoding": {"low": -1.0, "high": 1.0, "frequency_dim": -2, "channel_dim": 1},
        "FramewiseTagger": {"tagger": small_tagger("CNN2d, max"), "context": 0.1},
        "Gain": {"p": 0.5, "decibels": (-6.0, 6.0)},
        "LSEPLoss": {"graded": True, "class_weight": torch.ones(4), "reduction": "sum"},
        "LSoftLoss": {"beta": 0.7, "reduction": "sum"},
        "LabelTable": {"names": NAMES, "classes": CLASSES, "target": TARGET},
        "LengthBucketSampler": {"lengths": [9, 2, 3], "max_samples": 20, "batch_size": 2, "shuffle": True,
                                "spread": 1.0, "seed": 0, "weights": [1.0, 0.5, 0.0], "draws_per_epoch": 4,
                                "rank": 0, "world_size": 1},
        "LinearStacking": {"n_classes": 4, "n_members": 2, "weights": [1.0, 2.0]},
        "LogMel": {**MEL, "power": 1.0, "eps": 1e-4}, "LogSTFT": {**FRAMES, "sample_rate": 8000},
        "LqLoss": {"q": 0.7, "absent": True, "reduction": "sum"},
        "Lwlrap": {"n_classes": 4, "average": "label"},
        "ORMixup": {"p": 0.5, "gain": (0.4, 0.6)},
        "OneOf": {"parts": [ShuffleChunks(), rankaudio.Gain()], "weights": [1.0, 2.0], "p": 0.5},
        "Overdrive": {"p": 0.5, "decibels": (2.0, 9.0), "colour": (20.0, 20.0)},
        "PoolSampler": {"pools": [[0, 1], [2]], "shares": [0.5, 0.5], "draws_per_epoch": 4, "batch_size": 2,
                        "seed": 0, "rank": 0, "world_size": 1},
        "SecondLevelNetwork": {"n_classes": 4, "n_members": 2, "hidden": 2, "reduction": 2, "dropout": 0.2},
        "WaveformStatistics": {"windows": 4},
        "WindowMean": {"run": 0.5, "subset": 0.5},
        "WindowedTagger": {"tagger": small_tagger("CNN2d, max"), "window": 8, "hop": 4, "mean": "arithmetic",
                           "batch_size": 4},
        "PadOrCrop": {"size": 5, "fill": "mean", "wrap": 0.5},
        "PitchShift": {"p": 0.5, "cents": (-300.0, 300.0), "n_fft": 48},
        "RandomCrop": {"size": (5, 7), "p": 1.0},
        "RandomMixer": {"mixers": [(ORMixup(), 0.5), (WeightedMixup(), 0.5)], "p": 1.0},
        "RandomResizedCrop": {"scale": (0.8, 1.0), "ratio": (1.7, 2.3), "p": 0.33},
        "Resample": {"old_rate": 3, "new_rate": 2},
        "Reverb": {"p": 0.5, "sample_rate": 8000, "pre_delay": (0.0, 0.0), "wet_gain": (0.0, 0.0),
                   **dict.fromkeys(["reverberance", "damping", "room_scale", "stereo_depth"], (0.0, 50.0))},
        "ScoreTable": {"names": NAMES, "classes": CLASSES, "scores": SCORES},
        "SegmentedTagger": {"tagger": small_tagger("CNN2d, max"), "seconds": 0.01, "places": ("start", "end"),
                            "mean": "arithmetic", "zeros": "signal", "sample_rate": 8000, "batch_size": 4},
        "SmoothedBCELoss": {"smoothing": 0.01, "reduction": "sum"},
        "ShuffleChunks": {"chunk_length": 9, "p": 0.5},
        "SigmoidConcatMixup": {"p": 0.5, "radius": (3.0, 12.0), "position": (0.5, 0.5)},
        "SomeOf": {"parts": [ShuffleChunks(), rankaudio.Gain()], "k": (1, 2), "weights": [1.0, 2.0],
                   "p": 0.5},
        "SourceLoss": {"criteria": [LqLoss(reduction="none"), LSoftLoss(reduction="none")],
                       "weights": [1.0, 2.0]},
        "SpecAugment": {"masks": 2, "frequency": 0.15, "time": 0.2, "fill": "minimum", "p": 0.5},
        "SqueezeExcite": {"channels": 4, "reduction": 2},
        "Speed": {"p": 0.5, "factor": (0.9, 1.1)},
        "Tagger": {"frontend": LogMel(), "backbone": SMALL_NETWORKS["CNN2d, max"](4), "classes": CLASSES},
        "Tempo": {"p": 0.5, "factor": (0.9, 1.1), "n_fft": 48},
        "ThirdPlaceEffects": {"p": 0.75, "sample_rate": 8000, "n_fft": 48},
        "ThresholdHead": {"n_features": 4, "n_classes": 4, "hidden": (3,)},
        "WeightedMixup": {"p": 0.5, "alpha": 0.3, "beta": None},
        "average_precision": {**LOSS, **CLASSES_METRIC}, "d_prime": {**LOSS, **CLASSES_METRIC},
        "roc_auc": {**LOSS, **CLASSES_METRIC},
        "bootstrap": {**LOSS, **RESAMPLING}, "paired_test": {**LOSS, "other": SCORES, **RESAMPLING},
        "ZLPRLoss": {"class_weight": torch.ones(4), "reduction": "sum"},
        "asymmetric_loss": {**LOSS, "gamma_pos": 1.0, "gamma_neg": 4.0, "margin": 0.05, "detach_focus": True,
                            **WEIGHTS},
        "add_noise": {**WAVE, "noise": WAVES[:, 40:], "snr": 3.0},
        "audio_info": {"path": folder / "a.wav"},
        "blend": {"scores": [SCORES, SCORES], "weights": [1.0, 2.0], "method": "mean",
                  "present": torch.ones(2, 3, dtype=torch.bool)},
        "blend_tables": {**table, "weights": [1.0, 2.0], "method": "mean"},
        "calibrate_scores": {"scores": SCORES},
        "centre_crop": {**CLIPS, "size": 5, "fill": "mean"},
        "cut_segment": {**CLIPS, "size": 5, "place": "random", "zeros": "signal", "generator": GENERATOR},
        "decibel_mel": {**WAVE, **MEL, **DECIBELS, "scale": 1.0},
        "deltas": {**SPEC, "width": 9},
        "events": {"windows": WINDOWS, "threshold": (0.0, 0.1, 0.2, 0.3), "min_gap": 0.5,
                   "min_duration": 0.5, "classes": CLASSES},
        "f1": {**LOSS, "thresholds": torch.zeros(4), "average": "macro", "mask": MASK,
               "sample_weight": torch.ones(3)},
        "fit_calibration": {**LOSS, "method": "platt", "mask": MASK, "folds": FOLDS},
        "fit_thresholds": {**LOSS, "precision": None, "recall": 0.5, "mask": MASK, "folds": FOLDS},
        "fit_linear_stacking": {"scores": torch.rand(2, 3, 4), "target": TARGET, "folds": torch.arange(3),
                                "weights": [1.0, 2.0], "lr": 1e-3, "stop": 1, "max_epochs": 1,
                                "batch_size": 4, "seed": 0},
        "fit_second_level": {"scores": torch.rand(2, 3, 4), "target": TARGET, "folds": torch.arange(3),
                             "counts": None, "hidden": 2, "reduction": 2, "dropout": 0.2, "run": 0.5,
                             "subset": 0.5, "lr": 1e-3, "patience": 1, "factor": 0.5, "stop": 1,
                             "max_epochs": 1, "draws_per_epoch": 4, "batch_size": 4, "seed": 0},
        "fold_balance": {"target": TARGET, "folds": FOLDS},
        "frame_windows": {**SPEC, "window": 8, "hop": 4, "fill": "minimum"},
        "fit_blend_weights": {"scores": [SCORES, SCORES], "target": TARGET, "method": "mean",
                              "present": torch.ones(2, 3, dtype=torch.bool), "folds": FOLDS, "n_folds": 2,
                              "starts": 1, "seed": 1},
        "frame_lengths": {"lengths": LENGTHS, "hop_length": 5, "pad_mode": "reflect"},
        "frequency_encoding": {"spectrogram": SPECTROGRAM, "low": -1.0, "high": 1.0, "frequency_dim": -2,
                               "channel_dim": 1},
        "focal_loss": {**LOSS, "gamma": 2.0, "alpha": 0.25, **WEIGHTS},
        "gain": {**WAVE, "decibels": 3.0},
        "l_soft_loss": {**LOSS, "beta": 0.7, "reduction": "sum"},
        "label_agreement": LOSS, "label_margin": LOSS,
        "label_quality": {"labels": label_table(), "truth": label_table()},
        "label_threshold": {"scores": SCORES, "mean_labels": 1.0, "calibrate": True},
        "length_mask": {"lengths": LENGTHS, "size": 5},
        "load_audio": {"path": folder / "a.wav", "sample_rate": 8000, "start": 0.0, "seconds": 0.01},
        "log_mel": {**WAVE, **MEL, "power": 1.0, "eps": 1e-4}, "log_stft": {**WAVE, **FRAMES},
        "lq_loss": {**LOSS, "q": 0.7, "absent": True, "reduction": "sum"},
        "lsep_loss": {**LOSS, "graded": True, "mask": MASK, "class_weight": torch.ones(4),
                      "sample_weight": torch.ones(3), "reduction": "sum"},
        "lwlrap": {**LOSS, "average": "label", "mask": MASK, "sample_weight": torch.ones(3)},
        "mel_filterbank": {**{k: MEL[k] for k in ("sample_rate", "n_fft", "n_mels", "f_min", "f_max")},
                           "mel_scale": "htk", "norm": "none",
                           "device": "cpu", "dtype": torch.float32},
        "multilabel_folds": {"target": TARGET, "n_folds": 2, "seed": 1, "groups": [0, 1, 2]},
        "or_mixup": {"waveform": WAVES[:, :40], "target": TARGET, **MIXING, "gain": (0.4, 0.6)},
        "overdrive": {**WAVE, "decibels": 3.0, "colour": 20.0},
        "pad_collate": {"items": list(WAVES)},
        "pad_or_crop": {**CLIPS, "size": 5, "fill": "mean", "wrap": 0.5, "generator": GENERATOR},
        "pitch_shift": {**WAVE, "cents": 3.0, "n_fft": 48},
        "power_to_db": {**SPEC, **DECIBELS},
        "predict": {"tagger": small_tagger("CNN2d, max"), "clips": list(WAVES), "lengths": [200, 200, 200],
                    "embed": False, "max_samples": 1000, "workers": 0, "progress": None, "on_error": None},
        "predict_long": {"tagger": small_tagger("CNN2d, max"), "waveform": WAVES[0], "window": 0.01,
                         "hop": 0.01, "sample_rate": 8000, "embed": False, "max_samples": 1000,
                         "progress": None},
        "score_stream": {"tagger": small_tagger("CNN2d, max"), "waveform": WAVES[0], "window": 0.1,
                         "hop": 0.1, "max_samples": 1000},
        "Stream": {"tagger": small_tagger("CNN2d, max"), "window": 0.1, "hop": 0.1, "latency": 0.2},
        "random_crop": {**CLIPS, "size": (5, 7), "p": 1.0, "generator": GENERATOR},
        "random_folds": {"clips": 5, "n_folds": 2, "seed": 1},
        "random_resized_crop": {**SPEC, "scale": (0.8, 1.0), "ratio": (1.7, 2.3), "p": 1.0,
                                "generator": GENERATOR},
        "read_classes": {"path": folder / "scores.csv"},
        "read_labels": {"path": folder / "labels.csv", "classes": CLASSES, "strict": True, "separator": ",",
                        "name_column": "fname", "label_column": "labels"},
        "read_scores": {"path": folder / "scores.csv"},
        "relabel": {"given": label_table(), "scores": score_table(), "mode": "match", "k": None,
                    "balanced": False, "mean_labels": 1.0, "calibrate": True},
        "resample": {**WAVE, "old_rate": 3, "new_rate": 2},
        "reverb": {**WAVE, "reverberance": 5.0, "damping": 5.0, "room_scale": 5.0, "stereo_depth": 0.0,
                   "pre_delay": 0.0, "wet_gain": 0.0, "sample_rate": 8000, "tail": 0.01},
        "search_second_level": {"scores": torch.rand(2, 3, 4), "target": TARGET, "folds": torch.arange(3),
                                "counts": None, "trials": 1, "seed": 0, "done": (), "hidden": (2,),
                                "reduction": (2,), "dropout": (0.0, 0.5), "lr": (1e-3, 1e-2),
                                "patience": (1, 2), "factor": (0.5, 0.6), "batch_size": (4,), "run": 0.5,
                                "subset": 0.5, "stop": 1, "max_epochs": 1, "draws_per_epoch": 4},
        "select_agreeing": {**LOSS, "k": 1, "balanced": False},
        "shuffle_chunks": {**CLIPS, "chunk_length": 9, "p": 1.0, "generator": GENERATOR},
        "smooth_labels": {"target": TARGET, "amount": 0.01},
        "smoothed_bce_loss": {**LOSS, "smoothing": 0.01, "mask": MASK, "sample_weight": torch.ones(3),
                              "reduction": "sum"},
        "sigmoid_concat_mixup": {"clips": SPECTROGRAM, "target": TARGET, **MIXING, "radius": (3.0, 12.0),
                                 "position": (0.5, 0.5)},
        "spec_augment": {**SPEC, "masks": 2, "frequency": 0.15, "time": 0.2, "fill": "minimum", "p": 1.0,
                         "generator": GENERATOR},
        "speed": {**WAVE, "factor": 1.1, "size": 40},
        "stack_tables": table,
        "tempo": {**WAVE, "factor": 1.1, "n_fft": 48, "size": 40},
        "trim_silence": {**WAVE, "top_db": 60.0, "frame_length": 8, "hop_length": 4, "amin": 1e-10,
                         "pad_mode": "reflect", "min_length": 1},
        "waveform_statistics": {**WAVE, "windows": 4},
        "weighted_mixup": {"clips": SPECTROGRAM, "target": TARGET, **MIXING, "alpha": 0.3, "beta": None},
        "write_audacity": {"path": folder / "new.txt", "events": EVENTS},
        "write_bytes": {"path": folder / "new.bin", "content": b""},
        "write_events": {"path": folder / "new.csv", "events": EVENTS},
        "write_labels": {"path": folder / "new.csv", "table": label_table()},
        "write_raven": {"path": folder / "new.txt", "events": EVENTS, "f_max": 4000.0, "f_min": 0.0},
        "write_scores": {"path": folder / "new.csv", "table": score_table()},
        "write_text": {"path": folder / "new.txt", "text": ""},
        "zlpr_loss": {**LOSS, **WEIGHTS},
    }  # fmt: skip


def valid_calls(folder: Path) -> dict[str, Call]:
    """Return a call of each public function and class, and of the methods that take tensors."""
    things = public_names()
    calls = {name: Call(things[name], given) for name, given in arguments_by_name(folder).items()}
    augmentation = {**CLIPS, "generator": GENERATOR}
    mixing = {k: v for k, v in MIXING.items() if k != "p"}
    modules: list[tuple[nn.Module, dict[str, object]]] = [
        (rankaudio.LSEPLoss(), {**LOSS, "mask": MASK, "sample_weight": torch.ones(3)}),
        (ShuffleChunks(chunk_length=9, p=1.0), augmentation),
        (rankaudio.Gain(p=1.0), augmentation),
        (SomeOf([rankaudio.Gain(p=1.0), ShuffleChunks(p=1.0)], k=1), augmentation),
        (ORMixup(p=1.0), {"clips": WAVES[:, :40], "target": TARGET, **mixing}),
        (WeightedMixup(p=1.0), {"clips": SPECTROGRAM, "target": TARGET, **mixing}),
        (rankaudio.SigmoidConcatMixup(p=1.0), {"clips": SPECTROGRAM, "target": TARGET, **mixing}),
        (LogMel(), {"waveform": WAVES[:, :40], "lengths": LENGTHS}),
        (small_tagger("CNN2d, max"), {"waveform": WAVES[:, :40], "lengths": LENGTHS, "side_inputs": {}}),
        (SMALL_NETWORKS["CNN2d, max"](3), SPEC),
        (SMALL_NETWORKS["SkipAttention"](3), SPEC),
        (AxisPool(), {"x": SPECTROGRAM[:, None], "lengths": LENGTHS}),
        (AxisPoolCNN(**AXIS), {**SPEC, "side_inputs": SIDE}),
    ]
    by_threshold, by_count = ThresholdHead(n_features=4, n_classes=4), CountHead(n_features=4)
    head = {"embedding": SCORES, "scores": SCORES}
    calls["ThresholdHead.loss"] = Call(by_threshold.loss, {**head, "target": TARGET, "mask": MASK})
    calls["ThresholdHead.decide"] = Call(by_threshold.decide, head)
    calls["CountHead.loss"] = Call(by_count.loss, {"embedding": SCORES, "target": TARGET})
    calls["CountHead.decide"] = Call(by_count.decide, head)
    for module, given in modules:
        calls[f"{type(module).__name__}()"] = Call(module, given)
    calls["Tagger.reset_classifier"] = Call(small_tagger("CNN2d, max").reset_classifier, {"classes": CLASSES})
    calls["CNN2d.reset_classifier"] = Call(SMALL_NETWORKS["CNN2d, max"](3).reset_classifier, {"n_classes": 2})
    calls["LabelTable.from_frame"] = Call(
        LabelTable.from_frame,
        {"frame": FRAME, "name_column": "fname", "label_column": "labels", "classes": CLASSES, "strict": True,
         "separator": ","},
    )  # fmt: skip
    calls["LabelTable.select"] = Call(label_table().select, {"names": NAMES[:2]})
    calls["ScoreTable.select"] = Call(score_table().select, {"names": NAMES[:2]})
    decisions = {"thresholds": torch.zeros(3), "calibration": Calibration(torch.ones(3), torch.zeros(3))}
    calls["Tagger.set_decisions"] = Call(small_tagger("CNN2d, max").set_decisions, decisions)
    calls["Tagger.save"] = Call(Tagger(LogMel(), nn.Identity()).save, {"path": folder / "new.pt"})
    calls["Tagger.load"] = Call(
        Tagger.load, {"path": folder / "model.pt", "frontend": None, "backbone": None, "device": "cpu"}
    )
    return calls


def write_files(folder: Path) -> None:
    """Write the files that the calls read."""
    import soundfile

    soundfile.write(folder / "a.wav", WAVES[0].numpy() / 10, 8000)
    small_tagger("CNN2d, max").save(folder / "model.pt")
    rankaudio.data.write_labels(folder / "labels.csv", label_table())
    rankaudio.data.write_scores(folder / "scores.csv", score_table())
