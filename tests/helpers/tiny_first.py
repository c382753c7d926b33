"""The first-place plan at its smallest: two members of two kinds, and one second-level network."""

from freesound.plan_file import write_plan
from freesound.plans.first import ROWS, Scale, SecondLevel, make_plan

NAMES = ("corr_noisy_007", "corrections_003")
TINY = Scale(
    folds=3,
    base_depth=1,
    n_fft=512,
    hop_length=512,
    n_mels=16,
    crop_frames=32,
    ratio=1.0,
    draws=8,
    batch_size=4,
    epochs=1,
    lr=1e-3,
)
NET = SecondLevel(
    names=("net",),
    reduction=(2,),
    dropout=(0.1,),
    lr=(1e-2,),
    patience=(1,),
    factor=(0.5,),
    hidden=4,
    max_epochs=2,
    draws_per_epoch=32,
    batch_size=16,
)


def tiny_plan(names=NAMES):
    """Return some members, as small as they can be."""
    return make_plan(TINY, [row for row in ROWS if row.name in names], NET)


def write_tiny_plan(path, **options):
    """Write a plan.json for ``recipe --plan``."""
    write_plan(path, system="first", cpus_per_step=1, plan=tiny_plan(**options))
    return path
