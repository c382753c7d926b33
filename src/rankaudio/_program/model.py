"""The model of a command: the tagger of a file, or the taggers of a run with the mean of their scores."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from rankaudio._program.audio_files import AudioFile, Clips
from rankaudio.inference import (
    FramewiseTagger,
    SegmentedTagger,
    WindowedTagger,
    WindowScores,
    predict,
    predict_long,
)
from rankaudio.tagger import Tagger

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Model:
    """Taggers with the same classes.

    Attributes:
        path: the file or the folder.
        taggers: a tagger for each fold.
        classes: names of the classes, or numbers if the model has no names.
        sample_rate: of the waveforms.
        settings: ``settings.toml`` of a run, or nothing.
        max_samples: samples in a batch.
        workers: processes that read files.
    """

    path: Path
    taggers: tuple[Tagger, ...]
    classes: tuple[str, ...]
    sample_rate: int
    settings: dict[str, Any]
    max_samples: int
    workers: int

    @classmethod
    def load(cls, path: Path, *, device: torch.device, batch: float, workers: int) -> Self:
        """Load a file of :meth:`Tagger.save`, or the folder of a run with a model for each fold.

        Raises:
            FileNotFoundError: if there is no model.
            ValueError: if a file is no model, folds differ in their classes, or a weight is not finite.
        """
        files = _model_files(path)
        taggers = tuple(Tagger.load(file, device=device) for file in files)
        for file, tagger in zip(files, taggers, strict=True):
            _check_weights(file, tagger)
            if (tagger.classes, tagger.sample_rate) != (taggers[0].classes, taggers[0].sample_rate):
                raise ValueError(f"{file}: wanted the classes and the sample rate of the other folds")
        rate, count = taggers[0].sample_rate, getattr(taggers[0].backbone, "n_classes", 0)
        if rate is None:
            raise ValueError(f"{path}: wanted a frontend with a sample rate, got none")
        classes = taggers[0].classes or tuple(map(str, range(count)))
        settings = _read_settings(path / "settings.toml") if path.is_dir() else {}
        return cls(path, taggers, classes, rate, settings, max(1, round(batch * rate)), workers)

    @property
    def thresholds(self) -> Tensor:
        """The thresholds that the only tagger was saved with, on the CPU.

        Raises:
            ValueError: if it has none, or there are several taggers.
        """
        thresholds = self.only("--threshold saved").thresholds
        if thresholds is None:
            raise ValueError(f"--threshold: wanted a model that was saved with thresholds, got {self.path}")
        return thresholds.cpu()

    def probabilities(self) -> Callable[[Tensor], Tensor]:
        """Return what makes probabilities of scores, by the calibration that the only tagger was saved with.

        Raises:
            ValueError: if it has none, or there are several taggers.
        """
        tagger = self.only("--probabilities")
        if tagger.calibration is None:
            raise ValueError(
                f"--probabilities: wanted a model that was saved with a calibration, got {self.path}"
            )
        return tagger.probabilities

    def only(self, option: str) -> Tagger:
        """Return the only tagger; ``option`` needs one, because folds differ in what it asks for."""
        if len(self.taggers) > 1:
            raise ValueError(
                f"{option}: wanted one model, got {self.path} with {len(self.taggers)} folds; name one file"
            )
        return self.taggers[0]

    def scores(
        self,
        files: list[AudioFile],
        *,
        on_error: Callable[[int, Exception], None],
        progress: Progress,
        embed: bool = False,
    ) -> Tensor:
        """Return the mean scores ``(N, C)`` of whole clips, or the embeddings of the only tagger."""
        trim = self.settings.get("sound", {}).get("trim")
        clips, count = Clips(files, self.sample_rate, trim), len(files)
        scorers = [self.only("embed")] if embed else [self._scorer(tagger) for tagger in self.taggers]
        total: Tensor | float = 0.0
        for fold, scorer in enumerate(scorers):

            def show(done: int, _: int, fold: int = fold) -> None:
                progress((fold * count + done) // len(scorers), count)

            rows = predict(
                scorer,
                clips,  # type: ignore[arg-type]
                embed=embed,
                max_samples=self.max_samples,
                workers=self.workers,
                on_error=on_error,
                progress=show,
            )
            total = total + rows.double()  # one after the other, so that the order is known
        return torch.as_tensor(total / len(scorers)).float()

    def windows(self, path: Path, window: float, hop: float) -> WindowScores:
        """Return the mean scores of the windows of a file."""
        return self._mean(
            [
                predict_long(tagger, path, window=window, hop=hop, max_samples=self.max_samples)
                for tagger in self.taggers
            ]
        )

    def steps(self, path: Path, context: float) -> WindowScores:
        """Return the mean scores of the time steps of a file."""
        return self._mean([FramewiseTagger(tagger, context=context).score(path) for tagger in self.taggers])

    def _mean(self, found: list[WindowScores]) -> WindowScores:
        scores = torch.stack([each.scores.double() for each in found]).mean(0).float()
        if not bool(scores.isfinite().all()):
            raise ValueError("wanted finite scores, got others; its samples may be too large")
        return WindowScores(scores, found[0].starts, found[0].ends)

    def _scorer(self, tagger: Tagger) -> nn.Module:
        """Return what scores whole clips: the tagger, or its mean over windows or segments as in training."""
        crops = self.settings.get("crops", {})
        if crops.get("segment_seconds") is not None:
            return SegmentedTagger(tagger, seconds=crops["segment_seconds"])
        frames = crops.get("crop_frames")
        if frames is None:
            return tagger
        return WindowedTagger(tagger, window=frames, hop=crops.get("window_hop") or max(1, frames // 2))


def _model_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    for pattern in ("fold_*/model.pt", "fold_*.pt", "model.pt"):
        found = sorted(path.glob(pattern))
        if found:
            return found
    raise FileNotFoundError(f"MODEL: wanted a folder with fold_*/model.pt, got {path}")


def _check_weights(path: Path, tagger: Tagger) -> None:
    for name, value in tagger.state_dict().items():
        if name != "thresholds" and value.is_floating_point() and not bool(value.isfinite().all()):
            raise ValueError(f"{path}: wanted finite weights, got others in {name}")


def _read_settings(path: Path) -> dict[str, Any]:
    """Read the settings of a run, which say how clips are scored. By default clips are scored whole."""
    if not path.exists():
        return {}
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: wanted TOML: {error}") from error
    for name in ("crops", "sound"):
        if not isinstance(settings.get(name, {}), dict):
            raise ValueError(f"{path}: wanted a table [{name}], got a value")  # noqa: TRY004
    return settings
