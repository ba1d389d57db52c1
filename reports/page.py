"""A document as one page of HTML with everything in it: nothing is fetched, and no script runs."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from .document import Document
from .plot import Figure, stylesheet


def page(document: Document) -> str:
    """The page. Whatever a name or a message holds, it stays words."""
    return _template().render(document=document)


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["kind"] = _kind
    environment.filters["drawn"] = _drawn
    environment.globals["figure_style"] = Markup(stylesheet())
    text = (files(__package__) / "page.html").read_text(encoding="utf-8")
    return environment.from_string(text)


def _kind(part: object) -> str:
    """What a template calls a part of a document: the name of its class."""
    return type(part).__name__


def _drawn(figure: Figure) -> Markup:
    """Its SVG, in which all words are escaped already."""
    return Markup(figure.svg())
