"""Makes the pictures of the gallery: `python benchmarks/pictures/make.py [NAME ...]`.

The code is that of `docs/gallery.md`, run from top to bottom. What a block has drawn is saved under
the name of the picture that follows it; with names, only those are saved.
"""

import pathlib
import re
import sys

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt

ROOT = pathlib.Path(__file__).parents[2]
GALLERY = ROOT / "docs" / "gallery.md"
BLOCK = re.compile(r"```python\n(.*?)```\n(?:\n!\[[^\]]*\]\(([\w/.]+)\))?", re.DOTALL)


def main(names: list[str]) -> None:
    """Run the page, and save what it draws."""
    plt.rcParams.update({"savefig.dpi": 110})
    scope: dict[str, object] = {}
    for code, picture in BLOCK.findall(GALLERY.read_text("utf8")):
        exec(compile(code, str(GALLERY), "exec"), scope)
        if picture and (not names or pathlib.Path(picture).stem in names):
            plt.savefig(GALLERY.parent / picture)
            print(picture, flush=True)
        plt.close("all")


if __name__ == "__main__":
    main(sys.argv[1:])
