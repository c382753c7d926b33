"""Two processes on one machine have the gradients, the scores and the errors of one, and can be resumed."""

import csv
import subprocess
import sys

import pytest
import torch
from torch import distributed

import freesound2019
from freesound.corpus import read_corpus
from freesound.data import split_corpus
from freesound.distributed import Group, OtherRankError, default_device, local_device
from rankaudio import Tagger, lwlrap, predict
from rankaudio.data import read_labels, read_scores
from two_processes import TIMEOUT, environment, free_ports, run_both

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (distributed.is_available() and distributed.is_gloo_available()),
        reason="this build of PyTorch has no gloo",
    ),
]

OPTIONS = ["--base-depth", "4", "--n-blocks", "2", "--folds", "2", "--fold", "0", "--device", "cpu"]
OPTIONS += [
    "--batch-size",
    "3",
    "--no-tensorboard",
    "--mixup",
    "0.5",
    "--dropout",
    "0.2",
    "--accumulate",
    "2",
]
TWO_EPOCHS = ["--epochs", "2", "--average", "ema"]


GRADIENT = """
import os, sys
import torch
from rankaudio import CNN2d, LogMel, LSEPLoss, Tagger
from freesound.build import MemberSystem
from freesound.data import collate
from freesound.distributed import join_group
from freesound.plans.base import Member, Optim
from freesound.updates import Updates

torch.set_num_threads(1)
# The same eleven clips: in batches of different sizes in two processes, and all at once.
torch.manual_seed(0)
waveforms = [torch.randn(n, dtype=torch.float64) for n in torch.randint(3000, 12000, (11,)).tolist()]
clips = list(zip(waveforms, (torch.rand(11, 4) > 0.6).double(), torch.zeros(11)))
tagger = Tagger(LogMel(n_mels=32), CNN2d(4, n_blocks=2, base_depth=4)).double().eval()
whole = collate(clips)
group = join_group("cpu")
system = MemberSystem(Member(), ["a", "b", "c", "d"])
system.tagger = tagger
updates = Updates(system, Optim(), group, steps=4)
LSEPLoss()(tagger(whole.waveform, whole.lengths), whole.target).backward()
expected = [p.grad.clone() for p in tagger.parameters()]
tagger.zero_grad()
for final, part in enumerate([slice(0, 5), slice(5, 6)] if group.rank else [slice(6, 8), slice(8, 11)]):
    updates.backward(collate(clips[part]), of=11, final=bool(final))
worst = max(float((p.grad - g).abs().max()) for p, g in zip(tagger.parameters(), expected))
statistics = torch.full((3,), float(group.rank))
group.average([statistics])
received = group.broadcast(lambda: "from the main process")
torch.save((worst, statistics, received), f"{sys.argv.pop(1)}/{group.rank}.pt")
"""

TRAIN = """
import os, sys
import freesound2019
from freesound.engine import Trainer

what, data, run, *options = sys.argv[1:]
validate, calls = Trainer.validate, 0


def end_in_the_second_epoch(trainer):
    global calls
    calls += 1
    return os._exit(7) if calls == 2 else validate(trainer)


if what == "death" and os.environ["RANK"] == "1":
    Trainer.validate = lambda _: os._exit(9)
if what == "interrupt":
    Trainer.validate = end_in_the_second_epoch
freesound2019.main(["train", "--data", data, "--run", run, *options])
"""


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory):
    """A run of two processes, started as in the README."""
    run = tmp_path_factory.mktemp("both") / "run"
    (port,) = free_ports(1)
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", port, "--"]
    words = ["train", "--data", corpus, "--run", run, *OPTIONS, *TWO_EPOCHS]
    command = [sys.executable, *torchrun, freesound2019.__file__, *map(str, words)]
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 5  # classes, fold, two epochs and the end, of one process
    return run / "fold_0"


def test_lwlrap_is_that_of_one_process(whole, corpus):
    """The model that two processes validated together, validated by this one."""
    valid = read_scores(whole / "valid.csv")
    data = read_corpus(corpus)
    split = split_corpus(data, folds=2, fold=0, max_seconds=15.0, seed=42)
    scores = predict(Tagger.load(whole / "model.pt"), split.valid)
    assert valid.names == split.valid_names
    torch.testing.assert_close(valid.scores, scores, rtol=0, atol=1e-5)
    with (whole / "metrics.csv").open() as file:
        together = max(float(row["valid_lwlrap"]) for row in csv.DictReader(file))
    alone = float(lwlrap(scores, read_labels(corpus / "train_curated.csv").select(valid.names).target))
    assert together == pytest.approx(alone, abs=1e-6)


@pytest.fixture(scope="module")
def interrupted(corpus, tmp_path_factory):
    """Gradients of two processes, and a run that ends in its second epoch."""
    folder = tmp_path_factory.mktemp("interrupted")
    words = [folder, "interrupt", corpus, folder / "run", *OPTIONS, *TWO_EPOCHS]
    assert run_both(GRADIENT + TRAIN, words=words) == [("", 7)] * 2
    return folder


def test_the_gradient_is_that_of_all_clips_at_once(interrupted):
    for rank in range(2):
        worst, statistics, received = torch.load(interrupted / f"{rank}.pt", weights_only=True)
        assert worst < 1e-12
        assert statistics.tolist() == [0.5] * 3
        assert received == "from the main process"


def test_both_resume(whole, interrupted, corpus):
    words = ["plain", corpus, interrupted / "run", *OPTIONS, *TWO_EPOCHS, "--resume"]
    assert run_both(TRAIN, words=words) == [("", 0)] * 2
    fold = interrupted / "run" / "fold_0"
    assert {path.name for path in whole.iterdir()} == {"model.pt", "metrics.csv", "log.txt", "valid.csv"}
    assert {path.name for path in fold.iterdir()} == {path.name for path in whole.iterdir()}
    for name in ("model.pt", "valid.csv"):
        assert (fold / name).read_bytes() == (whole / name).read_bytes()


def test_if_one_process_ends_the_other_says_so_in_one_line(corpus, tmp_path):
    first, second = run_both(TRAIN, words=["death", corpus, tmp_path / "run", *OPTIONS, "--epochs", "1"])
    assert first == ("freesound2019.py: process 0 of 2: another process has ended, so this one has to\n", 1)
    assert second == ("", 9)


@pytest.mark.parametrize(
    ("rank", "messages", "error", "message"),
    [
        (0, ["no room", None], OSError, "no room"),
        (1, ["no room", None], OtherRankError, None),
        (0, [None, "no clip"], ValueError, "process 1 of 2: no clip"),
        (1, [None, "no clip"], OtherRankError, None),
        (0, ["no room", "no clip"], OSError, "no room"),
    ],
)
def test_an_error_in_any_process_stops_all_and_is_reported_once(monkeypatch, rank, messages, error, message):
    def gather(out, own):
        assert own == messages[rank]
        out[:] = messages

    def work():
        if messages[rank] is not None:
            raise OSError(messages[rank])

    monkeypatch.setattr(distributed, "all_gather_object", gather)
    with pytest.raises(error, match=message):
        Group(torch.device("cpu"), rank=rank, world_size=2).run_on_all(work)


def test_each_process_has_its_own_device(monkeypatch):
    monkeypatch.setattr(torch, "zeros", lambda *_, device: device)
    assert local_device("cuda") == "cuda"
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert [local_device(name) for name in ("cuda", "cuda:1", "cpu")] == ["cuda:3", "cuda:1", "cpu"]
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("xpu"))
    assert local_device(None) == "xpu:3"


def test_the_default_device_is_any_accelerator(monkeypatch):
    for available, device in ((False, "cpu"), (True, "mps")):
        monkeypatch.setattr(torch.accelerator, "is_available", lambda available=available: available)
        monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("mps"))
        assert default_device() == device


def test_one_process_sends_nothing():
    group, tensor = Group(torch.device("cpu")), torch.arange(3.0)
    group.add_up(tensor)
    group.average([tensor])
    assert tensor.tolist() == [0.0, 1.0, 2.0]
    assert group.broadcast(lambda: 5) == group.run_on_all(lambda: 5) == 5
    with pytest.raises(ZeroDivisionError):
        group.run_on_all(lambda: 1 / 0)
