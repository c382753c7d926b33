"""Run as ``python examples/tools/download --root DIR``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # examples/, for `tools` and `freesound`

from tools.download.command import main

if __name__ == "__main__":
    main()
