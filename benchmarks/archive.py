"""Tagging archives: tag_archive.py on Ray Data against a plain loop, and killed processes.

    python benchmarks/archive.py --corpus DIR [--short 20000] [--hours 10] [--cpus 2] [--folder /tmp]

DIR has clips as WAV files. The program makes two archives of them in a temporary folder. One has short files:
the clips of at most 3 s under many names, which are hard links, and a few broken files. The other has
recordings of an hour, in which the clips follow each other. The network has the size of the demo, with random
weights.

The plain loop calls predict_long for one file after the other, in one process with one thread. The memory is
the highest resident set of a process. CPU seconds are those of all processes together.

Then the archive of short files is tagged again. A worker and later the driver are killed with kill -9. A
second start does the rest, and its tables are compared with those of the run without interruption.
"""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import torch

from _table import options, published, show
from _usage import Usage, watched
from rankaudio import CNN2d, LogMel, Tagger
from rankaudio.data import audio_info

PROGRAM = Path(__file__).parents[1] / "examples" / "tag_archive.py"
SHORTEST, LONGEST = 0.3, 3.0
CLASSES = 20
KINDS = ("driver", "worker")


def make_short(corpus: Path, folder: Path, count: int) -> None:
    """Write the clips of 0.3 to 3 s once, and give them many names."""
    clips = []
    for number, path in enumerate(sorted(corpus.rglob("*.wav"))):
        info = audio_info(path)
        if SHORTEST <= info.frames / info.sample_rate <= LONGEST:
            copy = folder / "000" / f"{number:06d}.wav"
            copy.parent.mkdir(parents=True, exist_ok=True)
            clips.append(shutil.copy(path, copy))
    for number in range(len(clips), count):
        link = folder / f"{1 + number // 1000:03d}" / f"{number:06d}.wav"
        link.parent.mkdir(exist_ok=True)
        os.link(clips[number % len(clips)], link)
    content = Path(clips[0]).read_bytes()
    broken = {"empty": b"", "cut": content[: len(content) // 2], "text": b"no sound", "header": content[:44]}
    for name, some in broken.items():
        (folder / f"{name}.wav").write_bytes(some)


def make_long(corpus: Path, folder: Path, hours: float) -> None:
    """Write an hour of clips in a random order, and give it a name for each hour."""
    clips = sorted(corpus.rglob("*.wav"))
    folder.mkdir(parents=True)
    first, rate, draw = folder / "hour_00.wav", 44_100, random.Random(0)
    with wave.open(str(first), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        left = round(min(hours, 1) * 3600 * rate)
        while left > 0:
            with wave.open(str(draw.choice(clips)), "rb") as clip:
                samples = min(left, clip.getnframes())
                file.writeframesraw(clip.readframes(samples))
                left -= samples
    for number in range(1, round(hours)):
        os.link(first, folder / f"hour_{number:02d}.wav")


def save_model(path: Path) -> None:
    torch.manual_seed(0)
    classes = [f"class_{k:02d}" for k in range(CLASSES)]
    Tagger(LogMel(), CNN2d(CLASSES, base_depth=16), classes=classes).eval().save(path)


def plain_loop(model: Path, audio: Path, out: Path, window: float) -> None:
    """Score one file after the other, and write one table."""
    import pyarrow as pa
    from pyarrow import parquet

    from rankaudio.inference import predict_long

    torch.set_num_threads(1)
    tagger = Tagger.load(model)
    names, starts, ends, scores = [], [], [], []
    for path in sorted(audio.rglob("*.wav")):
        try:
            found = predict_long(tagger, path, window=window, hop=window)
        except (OSError, ValueError):
            continue
        names += [path.relative_to(audio).as_posix()] * len(found.scores)
        starts.append(found.starts)
        ends.append(found.ends)
        scores.append(found.scores)
    table = {"fname": names, "start": torch.cat(starts).numpy(), "end": torch.cat(ends).numpy()}
    columns = dict(zip(tagger.classes, torch.cat(scores).T.contiguous().numpy(), strict=True))
    parquet.write_table(pa.table(table | columns), out)


class Kills:
    """Kills a worker when a quarter of the shards is done, and the driver at a half."""

    def __init__(self, out: Path, shards: int) -> None:
        self.out, self.shards = out, shards
        self.at: dict[str, int] = {}

    def __call__(self, process: subprocess.Popen[str]) -> None:
        done = len(list((self.out / "scores").glob("[0-9]*.parquet")))
        if "worker" not in self.at and done >= self.shards / 4:
            for path in (self.out / "tries").glob("*"):
                try:
                    os.kill(int(path.read_text().split()[0]), signal.SIGKILL)
                except (OSError, IndexError):  # the shard has just been done
                    continue
                self.at["worker"] = done
                break
        elif "worker" in self.at and done >= self.shards / 2:
            process.send_signal(signal.SIGKILL)
            self.at["driver"] = done


def read(path: Path):
    """Return the rows of a table or a folder of tables, in the order of files and time."""
    from pyarrow import dataset

    return dataset.dataset(path).to_table().sort_by([("fname", "ascending"), ("start", "ascending")])


def largest_difference(one, other) -> float:
    """Return the largest difference of scores; the other columns must be equal."""
    for name in ("fname", "start", "end"):
        assert one.column(name).equals(other.column(name)), name
    return max(
        float(abs(one.column(name).to_numpy() - other.column(name).to_numpy()).max())
        for name in one.column_names[3:]
    )


def hours_of(out: Path) -> float:
    """Return the hours of audio in the plan of an archive."""
    from pyarrow import parquet

    table = parquet.read_table(out / "plan.parquet", columns=["fname", "total"])
    totals = dict(zip(*(table.column(name).to_pylist() for name in ("fname", "total")), strict=True))
    return sum(totals.values()) / json.loads((out / "settings.json").read_text())["rate"] / 3600


def row_of(archive: str, how: str, usage: Usage, hours: float, files: int, error: str) -> list[str]:
    speed = hours / (usage.seconds / 3600)
    cpu = sum(usage.cpu.values())
    memory = [f"{usage.memory[kind]:,.0f} MB" if kind in usage.memory else "" for kind in KINDS]
    cells = [f"{files:,}", f"{hours:.2f} h", f"{usage.seconds:,.0f} s", f"{speed:,.0f}"]
    cells += [f"{cpu:,.0f} s", f"{hours / (cpu / 3600):,.0f}"]
    return [archive, how, *cells, *memory, error]


def measure(folder: Path, name: str, arguments) -> list[list[str]]:
    """Tag an archive in both ways."""
    audio, model, loop, out = (folder / part for part in (name, "model.pt", f"{name}.parquet", f"{name}_out"))
    begin = [sys.executable, __file__, "--loop", str(audio), "--model", str(model), "--table", str(loop)]
    plain = watched([*begin, "--window", str(arguments.window)])
    print(f"{name}: loop {plain.seconds:.0f} s", file=sys.stderr, flush=True)
    ray = watched(command(arguments, model, audio, out))
    print(ray.text, file=sys.stderr, flush=True)
    tables = read(loop), read(out / "scores")
    error = f"{largest_difference(*tables):.0e}"
    files, hours = len(tables[0].column("fname").unique()), hours_of(out)
    return [
        row_of(name, "plain loop", plain, hours, files, ""),
        row_of(name, f"tag_archive.py --cpus {arguments.cpus}", ray, hours, files, error),
    ]


def command(arguments, model: Path, audio: Path, out: Path) -> list[str]:
    window, seconds = arguments.window, arguments.shard_seconds
    words = ["--model", model, "--audio", audio, "--out", out, "--cpus", arguments.cpus, "--num-gpus", 0]
    words += ["--window", window, "--hop", window, "--shard-seconds", seconds]
    return [sys.executable, str(PROGRAM), *map(str, words)]


def interrupt(folder: Path, name: str, arguments) -> list[list[str]]:
    """Kill a worker and the driver, start again, and compare with the run without interruption."""
    whole, out = folder / f"{name}_out", folder / f"{name}_killed"
    shards = len(list((whole / "scores").glob("*.parquet")))
    kills, words = Kills(out, shards), command(arguments, folder / "model.pt", folder / name, out)
    watched(words, kills)
    again = watched(words)
    print(kills.at, again.text, file=sys.stderr, flush=True)
    first, second = read(whole / "scores"), read(out / "scores")
    keys = zip(*(second.column(name).to_pylist() for name in ("fname", "start")), strict=True)
    twice = second.num_rows - len(set(keys))
    with (out / "unreadable.csv").open() as file:
        broken = ", ".join(Path(row["fname"]).stem for row in csv.DictReader(file))
    kinds = {"a worker": kills.at.get("worker"), "the driver": kills.at.get("driver")}
    cells = {f"shards done when {kind} was killed": f"{at} of {shards}" for kind, at in kinds.items()}
    cells["rows without interruption"] = f"{first.num_rows:,}"
    cells["rows after the second start"] = f"{second.num_rows:,}"
    cells["rows that are there twice"] = str(twice)
    cells["largest difference of scores"] = f"{largest_difference(first, second):.0e}"
    cells["files that are named as unusable"] = broken
    cells["exit status of the second start"] = str(again.status)
    return [[what, value] for what, value in cells.items()]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--corpus", type=Path, help="folder of clips")
    parser.add_argument("--short", type=int, default=20_000, help="short files")
    parser.add_argument("--hours", type=float, default=10, help="of long recordings")
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--window", type=float, default=10.0, help="seconds")
    parser.add_argument("--shard-seconds", type=float, default=300.0)
    parser.add_argument("--folder", type=Path, help="where the archives go, a temporary folder by default")
    parser.add_argument("--loop", type=Path, help="run the plain loop in this process")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--table", type=Path)
    arguments = parser.parse_args()
    if arguments.loop:
        plain_loop(arguments.model, arguments.loop, arguments.table, arguments.window)
        return
    import ray

    torch.set_num_threads(1)
    columns = ["archive", "how", "files", "audio", "time", "hours per hour", "CPU", "hours per CPU hour"]
    columns += ["driver", "worker", "difference"]
    with (
        tempfile.TemporaryDirectory(dir=arguments.folder) as inner,
        published(arguments.out, f"Ray {ray.__version__}"),
    ):
        folder = Path(inner)
        make_short(arguments.corpus, folder / "short", arguments.short)
        make_long(arguments.corpus, folder / "long", arguments.hours)
        save_model(folder / "model.pt")
        rows = [row for name in ("short", "long") for row in measure(folder, name, arguments)]
        show(f"Archives, windows of {arguments.window:g} s without overlap", columns, rows)
        killed = interrupt(folder, "short", arguments)
        show("A killed worker and a killed driver, short files", ["what", "value"], killed)


if __name__ == "__main__":
    main()
