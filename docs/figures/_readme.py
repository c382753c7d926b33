"""Draw the pictures of the README, which cannot be drawn while a page is built.

python docs/figures/_readme.py
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "docs" / "ext"), str(ROOT / "docs" / "figures"), str(ROOT / "examples")]

if __name__ == "__main__":
    from pictures import draw

    for theme, path in draw(
        ROOT / "docs" / "figures" / "alone_or_padded.py", ROOT / "docs" / "images", "png"
    ):
        sys.stdout.write(f"{path.relative_to(ROOT)}: for the {theme} theme\n")
