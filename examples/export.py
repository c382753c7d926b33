"""Export a tagger to places without rankaudio: torch.export, ONNX and compiled code, compared with PyTorch.

    python examples/export.py --model model.pt --out exported

`model.pt` is a file of Tagger.save; without it the program exports a network of random weights. It writes

    tagger.pt2    for torch.export.load: any batch, any number of samples from one hop on
    tagger.onnx   for ONNX Runtime and others, with sample rate and classes as metadata
    compiled.pt2  machine code for torch._inductor.aoti_load_package, if there is a C++ compiler

Each file is run on clips of several lengths and must give the scores of PyTorch to 1e-4. Then all are timed
on the same clips. `pip install ".[onnx]"` installs what ONNX needs.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import inspect
import json
import logging
import os
import platform
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from rankaudio import LogMel, LogSTFT, Tagger
from rankaudio.backbones import NETWORKS

TOLERANCE = 1e-4
Runner = Callable[..., Tensor]


def main(argv: list[str] | None = None) -> None:
    """Export, check and time; print an error that the user can correct in one line."""
    args = parser().parse_args(argv)
    try:
        run(args)
    except (OSError, ValueError, ImportError) as error:
        sys.exit(f"export.py: {error}")


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    options = argparse.ArgumentParser(
        prog="export.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--model", type=Path, help="file that Tagger.save wrote")
    options.add_argument("--out", type=Path, default=Path("exported"), help="folder to write to")
    options.add_argument(
        "--network", choices=list(NETWORKS), default="CNN2d", help="without --model: its class"
    )
    options.add_argument("--base-depth", type=int, default=50, help="without --model: its size (default 50)")
    options.add_argument("--lengths", action="store_true", help="the program takes lengths as well")
    options.add_argument(
        "--matmul",
        action="store_true",
        help="compute the transform by real matrices, for runtimes without FFT",
    )
    options.add_argument(
        "--samples", type=int, help='fix the number of samples; models with pooling="rnn" need it'
    )
    options.add_argument("--rounds", type=int, default=5, help="rounds of timing (default 5; 0: none)")
    return options


def run(args: argparse.Namespace) -> None:
    """Export, check and time."""
    tagger = Tagger.load(args.model) if args.model else untrained(args.network, args.base_depth)
    if args.matmul:
        tagger.frontend = type(tagger.frontend)(**{**tagger.frontend.settings(), "transform": "matmul"})
    if getattr(tagger.backbone, "pooling", "max") == "rnn" and args.samples is None:
        raise ValueError('--samples: wanted a number, because pooling="rnn" fixes the length, got none')
    args.out.mkdir(parents=True, exist_ok=True)
    log(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    program = exported(tagger, with_lengths=args.lengths, samples=args.samples)
    torch.export.save(program, args.out / "tagger.pt2")
    runners: dict[str, Runner] = {"PyTorch": tagger, "torch.export": program.module()}
    write_onnx(program, tagger, args.out / "tagger.onnx")
    runners["ONNX Runtime"] = onnx_runner(args.out / "tagger.onnx")
    if compiler() is None:
        log("compiled.pt2: skipped, because there is no C++ compiler (g++, or what CXX names)")
    else:
        runners["compiled"] = compiled(program, args.out / "compiled.pt2")

    rate = tagger.sample_rate or 44_100
    clips = [(1, 3 * rate), (5, 2 * rate), (2, 10 * rate), (3, tagger.frontend.hop_length)]
    if args.samples is not None:
        clips = [(1, args.samples), (4, args.samples)]
    errors = {name: largest_error(tagger, runner, clips, args.lengths) for name, runner in runners.items()}
    seconds = {}
    if args.rounds:
        seconds = times(runners, inputs(6, args.samples or 10 * rate, args.lengths), args.rounds)
    show(errors, seconds)
    wrong = [name for name, error in errors.items() if not error <= TOLERANCE]
    if wrong:
        raise ValueError(f"wanted the scores of PyTorch to {TOLERANCE}, got others from {', '.join(wrong)}")


def untrained(network: str, base_depth: int) -> Tagger:
    """Return a tagger of random weights with 80 classes."""
    torch.manual_seed(0)
    frontend = {"CNN1d": LogSTFT}.get(network, LogMel)()
    cls = NETWORKS[network]
    bins = {"n_bins": frontend.n_bins} if "n_bins" in inspect.signature(cls).parameters else {}
    return Tagger(frontend, cls(80, base_depth=base_depth, **bins)).eval()


def inputs(batch: int, samples: int, with_lengths: bool) -> tuple[Tensor, ...]:
    """Return clips, and if wanted their lengths, from a third of the samples to all."""
    waveform = 0.1 * torch.randn(batch, samples, generator=torch.Generator().manual_seed(batch))
    return (waveform, torch.linspace(samples, samples // 3 + 1, batch).long())[: 1 + with_lengths]


def exported(
    tagger: Tagger, *, with_lengths: bool = False, samples: int | None = None
) -> torch.export.ExportedProgram:
    """Return the program of a tagger, from waveforms (and lengths) to scores."""
    auto = torch.export.Dim.AUTO
    waveform = {0: auto} if samples else {0: auto, 1: auto}
    # No size is 1 or equals another, because the program could rely on that.
    example = inputs(3, samples or 20 * tagger.frontend.hop_length + 7, with_lengths)
    with quiet():
        return torch.export.export(tagger, example, dynamic_shapes=(waveform, {0: auto})[: 1 + with_lengths])


def write_onnx(program: torch.export.ExportedProgram, tagger: Tagger, path: Path) -> None:
    """Write the program as an ONNX file with sample rate and classes."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise ImportError(f'{path.name}: wanted the package {package} (pip install ".[onnx]"), got none')
    # Dynamic axes get names; otherwise they would be called s0 and s1.
    waveform, *lengths = [value.shape for value in graph_inputs(program)]
    axes = [
        name for name, size in zip(("batch", "samples"), waveform, strict=True) if not isinstance(size, int)
    ]
    with quiet():
        written = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            output_names=["scores"],
            dynamic_shapes=(dict(enumerate(axes)), {0: "batch"})[: 1 + len(lengths)],
        )
    about = {"sample_rate": str(tagger.sample_rate), "classes": json.dumps(tagger.classes)}
    written.model.metadata_props.update(about)
    written.save(path, external_data=False)


def graph_inputs(program: torch.export.ExportedProgram) -> list[Tensor]:
    """Return the inputs of the program, as tensors without data."""
    names = program.graph_signature.user_inputs
    return [node.meta["val"] for node in program.graph.nodes if node.name in names]


def onnx_runner(path: Path) -> Runner:
    """Return a function that runs an ONNX file and is called like a tagger."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]

    def run(*tensors: Tensor) -> Tensor:
        feed = {name: tensor.numpy() for name, tensor in zip(names, tensors, strict=True)}
        return torch.from_numpy(session.run(["scores"], feed)[0])

    return run


def compiler() -> str | None:
    """Return the path of the C++ compiler, or None."""
    return shutil.which(os.environ.get("CXX", "g++"))


def compiled(program: torch.export.ExportedProgram, path: Path) -> Runner:
    """Compile a program into a package of machine code, and load it."""
    log("compiling, which takes a minute ...")
    with quiet():
        # With frozen weights, their layout for the convolutions is made once, not in each call.
        frozen = {"freezing": True}
        torch._inductor.aoti_compile_and_package(program, package_path=str(path), inductor_configs=frozen)
        return torch._inductor.aoti_load_package(str(path))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide the exporters' warnings about themselves, which differ from release to release."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@torch.inference_mode()
def largest_error(tagger: Tagger, runner: Runner, clips: list[tuple[int, int]], with_lengths: bool) -> float:
    """Return the largest difference from the scores of each clip alone in PyTorch."""
    worst = 0.0
    for batch, samples in clips:
        waveform, lengths = inputs(batch, samples, True)
        given = (waveform, lengths)[: 1 + with_lengths]
        ends = lengths.tolist() if with_lengths else [samples] * batch
        for row, clip, end in zip(runner(*given), waveform, ends, strict=True):
            worst = max(worst, (row - tagger(clip[None, :end])[0]).abs().max().item())
    return worst


@torch.inference_mode()
def times(runners: dict[str, Runner], given: tuple[Tensor, ...], rounds: int) -> dict[str, float]:
    """Return the least seconds of several rounds; each round runs all, so that a busy moment affects all."""
    least = dict.fromkeys(runners, float("inf"))
    for _ in range(rounds + 1):  # and one to warm up
        for name, runner in runners.items():
            start = time.perf_counter()
            runner(*given)
            least[name] = min(least[name], time.perf_counter() - start)
    return least


def show(errors: dict[str, float], seconds: dict[str, float]) -> None:
    """Print error and time of each as a table."""
    log(f"\n{'run by':<14}{'largest error':>15}{'seconds':>10}{'of PyTorch':>12}")
    for name, error in errors.items():
        spent = seconds.get(name)
        cells = f"{spent:>10.3f}{spent / seconds['PyTorch']:>11.0%}" if spent else ""
        log(f"{name:<14}{error:>15.1e}{cells}")


def log(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


if __name__ == "__main__":
    main()
