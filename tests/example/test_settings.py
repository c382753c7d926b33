"""Settings: their checks, how texts are read, and the way to TOML and back."""

import argparse
import tomllib
from dataclasses import fields
from typing import Literal

import pytest

from freesound.options import add_member, member_of
from freesound.plans.base import Clips, Machine, Member, Network, Optim, Plan, Sound, network_settings
from freesound.setting import Setting, settings_of_arguments, settings_of_fields
from freesound.settings import flat, from_dict, read_member, to_dict, to_toml, with_assignments
from rankaudio.backbones import NETWORKS


class TestSetting:
    @pytest.mark.parametrize(
        ("setting", "text", "value"),
        [
            (Setting("n", int, 1, low=1), "3", 3),
            (Setting("x", float, 1.0), "3e-3", 3e-3),
            (Setting("x", float, None, optional=True), "none", None),
            (Setting("b", bool, False), "True", True),
            (Setting("s", str, "a", choices=("a", "b")), "b", "b"),
            (Setting("s", str, "a"), "none", "none"),
        ],
        ids=str,
    )
    def test_texts_become_values(self, setting, text, value):
        assert setting.parse(text) == value
        assert type(setting.parse(text)) is type(value)

    @pytest.mark.parametrize(
        ("setting", "text", "message"),
        [
            (Setting("n", int, 1, low=1), "0", "n: wanted an integer from 1, got 0"),
            (Setting("n", int, 1, low=1), "1.5", "n: wanted an integer from 1, got '1.5'"),
            (Setting("x", float, 0.0, low=0, high=1), "nan", "x: wanted a number from 0 to 1, got nan"),
            (Setting("x", float, 0.5, low=0, below=1), "1", "x: wanted a number from 0 below 1, got 1.0"),
            (Setting("x", float, None, optional=True, above=0), "0", "x: wanted a number above 0, got 0.0"),
            (Setting("b", bool, False), "maybe", "b: wanted true or false, got 'maybe'"),
            (Setting("s", str, "a", choices=("a", "b")), "c", "s: wanted one of a, b, got 'c'"),
        ],
        ids=str,
    )
    def test_wrong_texts_are_named(self, setting, text, message):
        with pytest.raises(ValueError, match=message.replace(".", r"\.")):
            setting.parse(text)

    @pytest.mark.parametrize("value", ["1", 1.0, True, None])
    def test_a_value_has_the_type_of_its_setting(self, value):
        with pytest.raises(ValueError, match="n: wanted an integer"):
            Setting("n", int, 1).check(value)

    def test_arguments_of_a_class_are_settings(self):
        class Thing:
            """A thing.

            Args:
                n_classes: not a setting, because it has a place.
                size: how large
                    it is, see :func:`there.where`.
                kind: ``"a"`` or ``"b"``.
                other: no plain type.

            Shapes:
                nothing: at all.
            """

            def __init__(
                self,
                n_classes: int,
                *,
                size: float = 2.0,
                kind: Literal["a", "b"] = "a",
                other: list[int] = (),
                silent: bool | None = None,
            ) -> None: ...

        found = settings_of_arguments(Thing)
        assert list(found) == ["size", "kind", "silent"]
        assert found["size"] == Setting("size", float, 2.0, "how large it is, see there.where")
        assert found["kind"] == Setting("kind", str, "a", '"a" or "b"', choices=("a", "b"))
        assert found["silent"] == Setting("silent", bool, None, "", optional=True)

    @pytest.mark.parametrize("cls", [part.default_factory for part in fields(Member)[1:]] + [Machine])
    def test_every_field_has_a_help_text_and_a_valid_default(self, cls):
        settings = settings_of_fields(cls)
        assert settings
        for setting in settings.values():
            assert setting.text
            assert setting.check(setting.default) == setting.default

    @pytest.mark.parametrize("name", list(NETWORKS))
    def test_every_argument_of_a_network_has_a_help_text(self, name):
        assert all(setting.text for setting in network_settings(name).values())
        assert not {"n_bins", "in_channels"} & set(network_settings(name))


class TestDataclasses:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: Optim(epochs=0), "epochs: wanted an integer from 1, got 0"),
            (lambda: Sound(frontend="mel"), "frontend: wanted one of LogMel, LogSTFT, DecibelMel, got 'mel'"),
            (lambda: Network("CNN1d", {"frequency_encoding": True}), "wanted settings of CNN1d .* got freq"),
            (lambda: Network("CNN2d", {"n_blocks": 1.5}), "n_blocks: wanted an integer, got 1.5"),
            (lambda: Network("CNN9d"), "name: wanted one of CNN1d, .*, got 'CNN9d'"),
            (lambda: Clips(noisy=True, extra="x.csv"), "noisy, extra: wanted one of them, got both"),
            (
                lambda: Member(clips=Clips(folds=1), optim=Optim(early_stop=2)),
                "early_stop: wanted clips that are held out",
            ),
        ],
    )
    def test_wrong_values_are_refused(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()

    def test_a_plan_knows_its_members(self):
        plan = Plan((Member("a"), Member("b")))
        assert plan.member("b").name == "b"
        with pytest.raises(ValueError, match=r"wanted members of the plan \(a, b\), got 'c'"):
            plan.member("c")


class TestToml:
    MEMBER = Member(
        name='a "quoted" näme\n\x7f\\',
        network=Network("CNN1d", {"pooling": "rnn", "base_depth": 7}, start_from="model.pt"),
        clips=Clips(extra="x.csv", max_seconds=2.5),
        optim=Optim(lr_min=1e-7, clip_norm=2, early_stop=3),
    )

    def test_there_and_back(self, tmp_path):
        path = tmp_path / "plan.toml"
        path.write_text(to_toml(to_dict(self.MEMBER)), encoding="utf-8")
        assert read_member(path) == self.MEMBER
        assert from_dict(Member, to_dict(self.MEMBER)) == self.MEMBER

    def test_a_plan_may_have_a_few_values_only(self, tmp_path):
        (tmp_path / "plan.toml").write_text('[network]\nname = "CNN1d"\n[optim]\nclip_norm = 1\n')
        member = read_member(tmp_path / "plan.toml")
        assert member == Member(network=Network("CNN1d"), optim=Optim(clip_norm=1.0))

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[optim", "wanted TOML"),
            ("[optim]\nlr_mx = 1\n", "Optim: wanted loss, .*, got lr_mx"),
            ("[other]\n", "Member: wanted name, sound, .*, got other"),
            ("optim = 3\n", "optim: wanted settings by name, got 3"),
            ("[optim]\nepochs = 1.5\n", "epochs: wanted an integer from 1, got 1.5"),
            ("[network]\ndepth = 3\n", "network: wanted settings of CNN2d .*, got depth"),
        ],
    )
    def test_errors_name_the_file(self, tmp_path, text, message):
        path = tmp_path / "plan.toml"
        path.write_text(text)
        with pytest.raises(ValueError, match=f"plan.toml: {message}"):
            read_member(path)

    def test_lists_and_tables(self):
        values = {"a": [1, 2.5], "b": ("x", "y"), "c": {"d": True}, "e": "z"}
        assert tomllib.loads(to_toml(values)) == {"a": [1, 2.5], "b": ["x", "y"], "c": {"d": True}, "e": "z"}
        assert flat(values) == {"a": [1, 2.5], "b": ("x", "y"), "c.d": True, "e": "z"}


class TestAssignments:
    def test_they_change_one_value_each(self):
        member = with_assignments(
            Member(), ["optim.lr_max=3e-3", "network.base_depth = 16", "clips.noisy=true"]
        )
        expected = Member(
            optim=Optim(lr_max=3e-3), network=Network("CNN2d", {"base_depth": 16}), clips=Clips(noisy=True)
        )
        assert member == expected
        assert with_assignments(member, ["optim.clip_norm=none"]) == member

    def test_another_network_keeps_the_settings_that_it_has_too(self):
        member = with_assignments(Member(), ["network.base_depth=9", "network.frequency_encoding=false"])
        assert with_assignments(member, ["network.name=CNN1d"]).network == Network("CNN1d", {"base_depth": 9})

    @pytest.mark.parametrize(
        ("word", "message"),
        [
            ("lr_max=1", "--set: wanted PART.NAME=VALUE"),
            ("optim.lr_max", "--set: wanted PART.NAME=VALUE"),
            ("optimiser.lr_max=1", "--set: wanted one of the parts sound, network, .*, got 'optimiser'"),
            ("optim.lr=1", "--set: wanted a setting of optim .*, got 'lr'"),
            ("optim.epochs=no", "epochs: wanted an integer from 1, got 'no'"),
        ],
    )
    def test_errors_are_named(self, word, message):
        with pytest.raises(ValueError, match=message):
            with_assignments(Member(), [word])


class TestOptions:
    def parse(self, *words):
        parser = argparse.ArgumentParser()
        add_member(parser, {})
        return member_of(parser.parse_args(words), Member())

    def test_every_setting_has_one(self):
        assert self.parse() == Member()
        member = self.parse(
            "--lr-max", "1", "--network", "CNN1d", "--rnn-units", "3", "--no-noisy", "--f-min", "9"
        )
        expected = {"optim.lr_max": 1.0, "network.name": "CNN1d", "network.rnn_units": 3, "sound.f_min": 9.0}
        values = flat(to_dict(member))
        assert {name: values[name] for name in expected} == expected

    def test_false_can_be_given_where_a_plan_has_true(self):
        parser = argparse.ArgumentParser()
        add_member(parser, {})
        args = parser.parse_args(["--no-compile"])
        assert member_of(args, Member(optim=Optim(compile=True))) == Member()


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 100_000,
        "optim = 5",
        "[optim]\nepochs = []",
        "network = []",
        "[network]\nname = 3",
        '[network]\nsettings = "x"',
        "[clips]\nfolds = 1979-05-27",
        "table = 'x'",
        "[table]\nseparator = ''",
        "name = 1\nname = 2",
    ],
)
def test_a_file_with_wrong_settings_is_named(tmp_path, text):
    (tmp_path / "settings.toml").write_text(text)
    with pytest.raises(ValueError, match=r"settings\.toml: "):
        read_member(tmp_path / "settings.toml")
