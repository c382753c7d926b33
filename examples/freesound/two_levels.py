"""The end of a plan with two levels: a mean of its members, and an answer with networks over their scores.

    RUN/second_level/NET.test.csv      scores of the test part
    RUN/second_level/NET.nested.csv    raw scores of each curated clip by a network that has not used its fold
    RUN/second_level/NET.pt            the networks of all folds, and their figures
    RUN/blend/mean.csv, all.csv        scores of the test part by the members, and with the second level
    RUN/blend/figures.csv, weights.csv lwlrap of curated clips, and the weights of the members in their mean
    RUN/submission.csv                 all.csv if its lwlrap on curated clips is above that of mean.csv
    RUN/summary.csv                    lwlrap and time of each member and network

No label of the test part is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from freesound.ensemble import out_of_fold, read_figures, times_of, write_table
from freesound.job import Job
from freesound.plans.base import Member
from freesound.state import write_state
from freesound.steps import Step
from rankaudio import lwlrap
from rankaudio.data import ScoreTable, read_scores, write_scores
from rankaudio.ensemble import SecondLevelFit, blend, stack_tables


@dataclass(frozen=True)
class TwoLevels:
    """The members of a plan, the networks over their scores, and how a clip gets its answer.

    Attributes:
        job: where the plan is carried out.
        members: the first level.
        nets: names of the networks of the second level.
        method: how probabilities are averaged.
        weights: of the members in their mean; None: equal weights.
        joined: whether the second answer is the mean of members and networks. Otherwise it is that of the
            networks alone.
        titles: what the summary calls both answers.
    """

    job: Job
    members: Sequence[Member]
    nets: Sequence[str]
    method: Literal["mean", "geometric"]
    titles: tuple[str, str]
    weights: tuple[float, ...] | None = None
    joined: bool = True

    def file(self, name: str, end: str) -> Path:
        """Return a file of a network."""
        return self.job.folder / "second_level" / f"{name}.{end}"

    def fold_of(self) -> Tensor:
        """Return the fold of each curated clip, which is the same for all members."""
        return out_of_fold(self.job.run(self.members[0].name), self.job.corpus.curated.names).fold_of

    def held_out_probabilities(self) -> Tensor:
        """Return the probabilities ``(M, N, C)`` of curated clips by the members, out of fold."""
        names = self.job.corpus.curated.names
        tables = [out_of_fold(self.job.run(member.name), names).scores for member in self.members]
        return self._stack(tables, names).double().sigmoid()

    def test_probabilities(self) -> Tensor:
        """Return the probabilities ``(M, N, C)`` of the test part by the members."""
        tables = [read_scores(self.job.scores(member.name, "test")) for member in self.members]
        return self._stack(tables, self.test_names()).double().sigmoid()

    def test_names(self) -> tuple[str, ...]:
        """Return the clips of the test part, in the order of the submission."""
        return read_scores(self.job.data / "sample_submission.csv").names

    def write_fit(self, name: str, fit: SecondLevelFit, nested: Tensor, test: Tensor, out: Path) -> None:
        """Write the networks of all folds, and their scores of curated clips and of the test part."""
        classes, curated = self.job.corpus.classes, self.job.corpus.curated.names
        figures = {"nested": fit.nested, "selected": fit.selected, "equal": fit.equal}
        networks = [network.state_dict() for network in fit.networks]
        write_state(self.file(name, "pt"), {"networks": networks, "epochs": fit.epochs, **figures})
        write_scores(self.file(name, "nested.csv"), ScoreTable(curated, classes, nested))
        write_scores(out, ScoreTable(self.test_names(), classes, test))

    def last_steps(self, names: Sequence[str], needs: Sequence[str]) -> list[Step]:
        """Return the steps of the submission and of the summary.

        Args:
            names: of all steps before, whose times are summed.
            needs: names of the steps of the networks.
        """
        folder = self.job.folder
        submit = Step("submission", self.write_submission, tuple(needs), out=folder / "submission.csv")
        work = _Summary(self, (*names, submit.name))
        return [submit, Step("summary", work, (submit.name,), out=folder / "summary.csv")]

    def write_submission(self, out: Path) -> None:
        """Write both answers for the test part, the figures of curated clips, and a submission."""
        template, folder = read_scores(self.job.data / "sample_submission.csv"), self.job.folder / "blend"
        nets = [read_scores(self.file(name, "test.csv")) for name in self.nets]
        second = self._stack(nets, template.names).double()
        figures = self.figures()
        self._write_figures(folder, figures)
        columns = [self.job.corpus.classes.index(name) for name in template.classes]
        answers = {}
        for name, answer in self._answers(self.test_probabilities(), second).items():
            answers[name] = ScoreTable(template.names, template.classes, answer[:, columns].float())
            write_scores(folder / f"{name}.csv", answers[name])
        write_scores(out, answers[chosen(figures)])

    def figures(self) -> dict[str, float]:
        """Return the lwlrap on curated clips of each member and network, and of both answers."""
        labels = self.job.corpus.curated
        first, second = self._held_out()
        names = [*(member.name for member in self.members), *self.nets]
        scores = dict(zip(names, [*first, *second], strict=True)) | self._answers(first, second)
        return {name: float(lwlrap(one, labels.target)) for name, one in scores.items()}

    def held_out(self) -> ScoreTable:
        """Return the scores of the curated clips by the submitted answer, each from the other folds."""
        labels, name = self.job.corpus.curated, chosen(read_figures(self.job.folder))
        return ScoreTable(labels.names, labels.classes, self._answers(*self._held_out())[name])

    def _held_out(self) -> tuple[Tensor, Tensor]:
        """Return probabilities of curated clips by the members, and by the networks."""
        nested = [read_scores(self.file(name, "nested.csv")) for name in self.nets]
        second = self._stack(nested, self.job.corpus.curated.names).double().sigmoid()
        return self.held_out_probabilities(), second

    def _stack(self, tables: Sequence[ScoreTable], names: Sequence[str]) -> Tensor:
        return stack_tables(tables, names=names, classes=self.job.corpus.classes).scores

    def _answers(self, first: Tensor, second: Tensor) -> dict[str, Tensor]:
        """Return the mean of the members, and the answer with the second level."""
        return {
            "mean": blend(first, weights=self.weights, method=self.method),
            "all": blend(torch.cat([first, second]) if self.joined else second, method=self.method),
        }

    def _write_figures(self, folder: Path, figures: Mapping[str, float]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        rows = [[name, f"{value:.6f}"] for name, value in figures.items()]
        write_table(folder / "figures.csv", ["what", "lwlrap"], rows)
        weights = self.weights or (1.0,) * len(self.members)
        cells = [
            [member.name, f"{figures[member.name]:.6f}", f"{weight / sum(weights):.6f}"]
            for member, weight in zip(self.members, weights, strict=True)
        ]
        write_table(folder / "weights.csv", ["member", "lwlrap", "weight"], cells)


@dataclass(frozen=True)
class _Summary:
    """Writes out-of-fold lwlrap and time of each member and network, and of both answers.

    Figures of networks are nested: no network has used the fold of a clip.
    """

    levels: TwoLevels
    steps: tuple[str, ...]

    def __call__(self, out: Path) -> None:
        levels, folder = self.levels, self.levels.job.folder
        figures, rows = read_figures(folder), []
        for name in (*(member.name for member in levels.members), *levels.nets):
            times = times_of([step for step in self.steps if name in step.split()], folder)
            rows.append([name, f"{figures[name]:.6f}", *times])
        for name, title in zip(("mean", "all"), levels.titles, strict=True):
            mark = " *" * (chosen(figures) == name)
            rows.append([title + mark, f"{figures[name]:.6f}", "", ""])
        rows.append(["all steps", "", *times_of(self.steps, folder)])
        write_table(out, ["what", "lwlrap", "seconds", "cpu_seconds"], rows)


def chosen(figures: Mapping[str, float]) -> str:
    """Return which answer is submitted: the networks have to help on clips that they have not used."""
    return "all" if figures["all"] > figures["mean"] else "mean"
