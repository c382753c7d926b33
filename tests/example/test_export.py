"""Exported taggers: the scores of a clip in files of PyTorch and ONNX equal its scores alone in PyTorch."""

import functools
import json
import math

import pytest
import torch

import export
from small_networks import SMALL_FRONTENDS, sum_of_heads, used_tagger

HOP = max(settings["hop_length"] for settings in SMALL_FRONTENDS.values())
# One hop is the shortest clip of a program. The batches have one clip and more.
BATCHES = [(1, HOP), (2, HOP + 1), (1, 4000), (5, 1234), (2, 80_000)]
CONVOLUTIONAL = "CNN2d, max"
RECURRENT = "CNN2d, rnn"


@functools.cache
def tagger_and_program(network, transform, with_lengths):
    model = trained_tagger(network, transform=transform)
    return model, export.exported(model, with_lengths=with_lengths)


def trained_tagger(network, *, transform="fft"):
    """Return a tagger in eval mode after three steps of Adam, the auxiliary heads included."""
    model = used_tagger(network, transform=transform).train()
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(3):
        optimizer.zero_grad()
        sum_of_heads(model(torch.randn(4, 2000))).square().mean().backward()
        optimizer.step()
    return model.eval()


def clips(batch, samples):
    """Return clips from full length down to one hop. In shorter ones, some bins hold nothing but rounding."""
    generator = torch.Generator().manual_seed(samples)
    waveform = torch.randn(batch, samples, generator=generator)
    return waveform, torch.linspace(samples, min(samples, HOP), batch).long()


def check(runner, model, batches, *, with_lengths):
    """Compare the scores of padded batches with those of each clip alone."""
    for batch, samples in batches:
        waveform, lengths = clips(batch, samples)
        scores = runner(waveform, lengths) if with_lengths else runner(waveform)
        assert scores.shape == (batch, 3)
        for row, clip, length in zip(scores, waveform, lengths.tolist(), strict=True):
            alone = model(clip[None, : length if with_lengths else samples])[0]
            assert (row - alone).abs().max() < 1e-4


every_program = pytest.mark.parametrize(
    ("network", "transform", "with_lengths"),
    [
        ("CNN2d, max", "fft", False),
        ("CNN1d, max", "matmul", True),
        pytest.param("SkipAttention", "matmul", False, marks=pytest.mark.slow),
        pytest.param("AuxSkipAttention", "fft", True, marks=pytest.mark.slow),
    ],
)


@every_program
def test_a_program_from_a_file_scores_any_batch_and_length(network, transform, with_lengths, tmp_path):
    model, program = tagger_and_program(network, transform, with_lengths)
    torch.export.save(program, tmp_path / "tagger.pt2")
    check(torch.export.load(tmp_path / "tagger.pt2").module(), model, BATCHES, with_lengths=with_lengths)


@every_program
def test_onnx_scores_any_batch_and_length(network, transform, with_lengths, tmp_path):
    import onnx

    model, program = tagger_and_program(network, transform, with_lengths)
    path = tmp_path / "tagger.onnx"
    export.write_onnx(program, model, path)
    # ONNX Runtime accepts clips shorter than a hop too.
    check(export.onnx_runner(path), model, [*BATCHES, (2, HOP - 1)], with_lengths=with_lengths)

    content = onnx.load(path)
    axes = [[axis.dim_param for axis in value.type.tensor_type.shape.dim] for value in content.graph.input]
    assert axes == [["batch", "samples"], ["batch"]][: 1 + with_lengths]
    metadata = {entry.key: entry.value for entry in content.metadata_props}
    assert metadata["sample_rate"] == "8000"
    assert json.loads(metadata["classes"]) == ["a", "b", "c"]
    operators = {node.op_type for node in content.graph.node}
    assert ("DFT" in operators) == (transform == "fft")
    assert "STFT" not in operators


@pytest.mark.parametrize("network", [RECURRENT, pytest.param("RnnAuxSkipAttention", marks=pytest.mark.slow)])
def test_recurrent_pooling_is_exported_for_one_length(network, tmp_path):
    model, path = trained_tagger(network), tmp_path / "tagger.onnx"
    batches = [(1, 300), (4, 300)]
    program = export.exported(model, with_lengths=True, samples=300)
    check(program.module(), model, batches, with_lengths=True)
    export.write_onnx(program, model, path)
    check(export.onnx_runner(path), model, batches, with_lengths=True)


@pytest.mark.parametrize("name", export.NETWORKS)
def test_each_network_has_an_untrained_tagger(name):
    assert export.untrained(name)(torch.zeros(1, 9000)).shape == (1, 80)


def test_exporting_changes_nothing():
    model = used_tagger(CONVOLUTIONAL)
    waveform, lengths = clips(3, 999)
    before = model(waveform, lengths)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    parts = [
        (part, part.training, *map(dict, (part._forward_hooks, part._buffers))) for part in model.modules()
    ]
    export.exported(model)
    for part, training, hooks, buffers in parts:
        assert (part.training, dict(part._forward_hooks)) == (training, hooks)
        assert all(part._buffers[name] is buffer for name, buffer in buffers.items())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert torch.equal(model(waveform, lengths), before)


def test_the_command_writes_checks_and_times(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(export, "compiler", lambda: None)  # compiling takes a minute
    used_tagger(CONVOLUTIONAL).save(tmp_path / "model.pt")
    export.main(
        [
            "--model",
            str(tmp_path / "model.pt"),
            "--out",
            str(tmp_path / "out"),
            "--lengths",
            "--matmul",
            "--rounds",
            "1",
        ]
    )
    said = capsys.readouterr().out
    assert "compiled.pt2: skipped, because there is no C++ compiler" in said
    rows = {line[:14].strip(): line[14:].split() for line in said.splitlines()}
    for name in ("PyTorch", "torch.export", "ONNX Runtime"):
        error, seconds, _ = rows[name]
        assert float(error) < export.TOLERANCE
        assert float(seconds) > 0
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["tagger.onnx", "tagger.pt2"]


def test_a_wrong_program_is_detected():
    model = used_tagger(CONVOLUTIONAL)
    good, off = (
        export.largest_error(model, runner, [(2, 300)], True) for runner in (model, lambda *x: model(*x) + 1)
    )
    assert good < 1e-6
    assert off == pytest.approx(1, abs=1e-6)
    assert math.isnan(export.largest_error(model, lambda *x: model(*x) * math.nan, [(2, 300)], True))


def test_errors_are_one_line(tmp_path, monkeypatch):
    def refused(*command):
        with pytest.raises(SystemExit) as caught:
            export.main([*command, "--out", str(tmp_path / "out")])
        return caught.value.code

    assert "no.pt" in refused("--model", str(tmp_path / "no.pt"))
    used_tagger(RECURRENT).save(tmp_path / "rnn.pt")
    assert refused("--model", str(tmp_path / "rnn.pt")).startswith("export.py: --samples: wanted a number")
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"tagger.onnx: wanted the package onnx .* got none"):
        export.write_onnx(None, used_tagger(CONVOLUTIONAL), tmp_path / "tagger.onnx")
