"""Settings of crops of spectrograms and of waveforms, and of pools that batches are drawn from."""

from __future__ import annotations

from dataclasses import dataclass

from freesound.setting import Checked, option


@dataclass(frozen=True)
class Crops(Checked):
    """Crops of a fixed number of frames, what is done to them in training, and windows in scoring."""

    crop_frames: int | None = option(
        None, "train on crops and score windows of so many frames; by default whole clips", low=1
    )
    window_hop: int | None = option(
        None, "frames from one scoring window to the next; by default half a crop", low=1
    )
    wrap: float = option(
        0.0,
        "probability that a clip shorter than a crop is repeated; else its minimum fills the crop",
        low=0,
        high=1,
        metavar="P",
    )
    resize: float = option(
        0.0, "probability of a random part, stretched to the size of the crop", low=0, high=1, metavar="P"
    )
    area_low: float = option(0.8, "smallest area of the part, as a share of the crop", above=0, high=1)
    ratio_low: float = option(1.7, "lowest ratio of frames to bins of the part", above=0)
    ratio_high: float = option(2.3, "highest ratio of frames to bins of the part", above=0)
    spec_augment: float = option(
        0.0, "probability of masks over frequency and time", low=0, high=1, metavar="P"
    )
    mixers: float = option(
        0.0,
        "probability that a spectrogram is mixed with another one of its batch",
        low=0,
        high=1,
        metavar="P",
    )
    concat_share: float = option(
        0.6,
        "share of mixtures in which one clip fades into the other; the rest are weighted sums",
        low=0,
        high=1,
    )
    segment_seconds: float | None = option(
        None,
        "train on segments of the waveform of this length, and score the mean probability of the segments "
        "at start, middle and end; zeros around a shorter clip count as silence; by default whole clips",
        above=0,
        metavar="SECONDS",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.segment_seconds is not None and self.crop_frames is not None:
            raise ValueError("segment_seconds, crop_frames: wanted one of them, got both")
        if self.ratio_low > self.ratio_high:
            raise ValueError(f"ratio_high: wanted at least {self.ratio_low:g}, got {self.ratio_high:g}")
        if self.crop_frames is None:
            if self.window_hop is not None or self.wrap:
                raise ValueError("window_hop, wrap: wanted them with --crop-frames only")
        elif self.window_hop is not None and self.window_hop > self.crop_frames:
            raise ValueError(
                f"window_hop: wanted at most {self.crop_frames}, the frames of a crop, got {self.window_hop}"
            )

    @property
    def hop(self) -> int:
        """Frames from one window to the next."""
        return self.window_hop or max(1, (self.crop_frames or 1) // 2)


@dataclass(frozen=True)
class Pools(Checked):
    """Pools of curated, trusted and noisy clips: their shares of the draws, and how noisy labels count."""

    draws: int | None = option(
        None, "draws in an epoch, with replacement; by default each clip comes once", low=1
    )
    trusted: str | None = option(
        None,
        "table (fname, labels) of clips in train_noisy/ whose labels count like curated ones",
        metavar="CSV",
    )
    curated_share: float = option(1.0, "share of curated clips among the draws", low=0)
    trusted_share: float = option(0.0, "share of trusted clips among the draws", low=0)
    noisy_share: float = option(0.0, "share of noisy clips among the draws", low=0)
    noisy_loss: str = option(
        "same",
        "loss of noisy clips: that of the others, or L-soft, which mixes labels with predictions",
        choices=("same", "l_soft"),
    )
    noisy_beta: float = option(0.7, "weight of the labels in L-soft", low=0, high=1)
    clean_weight: float = option(1.0, "weight of the loss of curated and trusted clips", low=0)
    noisy_weight: float = option(1.0, "weight of the loss of noisy clips", low=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.draws is None and (self.trusted_share or self.noisy_share or self.curated_share != 1):
            raise ValueError("curated_share, trusted_share, noisy_share: wanted them with --draws only")
        if self.trusted_share and self.trusted is None:
            raise ValueError("trusted_share: wanted --trusted, which names the trusted clips, got none")
        if self.draws is not None and not (self.curated_share or self.trusted_share or self.noisy_share):
            raise ValueError("curated_share, trusted_share, noisy_share: wanted one above 0, got none")

    @property
    def shares(self) -> tuple[float, float, float]:
        """Shares of curated, noisy and trusted clips, in the order of the numbers of sources."""
        return self.curated_share, self.noisy_share, self.trusted_share
