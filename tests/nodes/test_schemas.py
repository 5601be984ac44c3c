"""What every node promises its users."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]
LONGEST_LOGIC = 40  # statements of a node's own code, schema aside


def snake(node_id: str) -> str:
    words = re.findall(r"[A-Z][a-z]+|[A-Z]+", node_id.removeprefix("MuseTalk"))
    return "_".join(word.lower() for word in words)


def test_names(pack: Any) -> None:
    for node_id, node in pack.nodes.items():
        assert node.__name__ == node_id
        source = (REPO / "nodes" / f"{snake(node_id)}.py").read_text(encoding="utf-8")
        assert f'node_id="{node_id}"' in source, "the Manager reads ids off the source"
        assert f"class {node_id}(io.ComfyNode):" in source


def test_every_file_is_a_node(pack: Any) -> None:
    files = {path.stem for path in (REPO / "nodes").glob("*.py")} - {"__init__"}
    assert files == {snake(node_id) for node_id in pack.nodes}


def test_words(pack: Any) -> None:
    for node in pack.nodes.values():
        schema = node.define_schema()
        assert schema.category == "MuseTalk"
        assert schema.description.endswith(".")
        assert schema.display_name.startswith("MuseTalk ")
        assert {"lipsync", "lip sync"} <= set(schema.search_aliases)
        for port in (*schema.inputs, *schema.outputs):
            assert port.tooltip, f"{schema.node_id}: {port.id or port.display_name} has no tooltip"
            assert port.tooltip.endswith("."), port.tooltip
            assert port.tooltip[0].isupper() or port.tooltip[0].islower(), port.tooltip
        ids = [port.id for port in schema.inputs]
        assert len(ids) == len(set(ids))


def test_nodes_are_thin() -> None:
    for path in (REPO / "nodes").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name != "define_schema"]
        count = sum(isinstance(n, ast.stmt) for f in functions for n in ast.walk(f)) - len(functions)
        assert count <= LONGEST_LOGIC, f"{path.name}: {count} statements"


def test_nodes_use_only_the_bridge_and_the_core() -> None:
    for path in (REPO / "nodes").rglob("*.py"):
        inside = path.parent.name == "_bridge"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or node.level == 0 or path.name == "__init__.py":
                continue
            core = node.level == (3 if inside else 2) and (node.module or "").startswith("musetalk_core")
            bridge = node.level == 1 and (inside or (node.module or "").startswith("_bridge"))
            assert core or bridge, f"{path.name} imports {'.' * node.level}{node.module}"
