"""Export a tagger for use without rankaudio: torch.export, ONNX and compiled code, compared with PyTorch.

    python examples/export.py --model model.pt --out exported

`model.pt` is a file of Tagger.save. Without it, a network with random weights is exported. The program writes

    tagger.pt2    for torch.export.load: any batch size, any number of samples from one hop on
    tagger.onnx   for ONNX Runtime and others, with sample rate and classes as metadata
    compiled.pt2  machine code for torch._inductor.aoti_load_package, if there is a C++ compiler

The scores are those of the whole clip. A WindowedTagger is not exported, because the number of its windows
depends on the lengths. Auxiliary heads are not in the files, because a tagger in eval mode leaves them out.

Each file is run on clips of several lengths, and its scores must equal those of PyTorch to 1e-4. Then all
files are timed on the same clips. `pip install ".[onnx]"` installs the packages for ONNX.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
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
from torch import Tensor, nn

from rankaudio import Tagger
from rankaudio.backbones import NETWORKS
from rankaudio.spectral import FRONTENDS

TOLERANCE = 1e-4
Runner = Callable[..., Tensor]


def main(argv: list[str] | None = None) -> None:
    """Export, check and time. Errors that the user can correct are one line."""
    args = parser().parse_args(argv)
    try:
        run(args)
    except (OSError, ValueError, ImportError) as error:
        sys.exit(f"export.py: {error}")


def parser() -> argparse.ArgumentParser:
    """Return the options of the command line."""
    options = argparse.ArgumentParser(
        prog="export.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--model", type=Path, help="file of Tagger.save")
    options.add_argument("--out", type=Path, default=Path("exported"), help="folder for the files")
    options.add_argument(
        "--network",
        choices=tuple(NETWORKS),
        default="CNN2d",
        help="without --model, the network to export with random weights (default CNN2d)",
    )
    options.add_argument("--lengths", action="store_true", help="the program takes lengths too")
    options.add_argument(
        "--matmul", action="store_true", help="spectrum by real matrices, for runtimes without an FFT"
    )
    options.add_argument(
        "--samples", type=int, help="fixed number of samples, required for recurrent networks"
    )
    options.add_argument("--rounds", type=int, default=5, help="rounds of timing (default 5; 0: none)")
    return options


def run(args: argparse.Namespace) -> None:
    """Run all steps."""
    tagger = Tagger.load(args.model) if args.model else untrained(args.network)
    if args.matmul:
        tagger.frontend = without_fft(tagger.frontend)
    if args.samples is None and recurs_over_time(tagger):
        raise ValueError("--samples: wanted a number, as a recurrent network has a fixed length, got none")
    args.out.mkdir(parents=True, exist_ok=True)
    log(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    program = exported(tagger, with_lengths=args.lengths, samples=args.samples)
    torch.export.save(program, args.out / "tagger.pt2")
    runners: dict[str, Runner] = {"PyTorch": tagger, "torch.export": program.module()}
    write_onnx(program, tagger, args.out / "tagger.onnx")
    runners["ONNX Runtime"] = onnx_runner(args.out / "tagger.onnx")
    if compiler() is None:
        log("compiled.pt2: skipped, because there is no C++ compiler (g++, or the one that CXX names)")
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
        raise ValueError(f"wanted scores within {TOLERANCE} of PyTorch, got others from {', '.join(wrong)}")


def untrained(name: str) -> Tagger:
    """Return a tagger with random weights for 80 classes."""
    torch.manual_seed(0)
    network = NETWORKS[name](80)
    return Tagger(FRONTENDS[network.default_frontend](), network).eval()


def without_fft(frontend: nn.Module) -> nn.Module:
    """Return the frontend with real matrices in place of the Fourier transform."""
    return type(frontend)(**{**frontend.settings(), "transform": "matmul"})


@torch.inference_mode()
def recurs_over_time(tagger: Tagger) -> bool:
    """Whether a recurrent layer takes more steps for longer clips. Layers over side inputs do not."""
    steps: list[torch.Size] = []
    layers = [part for part in tagger.modules() if isinstance(part, nn.RNNBase)]
    hooks = [
        layer.register_forward_pre_hook(lambda _, args: steps.append(args[0][0].shape)) for layer in layers
    ]
    for hops in (20, 40) if layers else ():
        tagger(inputs(1, hops * tagger.frontend.hop_length, False)[0])
    for hook in hooks:
        hook.remove()
    return steps[: len(steps) // 2] != steps[len(steps) // 2 :]


def inputs(batch: int, samples: int, with_lengths: bool) -> tuple[Tensor, ...]:
    """Return clips, and with ``with_lengths`` lengths from a third of the samples to all of them."""
    waveform = 0.1 * torch.randn(batch, samples, generator=torch.Generator().manual_seed(batch))
    return (waveform, torch.linspace(samples, samples // 3 + 1, batch).long())[: 1 + with_lengths]


def exported(
    tagger: Tagger, *, with_lengths: bool = False, samples: int | None = None
) -> torch.export.ExportedProgram:
    """Export a tagger to a program from waveforms, and lengths, to scores."""
    auto = torch.export.Dim.AUTO
    waveform = {0: auto} if samples else {0: auto, 1: auto}
    # No size is 1, and no two are equal. Otherwise the program could rely on that.
    example = inputs(3, samples or 20 * tagger.frontend.hop_length + 7, with_lengths)
    with quiet():
        return torch.export.export(tagger, example, dynamic_shapes=(waveform, {0: auto})[: 1 + with_lengths])


def write_onnx(program: torch.export.ExportedProgram, tagger: Tagger, path: Path) -> None:
    """Write the program as an ONNX file, with the sample rate and the classes of the tagger."""
    check_packages(path)
    # Names of the dynamic axes. Without them the file has s0 and s1.
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


def check_packages(path: Path) -> None:
    """Refuse to write an ONNX file without the packages that it needs."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise ImportError(f'{path.name}: wanted the package {package} (pip install ".[onnx]"), got none')


def graph_inputs(program: torch.export.ExportedProgram) -> list[Tensor]:
    """Return the inputs of the program as tensors without data."""
    names = program.graph_signature.user_inputs
    return [node.meta["val"] for node in program.graph.nodes if node.name in names]


def onnx_runner(path: Path) -> Runner:
    """Return a function that runs an ONNX file with the arguments of a tagger."""
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
    """Compile a program to a package of machine code, and load the package."""
    log("compiling (about a minute) ...")
    with quiet():
        # Frozen weights get the memory layout of the convolutions once, not in each call.
        frozen = {"freezing": True}
        torch._inductor.aoti_compile_and_package(program, package_path=str(path), inductor_configs=frozen)
        return torch._inductor.aoti_load_package(str(path))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide the warnings that the exporters give about their own code; they change with each release."""
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
    """Return the largest difference from the scores of each clip alone in PyTorch; NaN if one is NaN."""
    errors = []
    for batch, samples in clips:
        waveform, lengths = inputs(batch, samples, True)
        given = (waveform, lengths)[: 1 + with_lengths]
        ends = lengths.tolist() if with_lengths else [samples] * batch
        for row, clip, end in zip(runner(*given), waveform, ends, strict=True):
            errors.append((row - tagger(clip[None, :end])[0]).abs().max())
    return torch.stack(errors).max().item()  # unlike Python's max, this keeps NaN


@torch.inference_mode()
def times(runners: dict[str, Runner], given: tuple[Tensor, ...], rounds: int) -> dict[str, float]:
    """Return the shortest time of several rounds. Each round runs all, so other load affects all alike."""
    least = dict.fromkeys(runners, float("inf"))
    for _ in range(rounds + 1):  # the first round warms up
        for name, runner in runners.items():
            start = time.perf_counter()
            runner(*given)
            least[name] = min(least[name], time.perf_counter() - start)
    return least


def show(errors: dict[str, float], seconds: dict[str, float]) -> None:
    """Print a table with the error and the time of each file."""
    log(f"\n{'run by':<14}{'largest error':>15}{'seconds':>10}{'of PyTorch':>12}")
    for name, error in errors.items():
        spent = seconds.get(name)
        cells = f"{spent:>10.3f}{spent / seconds['PyTorch']:>11.0%}" if spent else ""
        log(f"{name:<14}{error:>15.1e}{cells}")


def log(line: str) -> None:
    """Print a line without buffering."""
    print(line, flush=True)


if __name__ == "__main__":
    main()
