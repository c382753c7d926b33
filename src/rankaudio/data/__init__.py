"""Audio files, label tables, batches and folds: everything between a folder of clips and a model."""

from rankaudio._files import write_bytes, write_text
from rankaudio.data._audio import AudioInfo, audio_info, load_audio
from rankaudio.data._collate import Batch, pad_collate
from rankaudio.data._dataset import ClipDataset, Crop
from rankaudio.data._folds import FoldBalance, fold_balance, multilabel_folds, random_folds
from rankaudio.data._label_files import read_labels, write_labels
from rankaudio.data._pool_sampler import PoolDraws, PoolSampler
from rankaudio.data._sampler import LengthBucketSampler
from rankaudio.data._score_files import read_classes, read_scores, write_scores
from rankaudio.data._tables import LabelTable, ScoreTable

__all__ = [
    "AudioInfo",
    "Batch",
    "ClipDataset",
    "Crop",
    "FoldBalance",
    "LabelTable",
    "LengthBucketSampler",
    "PoolDraws",
    "PoolSampler",
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
]
