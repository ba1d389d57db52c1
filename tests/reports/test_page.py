"""The page in a browser: all of it is there, nothing is fetched, and anybody can read it."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from contracts.chromium import CHROMIUM, Tab, browser
from tacit.reports.document import Status
from tacit.reports.plot import Figure, Frame, margin
from tacit.reports.write import write_report
from tacit.simulations.config import make_config
from tacit.simulations.run import simulate
from tacit.simulations.run_folder import RunFolder

in_a_browser = pytest.mark.skipif(
    CHROMIUM is None and "TACIT_REQUIRE_CHROMIUM" not in os.environ,
    reason="there is no chromium on the PATH: apt-get install chromium",
)
EVIL = '<script>alert(1)</script><img src="https://example.org/x">&amp; "\'`|*_[x](y)'
FIGURES = {"learning_curve", "clients", "gaps_1", "epsilon", "participation"}
TOO_WIDE = """
[...document.querySelectorAll('svg.plot')].flatMap(svg => {
  const frame = svg.getBoundingClientRect();
  return [...svg.querySelectorAll('text')].filter(text => {
    const box = text.getBoundingClientRect();
    return box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1;
  }).map(text => text.textContent);
})
"""
CONTRAST = """
(() => {
  const light = text => {
    const parts = text.match(/[\\d.]+/g).slice(0, 3).map(Number).map(v => {
      v /= 255;
      return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const found = getComputedStyle(at).backgroundColor;
      if (!found.endsWith(', 0)') && found !== 'transparent') return found;
    }
    return 'rgb(255, 255, 255)';
  };
  const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const words = [...document.querySelectorAll('main *, nav *, svg text')].filter(
    element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
  return Math.min(...words.map(element => {
    const style = getComputedStyle(element);
    const colour = element.closest('svg') && element.tagName === 'text' ? style.fill : style.color;
    return ratio(light(colour), light(behind(element)));
  }));
})()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with noise, a budget and groups; a client, a group and the owner have evil names."""
    place = tmp_path_factory.mktemp("page")
    with (place / "rows.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["x", "y", "who", "group", "label"])
        for n in range(240):
            client = EVIL if n % 6 == 0 else f"client-{n % 6}"
            rows.writerow([n % 7, n % 2, client, EVIL if n % 3 else "others", int(n % 5 < 2)])
    table = {
        "rounds": 4,
        "baselines": ["pooled", "alone"],
        "data": {
            "path": str(place / "rows.csv"),
            "target": "label",
            "owner": "who",
            "groups": ["group"],
            "classes": 2,
        },
        "partition": {"kind": "natural"},
        "mechanism": {"kind": "gaussian", "clip": 1.0, "noise_multiplier": 1.0},
        "budget": {"epsilon": 50.0, "ledger": str(place / "ledger.db")},
        "card": {"owner": EVIL},
        "run": {"workers": 0},
    }
    simulate(make_config(table), folder=place / "run")
    run = RunFolder(place / "run")
    run.log("refused", round=1, client=EVIL, reason=f"not finite: {EVIL}")
    write_report(run)
    return place / "run"


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    with browser() as found:
        yield found


@in_a_browser
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False)])
def test_the_page_is_whole_quiet_and_readable(
    folder: Path, tab: Tab, width: int, dark: bool
) -> None:
    tab.requested.clear()
    tab.complaints.clear()
    page = folder / "report.html"
    tab.open(page, width=width, dark=dark)
    assert tab.requested == [page.absolute().as_uri()]
    assert tab.complaints == []
    drawn = tab.evaluate("[...document.querySelectorAll('svg.plot title')].map(t => t.id)")
    assert {name.removesuffix("-title") for name in drawn} == FIGURES
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate(TOO_WIDE) == []
    assert tab.evaluate(CONTRAST) >= 4.5


@in_a_browser
@pytest.mark.parametrize("y", [(0.6, 0.625), (0.9001, 0.9004), (0.0, 12_000.0), (0.0, 1.0)])
def test_ticks_of_any_range_stay_within_the_figure(
    y: tuple[float, float], tab: Tab, tmp_path: Path
) -> None:
    frame = Frame(left=margin(y), top=34, width=200, height=150, x=(0, 5), y=y)
    body = frame.values_beside("accuracy")
    about = {"name": "ticks", "title": "ticks", "description": "ticks"}
    figure = Figure(**about, height=220, body=body, head=[], rows=[])
    page = tmp_path / "figure.html"
    page.write_text(f"<!doctype html><meta charset=utf-8>{figure.file()}")
    tab.open(page)
    assert tab.evaluate("document.querySelectorAll('svg.plot text').length") > 3
    assert tab.evaluate(TOO_WIDE) == []


@in_a_browser
def test_what_names_hold_stays_words(folder: Path, tab: Tab) -> None:
    tab.open(folder / "report.html")
    assert tab.evaluate("document.querySelectorAll('script, img, iframe, object').length") == 0
    text = tab.evaluate("document.documentElement.textContent")
    assert text.count(EVIL) >= 4  # the owner, a client, a group, a refusal


@in_a_browser
def test_a_screen_reader_and_a_keyboard_get_everywhere(folder: Path, tab: Tab) -> None:
    tab.open(folder / "report.html")
    nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
    named: dict[str, list[str]] = {}
    for node in nodes:
        if not node["ignored"]:
            name = node.get("name", {}).get("value", "")
            named.setdefault(node["role"]["value"], []).append(name)
    assert {"banner", "navigation", "main", "contentinfo"} <= named.keys()
    for role in ("image", "table", "link", "region", "navigation"):
        assert all(named[role]), role
    assert len(named["image"]) == len(FIGURES)
    levels = tab.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    anchors = tab.evaluate(
        "[...document.querySelectorAll('nav a, .skip')].map(a => a.hash.slice(1))"
    )
    ids = tab.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert set(anchors) <= set(ids)
    assert len(ids) == len(set(ids))


@in_a_browser
def test_it_prints(folder: Path, tab: Tab, tmp_path: Path) -> None:
    tab.open(folder / "report.html")
    tab.print(tmp_path / "report.pdf")
    printed = (tmp_path / "report.pdf").read_bytes()
    assert printed.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) > 3


def test_the_page_allows_nothing_from_outside(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert set(re.findall(r'<[a-z][^<>]*\s(?:src|href)="([^"#]*)', page)) == {"", "data:,"}
    assert "url(" not in page


def test_every_field_says_how_it_is_known_and_nothing_is_called_compliant(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    for status in Status:
        assert f">{status}</span>" in page
    facts = re.findall(r'<dl class="(?:facts|tiles)">.*?</dl>', page, re.DOTALL)
    for block in facts:
        assert block.count("<dt>") == block.count('class="status')
    for path in folder.glob("*.*"):
        if path.suffix in (".html", ".md", ".json", ".svg", ".yaml"):
            assert "complian" not in path.read_text().lower(), path.name


def test_markdown_and_json_say_the_same(folder: Path) -> None:
    page, text = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", page) == re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert "<script>" not in text
    table = json.loads((folder / "report.json").read_text())
    assert [each["name"] for each in table["assessment"]["attributes"]] == ["group"]
    assert {"name": "owner", "value": EVIL, "status": "DECLARED"} in table["card"]["Model details"]
    undeclared = {f["name"]: f for part in table["card"].values() for f in part}["intended use"]
    assert undeclared["status"] == "NOT MEASURED"
    assert undeclared["value"] == "nobody declared it: card.intended_use"
    card = (folder / "model_card.md").read_text()
    assert "| intended use | nobody declared it: card.intended_use | NOT MEASURED |" in card
