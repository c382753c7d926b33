"""The effect of padding without masks: lwlrap of one trained run in batches of several kinds.

    python benchmarks/padding.py --model RUN/fold_0/model.pt --data DIR

DIR has the Kaggle layout, with labels for the test part in test.csv.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from _table import options, published, show
from rankaudio import ClipDataset, Tagger, lwlrap, pad_collate, predict
from rankaudio.data import read_labels


@torch.inference_mode()
def in_batches(tagger: Tagger, clips: list[Tensor], order: list[int], *, lengths: bool) -> Tensor:
    scores = torch.empty(len(clips), len(tagger.classes))
    for start in range(0, len(order), 20):
        some = order[start : start + 20]
        batch = pad_collate([clips[index] for index in some])
        scores[some] = tagger(batch.waveform, batch.lengths if lengths else None)
    return scores


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    args = parser.parse_args()
    tagger = Tagger.load(args.model)
    truth = read_labels(args.data / "test.csv", classes=tagger.classes)
    dataset = ClipDataset.from_table(args.data / "test", truth, sample_rate=tagger.sample_rate or 44_100)
    clips = [waveform for waveform, _ in dataset]
    mixed = torch.randperm(len(clips), generator=torch.Generator().manual_seed(0)).tolist()
    with torch.inference_mode():
        alone = torch.cat([tagger(clip[None]) for clip in clips])
    rows = []
    for name, scores in [
        ("each clip alone", alone),
        ("predict", predict(tagger, clips)),
        ("random batches of 20, lengths given", in_batches(tagger, clips, mixed, lengths=True)),
        ("random batches of 20, padding not masked", in_batches(tagger, clips, mixed, lengths=False)),
    ]:
        value = float(lwlrap(scores, truth.target))
        rows.append([name, f"{value:.4f}", f"{float((scores - alone).abs().max()):.1e}"])
    with published(args.out):
        show(f"{args.data.name}: test part", ["batches", "lwlrap", "largest difference of a score"], rows)


if __name__ == "__main__":
    main()
