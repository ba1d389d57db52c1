"""What the figures of a report share: one look, and the same bytes for the same numbers."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Area = tuple[float, float, float, float]
"""Left, bottom, width and height of the axes, as shares of the figure."""


def svg(paint: Callable[[Axes], None], height: float, area: Area) -> str:
    """What `paint` makes of empty axes, 8 inches wide. Raises ImportError without matplotlib."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    style = mpl.rc_context(
        {
            "svg.hashsalt": "tacit",
            "svg.fonttype": "path",
            "font.family": "DejaVu Sans",
            "font.size": 10.0,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": "#B0B0B0",
            "axes.labelcolor": "#333333",
            "xtick.color": "#555555",
            "ytick.color": "#555555",
        }
    )
    with style:
        figure = Figure(figsize=(8, height))
        FigureCanvasSVG(figure)
        paint(figure.add_axes(area))
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": "tacit"})
    return file.getvalue()
