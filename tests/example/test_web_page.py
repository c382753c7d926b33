"""The page of ``examples/web``: what its build writes, what it refuses, and how it is served."""

import http.client
import json
import math
import re
import threading
from pathlib import Path

import onnxruntime
import pytest
import torch

import export
from rankaudio import Tagger, predict_long
from rankaudio.decisions import Calibration
from small_networks import small_frontend, used_tagger
from web import build_page, serve

WEB = Path(build_page.__file__).parent
PAGE = sorted((WEB / "page").iterdir())
CLASSES = ("Bark", "Meow", "Purr")


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    """A folder with the names of onnxruntime-web, so that a build needs no npm."""
    folder = tmp_path / "onnxruntime-web"
    (folder / "dist").mkdir(parents=True)
    for name in build_page.RUNTIME_FILES:
        (folder / "dist" / name).write_text(name)
    about = {"name": "onnxruntime-web", "version": "1", "license": "MIT", "repository": {"url": "git+x"}}
    (folder / "package.json").write_text(json.dumps(about))
    monkeypatch.setattr(build_page, "RUNTIME", folder)
    return folder


def small(network="CNN2d, max", **decisions):
    tagger = used_tagger(network, CLASSES)
    tagger.set_decisions(**decisions)
    return tagger


def refused(*command):
    with pytest.raises(SystemExit) as caught:
        build_page.main([str(word) for word in command])
    return caught.value.code


def test_description_of_a_plain_tagger():
    assert build_page.description(small(), window=1.0, hop=0.25) == {
        "classes": list(CLASSES),
        "sampleRate": 8000,
        "window": 8000,
        "hop": 2000,
        "fixedSamples": None,
        "thresholds": None,
        "calibration": None,
    }


def test_description_of_decisions_survives_json():
    thresholds = torch.tensor([0.1, math.inf, -math.inf])
    calibration = Calibration(torch.tensor([1.0, 2.0, 0.3]), torch.tensor([0.0, -4.0, 0.7]))
    tagger = small(thresholds=thresholds, calibration=calibration)
    text = json.dumps(build_page.description(tagger, window=0.5, hop=0.5), allow_nan=False)
    about = json.loads(text)
    # Python's float and JavaScript's Number read the same strings.
    assert torch.tensor([float(value) for value in about["thresholds"]]).equal(thresholds)
    assert [value for value in about["thresholds"] if isinstance(value, str)] == ["Infinity", "-Infinity"]
    for name in ("scale", "shift"):
        assert torch.tensor(about["calibration"][name]).equal(getattr(calibration, name))


def test_classes_without_names_are_numbered():
    tagger = Tagger(small_frontend("LogMel"), used_tagger("CNN2d, max", CLASSES).backbone).eval()
    about = build_page.description(tagger, window=1.0, hop=0.25)
    assert about["classes"] == ["class 0", "class 1", "class 2"]


def test_a_recurrent_network_has_a_fixed_length():
    about = build_page.description(small("CNN2d, rnn"), window=0.1, hop=0.05)
    assert about["fixedSamples"] == 800


@pytest.mark.parametrize("times", [{"window": 0.0, "hop": 1.0}, {"window": 1.0, "hop": 0.00001}])
def test_times_below_a_sample_are_refused(times):
    with pytest.raises(ValueError, match=r"--(window|hop): wanted at least one sample of 1/8000 s"):
        build_page.description(small(), **times)


def test_a_frontend_without_sample_rate_is_refused():
    tagger = Tagger(torch.nn.Identity(), torch.nn.Identity())
    with pytest.raises(ValueError, match="--model: wanted a frontend with a sample rate"):
        build_page.description(tagger, window=1.0, hop=1.0)


def build(tmp_path, **decisions):
    """Build the page of a small tagger, with windows of half a second."""
    tagger, out = small(**decisions), tmp_path / "new" / "site"
    tagger.save(tmp_path / "model.pt")
    command = ["--model", tmp_path / "model.pt", "--out", out, "--window", "0.5"]
    build_page.main([str(word) for word in command])
    return tagger, out


def test_the_build_is_complete_and_replaces_an_earlier_one(runtime, tmp_path, monkeypatch):
    def write_model(path, tagger, about):
        path.write_text("a model")
        return 0.0

    monkeypatch.setattr(build_page, "write_model", write_model)
    _, out = build(tmp_path)
    (out / "old.txt").write_text("of the first build")
    build(tmp_path)
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    runtime_files = {f"ort/{name}" for name in (*build_page.RUNTIME_FILES, "README.txt")}
    assert files == {path.name for path in PAGE} | runtime_files | {"model.json", "model.onnx"}
    assert "licence: MIT" in (out / "ort" / "README.txt").read_text()
    assert [path.name for path in out.parent.iterdir()] == ["site"]  # nothing temporary is left


@pytest.mark.long
def test_the_model_of_the_page_scores_windows_like_predict_long(runtime, tmp_path, capsys):
    tagger, out = build(tmp_path)
    assert "largest difference from PyTorch" in capsys.readouterr().out
    about = json.loads((out / "model.json").read_text())
    session = onnxruntime.InferenceSession(out / "model.onnx", providers=["CPUExecutionProvider"])
    waveform = 0.1 * torch.randn(11_000, generator=torch.Generator().manual_seed(0))
    wanted = predict_long(tagger, waveform, window=0.5, hop=0.25)
    for scores, start, end in zip(wanted.scores, wanted.starts, wanted.ends, strict=True):
        clip = waveform[round(float(start) * 8000) : round(float(end) * 8000)]
        assert len(clip) <= about["window"]
        (found,) = session.run(["scores"], {"waveform": clip[None].numpy()})
        assert (torch.from_numpy(found)[0] - scores).abs().max() < 1e-4


def test_a_wrong_export_leaves_the_earlier_build(runtime, tmp_path, monkeypatch):
    small().save(tmp_path / "model.pt")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "model.json").write_text("{}")
    monkeypatch.setattr(build_page, "exported", lambda *_, **__: None)
    monkeypatch.setattr(build_page, "write_onnx", lambda *_: None)
    monkeypatch.setattr(build_page, "onnx_runner", lambda _: lambda *tensors: torch.full((1, 3), math.nan))
    before = sorted(tmp_path.iterdir())
    message = refused("--model", tmp_path / "model.pt", "--out", tmp_path / "site")
    assert message.startswith("build_page.py: model.onnx: wanted scores within 0.0001 of PyTorch, got nan")
    assert sorted(tmp_path.iterdir()) == before
    assert [path.name for path in (tmp_path / "site").iterdir()] == ["model.json"]


def test_a_folder_with_other_things_is_refused(runtime, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    assert "--out: wanted a new folder" in refused("--model", tmp_path / "model.pt", "--out", tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_missing_runtime_is_named_with_the_command(runtime, tmp_path):
    (runtime / "dist" / build_page.RUNTIME_FILES[2]).unlink()
    message = refused("--model", tmp_path / "model.pt", "--out", tmp_path / "site")
    assert f"wanted {build_page.RUNTIME_FILES[2]}, got none; run npm ci --omit=dev" in message


def test_a_missing_package_is_named_with_the_pip_command(runtime, tmp_path, monkeypatch):
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None)
    message = refused("--model", tmp_path / "model.pt", "--out", tmp_path / "site")
    assert message.startswith('build_page.py: model.onnx: wanted the package onnx (pip install ".[onnx]")')


@pytest.fixture
def server(tmp_path):
    """A running server, whose folder has a file of each kind."""
    for name in ("index.html", "a.js", "a.mjs", "a.wasm", "a.json", "a.css", "a.onnx"):
        (tmp_path / name).write_text(name)
    with serve.page_server(tmp_path) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_files_are_served_with_types_and_headers(server):
    types = {
        "": "text/html",
        "a.js": "text/javascript",
        "a.mjs": "text/javascript",
        "a.wasm": "application/wasm",
        "a.json": "application/json",
        "a.css": "text/css",
        "a.onnx": "application/octet-stream",
    }
    assert server.server_address[0] == "127.0.0.1"
    for name, wanted in types.items():
        connection = http.client.HTTPConnection(*server.server_address, timeout=60)
        connection.request("GET", f"/{name}")
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.read().decode() == (name or "index.html")
        assert answer.headers["Content-Type"] == wanted
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        connection.close()


def test_a_missing_site_and_a_busy_port_are_one_line(server, tmp_path):
    for wrong, wanted in [
        (["--site", str(tmp_path / "none")], "serve.py: --site: wanted a folder of build_page.py"),
        (
            ["--site", str(tmp_path), "--port", str(server.server_port)],
            f"serve.py: --port: wanted a free port, got {server.server_port}",
        ),
    ]:
        with pytest.raises(SystemExit) as caught:
            serve.main(wrong)
        assert caught.value.code.startswith(wanted)


def test_the_page_names_no_other_host():
    for path in PAGE:
        assert not re.search(
            r"(?:https?:)?//[a-z]", re.sub(r"^\s*//.*$|; //.*$", "", path.read_text(), flags=re.M)
        )


def test_files_that_the_page_names_exist():
    names = {path.name for path in PAGE} | {
        "ort/ort.wasm.min.mjs",
        "ort/README.txt",
        "model.onnx",
        "model.json",
    }
    for path in PAGE:
        text = path.read_text()
        named = re.findall(r"(?:from|fetch\(|new URL\()\s*\"(?:\./)?([\w./-]+)\"", text)
        named += re.findall(r"(?:src|href)=\"([\w./-]+)\"", text)
        assert {name for name in named if name != "ort/"} <= names
        assert not any("CDN" in line or "unpkg" in line for line in text.splitlines())


def test_packages_are_pinned_and_name_no_registry():
    package = json.loads((WEB / "package.json").read_text())
    lock = json.loads((WEB / "package-lock.json").read_text())
    for name, version in {**package["dependencies"], **package["devDependencies"]}.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
        assert lock["packages"][f"node_modules/{name}"]["version"] == version
    assert "http" not in (WEB / "package-lock.json").read_text()
    assert all(entry["integrity"] for path, entry in lock["packages"].items() if path)
