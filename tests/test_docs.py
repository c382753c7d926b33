"""The code on the pages of the documentation runs.

The ``python`` blocks of a page run in order, in a folder with the files that they name. Some blocks cannot
run everywhere. A comment right above such a block, which readers do not see, says why:

    % needs torchaudio, timm
    % not run: it needs two machines
"""

import importlib
import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from torch import distributed

import export
from freesound.synthetic import make_corpus
from rankaudio import CNN2d, LogMel, Tagger
from rankaudio._program.main import main
from rankaudio.data import ScoreTable, read_labels, write_scores
from two_processes import run_both

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *DOCS.glob("howto/*.md")])
BLOCK = re.compile(r"(?:^% ([^\n]*)\n)?^```python\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)

# The number of marked blocks of each page, so that no block is skipped unnoticed.
MARKED = {"howto/frontends_of_others.md": 2, "howto/streams.md": 1, "howto/timm.md": 1}

# Our names of a block's tensors, and those of the original program.
ORIGINAL_NAMES = {
    "norm_in.": "0.",
    "conv.": "1.",
    "norm.": "3.",
    "act.": "4.",
    "residual.conv": "5.conv",
    "residual.norm": "5.bn",
    "residual.act": "5.prelu",
}


def blocks_of(page):
    """Pairs of a mark, empty if there is none, and code."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def name_of(page):
    return page.relative_to(DOCS).as_posix()


def original_name(key):
    """The name of a tensor of CNN2d in the original program."""
    block = re.match(r"blocks\.(\d+)\.", key)
    if block is None:
        return key.replace("classifier.", "output_transform.")
    rest = key[block.end() :]
    ours = next(name for name in ORIGINAL_NAMES if rest.startswith(name))
    return f"conv_modules.{block[1]}.{ORIGINAL_NAMES[ours]}{rest.removeprefix(ours)}"


def original_file(folder):
    network = CNN2d(n_classes=80, base_depth=50)
    state = {original_name(key): value for key, value in network.state_dict().items()}
    torch.save(state, folder / "fold_0.pth")


def exported_file(folder):
    network = CNN2d(3, n_blocks=1, base_depth=2, start_deep_supervision_on=0)
    tagger = Tagger(LogMel(), network, classes=["Bark", "Meow", "Purr"]).eval()
    (folder / "exported").mkdir()
    path = folder / "exported" / "tagger.onnx"
    export.write_onnx(export.exported(tagger, with_lengths=False), tagger, path)


def tagged_archive(folder):
    """The tables of an archive, with embeddings and events."""
    pytest.importorskip("pyarrow")
    pytest.importorskip("pandas")
    from archive_without_ray import Archive

    archive = Archive(
        folder, audio="test", window=1, hop=0.5, shard_seconds=9, threshold=-9.0, embeddings=True
    )
    archive.tag(archive.plan())
    archive.store.collect_problems([])


# Files that only one page needs.
PREPARE = {
    "export.md": exported_file,
    "backbones.md": original_file,
    "howto/archives.md": tagged_archive,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A small corpus in the Kaggle layout, a tagger for it, and tables of scores."""
    folder = tmp_path_factory.mktemp("files")
    torch.manual_seed(0)
    make_corpus(folder, per_class=1, test_per_class=1)
    tables = {"out_of_fold": "train_curated.csv", "test": "test.csv"}
    parts = {part: read_labels(folder / table) for part, table in tables.items()}
    classes = parts["test"].classes
    Tagger(LogMel(), CNN2d(len(classes), n_blocks=2, base_depth=4), classes=classes).save(folder / "model.pt")
    for member in ("2d", "1d", "2d_rnn"):
        (folder / member).mkdir()
        for part, labels in parts.items():
            scores = labels.target + torch.randn(labels.target.shape)
            write_scores(folder / member / f"{part}.csv", ScoreTable(labels.names, classes, scores))
    shutil.copy(folder / "2d" / "test.csv", folder / "scores.csv")
    return folder


def lacking(mark):
    """The modules in a mark that do not import. A broken torchaudio counts too."""
    found = []
    for module in mark.removeprefix("needs ").split(", "):
        try:
            importlib.import_module(module)
        except Exception as error:  # noqa: BLE001
            found.append(f"{module} ({type(error).__name__})")
    return found


@pytest.mark.filterwarnings("ignore")  # of the other libraries that pages show
@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(page)], ids=name_of)
def test_python_blocks_run_one_after_the_other(page, files, tmp_path, monkeypatch):
    folder = tmp_path / "files"
    shutil.copytree(files, folder)
    PREPARE.get(name_of(page), lambda _: None)(folder)
    monkeypatch.chdir(folder)
    torch.manual_seed(0)
    names, left_out = {"__name__": "__main__"}, []
    for mark, code in blocks_of(page):
        reasons = lacking(mark) if mark.startswith("needs ") else [mark] if mark else []
        left_out += reasons
        if not reasons:
            exec(compile(code, name_of(page), "exec"), names)
    if left_out:
        pytest.skip(f"only the other blocks of {name_of(page)} ran: {'; '.join(left_out)}")


CONSOLE = re.compile(r"^```console\n\$ rankaudio ([^\n]*)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)


def kinds_of_lines(text, classes):
    """The lines of an output without what depends on the model: figures, classes, and how many lines."""
    names = "|".join(map(re.escape, sorted(classes, key=len, reverse=True)))
    text = re.sub(r"\bte\d+\.wav", "FILE", re.sub(names, "CLASS", text))
    return {re.sub(r"-?\d+(\.\d+)?(e-?\d+)?", "N", line) for line in text.splitlines()}


@pytest.mark.parametrize("page", ["howto/command_line.md", "howto/embeddings.md"])
def test_commands_of_the_program_print_what_the_page_shows(page, files, tmp_path, monkeypatch, capsys):
    """The model here is another one, so only the form of the lines is compared. Dots stand for more lines."""
    folder = tmp_path / "files"
    shutil.copytree(files, folder)
    (folder / "scores.csv").unlink()
    monkeypatch.chdir(folder)
    tagger = Tagger.load("model.pt")
    torch.nn.init.constant_(tagger.backbone.classifier[-1].bias, 4.0)  # above the threshold of the page
    tagger.save("model.pt")
    commands = CONSOLE.findall((DOCS / page).read_text(encoding="utf-8"))
    assert commands
    for words, output in commands:
        assert main([*shlex.split(words), "--device", "cpu"]) == 0
        captured = capsys.readouterr()
        shown = kinds_of_lines(output, tagger.classes) - {"..."}
        assert kinds_of_lines(captured.out + captured.err, tagger.classes) == shown


def test_only_known_blocks_are_marked():
    marks = {name_of(page): [mark for mark, _ in blocks_of(page) if mark] for page in PAGES}
    assert {page: len(found) for page, found in marks.items() if found} == MARKED
    for mark in [mark for found in marks.values() for mark in found]:
        assert re.fullmatch(r"needs [\w.]+(, [\w.]+)*|not run: .+", mark)


@pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()),
    reason="this build of PyTorch has no gloo",
)
def test_the_script_for_several_processes_gives_the_value_of_one(files, monkeypatch, capfd):
    monkeypatch.chdir(files)
    _, script = blocks_of(DOCS / "howto" / "processes.md")[0]
    exec(compile(script, "processes.md", "exec"), {})
    alone = capfd.readouterr().out
    assert re.fullmatch(r"lwlrap 0\.\d{4}\n", alone)
    assert run_both(script, words=[]) == [("", 0)] * 2
    assert capfd.readouterr().out == alone
