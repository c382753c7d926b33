"""The end of the first-place plan: networks over the scores of all members, and a mean of both levels.

    RUN/scores/MEMBER.windows.pt       probabilities of each window of the curated clips, out of fold
    RUN/second_level/NET.test.csv      probabilities of the test part
    RUN/second_level/NET.nested.csv    raw scores of each curated clip by a network that has not used its fold
    RUN/second_level/NET.pt            the networks of all folds, and their figures
    RUN/blend/mean.csv, all.csv        test part: geometric mean of the members, and of members and networks
    RUN/blend/figures.csv, weights.csv lwlrap of curated clips, and the weights of members, which are equal
    RUN/submission.csv                 all.csv if its lwlrap on curated clips is above that of mean.csv
    RUN/summary.csv                    lwlrap and time of each member and network

No label of the test part is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from freesound.distributed import local_device
from freesound.ensemble import out_of_fold, read_figures, times_of, write_table
from freesound.job import Job
from freesound.plans.base import Member
from freesound.progress import progress_bar
from freesound.state import read_state, write_state
from freesound.steps import Step
from freesound.trimming import open_clips
from rankaudio import Tagger, lwlrap
from rankaudio.data import ScoreTable, read_scores, write_scores
from rankaudio.ensemble import blend, fit_second_level, stack_tables
from rankaudio.masking import frame_windows

Nets = Mapping[str, Mapping[str, Any]]


def second_level_steps(job: Job, members: Sequence[Member], nets: Nets, steps: Sequence[Step]) -> list[Step]:
    """Return the steps from the scores of all members to the submission and its summary.

    Args:
        job: where the plan is carried out.
        members: the first level, whose scores of ``test`` are made by ``steps``.
        nets: arguments of :func:`rankaudio.ensemble.fit_second_level` by the names of the networks.
        steps: all steps before these, whose times are summed.
    """
    windows = [_windows_step(job, member) for member in members]
    tests = tuple(f"predict test {member.name}" for member in members)
    needs = (*tests, *(step.name for step in windows))
    fits = [_fit_step(job, members, name, settings, needs) for name, settings in nets.items()]
    names = [step.name for step in (*steps, *windows, *fits)]
    submit = Step(
        "submission",
        partial(write_submission, job, members, list(nets)),
        tuple(step.name for step in fits),
        out=job.folder / "submission.csv",
    )
    summary = Step(
        "summary",
        partial(write_summary, job, members, list(nets), [*names, "submission"]),
        ("submission",),
        out=job.folder / "summary.csv",
    )
    return [*windows, *fits, submit, summary]


def _windows_step(job: Job, member: Member) -> Step:
    return Step(
        f"score windows {member.name}",
        partial(score_windows, job, member),
        tuple(f"train {member.name} fold {fold}" for fold in range(member.clips.folds)),
        out=_windows_of(job, member),
        network=True,
    )


def _fit_step(
    job: Job, members: Sequence[Member], name: str, settings: Mapping[str, Any], needs: tuple[str, ...]
) -> Step:
    return Step(
        f"second level {name}",
        partial(fit_net, job, members, name, settings),
        needs,
        out=_net_file(job, name, "test.csv"),
        network=True,
    )


def _windows_of(job: Job, member: Member) -> Path:
    return job.folder / "scores" / f"{member.name}.windows.pt"


def _net_file(job: Job, name: str, end: str) -> Path:
    return job.folder / "second_level" / f"{name}.{end}"


def score_windows(job: Job, member: Member, out: Path) -> None:
    """Write the probabilities of each window of each curated clip, by the fold that has not seen the clip.

    The windows are those of scoring: their mean is the score in ``valid.csv``.
    """
    device = local_device(job.machine.device)
    corpus, run = job.corpus, job.run(member.name)
    fold_of = out_of_fold(run, corpus.curated.names).fold_of
    windows: list[Tensor] = [torch.empty(0)] * len(corpus.curated)
    for fold, tagger in enumerate(run.taggers(device)):
        rows = (fold_of == fold).nonzero()[:, 0].tolist()
        paths = [corpus.audio / corpus.curated.names[row] for row in rows]
        clips = open_clips(paths, sample_rate=tagger.sample_rate, trim=member.sound.trim)
        loader = torch.utils.data.DataLoader(clips, batch_size=None, num_workers=job.machine.workers)
        with progress_bar(f"fold {fold}", unit="clip", total=len(rows)) as bar:
            for row, clip in zip(rows, loader, strict=True):
                windows[row] = _window_scores(tagger, clip.to(device), member)
                bar.update()
    state = {"classes": list(tagger.classes), "counts": torch.tensor([len(one) for one in windows])}
    write_state(out, {**state, "names": list(corpus.curated.names), "windows": torch.cat(windows)})


@torch.inference_mode()
def _window_scores(tagger: Tagger, clip: Tensor, member: Member) -> Tensor:
    """Return probabilities ``(K, C)`` of the windows of one clip ``(T,)``, on the CPU."""
    spectrogram, _ = tagger.spectrogram(clip[None], None)
    crops = member.crops
    size = crops.crop_frames or spectrogram.shape[-1]
    cut = frame_windows(spectrogram, window=size, hop=min(crops.hop, size))
    return tagger.backbone(cut.windows).sigmoid().float().cpu()


def stack_windows(job: Job, members: Sequence[Member]) -> tuple[Tensor, Tensor]:
    """Return probabilities ``(M, N, K, C)`` of all windows, and the windows of each clip ``(N,)``.

    Raises:
        ValueError: if a table has other clips, or members differ in the windows of a clip.
    """
    corpus, stacked, counts = job.corpus, [], torch.zeros(0)
    for number, member in enumerate(members):
        path = _windows_of(job, member)
        state = read_state(path)
        if tuple(state["names"]) != corpus.curated.names:
            raise ValueError(f"{path}: wanted the curated clips of the data, got others; remove the file")
        if number and not torch.equal(state["counts"], counts):
            raise ValueError(f"{path}: wanted the windows of the other members, got others")
        counts = state["counts"]
        columns = [state["classes"].index(name) for name in corpus.classes]
        own = torch.split(state["windows"][:, columns], counts.tolist())
        stacked.append(torch.nn.utils.rnn.pad_sequence(own, batch_first=True))
    return torch.stack(stacked), counts


def fit_net(job: Job, members: Sequence[Member], name: str, settings: Mapping[str, Any], out: Path) -> None:
    """Train one kind of second-level network on out-of-fold windows, and score the test part with it."""
    labels = job.corpus.curated
    windows, counts = stack_windows(job, members)
    device = local_device(job.machine.device)
    on_cuda = torch.device(device).type == "cuda"
    fit = fit_second_level(
        windows.to(device) if on_cuda else windows,
        labels.target,
        folds=out_of_fold(job.run(members[0].name), labels.names).fold_of,
        counts=counts.to(device) if on_cuda else counts,
        **settings,
    )
    figures = {"nested": fit.nested, "selected": fit.selected, "equal": fit.equal}
    networks = [network.state_dict() for network in fit.networks]
    write_state(_net_file(job, name, "pt"), {"networks": networks, "epochs": fit.epochs, **figures})
    write_scores(_net_file(job, name, "nested.csv"), ScoreTable(labels.names, labels.classes, fit.scores))
    names, probabilities = test_probabilities(job, members)
    write_scores(out, ScoreTable(names, labels.classes, fit.predict(probabilities)))


def test_probabilities(job: Job, members: Sequence[Member]) -> tuple[tuple[str, ...], Tensor]:
    """Return the clips of the test part and their probabilities ``(M, N, C)`` by each member."""
    names = read_scores(job.data / "sample_submission.csv").names
    tables = [read_scores(job.scores(member.name, "test")) for member in members]
    stack = stack_tables(tables, names=names, classes=job.corpus.classes)
    return stack.names, stack.scores.double().sigmoid()


def write_submission(job: Job, members: Sequence[Member], nets: Sequence[str], out: Path) -> None:
    """Write both geometric means of the test part, the figures of curated clips, and a submission."""
    labels, template = job.corpus.curated, read_scores(job.data / "sample_submission.csv")
    names, first = test_probabilities(job, members)
    second = [read_scores(_net_file(job, name, "test.csv")) for name in nets]
    second_scores = [stack_tables([table], names=names, classes=labels.classes).scores[0] for table in second]
    parts = [*first, *(scores.double() for scores in second_scores)]
    columns = [labels.classes.index(name) for name in template.classes]
    figures = figures_of(job, members, nets)
    _write_figures(job.folder / "blend", figures, [member.name for member in members])
    answers = {}
    for name, count in (("mean", len(members)), ("all", len(parts))):
        answer = blend(parts[:count], method="geometric")
        answers[name] = ScoreTable(names, template.classes, answer[:, columns].float())
        write_scores(job.folder / "blend" / f"{name}.csv", answers[name])
    write_scores(out, answers[chosen(figures)])


def chosen(figures: Mapping[str, float]) -> str:
    """Return which mean is submitted: the networks have to help on clips that they have not used."""
    return "all" if figures["all"] > figures["mean"] else "mean"


def figures_of(job: Job, members: Sequence[Member], nets: Sequence[str]) -> dict[str, float]:
    """Return the lwlrap on curated clips of each member and network, of the members' mean, and of all."""
    labels = job.corpus.curated
    tables = [out_of_fold(job.run(member.name), labels.names).scores for member in members]
    tables += [read_scores(_net_file(job, name, "nested.csv")) for name in nets]
    probabilities = stack_tables(tables, names=labels.names, classes=labels.classes).scores.double().sigmoid()
    figures = {
        name: float(lwlrap(scores, labels.target))
        for name, scores in zip([*(member.name for member in members), *nets], probabilities, strict=True)
    }
    for name, count in (("mean", len(members)), ("all", len(probabilities))):
        figures[name] = float(lwlrap(blend(probabilities[:count], method="geometric"), labels.target))
    return figures


def _write_figures(folder: Path, figures: Mapping[str, float], members: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [[name, f"{value:.6f}"] for name, value in figures.items()]
    write_table(folder / "figures.csv", ["what", "lwlrap"], rows)
    equal = f"{1 / len(members):.6f}"
    weights = [[name, f"{figures[name]:.6f}", equal] for name in members]
    write_table(folder / "weights.csv", ["member", "lwlrap", "weight"], weights)


def write_summary(
    job: Job, members: Sequence[Member], nets: Sequence[str], names: Sequence[str], out: Path
) -> None:
    """Write out-of-fold lwlrap and time of each member and network, and of both levels.

    Figures of networks are nested: no network has used the fold of a clip. ``names`` are those of all steps.
    """
    figures, rows = read_figures(job.folder), []
    for name in (*(member.name for member in members), *nets):
        times = times_of([step for step in names if name in step.split()], job.folder)
        rows.append([name, f"{figures[name]:.6f}", *times])
    for name, what in (("mean", "geometric mean of members"), ("all", "members and second level")):
        mark = " *" * (chosen(figures) == name)
        rows.append([what + mark, f"{figures[name]:.6f}", "", ""])
    rows.append(["all steps", "", *times_of(names, job.folder)])
    write_table(out, ["what", "lwlrap", "seconds", "cpu_seconds"], rows)
