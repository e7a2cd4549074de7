"""Writes the README's table of tested versions: `python .ci/versions.py TRIED`.

The gate calls it. Each line of the file TRIED is one suite that passed: its name, the version of
Keras, the backend and the backend's version, divided by tabs.
"""

import pathlib
import re
import sys

README = pathlib.Path(__file__).parents[1] / "README.md"
BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "torch"}


def version_table(lines):
    """Return the table in Markdown, a row for each version of Keras."""
    rows = {}
    for line in lines:
        suite, keras, backend, version = line.split("\t")
        part = "" if suite == "whole" else f" ({suite})"
        rows.setdefault(keras, {})[backend] = f"{BACKENDS[backend]} {version}{part}"
    table = ["| Keras | The suite passed with |", "|---|---|"]
    for keras in sorted(rows, key=lambda keras: [int(part) for part in re.findall(r"\d+", keras)]):
        cells = ", ".join(rows[keras][each] for each in BACKENDS if each in rows[keras])
        table.append(f"| {keras} | {cells} |")
    return "\n".join(table)


def main():
    """Put the table between the README's two comments."""
    table = version_table(pathlib.Path(sys.argv[1]).read_text().splitlines())
    pattern = r"(<!-- versions -->\n).*(\n<!-- /versions -->)"
    text = README.read_text()
    README.write_text(re.sub(pattern, rf"\g<1>{table}\g<2>", text, flags=re.DOTALL))
    print(table)


if __name__ == "__main__":
    main()
