"""What figures are drawn with: SVG whose words are words, and whose colours follow the page.

A figure is as wide as a phone needs it, `WIDTH` units, and a page scales it. Colours are classes, which
`figure.css` gives a value in light and in dark, after Okabe and Ito: told apart by every kind of colour
vision. Equal numbers give equal bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TypeVar
from xml.sax.saxutils import escape

WIDTH = 480
LETTER = 6.1
"""About how wide a letter is: there is nobody to ask before the page is shown."""
SHOWN = 50
"""The most rows of a table in a page; the JSON file has them all."""
Point = tuple[float, float]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure: its SVG elements, and for whoever does not see it what it shows and its numbers.

    `name` is that of its file and of its place in a page.
    """

    name: str
    title: str
    description: str
    height: float
    body: str = field(repr=False)
    head: Sequence[str]
    rows: Sequence[Sequence[str]] = field(repr=False)

    def svg(self) -> str:
        """The element, for a page that has `figure.css`."""
        return self._element("")

    def file(self) -> str:
        """The same as a file of its own."""
        return self._element(f"<style>\n{stylesheet()}</style>\n")

    def _element(self, style: str) -> str:
        about = f"{self.name}-title {self.name}-description"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" role="img" '
            f'aria-labelledby="{about}" viewBox="0 0 {WIDTH} {_short(self.height)}">\n'
            f'<title id="{self.name}-title">{escape(self.title)}</title>\n'
            f'<desc id="{self.name}-description">{escape(self.description)}</desc>\n'
            f"{style}{self.body}\n</svg>\n"
        )


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A rectangle of a figure, in its units, and which values its sides stand for."""

    left: float
    top: float
    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float] = (0.0, 1.0)

    def across(self, value: float) -> float:
        """Where `value` is from the left."""
        low, high = self.x
        return self.left + self.width * (value - low) / (high - low)

    def down(self, value: float) -> float:
        """Where `value` is from the top."""
        low, high = self.y
        return self.top + self.height * (high - value) / (high - low)

    @property
    def right(self) -> float:
        """Its right side."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Its lower side."""
        return self.top + self.height

    def rounds_below(self, what: str = "round") -> str:
        """The axis below, of whole numbers."""
        low, high = self.x
        shown = [tick for tick in ticks(low, high, 6) if tick == int(tick)]
        return "\n".join(
            [
                *(
                    words(f"{tick:,g}", self.across(tick), self.bottom + 15, "tick middle")
                    for tick in shown
                ),
                words(what, self.left + self.width / 2, self.bottom + 30, "axis middle"),
            ]
        )

    def values_below(self, what: str) -> str:
        """The axis below, and a line through the frame at each of its ticks."""
        shown = ticks(*self.x, 5)
        return "\n".join(
            [
                *(
                    line([(self.across(t), self.top), (self.across(t), self.bottom)], "grid")
                    for t in shown
                ),
                *(words(f"{t:g}", self.across(t), self.bottom + 15, "tick middle") for t in shown),
                words(what, self.left + self.width / 2, self.bottom + 30, "axis middle"),
            ]
        )

    def values_beside(self, what: str) -> str:
        """The axis on the left, a line through the frame at each of its ticks, `what` it is above it."""
        shown = ticks(*self.y, 5)
        return "\n".join(
            [
                words(what, 0, self.top - 12, "axis"),
                *(
                    line([(self.left, self.down(t)), (self.right, self.down(t))], "grid")
                    for t in shown
                ),
                *(words(f"{t:,g}", self.left - 6, self.down(t) + 4, "tick end") for t in shown),
            ]
        )


def line(points: Iterable[Point], style: str) -> str:
    """A line through `points`."""
    return f'<polyline class="{style}" points="{_path(points)}"/>'


def area(points: Iterable[Point], style: str) -> str:
    """What `points` enclose."""
    return f'<polygon class="{style}" points="{_path(points)}"/>'


def dot(x: float, y: float, style: str, radius: float = 3.5) -> str:
    """A disc."""
    return f'<circle class="{style}" cx="{_short(x)}" cy="{_short(y)}" r="{_short(radius)}"/>'


def words(text: str, x: float, y: float, style: str) -> str:
    """One line of text, whose base line begins, ends or has its middle at (`x`, `y`) as `style` says."""
    return f'<text class="{style}" x="{_short(x)}" y="{_short(y)}">{escape(text)}</text>'


def shortened(text: str, letters: int) -> str:
    """A name that fits.

    >>> shortened("Cleveland Clinic Foundation", 12), shortened("Basel", 12)
    ('Cleveland C…', 'Basel')
    """
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round values from `low` to `high`, `about` so many.

    >>> ticks(0.0, 1.0, 5), ticks(0.93, 0.98, 5)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.93, 0.94, 0.95, 0.96, 0.97, 0.98])
    """
    raw = (high - low) / about
    size = 10.0 ** math.floor(math.log10(raw))
    step = size * next(factor for factor in (1, 2, 5, 10) if raw <= factor * size * 1.0001)
    first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
    return [float(f"{count * step:.12g}") for count in range(first, last + 1)]


def margin(y: Point) -> float:
    """Room on the left of a frame for the ticks of `values_beside`.

    >>> margin((0.0, 1.0)), margin((0.6, 0.625))
    (38.0, 47.0)
    """
    return max(38.0, 8 + 7.8 * max(len(f"{tick:,g}") for tick in ticks(*y, 5)))


def around(
    values: Iterable[float], *, within: tuple[float, float] = (-math.inf, math.inf)
) -> Point:
    """A range that holds `values` with a little room, though not beyond `within`.

    >>> around([0.5, 0.9], within=(0.0, 1.0))
    (0.48, 0.92)
    """
    known = list(values)
    low, high = min(known), max(known)
    room = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
    return round(max(low - room, within[0]), 12), round(min(high + room, within[1]), 12)


def stylesheet() -> str:
    """The colours and strokes of every figure."""
    return (files(__package__) / "figure.css").read_text(encoding="utf-8")


def thinned(values: Sequence[T], most: int) -> list[T]:
    """`values`, or of very many every second, third and so on, and the last.

    >>> thinned([1, 2, 3, 4, 5, 6, 7], 3)
    [1, 4, 7]
    """
    step = max(1, math.ceil((len(values) - 1) / max(most - 1, 1)))
    return [*values[:-1:step], *values[-1:]]


def _path(points: Iterable[Point]) -> str:
    return " ".join(f"{_short(x)},{_short(y)}" for x, y in points)


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
