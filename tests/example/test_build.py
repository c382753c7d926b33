"""From settings to objects: frontends, networks of the table, weights to start from."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import freesound2019
from freesound.build import MemberSystem, build_tagger, resolved, waveform_chain
from freesound.plans.base import Augment, Member, Network, Sound, network_settings
from rankaudio import Tagger
from rankaudio.backbones import NETWORKS
from training import CPU

SMALL = {"base_depth": 4, "n_blocks": 2}
MEMBER = Member(network=Network("CNN2d", SMALL))


class TestFrontend:
    def test_each_network_has_its_own(self):
        for name, frontend, descriptor in (
            ("CNN2d", "LogMel", "mel_2048_1024_128"),
            ("CNN1d", "LogSTFT", "stft_256_128"),
        ):
            tagger = build_tagger(Member(network=Network(name, SMALL)), ["a"])
            assert type(tagger.frontend).__name__ == frontend
            assert tagger.frontend.descriptor == descriptor
            assert tagger.sample_rate == 44_100

    def test_its_settings_can_be_chosen(self):
        sound = Sound(sample_rate=16_000, n_fft=512, hop_length=160, n_mels=64, f_min=50)
        tagger = build_tagger(replace(MEMBER, sound=sound), ["a"])
        settings = tagger.frontend.settings()
        expected = {"sample_rate": 16_000, "n_fft": 512, "hop_length": 160, "n_mels": 64, "f_min": 50.0}
        assert {name: settings[name] for name in expected} == expected
        assert tagger(torch.randn(1, 16_000)).shape == (1, 1)

    def test_a_network_can_read_another_spectrogram(self):
        member = Member(sound=Sound(frontend="LogMel", n_mels=40), network=Network("CNN1d", SMALL))
        tagger = build_tagger(member, ["a", "b"])
        assert tagger.backbone.n_bins == 40
        assert tagger(torch.randn(1, 44_100)).shape == (1, 2)

    def test_resolved_settings_have_every_value_and_build_the_same(self):
        member = resolved(Member(network=Network("CNN1d", SMALL)))
        assert (member.sound.frontend, member.sound.n_fft, member.sound.hop_length) == ("LogSTFT", 256, 128)
        assert set(member.network.settings) == set(network_settings("CNN1d"))
        assert resolved(member) == member

    def test_chunks_are_half_a_second_at_any_rate(self):
        chain = waveform_chain(Augment(shuffle=1.0), sample_rate=16_000)
        *_, record = chain.record(torch.randn(1, 32_000), torch.zeros(1, 1))
        assert record["shuffle"]["order"].shape == (1, 4)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_of_the_table_takes_a_training_step(name):
    known = network_settings(name)
    small = {key: value for key, value in SMALL.items() if key in known}
    system = MemberSystem(Member(network=Network(name, small)), ["a", "b"])
    waveform, lengths = torch.randn(2, 44_100), torch.tensor([44_100, 30_000])
    spectrogram, frames = system.tagger.spectrogram(waveform, lengths)
    side = system.tagger.side_inputs(waveform, lengths)
    given = {"side_inputs": side} if side else {}
    outputs = system.tagger.train().backbone(spectrogram, frames, **given)
    loss = system.criterion(outputs, torch.eye(2), torch.zeros(2, dtype=torch.long))
    loss.backward()
    assert all(p.grad is not None for p in system.tagger.parameters())


class Throwaway(nn.Module):
    """A linear network.

    Args:
        n_classes: C, the number of scores.
        n_bins: F, the number of frequency bins.
        units: of the hidden
            layer.
        act: ``"relu"`` or nothing.
    """

    default_frontend = "LogMel"

    def __init__(self, n_classes, *, n_bins: int, units: int = 8, act: str | None = None):
        super().__init__()
        self.n_classes, self.hidden = n_classes, nn.Linear(n_bins, units)
        self.classifier = nn.Linear(units, n_classes)

    def forward(self, spectrogram, lengths=None):
        return self.classifier(self.hidden(spectrogram.mean(-1)))


def test_a_new_network_needs_only_the_table(corpus, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(NETWORKS, "Throwaway", Throwaway)
    network = Network.__dataclass_fields__["name"]
    choices = {**network.metadata, "choices": tuple(NETWORKS)}
    monkeypatch.setattr(network, "metadata", choices)
    with pytest.raises(SystemExit, match="0"):
        freesound2019.main(["train", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "--units N Throwaway: of the hidden layer (default: 8)" in shown
    assert '--act ACT Throwaway: "relu" or nothing ' in shown
    run = tmp_path / "run"
    words = [
        "train",
        "--data",
        corpus,
        "--run",
        run,
        "--network",
        "Throwaway",
        "--units",
        "5",
        "--folds",
        "1",
    ]
    freesound2019.main([*map(str, words), "--epochs", "1", *CPU])
    assert "units = 5" in (run / "settings.toml").read_text()
    path = run / "fold_0" / "model.pt"
    tagger = Tagger.load(path, backbone=Throwaway(16, n_bins=128, units=5))
    assert tagger.backbone.hidden.out_features == 5


class TestStartFrom:
    """Weights are copied; those of classes are matched by name."""

    @pytest.fixture
    def saved(self, tmp_path):
        torch.manual_seed(0)
        tagger = build_tagger(MEMBER, ("Bark", "Meow", "Tap"))
        tagger.save(tmp_path / "model.pt")
        return tagger, tmp_path / "model.pt"

    @staticmethod
    def member(path, **settings):
        return Member(network=Network("CNN2d", {**SMALL, **settings}, start_from=str(path)))

    def test_the_same_classes_give_the_same_model(self, saved):
        tagger, path = saved
        tagger.set_decisions(thresholds=torch.zeros(3))
        tagger.save(path)
        tagger.set_decisions()
        started = build_tagger(self.member(path, dropout=0.3), tagger.classes)
        assert started.thresholds is None
        assert started.backbone.dropout == 0.3
        for key, value in started.state_dict().items():
            assert torch.equal(value, tagger.state_dict()[key]), key

    def test_other_classes_keep_the_rows_of_known_classes(self, saved):
        tagger, path = saved
        started = build_tagger(self.member(path), ("Tap", "Wind", "Bark", "Rain"))
        ours, theirs = started.backbone.classifier[-1], tagger.backbone.classifier[-1]
        for row, known in ((0, 2), (2, 0)):
            assert torch.equal(ours.weight[row], theirs.weight[known])
            assert torch.equal(ours.bias[row], theirs.bias[known])
        assert ours.weight.shape[0] == 4
        assert not (ours.weight[[1, 3]][:, None] == theirs.weight).all(-1).any()
        assert torch.equal(started.backbone.blocks[0].conv.weight, tagger.backbone.blocks[0].conv.weight)

    def test_another_network_is_refused_by_what_differs(self, saved):
        _, path = saved
        message = r"wanted a backbone with base_depth 8, got one with base_depth 4 in .*model\.pt"
        with pytest.raises(ValueError, match=message):
            build_tagger(self.member(path, base_depth=8), ("Bark",))
        message = "--start-from: wanted a frontend with .*type LogSTFT.* got .*type LogMel"
        with pytest.raises(ValueError, match=message):
            build_tagger(Member(network=Network("CNN1d", SMALL, start_from=str(path))), ("Bark",))

    @pytest.mark.slow
    def test_from_the_command_line(self, tiny_corpus, tmp_path):
        common = ["--data", str(tiny_corpus), "--base-depth", "4", "--n-blocks", "2", "--folds", "2"]
        common += ["--fold", "0", "--epochs", "1", *CPU]
        freesound2019.main(["train", *common, "--run", str(tmp_path / "first")])
        first = tmp_path / "first" / "fold_0" / "model.pt"
        again = ["train", *common, "--run", str(tmp_path / "second"), "--start-from", str(first)]
        freesound2019.main([*again, "--lr-min", "1e-12", "--lr-max", "1e-12"])
        before, after = (Tagger.load(tmp_path / run / "fold_0" / "model.pt") for run in ("first", "second"))
        for one, other in zip(before.parameters(), after.parameters(), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-9)
        with pytest.raises(SystemExit, match=r"no\.pt"):
            freesound2019.main([*again, "--start-from", str(tmp_path / "no.pt"), "--resume"])
