"""rankaudio: multi-label audio tagging in PyTorch, with the ranks done right."""

from rankaudio.backbones import CNN1d, CNN2d
from rankaudio.data import (
    AudioInfo,
    Batch,
    ClipDataset,
    LabelTable,
    LengthBucketSampler,
    ScoreTable,
    audio_info,
    load_audio,
    multilabel_folds,
    pad_collate,
    read_classes,
    read_labels,
    read_scores,
    write_scores,
)
from rankaudio.encoding import FrequencyEncoding, frequency_encoding
from rankaudio.inference import predict
from rankaudio.lengths import frame_lengths, length_mask
from rankaudio.losses import LSEPLoss, lsep_loss
from rankaudio.metrics import ClassLwlrap, Lwlrap, lwlrap
from rankaudio.mixing import ORMixup, ORMixupDraw, apply_or_mixup, draw_or_mixup, or_mixup
from rankaudio.spectral import (
    Deltas,
    LogMel,
    LogSTFT,
    deltas,
    log_mel,
    log_stft,
    mel_filterbank,
    power_to_db,
)
from rankaudio.tagger import Tagger

__version__ = "0.1.0"

__all__ = [
    "AudioInfo",
    "Batch",
    "CNN1d",
    "CNN2d",
    "ClassLwlrap",
    "ClipDataset",
    "Deltas",
    "FrequencyEncoding",
    "LSEPLoss",
    "LabelTable",
    "LengthBucketSampler",
    "LogMel",
    "LogSTFT",
    "Lwlrap",
    "ORMixup",
    "ORMixupDraw",
    "ScoreTable",
    "Tagger",
    "apply_or_mixup",
    "audio_info",
    "deltas",
    "draw_or_mixup",
    "frame_lengths",
    "frequency_encoding",
    "length_mask",
    "load_audio",
    "log_mel",
    "log_stft",
    "lsep_loss",
    "lwlrap",
    "mel_filterbank",
    "multilabel_folds",
    "or_mixup",
    "pad_collate",
    "power_to_db",
    "predict",
    "read_classes",
    "read_labels",
    "read_scores",
    "write_scores",
]
