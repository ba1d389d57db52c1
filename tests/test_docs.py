"""What the documentation tells a reader to type exists: commands, options, modules, files."""

from __future__ import annotations

import ast
import functools
import importlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if path.exists()
]
FORCES_COLOUR = ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS")
PLAIN = {name: value for name, value in os.environ.items() if name not in FORCES_COLOUR}
PROGRAMS = {"python": [sys.executable], "tacit": [sys.executable, "-m", "tacit"]}


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """Every fenced block in `language`, with where it stands."""
    for page in PAGES:
        text = page.read_text()
        for found in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, found.start()) + 1
            yield f"{page.relative_to(ROOT)}:{line}", found[1]


def commands() -> Iterator[tuple[str, str]]:
    """Every `$ tacit ...` of the console blocks, its continued lines joined."""
    for where, block in blocks("console"):
        for line in block.replace("\\\n", " ").splitlines():
            if re.match(r"\$ (\w+=\S+ )*(\S*/)?tacit( |$)", line):
                yield where, line.removeprefix("$ ")


def split(line: str) -> list[str]:
    """The arguments after `tacit`, up to the first pipe, redirection or comment."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = list(lexer)
    start = next(i for i, word in enumerate(words) if word.rpartition("/")[2] == "tacit")
    stops = (i for i, word in enumerate(words) if set(word) <= set("|&;<>()"))
    return words[start + 1 : next(stops, len(words))]


@functools.cache
def help_of(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tacit", *command, "--help"],
        capture_output=True,
        text=True,
        check=False,
        env={**PLAIN, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"},
    )
    assert done.returncode == 0, f"tacit {' '.join(command)}: {done.stderr}"
    return done.stdout


def missing(arguments: list[str]) -> list[str]:
    """The options that the command does not have. Fails if there is no such command."""
    command: list[str] = []
    while "COMMAND" in help_of(*command) and arguments and not arguments[0].startswith("-"):
        command.append(arguments.pop(0))
    options = [word.partition("=")[0] for word in arguments if re.match(r"--?[a-zA-Z]", word)]
    text = help_of(*command)
    return [o for o in options if not re.search(rf"(?<![\w-]){re.escape(o)}(?![\w-])", text)]


def test_a_command_ends_where_the_shell_says_it_does() -> None:
    line = "TACIT_DATA=data .venv/bin/tacit run 'a b.toml' --out=x | less"
    assert split(line) == ["run", "a b.toml", "--out=x"]


@pytest.mark.parametrize(("where", "line"), list(commands()))
def test_the_commands_in_the_documentation_exist(where: str, line: str) -> None:
    assert missing(split(line)) == [], f"{where}: {line}"


@pytest.mark.skipif(not (ROOT / "examples").exists(), reason="there are no examples")
def test_the_deployment_page_begins_with_commands_that_say_what_it_says(tmp_path: Path) -> None:
    """The first block of docs/deployment.md; notes go to stderr, and are not in it."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    block = next(block for where, block in blocks("console") if "deployment.md" in where)
    said = ""
    for line in block.splitlines():
        if line.startswith("$ "):
            program, *words = shlex.split(line.removeprefix("$ "))
            said += line + "\n" + output([*PROGRAMS[program], *words], tmp_path)
    assert said == block


def output(command: list[str], folder: Path) -> str:
    return subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True, env=PLAIN
    ).stdout


@pytest.mark.parametrize(("where", "block"), list(blocks("python")))
def test_the_python_in_the_documentation_imports_what_exists(where: str, block: str) -> None:
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tacit":
            module = importlib.import_module(str(node.module))
            absent = [alias.name for alias in node.names if not hasattr(module, alias.name)]
            assert absent == [], f"{where}: {node.module} has no {absent}"


@pytest.mark.skipif(
    not (ROOT / "__init__.py").exists(), reason="about the checkout; this is the installed package"
)
def test_the_links_between_pages_lead_somewhere() -> None:
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            assert "://" in link or (page.parent / link).exists(), f"{page.name}: {link}"
