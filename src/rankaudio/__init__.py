"""rankaudio: multi-label audio tagging in PyTorch, with exact ranking losses and metrics.

The names here are those that a training loop uses. Label tables are in :mod:`rankaudio.data`, tools for
noisy labels in :mod:`rankaudio.noisy`, and ensembles in :mod:`rankaudio.ensemble`.
"""

from rankaudio import data, ensemble, noisy
from rankaudio.augmentation import Augmentation, Mixer
from rankaudio.backbones import (
    AuxSkipAttention,
    AxisPoolCNN,
    CNN1d,
    CNN2d,
    RnnAuxSkipAttention,
    SkipAttention,
)
from rankaudio.chain import Chain
from rankaudio.data import ClipDataset, LengthBucketSampler, load_audio, multilabel_folds, pad_collate
from rankaudio.effects import (
    Gain,
    Overdrive,
    PitchShift,
    Reverb,
    Speed,
    Tempo,
    ThirdPlaceEffects,
    gain,
    overdrive,
    pitch_shift,
    reverb,
    speed,
    tempo,
)
from rankaudio.encoding import FrequencyEncoding, frequency_encoding
from rankaudio.inference import predict, predict_long
from rankaudio.lengths import frame_lengths, length_mask
from rankaudio.losses import LSEPLoss, lsep_loss
from rankaudio.masking import (
    PadOrCrop,
    RandomCrop,
    RandomResizedCrop,
    ShuffleChunks,
    SpecAugment,
    pad_or_crop,
    random_crop,
    random_resized_crop,
    shuffle_chunks,
    spec_augment,
)
from rankaudio.metrics import Lwlrap, lwlrap
from rankaudio.mixing import (
    ORMixup,
    RandomMixer,
    SigmoidConcatMixup,
    WeightedMixup,
    or_mixup,
    sigmoid_concat_mixup,
    weighted_mixup,
)
from rankaudio.resampling import Resample, resample
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
    "Augmentation",
    "AuxSkipAttention",
    "AxisPoolCNN",
    "CNN1d",
    "CNN2d",
    "Chain",
    "ClipDataset",
    "Deltas",
    "FrequencyEncoding",
    "Gain",
    "LSEPLoss",
    "LengthBucketSampler",
    "LogMel",
    "LogSTFT",
    "Lwlrap",
    "Mixer",
    "ORMixup",
    "Overdrive",
    "PadOrCrop",
    "PitchShift",
    "RandomCrop",
    "RandomMixer",
    "RandomResizedCrop",
    "Resample",
    "Reverb",
    "RnnAuxSkipAttention",
    "ShuffleChunks",
    "SigmoidConcatMixup",
    "SkipAttention",
    "SpecAugment",
    "Speed",
    "Tagger",
    "Tempo",
    "ThirdPlaceEffects",
    "WeightedMixup",
    "data",
    "deltas",
    "ensemble",
    "frame_lengths",
    "frequency_encoding",
    "gain",
    "length_mask",
    "load_audio",
    "log_mel",
    "log_stft",
    "lsep_loss",
    "lwlrap",
    "mel_filterbank",
    "multilabel_folds",
    "noisy",
    "or_mixup",
    "overdrive",
    "pad_collate",
    "pad_or_crop",
    "pitch_shift",
    "power_to_db",
    "predict",
    "predict_long",
    "random_crop",
    "random_resized_crop",
    "resample",
    "reverb",
    "shuffle_chunks",
    "sigmoid_concat_mixup",
    "spec_augment",
    "speed",
    "tempo",
    "weighted_mixup",
]
