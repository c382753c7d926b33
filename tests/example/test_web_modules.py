"""Modules of the page in ``examples/web`` that need no browser, run by node and compared with Python."""

import json
import shutil
import subprocess
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from rankaudio import predict_long
from web import build_page

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(not NODE, reason="needs node")


def run(module, expression, given):
    """Evaluate an expression of JavaScript with the names of a module and `given`."""
    path = (build_page.HERE / "page" / module).as_uri()
    program = f"""
    import {{ readFileSync }} from "node:fs";
    const page = await import({json.dumps(path)});
    const given = JSON.parse(readFileSync(0, "utf8"));
    process.stdout.write(JSON.stringify({expression}));
    """
    done = subprocess.run(
        [NODE, "--input-type=module", "--eval", program],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Any(nn.Module):
    """Scores of no meaning, because only the windows count."""

    def forward(self, waveform, lengths=None):
        return waveform.new_zeros(len(waveform), 1)


CASES = [(total, window, hop) for total in (1, 7, 8, 9, 30) for window in (1, 4, 8) for hop in (1, 3, 4, 9)]


def test_windows_are_those_of_predict_long():
    found = run("windows.js", "given.map((case_) => page.windowsOf(...case_))", CASES)
    for (total, window, hop), windows in zip(CASES, found, strict=True):
        wanted = predict_long(Any(), torch.zeros(total), window=window, hop=hop, sample_rate=1)
        assert [entry["start"] for entry in windows] == wanted.starts.tolist()
        assert [entry["end"] for entry in windows] == wanted.ends.tolist()


def test_each_moment_has_one_window():
    """With a hop up to the window, the times for which windows decide join without gaps."""
    script = """given.map((case_) => {
      const windows = page.windowsOf(...case_);
      return windows.map((_, index) => page.spanOf(windows, index));
    })"""
    for (total, window, hop), spans in zip(CASES, run("windows.js", script, CASES), strict=True):
        assert spans[0]["from"] == 0
        for before, after in pairwise(spans):
            assert before["to"] == after["from"] if hop <= window else before["to"] < after["from"]
        assert spans[-1]["to"] == total or hop > window


def test_a_running_window_stays_on_the_grid():
    cases = [(7, None, None), (8, None, 0), (9, 0, None), (11, 0, 3), (19, 0, 9), (19, 9, None)]
    given = [[total, 8, 3, None if last is None else {"start": last}] for total, last, _ in cases]
    found = run("windows.js", "given.map((case_) => page.newestWindow(...case_))", given)
    assert found == [None if start is None else {"start": start, "end": start + 8} for _, _, start in cases]


@pytest.mark.parametrize("size", [2, 8, 1024])
def test_power_spectrum_equals_numpy(size):
    frame = np.random.default_rng(size).standard_normal(size)
    found = run("fft.js", "[...page.powerSpectrum(given.length)(given)]", frame.tolist())
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    np.testing.assert_allclose(found, np.abs(np.fft.rfft(frame * window)) ** 2, atol=1e-9 * size)


def test_a_recording_with_a_limit_keeps_the_newest_samples():
    script = """(() => {
      const recording = new page.Recording({ rate: 1, limit: 10, open: true });
      const seen = [];
      for (let block = 0; block < 40; block++) {
        recording.append(Float32Array.from({ length: 3 }, (_, k) => 3 * block + k));
        recording.add({ start: recording.end - 2, end: recording.end });
        seen.push([recording.start, recording.end, [...recording.samples(recording.start, recording.end)],
                   recording.windows.length, recording.data.length]);
      }
      return seen;
    })()"""
    for block, (start, end, samples, windows, room) in enumerate(run("recording.js", script, None)):
        assert (start, end) == (max(0, 3 * block - 7), 3 * block + 3)
        assert samples == list(range(start, end))
        assert windows <= 4
        assert room <= 23


def test_decisions():
    script = """(() => {
      const plain = new page.Decisions({ thresholds: null, calibration: null });
      plain.see([-2, 2]);
      const strict = new page.Decisions({
        thresholds: [0.5, "Infinity", "-Infinity"],
        calibration: { scale: [1, 1, 0], shift: [0, 0, 3] },
      });
      return [
        plain.share(1, 0), plain.text(1, 0), plain.isPresent(1, 0), plain.highest([1, 3, 2], 2),
        [0.5, 9, -9].map((score, index) => strict.isPresent(score, index)),
        strict.text(0, 1), strict.share(-100, 2), strict.highest([1, 3, 2], 2),
      ];
    })()"""
    share, text, present, highest, all_present, percent, probability, by_probability = run(
        "decisions.js", script, None
    )
    assert (share, text, present, highest) == (0.75, "1.00", None, [1, 2])
    assert all_present == [True, False, True]
    assert percent == "50 %"
    assert probability == pytest.approx(torch.sigmoid(torch.tensor(3.0)).item(), rel=1e-6)
    assert by_probability == [1, 2]
