"""The second-place plan at its smallest: two members of one kind of network, and one of another."""

from freesound.plan_file import write_plan
from freesound.plans.second import ROWS, Epochs, Scale, Stacking, make_plan

NAMES = ("max3exam", "v1mix", "se")
TINY = Scale(
    folds=3,
    base_depth=2,
    rnn_units=2,
    statistics_momentum=0.1,
    n_mels=8,
    segment_seconds=0.3,
    max_seconds=2.0,
    batch_size=8,
    lr=1e-3,
    curated=Epochs(1, "1", 1),
    noisy=Epochs(1, "1", 1),
)


def tiny_plan(names=NAMES):
    """Return some members, as small as they can be."""
    return make_plan(TINY, [row for row in ROWS if row.name in names], Stacking(max_epochs=3, lr=1e-2))


def write_tiny_plan(path, **options):
    """Write a plan.json for ``recipe --plan``."""
    write_plan(path, system="second", cpus_per_step=1, plan=tiny_plan(**options))
    return path
