"""What users read about the nodes is there, current, and complete: help pages, translations, the README's table."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[2]
HELP = REPO / "web" / "docs"
SPECIAL = re.compile(r"[{}@|]")  # ComfyUI's front end reads these as a message's syntax


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    """scripts/write_tables.py."""
    spec = importlib.util.spec_from_file_location("write_tables", REPO / "scripts" / "write_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def locale(language: str) -> dict[str, Any]:
    words: dict[str, Any] = json.loads((REPO / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))
    return words


def leaves(words: Any, place: str = "") -> dict[str, str]:
    if not isinstance(words, dict):
        return {place: words}
    return {key: text for name, each in words.items() for key, text in leaves(each, f"{place}/{name}").items()}


def test_english_is_current(pack: Any, tables: ModuleType) -> None:
    assert locale("en") == tables.english(pack.nodes), "run python scripts/write_tables.py"


def test_the_readmes_table_of_nodes_is_current(pack: Any, tables: ModuleType) -> None:
    readme = (REPO / "README.md").read_text(encoding="utf-8")
    assert all(f"| {node.define_schema().display_name} |" in readme for node in pack.nodes.values())
    assert tables.with_nodes(readme, pack.nodes) == readme, "run python scripts/write_tables.py"


def test_chinese_is_complete() -> None:
    english, chinese = leaves(locale("en")), leaves(locale("zh"))
    assert list(chinese) == list(english), "add the same keys, in the same order"
    sentences = [key for key in chinese if key.endswith(("/tooltip", "/description"))]
    assert len(sentences) > 100
    assert [key for key in sentences if not re.search(r"[\u4e00-\u9fff]", chinese[key])] == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_words_are_no_message_syntax(language: str) -> None:
    assert [key for key, text in leaves(locale(language)).items() if SPECIAL.search(text)] == []


def test_chinese_names_the_same_files_and_choices() -> None:
    def facts(text: str) -> set[str]:
        return set(re.findall(r"[1-9][\d.]*\b|sd-vae-ft-mse|whisper-tiny(?:\.en)?|\.[a-z]{2,}|bounce|remap", text))

    english, chinese = leaves(locale("en")), leaves(locale("zh"))
    assert [key for key in english if facts(english[key]) != facts(chinese[key])] == []


def test_every_node_has_help(pack: Any) -> None:
    assert {path.stem for path in HELP.glob("*.md")} == set(pack.nodes)


def test_help_speaks_of_what_is_there(pack: Any) -> None:
    schemas = {node_id: node.define_schema() for node_id, node in pack.nodes.items()}
    titles = {schema.display_name for schema in schemas.values()}
    for node_id, schema in schemas.items():
        text = (HELP / f"{node_id}.md").read_text(encoding="utf-8")
        assert text.startswith(f"# {schema.display_name}\n")
        assert {"## Neighbours", "## Tip", "## When it goes wrong"} <= set(re.findall(r"^##.*$", text, re.MULTILINE))
        inputs = {port.id for port in schema.inputs}
        explained = re.findall(r"^- \*\*(\w+)\*\*", text, re.MULTILINE)
        outputs = {port.display_name for port in schema.outputs}
        assert set(explained) <= inputs | outputs, f"{node_id} explains what it does not have"
        named = set(re.findall(r"\*(MuseTalk [A-Z]\w+(?: [A-Z]\w+)*)\*", text))
        assert named <= titles, f"{node_id} names nodes that are not there"
        pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
        assert [name for name in pictures if not (HELP / name).is_file()] == []
