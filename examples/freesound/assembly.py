"""The steps of a plan: which command makes which file of a run, from which others.

RUN/plan.json               what the run was begun with
RUN/models/MEMBER/          what train writes, one folder a fold
RUN/scores/MEMBER.test.csv  of the test part, mean over the folds; .noisy.csv of the noisy one
RUN/rounds/round_1.csv ...  noisy clips chosen; relabelled.csv, these and all others with new labels
RUN/blend/                  see freesound.blending
RUN/submission.csv, summary.csv
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from freesound.blending import blend_members, write_summary
from freesound.corpus import read_corpus
from freesound.plan import CURATED, RELABELLED, Member, Plan, train_options
from freesound.rounds import choose_clips, label_the_rest
from freesound.runs import Run, write_text
from freesound.steps import Step, Steps
from rankaudio import ClipDataset
from rankaudio.data import read_labels, read_scores


class Recipe:
    """A plan, the data that it is for and the folder in which it is carried out."""

    def __init__(self, data: Path, folder: Path, plan: Plan, *, options: Sequence[str] = ()) -> None:
        self.data, self.folder, self.plan = data, folder, plan
        self.options = list(options)
        self.corpus = read_corpus(data, noisy=False)
        if plan.mean_labels is not None and plan.mean_labels > (most := len(self.corpus.classes)):
            raise ValueError(f"--mean-labels: wanted at most {most}, the classes, got {plan.mean_labels:g}")

    def model(self, member: Member) -> Run:
        """The run of a member."""
        return Run(self.folder / "models" / member.name)

    def scores(self, member: Member | str, part: str) -> Path:
        """Scores of ``test`` or ``noisy`` clips by a member."""
        name = member if isinstance(member, str) else member.name
        return self.folder / "scores" / f"{name}.{part}.csv"

    def clips(self, name: str) -> Path:
        """A table of noisy clips."""
        return self.folder / "rounds" / f"{name}.csv"

    def steps(self, only: Sequence[str] | None = None) -> Steps:
        """All steps, or those that some members need."""
        plan = self.plan
        members = list(plan.members) if only is None else plan.needed_by(only)
        steps, deepest = [], max(plan.round_of(member.clips) for member in members)
        # Rounds first: each waits for the one before, and most members wait for them.
        for number, name in enumerate(plan.guides[:deepest], start=1):
            guide = plan.member(name)
            steps += [*self._train(guide), self._predict(guide, "noisy"), self._choose(number)]
        for member in members:
            known = {step.name for step in steps}
            steps += [step for step in self._train(member) if step.name not in known]
            steps.append(self._predict(member, "test"))
        if len(members) == len(plan.members):
            steps += self._ends()
        return Steps(steps, self.folder)

    def check(self) -> None:
        """Refuse what would fail hours later: a part that is missing, a clip that cannot be opened."""
        self._check_clips("test", read_scores(self.data / "sample_submission.csv").names)
        if any(member.clips != CURATED for member in self.plan.members):
            noisy = read_labels(self.data / "train_noisy.csv", classes=self.corpus.classes, strict=False)
            self._check_clips("train_noisy", noisy.names)

    def begin(self) -> None:
        """Make the folder, and note what it is for."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "plan.json"
        if not path.exists():
            write_text(path, json.dumps(self.plan.settings(), indent=2) + "\n")

    def refuse_another(self) -> None:
        """Refuse a folder that holds another plan or other things."""
        path = self.folder / "plan.json"
        settings = json.loads(json.dumps(self.plan.settings()))
        if path.exists():
            before = json.loads(path.read_text(encoding="utf-8"))
            changed = [key for key in settings if before.get(key) != settings[key]]
            if changed:
                raise ValueError(
                    f"--run: {self.folder} was begun with another plan: "
                    + ", ".join(f"{key} {before.get(key)!r}, now {settings[key]!r}" for key in changed)
                    + "; choose another folder"
                )
        elif self.folder.exists() and (not self.folder.is_dir() or any(self.folder.glob("[!.]*"))):
            raise FileExistsError(
                f"--run: wanted a new or empty folder, got {self.folder}, which holds other things"
            )

    def _check_clips(self, part: str, names: Sequence[str]) -> None:
        """Read every header; the message names what cannot be read."""
        ClipDataset([self.data / part / name for name in names])

    def _train(self, member: Member) -> list[Step]:
        """One step a fold."""
        run, words, needs = self.model(member), train_options(member, self.plan), ()
        if member.clips != CURATED:
            words += ["--extra", str(self.clips(member.clips))]
            needs = (f"choose {member.clips}",)
        words += ["--data", str(self.data), "--run", str(run.folder), "--resume", "--no-tensorboard"]
        return [
            Step(
                f"train {member.name} fold {fold}",
                needs=needs,
                command=("train", *words, "--fold", str(fold), *self.options),
                finished=lambda fold=fold: run.finished(fold),
            )
            for fold in range(self.plan.scale.folds)
        ]

    def _predict(self, member: Member, part: str) -> Step:
        folds = range(self.plan.scale.folds)
        audio = self.data / {"test": "test", "noisy": "train_noisy"}[part]
        return Step(
            f"predict {part} {member.name}",
            needs=tuple(f"train {member.name} fold {fold}" for fold in folds),
            command=("predict", "--run", str(self.model(member).folder), "--audio", str(audio)),
            out=self.scores(member, part),
        )

    def _choose(self, number: int) -> Step:
        """The clips of a round; after the last one, labels for all others."""
        plan, guide = self.plan, self.plan.guides[number - 1]
        noisy, scores = self.data / "train_noisy.csv", self.scores(guide, "noisy")
        classes, needs = self.corpus.classes, (f"predict noisy {guide}",)
        if number <= plan.rounds:
            out = self.clips(f"round_{number}")
            size = plan.scale.sizes[number - 1]
            shared = {"classes": classes, "size": size, "balanced": plan.balanced}
            return Step(
                f"choose round_{number}",
                needs,
                work=lambda: choose_clips(noisy, scores, out, **shared),
                out=out,
            )
        out, chosen = self.clips(RELABELLED), self.clips(f"round_{plan.rounds}")
        mean = plan.mean_labels
        if mean is None:
            mean = float(self.corpus.curated.target.sum(1).double().mean())
        wanted = {"classes": classes, "mode": plan.relabel, "mean_labels": mean}
        return Step(
            f"choose {RELABELLED}",
            needs,
            work=lambda: label_the_rest(noisy, scores, chosen, out, **wanted),
            out=out,
        )

    def _ends(self) -> list[Step]:
        names = [member.name for member in self.plan.members]
        submission, summary = self.folder / "submission.csv", self.folder / "summary.csv"
        return [
            Step(
                "blend",
                needs=tuple(f"predict test {name}" for name in names),
                work=lambda: blend_members(self),
                out=submission,
            ),
            Step("summary", needs=("blend",), work=lambda: write_summary(self, summary), out=summary),
        ]
