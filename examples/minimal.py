"""The third-place model of Freesound Audio Tagging 2019 in one file. Copy it and change it.

    python examples/minimal.py data=DIR out=RUN

DIR has the table train_curated.csv, with the columns fname and labels, and the clips in train_curated/.
Every name in SETTINGS can be given: epochs=60 base_depth=16. The best model of each fold is RUN/fold_K.pt.
If DIR has files in test/, all have to be audio. RUN/scores.csv has the mean of their scores over the folds.
"""

import sys
from pathlib import Path
from types import SimpleNamespace

import torch
from torch.utils.data import DataLoader

import rankaudio as ra
from rankaudio.data import ScoreTable, read_labels, write_scores

SETTINGS = {"data": "data", "out": "run", "sample_rate": 44_100, "folds": 5, "epochs": 30, "batch_size": 20}
SETTINGS |= {"max_seconds": 15.0, "base_depth": 50, "dropout": 0.5, "lr_min": 1e-4, "lr_max": 5e-3, "seed": 0}
SETTINGS |= {"mixup": 0.5, "effects": 0.75, "shuffle": 0.5, "augmented_share": 0.9, "workers": 0}


def read_settings(words):
    """Change SETTINGS by words of the form NAME=value."""
    settings = dict(SETTINGS)
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or name not in settings:
            sys.exit(f"minimal.py: wanted NAME=value, NAME being one of {', '.join(settings)}, got {word!r}")
        settings[name] = type(settings[name])(text)
    return SimpleNamespace(**settings)


def train_fold(fold, labels, fold_of, device, s):
    """Train on the other folds, validate on this one after each epoch, save the best model."""
    train = labels.select([labels.names[index] for index in (fold_of != fold).nonzero()])
    valid = labels.select([labels.names[index] for index in (fold_of == fold).nonzero()])
    folder = Path(s.data) / "train_curated"
    clips = ra.ClipDataset.from_table(folder, train, sample_rate=s.sample_rate, max_seconds=s.max_seconds)
    valid_clips = ra.ClipDataset.from_table(folder, valid, sample_rate=s.sample_rate)
    limits = {"batch_size": s.batch_size, "max_samples": round(s.batch_size * s.max_seconds * s.sample_rate)}
    sampler = ra.LengthBucketSampler(clips.lengths, spread=32, seed=s.seed, **limits)
    loader = DataLoader(clips, batch_sampler=sampler, collate_fn=ra.pad_collate, num_workers=s.workers)

    network = ra.CNN2d(len(labels.classes), base_depth=s.base_depth, dropout=s.dropout)
    tagger = ra.Tagger(ra.LogMel(sample_rate=s.sample_rate), network, classes=labels.classes).to(device)
    mixup, shuffle = ra.ORMixup(p=s.mixup), ra.ShuffleChunks(chunk_length=s.sample_rate // 2, p=s.shuffle)
    effects = ra.ThirdPlaceEffects(p=s.effects, sample_rate=s.sample_rate)
    augment = ra.Chain({"mixup": mixup, "effects": effects, "shuffle": shuffle})
    criterion, optimizer = ra.LSEPLoss(), torch.optim.Adam(tagger.parameters(), amsgrad=True)
    cycle = {"pct_start": 0.3, "anneal_strategy": "linear", "div_factor": s.lr_max / s.lr_min}
    steps = s.epochs * len(loader)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, s.lr_max, steps, cycle_momentum=False, **cycle)
    best = -1.0
    for epoch in range(s.epochs):
        if epoch >= s.augmented_share * s.epochs:
            augment.disable()
        tagger.train()
        for batch in loader:
            waveform, target, lengths = augment(*(tensor.to(device) for tensor in batch))
            loss = criterion(tagger(waveform, lengths), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        value = float(ra.lwlrap(ra.predict(tagger, valid_clips, workers=s.workers), valid.target))
        print(f"fold {fold}  epoch {epoch + 1}  loss {loss.item():.4f}  lwlrap {value:.4f}", flush=True)
        if value > best:
            best = value
            tagger.save(Path(s.out) / f"fold_{fold}.pt")


if __name__ == "__main__":
    s = read_settings(sys.argv[1:])
    torch.manual_seed(s.seed)
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
    labels = read_labels(Path(s.data) / "train_curated.csv")
    Path(s.out).mkdir(parents=True, exist_ok=True)
    fold_of = ra.multilabel_folds(labels.target, n_folds=s.folds, seed=s.seed)
    folder = Path(s.data) / "test"
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    test = ra.ClipDataset([folder / name for name in names], sample_rate=s.sample_rate) if names else None
    for fold in range(s.folds):
        train_fold(fold, labels, fold_of, device, s)
    if test:
        models = [ra.Tagger.load(Path(s.out) / f"fold_{fold}.pt", device=device) for fold in range(s.folds)]
        scores = torch.stack([ra.predict(model, test, workers=s.workers) for model in models]).mean(0)
        write_scores(Path(s.out) / "scores.csv", ScoreTable(names, labels.classes, scores))
