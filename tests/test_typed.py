"""The program whose types are checked (`make types`) is a program that runs."""

import importlib.util
from pathlib import Path

PROGRAM = Path(__file__).parent / "typed" / "user_program.py"


def test_the_program_runs(tmp_path):
    spec = importlib.util.spec_from_file_location("user_program", PROGRAM)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    program.main(tmp_path)
    assert (tmp_path / "scores.csv").is_file()
