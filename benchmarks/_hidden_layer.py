"""A model with one hidden layer on statistics of the log-mel spectrogram: a training takes a second."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from rankaudio import load_audio, log_mel, lsep_loss, lwlrap, multilabel_folds
from rankaudio.data import read_labels
from rankaudio.losses import asymmetric_loss, focal_loss, zlpr_loss

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "lsep": lsep_loss,
    "zlpr": zlpr_loss,
    "bce": binary_cross_entropy_with_logits,
    "asl": asymmetric_loss,
    "focal": focal_loss,
}
EPOCHS, BATCH, HIDDEN = 60, 20, 128


class HiddenLayer:
    """Trains on the features of a corpus in the Kaggle layout."""

    def __init__(self, data: Path) -> None:
        known = read_labels(data / "train_curated.csv")
        test = read_labels(data / "test.csv", classes=known.classes)
        self.target, self.test_target = known.target.float(), test.target.float()
        features = _features(data / "train_curated", known.names)
        centre, spread = features.mean(0), features.std(0)
        self.features = (features - centre) / spread
        self.test_features = (_features(data / "test", test.names) - centre) / spread

    def train(self, loss: str, seed: int, rate: float) -> tuple[tuple[Tensor, Tensor, Tensor], ...]:
        """Return scores, labels and embeddings of a quarter that is held out, and of the test part."""
        torch.manual_seed(seed)
        held_out = multilabel_folds(self.target.bool(), n_folds=4, seed=seed) == 0
        hidden = nn.Sequential(nn.Linear(self.features.shape[1], HIDDEN), nn.ReLU(), nn.Dropout(0.5))
        model = nn.Sequential(hidden, nn.Linear(HIDDEN, self.target.shape[1]))
        optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.1)
        best, kept = -1.0, model.state_dict()
        for _ in range(EPOCHS):
            self._epoch(model, optimizer, LOSSES[loss], ~held_out)
            value = float(lwlrap(_scores(model, self.features[held_out]), self.target[held_out]))
            if value > best:
                best, kept = value, copy.deepcopy(model.state_dict())
        model.load_state_dict(kept)
        parts = ((self.features[held_out], self.target[held_out]), (self.test_features, self.test_target))
        return tuple((_scores(model, x), t, _scores(hidden, x)) for x, t in parts)

    def _epoch(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, loss: Callable, chosen: Tensor
    ) -> None:
        model.train()
        rows = chosen.nonzero()[:, 0]
        for batch in rows[torch.randperm(len(rows))].split(BATCH):
            optimizer.zero_grad()
            loss(model(self.features[batch]), self.target[batch]).backward()
            optimizer.step()


@torch.no_grad()
def _scores(model: nn.Module, features: Tensor) -> Tensor:
    return model.eval()(features)


def _features(folder: Path, names: tuple[str, ...]) -> Tensor:
    """Mean, deviation and maximum of each mel band, ``(clips, 192)``."""
    rows = []
    for name in names:
        bands = log_mel(load_audio(folder / name, sample_rate=44100)[None], n_mels=64, hop_length=1024)[0]
        rows.append(torch.cat([bands.mean(1), bands.std(1, correction=0), bands.amax(1)]))
    return torch.stack(rows)
