"""The page of ``examples/web`` in headless Chromium: it scores files and the microphone like PyTorch.

The tests need node, Chromium and `npm ci --prefix examples/web`. The leg `web` of .ci/matrix installs them.
CHROMIUM names another browser program.
"""

import json
import os
import shutil
import subprocess
import threading

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from rankaudio import load_audio, predict_long
from rankaudio.decisions import Calibration
from small_networks import used_tagger
from web import build_page, serve

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
NODE = shutil.which("node")
PACKAGES = [build_page.HERE / "node_modules" / name for name in ("onnxruntime-web", "playwright-core")]
INSTALLED = all(folder.is_dir() for folder in PACKAGES)
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not CHROMIUM, reason="needs Chromium"),
    pytest.mark.skipif(not NODE, reason="needs node"),
    pytest.mark.skipif(not INSTALLED, reason="needs npm ci --prefix examples/web"),
]
RATE = 8000  # of the tagger
CLASSES = tuple(f"class_{letter}" for letter in "abcdefgh")
TOLERANCE = 1e-3
WINDOW, HOP = 0.5, 0.25


def tagger_of(network):
    """Return a tagger whose scores differ from window to window, with thresholds and probabilities."""
    tagger = used_tagger(network, CLASSES)
    calibration = Calibration(torch.linspace(0.5, 2.0, 8), torch.linspace(-1.0, 1.0, 8))
    tagger.set_decisions(thresholds=torch.zeros(8), calibration=calibration)
    return tagger


@pytest.fixture(scope="module")
def serve_page(tmp_path_factory):
    """Return a function from the name of a network to the address of its page, built once."""
    addresses, servers = {}, []

    def address(network):
        if network not in addresses:
            folder = tmp_path_factory.mktemp("page")
            tagger_of(network).save(folder / "model.pt")
            times = ["--window", str(WINDOW), "--hop", str(HOP)]
            build_page.main(["--model", str(folder / "model.pt"), "--out", str(folder / "site"), *times])
            server = serve.page_server(folder / "site")
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            servers.append((server, thread))
            addresses[network] = f"http://localhost:{server.server_port}/"
        return addresses[network]

    yield address
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def drive(serve_page):
    """Return a function that runs steps on a page, and returns their results."""

    def run(*steps, network="CNN2d, max", **job):
        url = serve_page(network)
        given = json.dumps({"chromium": CHROMIUM, "url": url, "steps": steps, **job})
        command = [NODE, str(build_page.HERE / "drive.mjs")]
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["problems"] == []
        assert told["hosts"] == [url.split("/")[2]]
        return told["results"]

    return run


def tones(seconds=2.3, rate=RATE, channels=1):
    """Return tones of several frequencies, one after the other, with a little noise."""
    time = np.arange(round(seconds * rate)) / rate
    pitch = np.choose((time * 2).astype(int) % 4, [440.0, 1000.0, 2500.0, 150.0])
    sound = 0.4 * np.sin(2 * np.pi * pitch * time) + 0.02 * np.random.default_rng(0).standard_normal(
        len(time)
    )
    return np.stack([sound * 0.5**channel for channel in range(channels)], axis=1)


def write(path, sound, rate=RATE):
    wavfile.write(path, rate, (sound * 32767).astype(np.int16))
    return str(path)


def assert_scores(found, network="CNN2d, max"):
    """Score the page's own samples in PyTorch: all windows of a file, and the newest window."""
    tagger = tagger_of(network)
    latest = found["latest"]
    if found["samples"] is not None and found["rate"] == RATE:
        wanted = predict_long(tagger, torch.tensor(found["samples"]), window=WINDOW, hop=HOP)
        spans = [(window["start"], window["end"]) for window in found["windows"]]
        ends = zip((wanted.starts * RATE).tolist(), (wanted.ends * RATE).tolist(), strict=True)
        assert spans == [(round(start), round(end)) for start, end in ends]
        scores = torch.tensor([window["scores"] for window in found["windows"]])
        assert (scores - wanted.scores).abs().max() < TOLERANCE
        assert wanted.scores.std(0).max() > 10 * TOLERANCE  # windows differ, so a wrong one would be noticed
    scores = tagger(torch.tensor([latest["samples"]]))[0]
    assert (torch.tensor(latest["scores"]) - scores).abs().max() < TOLERANCE


@pytest.mark.parametrize("network", ["CNN2d, max", "CNN2d, rnn"])
def test_a_dropped_file_is_scored_like_pytorch(drive, tmp_path, network):
    path = str(tmp_path / "tones.wav")
    # Float samples arrive unchanged. Chromium divides positive 16-bit samples by 32767, others by 32768.
    wavfile.write(path, RATE, tones().astype(np.float32))
    (found,) = drive({"do": "drop", "file": path}, network=network)
    assert found["status"].startswith("tones.wav: 9 windows scored in ")
    assert torch.tensor(found["samples"]).equal(load_audio(path, sample_rate=RATE))
    assert len(found["windows"]) == 9
    assert found["windows"][-1]["end"] - found["windows"][-1]["start"] < WINDOW * RATE
    assert_scores(found, network)


def test_everything_works_from_the_keyboard(drive, tmp_path):
    path = write(tmp_path / "tones.wav", tones(rate=44_100, channels=2), rate=44_100)
    chosen, moved, played = drive(
        {"do": "choose", "file": path},
        {"do": "key", "selector": "#cursor", "key": "ArrowRight", "times": 40},
        {"do": "play"},
    )
    assert_scores(chosen)
    # The browser's resampler is another one, so samples are only close to ours. They are far off at the ends.
    found, wanted = torch.tensor(chosen["samples"]), load_audio(path, sample_rate=RATE)
    assert abs(len(found) - len(wanted)) <= 1
    middle = slice(RATE // 4, 2 * RATE)
    assert torch.corrcoef(torch.stack([found[middle], wanted[middle]]))[0, 1] > 0.99

    # The bars are those of the last window that decides for the cursor.
    cursor = float(moved["value"])
    assert 0.2 < cursor / len(found) < 0.6
    starts = [window["start"] for window in moved["windows"]]
    overlap = (WINDOW - HOP) / 2 * RATE
    window = max(0, sum(start + overlap <= cursor for start in starts[1:]))
    tagger = tagger_of("CNN2d, max")
    scores = torch.tensor(moved["windows"][window]["scores"])
    best = tagger.probabilities(scores).argsort(descending=True)[:6].tolist()
    marks = ["" if score < 0 else " ✓" for score in scores[best].tolist()]
    assert moved["bars"] == [CLASSES[i].replace("_", " ") + mark for i, mark in zip(best, marks, strict=True)]
    start = starts[window] / RATE
    assert moved["moment"] == f"From {start:.2f} s to {start + WINDOW:.2f} s"
    assert played > cursor


def test_a_microphone_is_scored_like_pytorch(drive, tmp_path):
    sound = 0.4 * np.sin(2 * np.pi * 1000 * np.arange(4 * 48_000) / 48_000)
    heard, stopped, after = drive(
        {"do": "listen", "windows": 5},
        {"do": "stop"},
        {"do": "drop", "file": write(tmp_path / "tones.wav", tones())},
        microphone=write(tmp_path / "microphone.wav", sound, rate=48_000),
    )
    assert heard["rate"] == RATE
    assert heard["status"] == "Listening. The microphone is open."
    assert len(heard["latest"]["samples"]) == WINDOW * RATE
    assert loudest_frequency(heard["latest"]["samples"]) == pytest.approx(1000, abs=5)
    for found in (heard, stopped, after):
        assert_scores_of_latest(found)
    # Windows begin at whole hops, as in predict_long. A slow machine leaves some out.
    starts = np.array([window["start"] for window in heard["windows"]])
    assert (starts % (HOP * RATE) == 0).all()
    assert (np.diff(starts) > 0).all()
    assert_scores(after)


def assert_scores_of_latest(found):
    assert_scores({**found, "samples": None})


def loudest_frequency(samples):
    spectrum = np.abs(np.fft.rfft(np.hanning(len(samples)) * np.array(samples)))
    return spectrum.argmax() * RATE / len(samples)


def test_a_browser_that_records_only_at_the_rate_of_the_device(drive, tmp_path):
    """Some browsers refuse to connect a microphone to a context with another rate."""
    refuse = """
    const connect = AudioContext.prototype.createMediaStreamSource;
    AudioContext.prototype.createMediaStreamSource = function (stream) {
      if (this.sampleRate === 8000) throw new DOMException("other rate", "NotSupportedError");
      return connect.call(this, stream);
    };
    """
    sound = 0.4 * np.sin(2 * np.pi * 1000 * np.arange(4 * 48_000) / 48_000)
    microphone = write(tmp_path / "microphone.wav", sound, rate=48_000)
    (heard,) = drive({"do": "listen", "windows": 4}, microphone=microphone, init=refuse)
    assert heard["rate"] in (44_100, 48_000)
    assert len(heard["latest"]["samples"]) == WINDOW * RATE
    assert loudest_frequency(heard["latest"]["samples"]) == pytest.approx(1000, abs=5)
    assert_scores_of_latest(heard)


def test_what_is_no_sound_is_refused_and_the_page_goes_on(drive, tmp_path):
    (tmp_path / "letter.txt").write_text("Dear reader")
    wrong, right = drive(
        {"do": "drop", "file": str(tmp_path / "letter.txt")},
        {"do": "choose", "file": write(tmp_path / "tones.wav", tones(seconds=0.3))},
    )
    assert wrong == {"status": "letter.txt: this browser cannot decode it. Try WAV, FLAC, MP3 or OGG."}
    assert len(right["windows"]) == 1
    assert_scores_of_latest(right)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_fits_a_phone(drive, tmp_path, theme):
    path = write(tmp_path / "a_name_without_a_place_to_break_it_into_two_lines.wav", tones())
    picture = {"do": "picture", "file": str(tmp_path / "phone.png")}
    results = drive(picture, {"do": "drop", "file": path}, picture, width=390, height=844, theme=theme)
    assert results[0] <= 0
    assert results[2] <= 0
    assert (tmp_path / "phone.png").stat().st_size > 10_000
