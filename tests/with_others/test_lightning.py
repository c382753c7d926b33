"""With Lightning: the loss, the metric and the sampler in a Trainer, in one process and in two."""

import pytest
import torch
from torch import distributed

from lightning_parts import clips, fit, small_tagger
from rankaudio import LengthBucketSampler, lwlrap, predict
from two_processes import run_both

# Lightning warns about the machine and about itself, differently in each release.
pytestmark = pytest.mark.filterwarnings("ignore")

PROCESS = """
import datetime, logging, os, sys, warnings
import torch
warnings.simplefilter("ignore")
logging.disable(logging.INFO)
torch.set_num_threads(1)
from lightning.pytorch.strategies import DDPStrategy
from lightning_parts import fit

wait = datetime.timedelta(seconds=60)
result = fit(devices=2, strategy=DDPStrategy(process_group_backend="gloo", timeout=wait))
torch.save(result, f"{sys.argv[1]}/{os.environ['RANK']}.pt")
# A normal exit can hang right after a collective: it joins the group's thread, which waits for the GIL.
os._exit(0)
"""


def batches(*, rank, world_size, epoch):
    waves, _ = clips()
    lengths = [len(wave) for wave in waves]
    sampler = LengthBucketSampler(lengths, max_samples=8000, seed=1, rank=rank, world_size=world_size)
    sampler.set_epoch(epoch)
    return list(sampler)


def lwlrap_of(state):
    """Compute lwlrap of the trained network in this process, without Lightning."""
    tagger = small_tagger()
    tagger.load_state_dict(state)
    waves, target = clips()
    return float(lwlrap(predict(tagger, waves), target))


def test_one_process():
    result = fit(devices=1)
    assert result["epochs"] == (0, 1)
    assert result["seen"] == {epoch: batches(rank=0, world_size=1, epoch=epoch) for epoch in range(2)}
    assert result["logged"] == pytest.approx(result["ours"], abs=1e-6)  # Lightning keeps float32
    assert result["ours"][-1] == pytest.approx(lwlrap_of(result["state"]), abs=1e-12)


@pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()),
    reason="this build of PyTorch has no gloo",
)
def test_two_processes_share_the_clips_and_validate_as_one(tmp_path):
    finished = run_both(PROCESS, words=[tmp_path])
    assert [status for _, status in finished] == [0, 0], finished
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    for rank, result in enumerate((first, second)):
        assert result["epochs"] == (0, 1)
        assert result["seen"] == {e: batches(rank=rank, world_size=2, epoch=e) for e in range(2)}
        assert result["logged"] == pytest.approx(result["ours"], abs=1e-6)
        assert result["ours"] == first["ours"]
    for epoch in range(2):
        both = first["seen"][epoch] + second["seen"][epoch]
        assert sorted(number for batch in both for number in batch) == list(
            range(23)
        )  # each clip once, in one of the processes
    assert first["seen"][0] != first["seen"][1]
    assert first["ours"][-1] == pytest.approx(lwlrap_of(first["state"]), abs=1e-12)
