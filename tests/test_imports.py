"""What importing rankaudio does, and what its files import from each other."""

import ast
import importlib
import json
import os
import statistics
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import rankaudio
from public_names import public_names

SOURCE = Path(rankaudio.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))

# A file imports only from rows above its own. The files of one package may import each other.
LAYERS = [
    {"_messages"},
    {"_name_checks"},
    {"_checks", "_chunks", "_plain", "_silence", "_ties"},
    {"_files"},
    {"_random", "_autocast", "_settings", "_tensor_file", "lengths"},
    {"_clips", "_draws", "augmentation"},
    {"_fill"},
    {"losses", "metrics", "encoding", "resampling", "spectral"},
    {"mixing", "effects", "masking", "side_inputs", "_some_of"},
    {"chain"},
    {"backbones", "data"},
    {"noisy", "ensemble", "decisions"},
    {"_tagger_file", "_tagger_decisions"},
    {"tagger"},
    {"inference", "integrations"},
    {"events"},
    {"__init__"},
    {"_program"},
    {"__main__"},
]

# Run in a process of its own: what was there before `import rankaudio`, and what changed with it.
PROBE = """
import json, logging, os, random, signal, sys, warnings
import numpy, torch

def state():
    return {
        "default dtype": str(torch.get_default_dtype()),
        "default device": str(torch.get_default_device()),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "torch's random numbers": torch.random.get_rng_state().tolist(),
        "Python's random numbers": repr(random.getstate()),
        "numpy's random numbers": repr(numpy.random.get_state(legacy=False)),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "matmul precision": torch.get_float32_matmul_precision(),
        "cudnn": (torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark),
        "warning filters": repr(warnings.filters),
        "log handlers": repr(logging.root.handlers), "log level": logging.root.level,
        "loggers": sorted(logging.root.manager.loggerDict),
        "environment": dict(os.environ), "path": list(sys.path),
        "interrupt": repr(signal.getsignal(signal.SIGINT)),
        "hooks": repr((sys.excepthook, sys.displayhook, sys.meta_path, sys.path_hooks)),
    }

before = state()
modules = set(sys.modules)
import rankaudio
loaded = set(sys.modules) - modules
after = state()
print(json.dumps({
    "loaded": sorted(loaded),
    "all": sorted(sys.modules),
    "changed": [name for name in before if before[name] != after[name]],
}))
"""

# What `import torchaudio` may come to, depending on the torch beside it.
TORCHAUDIO = {
    "absent": "raise ModuleNotFoundError(\"No module named 'torchaudio'\", name='torchaudio')",
    "built for another CUDA": "raise RuntimeError('Detected that PyTorch and TorchAudio do not match')",
    "without its libraries": "raise OSError('libcudart.so.13: cannot open shared object file')",
    "working": "",
}


@pytest.fixture(scope="module", params=TORCHAUDIO)
def imported(request, tmp_path_factory):
    """Import rankaudio in a fresh process, beside a torchaudio that leaves a file when it is tried."""
    folder = tmp_path_factory.mktemp("torchaudio")
    trace = folder / "was tried"
    package = folder / "torchaudio"
    package.mkdir()
    (package / "__init__.py").write_text(
        f"from pathlib import Path\nPath({str(trace)!r}).touch()\n{TORCHAUDIO[request.param]}\n"
    )
    path = os.pathsep.join([str(folder), str(SOURCE.parent)])
    done = subprocess.run(
        [sys.executable, "-W", "error::ImportWarning", "-c", PROBE],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "tried torchaudio": trace.exists(), "said": done.stderr}


def test_import_never_tries_torchaudio(imported):
    assert not imported["tried torchaudio"]
    assert "torchaudio" not in imported["all"]


def test_import_loads_torch_and_no_more(imported):
    foreign = {name.partition(".")[0] for name in imported["loaded"]} - set(sys.stdlib_module_names)
    assert foreign == {"rankaudio"}


@pytest.mark.parametrize(
    "package",
    ["scipy", "soundfile", "librosa", "sklearn", "matplotlib", "torchmetrics", "lightning", "transformers"],
)
def test_import_does_not_load(imported, package):
    assert package not in imported["all"]


def test_import_changes_nothing(imported):
    assert imported["changed"] == []
    assert imported["said"] == ""


def part_of(file: Path) -> str:
    """Name of the module or package right below rankaudio that a file belongs to."""
    return file.relative_to(SOURCE).parts[0].removesuffix(".py")


def parts_imported(file: Path) -> set[str]:
    """Names of the modules or packages of rankaudio that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("rankaudio.")}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_file_imports_only_from_layers_above(file):
    own = part_of(file)
    rows = [row for row in LAYERS if own in row]
    assert len(rows) == 1, f"{own} belongs in one row of LAYERS"
    above = set().union(*LAYERS[: LAYERS.index(rows[0])])
    assert parts_imported(file) - {own} <= above


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_file_is_short(file):
    assert len(file.read_text().splitlines()) < 300


def lines_of_functions() -> dict[str, int]:
    """Lines of every function of the package, not counting its docstring."""
    sizes = {}
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef):
                first = node.body[0]
                documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
                docstring = first.end_lineno - first.lineno + 1 if documented else 0
                size = node.end_lineno - node.lineno + 1 - docstring
                sizes[f"{file.relative_to(SOURCE)}:{node.name}:{node.lineno}"] = size
    return sizes


def test_functions_are_short():
    sizes = lines_of_functions()
    long = {name: size for name, size in sizes.items() if size > 40}
    assert statistics.median(sizes.values()) <= 10
    assert len(long) <= 0.03 * len(sizes), long
    assert max(sizes.values()) <= 60, long


def test_public_names_are_sorted_and_single():
    assert rankaudio.__all__ == sorted(set(rankaudio.__all__))


# Label tables, tools for noisy labels, ensembles and result records stay in their modules.
IN_MODULES_ONLY = {
    "data": {"AudioInfo", "Batch", "LabelTable", "ScoreTable", "audio_info"}
    | {"read_classes", "read_labels", "read_scores", "write_labels", "write_scores"}
    | {
        "FoldBalance",
        "PoolDraws",
        "PoolSampler",
        "fold_balance",
        "random_folds",
        "write_bytes",
        "write_text",
    },
    "chain": {"OneOf", "SomeOf"},
    "effects": {"AddNoise", "add_noise"},
    "ensemble": None,
    "events": None,
    "inference": {"FramewiseTagger", "SegmentedTagger", "WindowScores", "WindowedTagger"}
    | {"Stream", "StreamScores", "score_stream"},
    "decisions": None,
    "metrics": {"AveragePrecision", "ClassAveragePrecision", "ClassF1", "ClassLwlrap", "ClassRoc", "F1"}
    | {"Interval", "PairedTest", "average_precision", "bootstrap", "d_prime", "f1", "paired_test", "roc_auc"},
    "backbones": {"AxisPool", "CBAM", "Network", "SqueezeExcite"},
    "losses": {"AuxiliaryLoss", "AuxiliaryScores", "LSoftLoss", "LqLoss", "SourceLoss"}
    | {"SmoothedBCELoss", "l_soft_loss", "lq_loss", "smooth_labels", "smoothed_bce_loss"}
    | {"AsymmetricLoss", "FocalLoss", "ZLPRLoss", "asymmetric_loss", "focal_loss", "zlpr_loss"},
    "masking": {"CutSegment", "FrameWindows", "centre_crop", "cut_segment", "frame_windows", "trim_silence"},
    "spectral": {"DecibelMel", "DeltaChannels", "decibel_mel"}
    | {"WaveformStatistics", "waveform_statistics"},
    "noisy": None,
}


def test_public_names_are_those_of_the_modules():
    """The root offers every public class and function, but for those that stay in their modules."""
    things = public_names()
    below = set()
    for name, only in IN_MODULES_ONLY.items():
        module = importlib.import_module(f"rankaudio.{name}")
        below |= (set(module.__all__) & set(things)) if only is None else only
    modules = {"data", "ensemble", "noisy"}
    assert set(things) - below == set(rankaudio.__all__) - modules
    assert all(getattr(rankaudio, name) is things[name] for name in set(rankaudio.__all__) - modules)


def test_version_is_that_of_the_installed_package():
    assert rankaudio.__version__ == version("rankaudio")
