"""What each system costs and brings, from the tables of the other benchmarks.

    python benchmarks/costs.py --out docs/measured/costs.md

It reads the tables of full_size.py, and that of plan.py for a run of all systems if it is there.
"""

from __future__ import annotations

from pathlib import Path

from _table import options, published, show

MEASURED = Path(__file__).parent.parent / "docs" / "measured"
FULL_SIZE = {"third": "full_size_third.md", "second": "full_size_second.md", "first": "full_size.md"}
SYSTEMS = "systems.md"


def read_tables(path: Path) -> list[list[dict[str, str]]]:
    """Return the Markdown tables of a file, each as rows by the names of their columns."""
    tables: list[list[dict[str, str]]] = []
    columns: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            columns = []
        elif not columns:
            columns = cells
            tables.append([])
        elif not set(line) <= set("|- "):
            tables[-1].append(dict(zip(columns, cells, strict=True)))
    return tables


def full_size_cells(path: Path) -> list[str]:
    """Return trainings, parameters, peak memory, operations and hours of a plan at full size."""
    steps, plan = read_tables(path)
    *members, whole = plan
    millions = [float(row["parameters"].removesuffix(" M")) for row in steps]
    memory = max(float(row["peak memory"].removesuffix(" GB")) for row in steps)
    clips = {row["clips"] for row in steps}
    hours = [whole[f"hours at {rate}e12 a second"] for rate in (60, 10)]
    return [
        str(sum(int(row["trainings"]) for row in members)),
        f"{min(millions):.1f} to {max(millions):.1f} M",
        f"{memory:.1f} GB for {' or '.join(sorted(clips))} clips",
        whole["operations"],
        " to ".join(hours),
    ]


def main() -> None:
    arguments = options(__doc__).parse_args()
    columns = ["", "trainings", "parameters", "memory of the largest step", "operations of the plan"]
    columns += ["hours on one GPU"]
    rows = [[f"{name} place", *full_size_cells(MEASURED / file)] for name, file in FULL_SIZE.items()]
    if (MEASURED / SYSTEMS).exists():
        answers = {row[""]: row for row in read_tables(MEASURED / SYSTEMS)[0]}
        columns += ["CPU minutes, small", "lwlrap, small"]
        for name, row in zip(FULL_SIZE, rows, strict=True):
            found = answers[name]
            row += [f"{float(found['CPU seconds']) / 60:.0f}", found["test part [95 %]"]]
    with published(arguments.out):
        show("Each system, at full size and on the small corpus", columns, rows)


if __name__ == "__main__":
    main()
