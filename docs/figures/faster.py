"""How many times as long other programs take, from the tables in ``docs/measured``."""

from matplotlib.figure import Figure

from comparisons import comparisons, times

HEIGHT = 6.6
WITHIN = 1.1  # closer than that counts as the same


def draw(figure: Figure) -> None:
    axis = figure.subplots()
    found = comparisons()
    for row, one in enumerate(found):
        colour = "C0" if one.ratio > WITHIN else "C1" if one.ratio < 1 / WITHIN else "C3"
        axis.barh(row, one.ratio - 1, left=1, color=colour)
        axis.text(max(one.ratio, 1) * 1.08, row, times(one.ratio), va="center")
    axis.axvline(1, color=axis.spines["left"].get_edgecolor(), linewidth=0.8)
    axis.set_yticks(range(len(found)), [f"{one.what}: {one.peer}" for one in found])
    axis.invert_yaxis()
    ticks = [0.5, 1, 2, 5, 10, 100, 1000]
    axis.set(xscale="log", xlim=(0.35, 4000), title="slower < 1 < faster", xlabel="time of the other / ours")
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.tick_params(which="minor", length=0)
