"""The options of the command line: their help, their defaults and ranges, and errors of other libraries."""

import argparse
import re

import pytest

from rankaudio._program import predict as predict_command
from rankaudio._program.main import COMMANDS, main, new_parser


def commands():
    (parsers,) = (a for a in new_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return parsers.choices


OPTIONS = [
    pytest.param(option, id=f"{name} {option.option_strings[-1] if option.option_strings else option.dest}")
    for name, command in commands().items()
    for option in command._actions
]


def test_there_are_options_of_every_command():
    assert commands().keys() == COMMANDS.keys()
    assert len(OPTIONS) > 40


@pytest.mark.parametrize("option", OPTIONS)
def test_help_explains_each_option_and_tells_its_default(option):
    assert option.help, "no help"
    words = {0: "0", 60.0: "60", ",": "a comma"}
    said = re.search(r"\(default: ([^)]*)\)", option.help)
    if option.default not in (None, False, argparse.SUPPRESS) and option.choices is None:
        assert said, option.help
        assert said[1] == words.get(option.default, option.default)


@pytest.mark.parametrize(
    ("command", "option", "good", "bad"),
    [
        ("predict", "--batch", ["0.01", "3600"], ["0", "-1", "nan", "inf", "x"]),
        ("predict", "--window", ["0.01"], ["0", "-1", "nan"]),
        ("predict", "--hop", ["0.01"], ["0", "-1", "nan"]),
        ("predict", "--workers", ["0", "1024"], ["-1", "1025", "0.5", "²", ""]),
        ("predict", "--top", ["1", "99"], ["0", "-1", "x"]),
        ("predict", "--threshold", ["-1e9", "0", "saved"], ["nan", "inf", "x"]),
        ("events", "--context", ["0", "2.5"], ["-0.1", "nan", "inf"]),
        ("events", "--min-gap", ["0", "2.5"], ["-0.1", "nan", "inf"]),
        ("events", "--min-duration", ["0", "2.5"], ["-0.1", "nan", "inf"]),
    ],
)
def test_numbers_have_a_range(command, option, good, bad, capsys):
    words = [command, "model.pt", "sounds"]
    if command == "events" or option == "--threshold":
        words += ["--threshold=0"]
    parser, name = new_parser(), option.removeprefix("--").replace("-", "_")
    for text in good:
        value = getattr(parser.parse_args([*words, f"{option}={text}"]), name)
        assert value == (text if text == "saved" else float(text))
    for text in bad:
        with pytest.raises(SystemExit):
            parser.parse_args([*words, f"{option}={text}"])
        assert f"argument {option}: wanted a" in capsys.readouterr().err


def test_an_option_has_no_short_form(capsys):
    """A new option would make the short form of another one ambiguous."""
    for words in (["predict", "model.pt", "sounds", "--work=1"], ["--vers"]):
        with pytest.raises(SystemExit):
            main(words)
        assert capsys.readouterr().err


def test_a_reader_that_was_killed_is_a_message_and_other_runtime_errors_are_mistakes(monkeypatch, capsys):
    def fail(args):
        raise RuntimeError(args.model.name)

    monkeypatch.setattr(predict_command, "run", fail)
    assert main(["predict", "DataLoader worker (pid 1) is killed by signal: Killed.", "sounds"]) == 1
    assert "a process that reads clips was killed" in capsys.readouterr().err
    with pytest.raises(RuntimeError, match="a mistake"):
        main(["predict", "a mistake", "sounds"])
