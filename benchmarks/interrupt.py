"""Kill a training at random moments (kill -9): does a resumed run end like one without interruption?

    python benchmarks/interrupt.py --work WORK [--kills 10] [--seed 0]

    python benchmarks/interrupt.py --work WORK --system first --data DIR --kills 3

The program makes a small corpus of synthetic sounds in WORK, and trains a network on it once without
interruption. A training of the first-place system draws noisy clips too, so it needs DIR, a folder in the
Kaggle layout. Then it starts the same training again and again, kills it at a random moment of its duration,
start-up included, and resumes it. After each kill every file must be readable. After each resumption every
file must equal that of the first training to the bit, except for the seconds in metrics.csv and log.txt.
"""

from __future__ import annotations

import csv
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from _table import options, published, show
from rankaudio import Tagger
from rankaudio.data import read_scores

EXAMPLE = Path(__file__).parent.parent / "examples" / "freesound2019.py"
sys.path.insert(0, str(EXAMPLE.parent))
THIRD = [
    *("--folds", "2", "--fold", "0", "--epochs", "12", "--base-depth", "4", "--n-blocks", "3"),
    *("--batch-size", "5", "--max-seconds", "1", "--mixup", "0.5", "--effects", "0.3", "--shuffle", "0.5"),
    *("--dropout", "0.2", "--accumulate", "2", "--clip-norm", "5", "--average", "ema"),
    *("--average-decay", "0.9", "--early-stop", "4", "--workers", "1", "--checkpoint-seconds", "0"),
    *("--device", "cpu", "--no-tensorboard"),
]
FIRST = [
    *("--folds", "3", "--fold", "0", "--network", "AuxSkipAttention", "--base-depth", "4", "--epochs", "4"),
    *("--batch-size", "8", "--draws", "96", "--noisy", "--curated-share", "0.8", "--noisy-share", "0.2"),
    *("--noisy-loss", "l_soft", "--clean-weight", "0.5", "--noisy-weight", "0.5", "--loss", "bce"),
    *("--optimizer", "adam", "--schedule", "plateau", "--patience", "0", "--lr-max", "5e-3"),
    *("--scale", "0.01", "--trim", "60", "--n-fft", "2048", "--hop-length", "1024", "--n-mels", "32"),
    *("--crop-frames", "64", "--wrap", "0.5", "--resize", "0.33", "--spec-augment", "0.5", "--mixers", "0.8"),
    *("--workers", "1", "--checkpoint-seconds", "0", "--device", "cpu", "--no-tensorboard"),
]
OPTIONS = {"third": THIRD, "first": FIRST}


def command(data: Path, run: Path, system: str, *more: str) -> list[str]:
    words = [sys.executable, str(EXAMPLE), "train", "--data", str(data), "--run", str(run)]
    return [*words, *OPTIONS[system], *more]


def whole(data: Path, run: Path, system: str) -> float:
    """Train without interruption; return the seconds from start to end of the process."""
    start = time.perf_counter()
    subprocess.run(command(data, run, system), check=True, stdout=subprocess.DEVNULL, timeout=600)
    return time.perf_counter() - start


def killed(data: Path, run: Path, system: str, moment: float) -> bool:
    """Kill the training after so many seconds; return whether it was still running."""
    process = subprocess.Popen(command(data, run, system), stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        process.wait(timeout=moment)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    return process.wait(timeout=60) == -signal.SIGKILL


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines(), strict=True))


def unreadable(fold: Path) -> list[str]:
    """Return the files of a killed fold that cannot be read."""
    readers = {
        "state.pt": lambda path: torch.load(path, weights_only=True),
        "model.pt": Tagger.load,
        "valid.csv": read_scores,
        "metrics.csv": lambda path: table(path)[0]["epoch"],
        "log.txt": lambda path: re.fullmatch(r"(epoch .* s\n)+", path.read_text())[0],
    }
    bad = []
    for name, read in readers.items():
        try:
            if (fold / name).exists():
                read(fold / name)
        except Exception as error:  # noqa: BLE001
            bad.append(f"{name}: {error}")
    return bad


def outcome(fold: Path) -> dict[str, object]:
    """Return the content of every file, without the seconds."""
    found: dict[str, object] = {path.name: path.read_bytes() for path in fold.iterdir()}
    rows = table(fold / "metrics.csv")
    found["metrics.csv"] = [{key: value for key, value in row.items() if key != "seconds"} for row in rows]
    found["log.txt"] = re.sub(r"\d+\.\d s", "", (fold / "log.txt").read_text())
    return found


def where(fold: Path) -> str:
    """Return in words how far training had come by the last good state."""
    if not (fold / "state.pt").exists():
        return "finished" if (fold / "model.pt").exists() else "before the first state"
    progress = torch.load(fold / "state.pt", weights_only=True)["progress"]
    return f"{progress['epoch']} epochs, {progress['batch']} batches"


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--work", type=Path, required=True, help="new folder")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--system", choices=list(OPTIONS), default="third")
    parser.add_argument("--data", type=Path, help="folder in the Kaggle layout instead of synthetic sounds")
    args = parser.parse_args()
    if args.system == "first" and args.data is None:
        parser.error("--data: wanted a folder with noisy clips, which --system first draws, got none")
    from freesound.synthetic import make_corpus

    args.work.mkdir(parents=True)
    data = args.data or args.work / "corpus"
    if args.data is None:
        make_corpus(data, per_class=2, test_per_class=1)
    duration = whole(data, args.work / "whole", args.system)
    expected = outcome(args.work / "whole" / "fold_0")
    drawn = random.Random(args.seed)
    rows, wrong = [], 0
    for number in range(args.kills):
        run = args.work / f"killed_{number}"
        while not killed(data, run, args.system, moment := drawn.uniform(0, duration)):
            shutil.rmtree(run)  # it was over before that moment, because it was faster than the first one
        place, bad = where(run / "fold_0"), unreadable(run / "fold_0")
        subprocess.run(
            command(data, run, args.system, "--resume"), check=True, stdout=subprocess.DEVNULL, timeout=600
        )
        same = outcome(run / "fold_0") == expected
        wrong += bool(bad) or not same
        rows.append([f"{moment:.2f} s", place, ", ".join(bad) or "none", "yes" if same else "NO"])
        print(*rows[-1], sep=" | ", flush=True)
    columns = ["killed after", "last good state", "unreadable files", "identical end"]
    with published(args.out):
        show(f"Killed and resumed; the whole run takes {duration:.1f} s", columns, rows)
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
