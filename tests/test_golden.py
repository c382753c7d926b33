"""The golden numbers: small, described, and with the original weights."""

from pathlib import Path

import numpy as np
import pytest

from golden import golden_state

FOLDER = Path(__file__).parent / "golden"


def test_all_files_together_are_small():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 3_000_000


def test_readme_describes_every_file():
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    named = [path.stem for path in FOLDER.glob("*.npz") if f"`{path.name}`" in page]
    networks = [path.stem for path in FOLDER.glob("cnn*.npz")]
    assert networks
    assert "`cnn*.npz`" in page
    assert sorted(named + networks) == sorted(path.stem for path in FOLDER.glob("*.npz"))


def test_weights_that_differ_from_the_originals_are_refused():
    golden = dict(np.load(FOLDER / "cnn1d_max.npz"))
    state = golden_state(golden)
    assert len(state) == len(golden["state_keys"])
    golden["state_seed"] = golden["state_seed"] + 1
    with pytest.raises(ValueError, match="draws other weights"):
        golden_state(golden)
