"""Writes the tables of the documentation from the code that they describe.

docs/options.md gets every option dataclass, README.md the tables of nodes and of weight files between their markers,
and locales/en/nodeDefs.json the words of the nodes, as ComfyUI's translators take them. Tests fail when one of them is
out of date.

    .venv/bin/python scripts/write_tables.py
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import runpy
import sys
from pathlib import Path
from typing import Any

from musetalk_core.models.registry import REGISTRY, Entry, page
from musetalk_core.options import Options, OptionSpec, option_specs

REPO = Path(__file__).resolve().parents[1]
OPTIONS_PAGE = REPO / "docs" / "options.md"
README = REPO / "README.md"
ENGLISH = REPO / "locales" / "en" / "nodeDefs.json"
NODE_TESTS = REPO / "tests" / "nodes"  # their stub of ComfyUI lets the nodes be loaded without it
WIDGETS = ("Int", "Float", "Boolean", "Combo", "String")
HEAD = """# Options

Every stage's options, as the library's dataclasses name them. On the command line the same names are flags
(`yaw_limit` is `--yaw-limit`; a switch has a `--no-` form too; `--face` sets selection, index and point, `--mask` sets
kind). A value outside its range is refused. Written by `scripts/write_tables.py`.
"""


def main() -> None:
    """Write all of them."""
    nodes = load_nodes()
    OPTIONS_PAGE.parent.mkdir(exist_ok=True)
    OPTIONS_PAGE.write_text(options_page(), encoding="utf-8", newline="\n")
    text = with_nodes(with_models(README.read_text(encoding="utf-8")), nodes)
    README.write_text(text, encoding="utf-8", newline="\n")
    ENGLISH.parent.mkdir(parents=True, exist_ok=True)
    words = english(nodes)
    if ENGLISH.is_file():
        for place in changed(json.loads(ENGLISH.read_text(encoding="utf-8")), words):
            print(f"translate again: {place}")
    ENGLISH.write_text(locale_text(words), encoding="utf-8", newline="\n")


def load_nodes() -> dict[str, Any]:
    """Class of each node by its id."""
    sys.path.insert(0, str(NODE_TESTS / "stub"))
    nodes: dict[str, Any] = runpy.run_path(str(NODE_TESTS / "conftest.py"))["load_nodes"]()
    return nodes


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


def with_models(text: str) -> str:
    """A text with the current table of weight files between its markers."""
    head = "| `models get` | what | place | MB | licence | source |\n| --- | --- | --- | --- | --- | --- |\n"
    return between("models", text, head + "".join(model_row(entry) for entry in REGISTRY.values()))


def between(name: str, text: str, table: str) -> str:
    """A text with another table between the markers of this name."""
    marked = re.compile(f"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.DOTALL)
    return marked.sub(lambda _: table, text)


def model_row(entry: Entry) -> str:
    """One network as a line of a table."""
    file = entry.download or entry.files[0]
    size = "" if file.size is None else f"{file.size / 1e6:.0f}"
    name = (file.source or "").partition(":")[0] if file.source and "://" not in file.source else "file"
    source = f"[{name}]({page(file.source)})" if file.source else ""
    return f"| `{entry.id}` | {entry.title} | `{file.place}` | {size} | {entry.licence} | {source} |\n"


def with_nodes(text: str, nodes: dict[str, Any]) -> str:
    """A text with the current table of nodes between its markers."""
    head = "| node | what it does | takes | gives |\n| --- | --- | --- | --- |\n"
    return between("nodes", text, head + "".join(node_row(node.define_schema()) for node in nodes.values()))


def node_row(schema: Any) -> str:
    """One node as a line of a table; sockets that may stay empty are in brackets."""
    sockets = [port for port in schema.inputs if port.type not in WIDGETS]
    takes = [socket_type(port) for port in sockets if not port.optional]
    takes += [f"[{socket_type(port)}]" for port in sockets if port.optional]
    gives = [socket_type(port) for port in schema.outputs]
    return f"| {schema.display_name} | {schema.description} | {', '.join(takes)} | {', '.join(gives)} |\n"


def socket_type(port: Any) -> str:
    """A socket's type, as ComfyUI shows it: Image is IMAGE, AudioEncoder is AUDIO_ENCODER."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", port.type).upper()


def english(nodes: dict[str, Any]) -> dict[str, Any]:
    """All words of the nodes, in the form of ComfyUI's nodeDefs.json."""
    return {node_id: node_words(node.define_schema()) for node_id, node in nodes.items()}


def node_words(schema: Any) -> dict[str, Any]:
    """The words of one node."""
    outputs = {
        str(index): {"name": port.display_name or socket_type(port), "tooltip": port.tooltip}
        for index, port in enumerate(schema.outputs)
    }
    return {
        "display_name": schema.display_name,
        "description": schema.description,
        "inputs": {port.id: {"name": port.display_name or port.id, "tooltip": port.tooltip} for port in schema.inputs},
        "outputs": outputs,
    }


def changed(old: Any, new: Any, place: str = "") -> list[str]:
    """Where the words of two locales differ."""
    if isinstance(new, dict) and isinstance(old, dict):
        keys = dict.fromkeys([*old, *new])
        return [each for key in keys for each in changed(old.get(key), new.get(key), f"{place}/{key}")]
    return [place] if old != new else []


def locale_text(words: dict[str, Any]) -> str:
    """A locale file's text."""
    return json.dumps(words, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    main()
