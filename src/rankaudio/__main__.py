"""``python -m rankaudio``: score files, find events, evaluate scores and compute embeddings."""

import sys

from rankaudio._program.main import main

if __name__ == "__main__":
    sys.exit(main())
