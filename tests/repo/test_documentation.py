"""The documentation says what the code does: commands exist, flags exist, tables are current, links lead somewhere."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import re
from pathlib import Path
from types import ModuleType

import pytest

from musetalk_core.cli import main

REPO = Path(__file__).resolve().parents[2]
README = (REPO / "README.md").read_text(encoding="utf-8")
PAGES = [REPO / "README.md", REPO / "CHANGELOG.md", *sorted((REPO / "docs").glob("**/*.md"))]
# Everything that the README shows as code, in blocks or in lines.
CODE = [*re.findall(r"```sh\n(.*?)```", README, re.DOTALL), *re.findall(r"`([^`\n]+)`", README)]
SHELL = "\n".join(CODE)


def option_help(*command: str) -> str:
    """What a command prints for --help."""
    with io.StringIO() as text, contextlib.redirect_stdout(text):
        with pytest.raises(SystemExit) as stop:
            main([*command, "--help"])
        assert stop.value.code == 0
        return text.getvalue()


def tables() -> ModuleType:
    """scripts/write_tables.py as a module."""
    spec = importlib.util.spec_from_file_location("write_tables", REPO / "scripts" / "write_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_option_tables_are_current() -> None:
    written = (REPO / "docs" / "options.md").read_text(encoding="utf-8")
    assert written == tables().options_page(), "run python scripts/write_tables.py"


def test_model_table_is_current() -> None:
    assert tables().with_models(README) == README, "run python scripts/write_tables.py"


@pytest.mark.parametrize("path", sorted(set(re.findall(r"(?:scripts|\.ci)/[\w./]+", SHELL))))
def test_scripts_that_the_readme_names_exist(path: str) -> None:
    assert (REPO / path).is_file()
    assert path.endswith((".py", ".sh")) or os.name == "nt" or os.access(REPO / path, os.X_OK)


def readme_commands() -> list[tuple[str, ...]]:
    """The distinct subcommands in the README: `musetalk WORD`, with its action for those that have actions."""
    found = re.findall(r"^musetalk (avatar \w+|models \w+|\w+)", SHELL, re.MULTILINE)
    return sorted({tuple(each.split()) for each in found})


@pytest.mark.parametrize("command", readme_commands(), ids=" ".join)
def test_commands_that_the_readme_shows_exist(command: tuple[str, ...]) -> None:
    known = option_help(*command)
    lines = [line for line in SHELL.splitlines() if line.startswith("musetalk " + " ".join(command))]
    used = {flag for line in lines for flag in re.findall(r"(?<=\s)--[a-z][a-z-]+", line)}
    assert {flag for flag in used if flag not in known} == set()


def test_flags_of_dub_that_the_readme_explains_exist() -> None:
    table = README[README.index("| flag of `dub`") :].split("\n\n")[0]
    known = option_help("dub")
    flags = set(re.findall(r"--[a-z][a-z-]+", table))
    assert len(flags) >= 8
    assert {flag for flag in flags if not re.search(re.escape(flag) + r"\b", known)} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPO).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_readme_states_licence_limits_and_consent() -> None:
    headings = set(re.findall(r"^## (.+)$", README, re.MULTILINE))
    assert {"Install", "Models", "Limits", "People", "Licence and credits"} <= headings
