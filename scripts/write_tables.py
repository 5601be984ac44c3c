"""Writes the tables of the documentation from the code that they describe.

docs/options.md gets every option dataclass, and README.md the table of weight files between its markers. A test fails
when either is out of date.

    .venv/bin/python scripts/write_tables.py
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

from musetalk_core.models.registry import REGISTRY, Entry, page
from musetalk_core.options import Options, OptionSpec, option_specs

REPO = Path(__file__).resolve().parents[1]
OPTIONS_PAGE = REPO / "docs" / "options.md"
README = REPO / "README.md"
MARKED = re.compile(r"(?<=<!-- models -->\n).*?(?=<!-- /models -->)", re.DOTALL)
HEAD = """# Options

Every stage's options, as the library's dataclasses name them. On the command line the same names are flags
(`yaw_limit` is `--yaw-limit`; a switch has a `--no-` form too; `--face` sets selection, index and point, `--mask` sets
kind). A value outside its range is refused. Written by `scripts/write_tables.py`.
"""


def main() -> None:
    """Write both files."""
    OPTIONS_PAGE.parent.mkdir(exist_ok=True)
    OPTIONS_PAGE.write_text(options_page(), encoding="utf-8", newline="\n")
    README.write_text(readme(), encoding="utf-8", newline="\n")


def options_page() -> str:
    """The text of docs/options.md."""
    return "\n".join([HEAD, *(options_table(options) for options in option_classes())])


def option_classes() -> list[type[Options]]:
    """Every option dataclass of the library, by module."""
    found = []
    for path in sorted((REPO / "musetalk_core").rglob("*.py")):
        if "(Options)" not in path.read_text(encoding="utf-8"):
            continue
        module = importlib.import_module(".".join(path.relative_to(REPO).with_suffix("").parts))
        classes = inspect.getmembers(module, inspect.isclass)
        found += [each for _, each in classes if issubclass(each, Options) and each.__module__ == module.__name__]
    return found


def options_table(options: type[Options]) -> str:
    """One option dataclass as a heading, a sentence and a table."""
    about = (inspect.getdoc(options) or "").split("\n\n")[0].replace("\n", " ")
    title = f"## `{options.__name__}`\n\n{about} (`{options.__module__}`)\n"
    rows = [option_row(spec) for spec in option_specs(options)]
    return "\n".join([title, "| option | default | values | what it does |", "| --- | --- | --- | --- |", *rows, ""])


def option_row(spec: OptionSpec) -> str:
    """One option as a line of a table."""
    values = ", ".join(f"`{choice}`" for choice in spec.choices) or spec.kind.__name__
    if spec.low is not None or spec.high is not None:
        low, high = ("any" if bound is None else f"{bound:g}" for bound in (spec.low, spec.high))
        values = f"{values}, {low} to {high}"
    default = f"{spec.default:.4g}" if isinstance(spec.default, float) else spec.default
    return f"| `{spec.name}` | `{default}` | {values} {spec.unit} | {spec.help} |".replace("  ", " ")


def readme() -> str:
    """The text of README.md with the current table of weight files."""
    head = "| `models get` | what | place | MB | licence | source |\n| --- | --- | --- | --- | --- | --- |\n"
    rows = "".join(model_row(entry) for entry in REGISTRY.values())
    return MARKED.sub(lambda _: head + rows, README.read_text(encoding="utf-8"))


def model_row(entry: Entry) -> str:
    """One network as a line of a table."""
    file = entry.download or entry.files[0]
    size = "" if file.size is None else f"{file.size / 1e6:.0f}"
    name = (file.source or "").partition(":")[0] if file.source and "://" not in file.source else "file"
    source = f"[{name}]({page(file.source)})" if file.source else ""
    return f"| `{entry.id}` | {entry.title} | `{file.place}` | {size} | {entry.licence} | {source} |\n"


if __name__ == "__main__":
    main()
