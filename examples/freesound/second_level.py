"""The end of the first-place plan: networks over the scores of all members, and a mean of both levels.

    RUN/scores/MEMBER.windows.pt       probabilities of each window of the curated clips, out of fold

The other files are those of every plan with two levels, see :mod:`freesound.two_levels`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from freesound.distributed import local_device
from freesound.ensemble import out_of_fold
from freesound.job import Job
from freesound.plans.base import Member
from freesound.progress import progress_bar
from freesound.state import read_state, write_state
from freesound.steps import Step
from freesound.trimming import open_clips
from freesound.two_levels import TwoLevels
from rankaudio import Tagger
from rankaudio.ensemble import fit_second_level
from rankaudio.masking import frame_windows

Nets = Mapping[str, Mapping[str, Any]]


def levels_of(job: Job, members: Sequence[Member], nets: Nets) -> TwoLevels:
    """Return what the plan does with its members and networks: geometric means."""
    titles = ("geometric mean of members", "members and second level")
    return TwoLevels(job, members, tuple(nets), method="geometric", titles=titles)


def second_level_steps(job: Job, members: Sequence[Member], nets: Nets, steps: Sequence[Step]) -> list[Step]:
    """Return the steps from the scores of all members to the submission and its summary.

    Args:
        job: where the plan is carried out.
        members: the first level, whose scores of ``test`` are made by ``steps``.
        nets: arguments of :func:`rankaudio.ensemble.fit_second_level` by the names of the networks.
        steps: all steps before these, whose times are summed.
    """
    levels = levels_of(job, members, nets)
    windows = [_windows_step(job, member) for member in members]
    tests = tuple(f"predict test {member.name}" for member in members)
    needs = (*tests, *(step.name for step in windows))
    fits = [_fit_step(levels, name, settings, needs) for name, settings in nets.items()]
    names = [step.name for step in (*steps, *windows, *fits)]
    return [*windows, *fits, *levels.last_steps(names, [step.name for step in fits])]


def _windows_step(job: Job, member: Member) -> Step:
    return Step(
        f"score windows {member.name}",
        partial(score_windows, job, member),
        tuple(f"train {member.name} fold {fold}" for fold in range(member.clips.folds)),
        out=_windows_of(job, member),
        network=True,
    )


def _fit_step(levels: TwoLevels, name: str, settings: Mapping[str, Any], needs: tuple[str, ...]) -> Step:
    return Step(
        f"second level {name}",
        partial(fit_net, levels, name, settings),
        needs,
        out=levels.file(name, "test.csv"),
        network=True,
    )


def _windows_of(job: Job, member: Member) -> Path:
    return job.folder / "scores" / f"{member.name}.windows.pt"


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


def fit_net(levels: TwoLevels, name: str, settings: Mapping[str, Any], out: Path) -> None:
    """Train one kind of second-level network on out-of-fold windows, and score the test part with it."""
    job = levels.job
    windows, counts = stack_windows(job, levels.members)
    device = local_device(job.machine.device)
    on_cuda = torch.device(device).type == "cuda"
    fit = fit_second_level(
        windows.to(device) if on_cuda else windows,
        job.corpus.curated.target,
        folds=levels.fold_of(),
        counts=counts.to(device) if on_cuda else counts,
        **settings,
    )
    levels.write_fit(name, fit, fit.scores, fit.predict(levels.test_probabilities()), out)
