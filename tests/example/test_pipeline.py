"""Steps in one process: order, what is done, times, threads, and one process to a folder."""

import json
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
import torch

from dummy_steps import count, counted, note, steps
from freesound import locks
from freesound.locks import lock
from freesound.pipeline import next_step, run
from freesound.steps import Step, check_steps, perform, total_time
from two_processes import environment


def visits(folder):
    """The steps that have run, and how often."""
    return {path.name: len(path.read_text().splitlines()) for path in sorted((folder / "visits").iterdir())}


def turns(folder, name):
    """Process, number and time of each turn of a count."""
    return [line.split() for line in (folder / f"{name}.turns").read_text().splitlines()]


def start_driver(folder, *, to):
    """Start the program of dummy steps in its own process."""
    words = [sys.executable, "-m", "dummy_steps", str(folder), str(to)]
    return subprocess.Popen(
        words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(condition, seconds=60):
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


class TestSteps:
    """One step, and a list of them."""

    def test_each_step_comes_after_those_that_it_needs(self, tmp_path):
        a, b = note(tmp_path, "a"), note(tmp_path, "b", "a")
        check_steps([a, b])
        with pytest.raises(ValueError, match="b: wanted the steps that it needs before it, got no 'a'"):
            check_steps([b, a])
        with pytest.raises(ValueError, match="wanted unique names, got 'a' twice"):
            check_steps([a, b, a])

    def test_an_output_is_whole_or_not_there(self, tmp_path):
        def fail(*, out):
            out.write_text("half")
            raise OSError("no space")

        step = Step("write it", fail, out=tmp_path / "new" / "it.csv")
        with pytest.raises(OSError, match="no space"):
            perform(step, tmp_path, 1)
        assert not step.done
        assert not step.out.exists()
        assert not (tmp_path / "times").exists()
        perform(note(tmp_path, "it"), tmp_path, 1)
        assert (tmp_path / "it").read_text() == "it"
        assert not list(tmp_path.glob(".it*"))

    def test_finished_decides_if_it_is_given(self, tmp_path):
        calls = []
        step = Step("always", partial(calls.append, 1), finished=lambda: len(calls) > 1)
        assert not step.done
        perform(step, tmp_path, 1)
        perform(step, tmp_path, 1)
        assert step.done
        assert perform(step, tmp_path, 1) == 0.0
        assert len(calls) == 2

    def test_times_are_kept_and_added(self, tmp_path):
        slow = Step("be slow", lambda: time.sleep(0.05), finished=lambda: False)
        unknown = note(tmp_path, "never run")
        perform(slow, tmp_path, 1)
        cost = json.loads((tmp_path / "times" / "be_slow.json").read_text())
        assert cost["step"] == "be slow"
        assert 0.05 <= cost["seconds"] < 5
        assert total_time([slow.name, unknown.name], tmp_path) == (cost["seconds"], cost["cpu_seconds"])

    def test_threads_are_those_of_the_step(self, tmp_path):
        before = torch.get_num_threads()
        for threads in (1, 2):
            perform(note(tmp_path, f"with {threads}"), tmp_path, threads)
            assert (tmp_path / "visits" / f"with {threads}").read_text().split()[1] == str(threads)
        assert torch.get_num_threads() == before


class TestRun:
    """A list of steps in this process."""

    def test_only_what_is_not_done(self, tmp_path):
        plan = [
            note(tmp_path, "a"),
            note(tmp_path, "b", "a"),
            note(tmp_path, "c", "b"),
            note(tmp_path, "d", "a", "c"),
        ]
        (tmp_path / "b").write_text("")
        for _ in range(2):
            run(plan, tmp_path, threads=1)
            assert visits(tmp_path) == {"a": 1, "c": 1, "d": 1}
        (tmp_path / "c").unlink()
        run(plan, tmp_path, threads=1)
        assert visits(tmp_path) == {"a": 1, "c": 2, "d": 1}

    def test_an_error_ends_it(self, tmp_path):
        def fail():
            raise ValueError("b: wanted luck, got none")

        broken = Step("b", fail, ("a",), finished=lambda: False)
        plan = [note(tmp_path, "a"), broken, note(tmp_path, "c", "b")]
        with pytest.raises(ValueError, match="wanted luck"):
            run(plan, tmp_path, threads=1)
        assert visits(tmp_path) == {"a": 1}

    def test_the_first_that_can_start_is_next(self, tmp_path):
        a, b = note(tmp_path, "a", network=True), note(tmp_path, "b", "a", network=True)
        c, quick = note(tmp_path, "c", network=True), note(tmp_path, "quick", "a")
        one = {True: 1, False: 1}
        assert next_step([a, b, c, quick], [], one) is a
        assert next_step([b, c, quick], [a], one) is None
        assert next_step([b, c, quick], [a], {True: 2, False: 1}) is c
        assert next_step([b, c, quick], [], one) is b
        assert next_step([c, quick], [b], one) is quick
        assert next_step([c], [b, quick], one) is None

    def test_ray_without_the_extra(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "ray", None)
        with pytest.raises(
            ImportError, match=r'wanted the package ray, got none; pip install "rankaudio.ray."'
        ):
            run([note(tmp_path, "a")], tmp_path, threads=1, ray="local")


class TestLock:
    """One process to a folder, and one to a step."""

    def test_a_second_process_is_refused_until_the_first_is_killed(self, tmp_path):
        first = start_driver(tmp_path, to=10_000)
        wait_for((tmp_path / "a.turns").exists)
        second = start_driver(tmp_path, to=10_000)
        message = second.communicate(timeout=60)[1].strip()
        assert second.returncode == 1
        assert message.startswith(f"{tmp_path}: wanted a folder that no other process works in")
        assert f"in use by process {first.pid} on " in message
        assert "\n" not in message
        first.send_signal(signal.SIGKILL)
        first.communicate(timeout=60)
        reached = len(turns(tmp_path, "a"))
        run(steps(tmp_path, to=reached + 2), tmp_path, threads=1)
        numbers = [int(number) for _, number, _ in turns(tmp_path, "a")]
        # The turn that was noted last may not have reached the state; no other is done twice.
        assert sorted(set(numbers)) == list(range(1, numbers[-1] + 1))
        assert len(numbers) - len(set(numbers)) <= 1
        assert (tmp_path / "end").exists()

    def test_a_step_waits_for_a_process_that_is_still_at_it(self, tmp_path, capsys):
        other = start_driver(tmp_path, to=100)
        wait_for((tmp_path / "a.turns").exists)
        step = Step(
            "count a", partial(count, tmp_path, "a", to=100), finished=partial(counted, tmp_path, "a", to=100)
        )
        assert perform(step, tmp_path, 1) == 0.0
        assert f"waiting until process {other.pid} on " in capsys.readouterr().out
        other.communicate(timeout=60)
        assert {process for process, _, _ in turns(tmp_path, "a")} == {str(other.pid)}

    @pytest.mark.parametrize("missing", ["module", "support"])
    def test_a_system_without_locks(self, tmp_path, monkeypatch, missing):
        class NoLocks:
            LOCK_EX, LOCK_NB = 2, 4

            @staticmethod
            def lockf(*_):
                raise OSError(locks.errno.ENOLCK, "no locks available")

        monkeypatch.setattr(locks, "fcntl", None if missing == "module" else NoLocks)
        said = []
        with lock(tmp_path / "new" / ".lock", log=said.append):
            assert len(said) == 1
        assert "no file locks here; make sure that no other process works in this folder" in said[0]
