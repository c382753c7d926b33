"""Build a page that shows what a tagger hears: the model as ONNX, a description, the page and its runtime.

    npm ci --omit=dev --prefix examples/web
    python examples/web/build_page.py --model model.pt
    python examples/web/serve.py

The first command fetches onnxruntime-web. The folder `examples/web/site` is then complete: any web server can
serve it, and no other host is needed. The exported scores are compared with those of PyTorch before the
folder is written. `pip install ".[onnx]"` installs the packages for the export.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # examples/, for `export` and `freesound`

import torch

from export import (
    TOLERANCE,
    check_packages,
    exported,
    largest_error,
    onnx_runner,
    recurs_over_time,
    without_fft,
    write_onnx,
)
from freesound.program import run_program
from freesound.progress import log
from rankaudio import Tagger

HERE = Path(__file__).resolve().parent
RUNTIME = HERE / "node_modules" / "onnxruntime-web"
RUNTIME_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
DESCRIPTION = "model.json"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    args = build_parser().parse_args(argv)
    run_program("build_page.py", lambda: build(args))


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="build_page.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", type=Path, required=True, metavar="FILE", help="file of Tagger.save")
    add(
        "--out",
        type=Path,
        default=HERE / "site",
        metavar="DIR",
        help="new folder, or that of an earlier build (default: site, next to this program)",
    )
    for name, default, what in [
        ("window", 1.0, "of a window, which is scored as a clip"),
        ("hop", 0.25, "from window to window"),
    ]:
        text = f"seconds {what} (default: {default})"
        add(f"--{name}", type=float, default=default, metavar="SECONDS", help=text)
    return parser


def build(args: argparse.Namespace) -> None:
    """Export the model, check it, and write the folder."""
    check_packages(args.out / "model.onnx")
    check_folder(args.out)
    check_runtime()
    tagger = Tagger.load(args.model)
    about = description(tagger, window=args.window, hop=args.hop)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.out.parent) as place:
        site = Path(place) / "site"
        shutil.copytree(HERE / "page", site)
        error = write_model(site / "model.onnx", tagger, about)
        (site / DESCRIPTION).write_text(json.dumps(about, allow_nan=False) + "\n", encoding="utf-8")
        copy_runtime(site / "ort")
        # The folder is replaced only after all of this has worked.
        if args.out.exists():
            shutil.rmtree(args.out)
        site.replace(args.out)
    log(f"{args.out}: the page, with {args.model}; largest difference from PyTorch {error:.1e}")


def check_folder(out: Path) -> None:
    """Refuse a folder that holds something else, because the build replaces it."""
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / DESCRIPTION).is_file())):
        raise FileExistsError(f"--out: wanted a new folder or that of an earlier build, got {out}")


def check_runtime() -> None:
    """Refuse to start without the files of onnxruntime-web."""
    missing = [name for name in RUNTIME_FILES if not (RUNTIME / "dist" / name).is_file()]
    if missing:
        command = f"npm ci --omit=dev --prefix {HERE}"
        raise FileNotFoundError(f"{RUNTIME}: wanted {', '.join(missing)}, got none; run {command}")


def description(tagger: Tagger, *, window: float, hop: float) -> dict[str, Any]:
    """Return what the page must know of a tagger. Times are in samples, as in predict_long."""
    rate = tagger.sample_rate
    if rate is None:
        raise ValueError(f"--model: wanted a frontend with a sample rate, got {tagger.frontend!r}")
    samples = {"window": round(window * rate), "hop": round(hop * rate)}
    for name, count in samples.items():
        if count < 1:
            raise ValueError(f"--{name}: wanted at least one sample of 1/{rate} s, got {count / rate} s")
    n_classes = tagger(torch.zeros(1, samples["window"])).shape[1]
    return {
        "classes": list(tagger.classes) or [f"class {index}" for index in range(n_classes)],
        "sampleRate": rate,
        **samples,
        "fixedSamples": samples["window"] if recurs_over_time(tagger) else None,
        "thresholds": None if tagger.thresholds is None else json_numbers(tagger.thresholds.tolist()),
        "calibration": None
        if tagger.calibration is None
        else {name: getattr(tagger.calibration, name).tolist() for name in ("scale", "shift")},
    }


def json_numbers(values: list[float]) -> list[float | str]:
    """Return numbers for JSON, which has no infinity. JavaScript converts the strings back."""
    names = {math.inf: "Infinity", -math.inf: "-Infinity"}
    return [names.get(value, value) for value in values]


def write_model(path: Path, tagger: Tagger, about: dict[str, Any]) -> float:
    """Export the tagger, and return the largest difference of its scores from those of PyTorch."""
    clips = [(1, about["window"]), (1, about["window"] // 2 + 1)]
    fixed, error = about["fixedSamples"], math.nan
    original = tagger.frontend
    if "transform" in getattr(original, "settings", dict)():
        # Few runtimes in browsers have the operator DFT. Real matrices are no slower in WebAssembly.
        tagger.frontend = without_fft(original)
    try:
        program = exported(tagger, with_lengths=fixed is not None, samples=fixed)
        write_onnx(program, tagger, path)
    finally:
        tagger.frontend = original
    if fixed is not None:
        clips = [(3, fixed)]  # lengths from a third of the window to all of it
    error = largest_error(tagger, onnx_runner(path), clips, fixed is not None)
    if not error <= TOLERANCE:
        raise ValueError(f"{path.name}: wanted scores within {TOLERANCE} of PyTorch, got {error:.1e}")
    return error


def copy_runtime(folder: Path) -> None:
    """Copy the files of onnxruntime-web that the page loads, with a note on their origin."""
    folder.mkdir()
    for name in RUNTIME_FILES:
        shutil.copyfile(RUNTIME / "dist" / name, folder / name)
    package = json.loads((RUNTIME / "package.json").read_text(encoding="utf-8"))
    source = package["repository"]["url"].removeprefix("git+")
    note = f"{package['name']} {package['version']}\nlicence: {package['license']}\nsource: {source}\n"
    (folder / "README.txt").write_text(note, encoding="utf-8")


if __name__ == "__main__":
    main()
