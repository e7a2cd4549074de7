"""Results as HTML, for notebooks: a small table and the picture."""

import base64
import html
import io
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

_DPI = 72


def page(result: Any, rows: Mapping[str, Any]) -> str:
    """Return what a notebook shows of a result.

    Args:
        result: Something with a `plot` method, which raises ValueError where there is nothing to
            draw.
        rows: The table: names and values.

    Returns:
        HTML with everything in it.
    """
    cells = "".join(
        f"<tr><th style='text-align:left'>{html.escape(name)}</th><td>{_told(value)}</td></tr>"
        for name, value in rows.items()
    )
    name = html.escape(type(result).__name__)
    return f"<p><b>{name}</b></p><table>{cells}</table>{_picture(result)}"


def _told(value: Any) -> str:
    return html.escape(f"{value:.3g}" if isinstance(value, float) else str(value))


def _picture(result: Any) -> str:
    before = plt.get_fignums()
    try:
        axes = result.plot()
    except ValueError:  # nothing to draw: the table says what there is
        for number in set(plt.get_fignums()) - set(before):
            plt.close(number)
        return ""
    figure = np.ravel(np.asarray(axes, dtype=object))[0].figure
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    plt.close(figure)  # or the notebook would show it once more
    image = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"<img src='data:image/png;base64,{image}' alt='{html.escape(repr(result))}'>"
