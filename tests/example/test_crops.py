"""Crops, pools, trimmed silence, windows and the plateau schedule of the first-place system."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.io import wavfile
from torch import nn

from freesound.batches import build_batches
from freesound.build import MemberSystem, build_scorer, build_tagger
from freesound.chains import disable_augmentation, spectrogram_chain
from freesound.corpus import read_corpus
from freesound.criteria import LOSSES, build_criterion
from freesound.data import CURATED, NOISY, TRUSTED, Split, split_corpus
from freesound.plans.base import Clips, Crops, Member, Network, Optim, Pools, Sound
from freesound.schedule import Plateau
from freesound.setting import settings_of_fields
from freesound.tasks import geometric_mean, mean_of_scores
from freesound.trimming import open_clips
from rankaudio import ClipDataset, LSEPLoss
from rankaudio.inference import WindowedTagger
from rankaudio.losses import AuxiliaryScores, LSoftLoss, asymmetric_loss, focal_loss, lsep_loss, zlpr_loss
from rankaudio.masking import trim_silence
from tiny_recipe import write_csv
from training import ALONE

SMALL = {"base_depth": 1}
SOUND = Sound(n_fft=512, hop_length=512, n_mels=16)


class TestSettings:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: Crops(window_hop=8), "window_hop, wrap: wanted them with --crop-frames only"),
            (lambda: Crops(crop_frames=8, window_hop=9), "window_hop: wanted at most 8"),
            (lambda: Crops(ratio_low=2.0, ratio_high=1.0), "ratio_high: wanted at least 2, got 1"),
            (lambda: Pools(noisy_share=0.5), "noisy_share: wanted them with --draws only"),
            (lambda: Pools(draws=9, trusted_share=0.5), "trusted_share: wanted --trusted"),
            (lambda: Pools(draws=9, curated_share=0.0), "wanted one above 0, got none"),
            (lambda: Member(pools=Pools(draws=9, noisy_share=1.0)), "noisy_share: wanted --noisy or --extra"),
            (
                lambda: Member(clips=Clips(folds=1), optim=Optim(schedule="plateau")),
                "schedule plateau: wanted clips that are held out",
            ),
        ],
    )
    def test_wrong_values_are_refused(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()

    def test_windows_overlap_by_half(self):
        assert [Crops(crop_frames=n).hop for n in (256, 5, 1)] == [128, 2, 1]
        assert Crops(crop_frames=256, window_hop=64).hop == 64

    def test_derivatives_can_be_switched_off(self):
        def channels(deltas):
            member = Member(sound=replace(SOUND, deltas=deltas), network=Network("AuxSkipAttention", SMALL))
            return build_tagger(member, ["a"]).backbone.in_channels

        assert [channels(deltas) for deltas in (None, 0, 1, 2)] == [3, 1, 2, 3]
        with pytest.raises(ValueError, match="deltas: wanted 0 for CNN2d, which takes no channels, got 2"):
            build_tagger(Member(sound=Sound(deltas=2)), ["a"])


class TestChain:
    CROPS = Crops(crop_frames=32, wrap=0.5, resize=0.5, spec_augment=0.5, mixers=1.0)

    def test_nothing_by_default(self):
        assert spectrogram_chain(Crops(), delta_width=9, orders=2).names == ()

    def test_every_clip_has_the_size_of_a_crop(self):
        chain = spectrogram_chain(self.CROPS, delta_width=9, orders=2)
        assert chain.names == ("crop", "resize", "masks", "deltas", "mixer")
        spectrogram, target, frames = chain(torch.randn(3, 16, 50), torch.eye(3), torch.tensor([50, 7, 33]))
        assert spectrogram.shape == (3, 3, 16, 32)
        assert target.shape == (3, 3)
        assert frames is None

    def test_without_mixers_the_network_adds_derivatives(self):
        chain = spectrogram_chain(replace(self.CROPS, mixers=0.0), delta_width=9, orders=2)
        assert chain.names == ("crop", "resize", "masks")

    def test_crops_stay_when_augmentation_ends(self):
        chain = spectrogram_chain(self.CROPS, delta_width=9, orders=2)
        disable_augmentation(chain)
        assert [name for name in chain.names if chain.enabled(name)] == ["crop", "deltas"]
        disable_augmentation(spectrogram_chain(Crops()))

    def test_only_clips_of_one_source_are_mixed(self):
        member = Member(
            sound=SOUND,
            network=Network("AuxSkipAttention", SMALL),
            clips=Clips(noisy=True),
            crops=self.CROPS,
            pools=Pools(draws=8, noisy_share=1.0),
        )
        system = MemberSystem(member, ["a", "b", "c"])
        assert system.mix_within_source
        assert not MemberSystem(Member(network=Network("CNN2d", {"base_depth": 4})), ["a"]).mix_within_source
        source = torch.tensor([0, 1, 0, 1, 2])
        *_, record = system.on_spectrograms.record(torch.randn(5, 16, 40), torch.eye(5, 3), groups=source)
        for kind in ("0.partner", "1.partner"):
            assert torch.equal(source[record["mixer"][kind]], source)


class TestPools:
    @pytest.fixture
    def data(self, tiny_corpus, tmp_path):
        """The tiny corpus, with four noisy clips, and a table that trusts one of them."""
        names = sorted(path.name for path in (tiny_corpus / "train_curated").iterdir())[:4]
        folder = tmp_path / "data"
        folder.mkdir()
        for part in ("train_curated", "train_curated.csv", "sample_submission.csv"):
            (folder / part).symlink_to(tiny_corpus / part)
        (folder / "train_noisy").symlink_to(tiny_corpus / "train_curated")
        classes = read_corpus(tiny_corpus).classes
        write_csv(folder / "train_noisy.csv", ["fname", "labels"], [[name, classes[0]] for name in names])
        write_csv(folder / "trusted.csv", ["fname", "labels"], [[names[2], classes[1]]])
        return read_corpus(folder, noisy=True, trusted=folder / "trusted.csv")

    def test_a_trusted_clip_may_be_noisy_too(self, data):
        split = split_corpus(data, folds=2, fold=0, max_seconds=15.0, seed=42)
        assert split.source.tolist() == [CURATED] * 8 + [NOISY] * 4 + [TRUSTED]
        assert split.train.paths[8 + 2] == split.train.paths[-1]
        assert split.train.target[-1].nonzero().tolist() == [[1]]
        assert split.train.target[8 + 2].nonzero().tolist() == [[0]]

    def test_shares_of_the_draws(self, data):
        split = split_corpus(data, folds=2, fold=0, max_seconds=15.0, seed=42)
        member = Member(
            clips=Clips(noisy=True, batch_size=50),
            pools=Pools(2000, "t.csv", curated_share=0.5, trusted_share=0.2, noisy_share=0.3),
        )
        batches = build_batches(member, split, ALONE)
        assert len(batches) == 40
        batches.set_epoch(3)
        drawn = [index for batch in batches for index in batch]
        counts = split.source[drawn].bincount(minlength=3) / len(drawn)
        torch.testing.assert_close(counts, torch.tensor([0.5, 0.3, 0.2]), rtol=0, atol=0.04)

    def test_a_share_without_clips(self):
        clips = Split(None, torch.zeros(4, dtype=torch.long), None, (), torch.zeros(0, 1))
        member = Member(clips=Clips(noisy=True), pools=Pools(draws=40, noisy_share=0.5))
        with pytest.raises(ValueError, match=r"pools\[1\]: wanted at least one clip"):
            build_batches(member, clips, ALONE)


class TestCriterion:
    scores, other = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))
    target = (torch.arange(20).reshape(4, 5) % 3 == 0).float()
    source = torch.tensor([CURATED, NOISY, TRUSTED, NOISY])

    def test_each_source_has_its_own_loss(self):
        pools = Pools(noisy_loss="l_soft", noisy_beta=0.6, clean_weight=0.5, noisy_weight=0.25)
        criterion = build_criterion(Optim(loss="bce"), pools)
        outputs = AuxiliaryScores(self.scores, (self.other, self.scores, self.other))
        bce = nn.BCEWithLogitsLoss(reduction="none")
        soft = LSoftLoss(beta=0.6, reduction="none")
        expected = 0.0
        for weight, scores in zip((1.0, 0.4, 0.2, 0.1), (self.scores, *outputs.auxiliary), strict=True):
            clean, noisy = (loss(scores, self.target).mean(1) for loss in (bce, soft))
            rows = torch.where(self.source == NOISY, 0.25 * noisy, 0.5 * clean)
            expected += weight * rows.mean()
        torch.testing.assert_close(criterion(outputs, self.target, self.source), expected)

    @pytest.mark.parametrize(
        ("name", "loss"),
        [
            ("lsep", lsep_loss),
            ("zlpr", zlpr_loss),
            ("bce", nn.functional.binary_cross_entropy_with_logits),
            ("asl", asymmetric_loss),
            ("focal", focal_loss),
        ],
    )
    def test_losses_have_names(self, name, loss):
        expected = loss(self.scores, self.target)
        assert torch.equal(
            build_criterion(Optim(loss=name), Pools())(self.scores, self.target, None), expected
        )
        weighted = build_criterion(Optim(loss=name), Pools(clean_weight=2.0, noisy_weight=2.0))
        torch.testing.assert_close(weighted(self.scores, self.target, self.source), 2 * expected)

    def test_every_name_of_a_loss_is_an_option(self):
        assert set(settings_of_fields(Optim)["loss"].choices) == set(LOSSES)

    def test_by_default_all_sources_have_the_same(self):
        criterion = build_criterion(Optim(), Pools())
        assert torch.equal(
            criterion(self.scores, self.target, self.source), LSEPLoss()(self.scores, self.target)
        )
        weighted = build_criterion(Optim(), Pools(clean_weight=2.0, noisy_weight=2.0))
        torch.testing.assert_close(
            weighted(self.scores, self.target, self.source), 2 * LSEPLoss()(self.scores, self.target)
        )


class TestTrimming:
    RATE = 8000

    @pytest.fixture
    def path(self, tmp_path):
        """A second of sound between two seconds of silence."""
        wave = np.zeros(5 * self.RATE)
        wave[2 * self.RATE : 3 * self.RATE] = np.sin(np.arange(self.RATE))
        wavfile.write(tmp_path / "a.wav", self.RATE, (20_000 * wave).astype(np.int16))
        return tmp_path / "a.wav"

    def test_silence_is_cut_where_clips_are_read(self, path):
        plain = ClipDataset([path], sample_rate=self.RATE)[0]
        expected, lengths = trim_silence(plain[None], top_db=60.0, min_length=self.RATE // 2)
        clips = open_clips([path], sample_rate=self.RATE, trim=60.0)
        assert torch.equal(clips[0], expected[0, : int(lengths)])
        assert self.RATE <= len(clips[0]) < 1.5 * self.RATE
        assert clips.lengths.tolist() == [5 * self.RATE]
        assert torch.equal(open_clips([path], sample_rate=self.RATE)[0], plain)

    def test_long_clips_are_cut_after_that(self, path):
        target = torch.tensor([[1.0]])
        clips = open_clips([path], target, sample_rate=self.RATE, trim=60.0, max_seconds=0.75)
        waveform, labels = clips[0]
        assert len(waveform) == 0.75 * self.RATE
        assert labels.tolist() == [1.0]
        assert waveform.square().mean() > 0.01


def test_clips_are_scored_by_windows_of_the_size_of_a_crop():
    member = Member(sound=SOUND, network=Network("SkipAttention", SMALL), crops=Crops(crop_frames=8))
    tagger = build_tagger(member, ["a", "b"])
    scorer = build_scorer(member, tagger)
    assert isinstance(scorer, WindowedTagger)
    assert (scorer.window, scorer.hop, scorer.mean) == (8, 4, "arithmetic")
    assert build_scorer(Member(), tagger) is tagger


def test_means_over_folds():
    scores = torch.tensor([[[0.0, -800.0, 40.0]], [[2.0, -600.0, 44.0]]], dtype=torch.float64)
    p = scores[:, 0, 0].sigmoid().prod().sqrt()
    found = geometric_mean(scores)[0]
    assert found[0].item() == pytest.approx((p / (1 - p)).log().item())
    assert found[1].item() == pytest.approx(-700)
    assert found.isfinite().all()
    assert torch.equal(mean_of_scores(scores), torch.tensor([[1.0, -700.0, 42.0]], dtype=torch.float64))


class TestPlateau:
    VALUES = (0.5, 0.50001, 0.5, 0.6, 0.1, 0.2, 0.3, 0.4, 0.61)
    RATES = (1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125)

    @staticmethod
    def make():
        optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))])
        return optimizer, Plateau(optimizer, rate=1.0, patience=1, factor=0.5)

    @pytest.mark.parametrize("stop", [0, 2, 5, 9])
    def test_rates_before_and_after_a_resume(self, stop):
        optimizer, schedule = self.make()
        assert optimizer.param_groups[0]["lr"] == 1.0
        rates = []
        for number, value in enumerate(self.VALUES):
            if number == stop:
                state = schedule.state_dict()
                optimizer, schedule = self.make()
                schedule.load_state_dict(state)
            schedule.after_step()
            schedule.after_epoch(value)
            rates.append(optimizer.param_groups[0]["lr"])
        assert tuple(rates) == self.RATES
