"""Workflows that people have saved go on working: a committed picture of all schemas, and what may change in it.

After a change that is meant: `UPDATE_SCHEMAS=1 python -m pytest tests/nodes/test_snapshot.py`.
"""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest

SNAPSHOT = Path(__file__).parent / "schemas.json"
FILE_ENDINGS = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")


def picture(pack: Any) -> dict[str, Any]:
    """What a saved workflow relies on: ids, types, order, choices and ranges."""
    nodes = {}
    for node_id, node in sorted(pack.nodes.items()):
        schema = node.define_schema()
        nodes[node_id] = {
            "inputs": [port_picture(port) for port in schema.inputs],
            "outputs": [port.type for port in schema.outputs],
        }
    return nodes


def port_picture(port: Any) -> dict[str, Any]:
    """One input; files of this machine left out of its choices."""
    found = {"id": port.id, "type": port.type, "optional": port.optional, "default": port.default}
    for name in ("min", "max"):
        found[name] = port.more.get(name)
    options = port.more.get("options")
    found["options"] = options and [each for each in options if not each.endswith(FILE_ENDINGS)]
    return {key: value for key, value in found.items() if value is not None}


def breaks(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What would break a workflow saved with `old`."""
    found = [f"{node} is gone" for node in old if node not in new]
    for node in old.keys() & new.keys():
        found += [f"{node}: {problem}" for problem in _node_breaks(old[node], new[node])]
    return found


def _node_breaks(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    found = []
    if new["outputs"][: len(old["outputs"])] != old["outputs"]:
        found.append(f"outputs {old['outputs']} became {new['outputs']}")
    now = {port["id"]: port for port in new["inputs"]}
    for port in old["inputs"]:
        found += _port_breaks(port, now.get(port["id"]))
    known = {port["id"] for port in old["inputs"]}
    added = [port for port in new["inputs"] if port["id"] not in known]
    found += [f"{p['id']} is new and must be given" for p in added if not p["optional"] and "default" not in p]
    # The front end saves the values of widgets as a list without names: a new one may only stand at its end.
    widgets = [[port["id"] for port in side["inputs"] if "default" in port] for side in (old, new)]
    if widgets[1][: len(widgets[0])] != widgets[0]:
        found.append(f"widgets {widgets[0]} became {widgets[1]}")
    return found


def _port_breaks(old: dict[str, Any], new: dict[str, Any] | None) -> list[str]:
    if new is None:
        return [f"{old['id']} is gone"]
    found = []
    if new["type"] != old["type"]:
        found.append(f"{old['id']} was {old['type']}")
    if old["optional"] and not new["optional"]:
        found.append(f"{old['id']} was optional")
    lost = set(old.get("options") or []) - set(new.get("options") or [])
    found += [f"{old['id']} had the choice {word!r}" for word in sorted(lost)]
    if new.get("min", -1e99) > old.get("min", -1e99) or new.get("max", 1e99) < old.get("max", 1e99):
        found.append(f"{old['id']} has a narrower range")
    return found


def test_saved_workflows_go_on_working(pack: Any) -> None:
    now = picture(pack)
    if os.environ.get("UPDATE_SCHEMAS"):
        SNAPSHOT.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
    saved = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    assert breaks(saved, now) == []
    assert saved == json.loads(json.dumps(now)), "say that the change is meant: UPDATE_SCHEMAS=1"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda n: n.pop("MuseTalkDecodeFaces"), "MuseTalkDecodeFaces is gone"),
        (lambda n: n["MuseTalkDecodeFaces"]["outputs"].insert(0, "Mask"), "outputs ['Image'] became ['Mask', 'Image']"),
        (lambda n: n["MuseTalkDecodeFaces"]["inputs"].pop(0), "latent is gone"),
        (lambda n: n["MuseTalkLoadModel"]["inputs"][0]["options"].remove("1.0"), "model had the choice '1.0'"),
        (lambda n: n["MuseTalkLoadModel"]["inputs"].reverse(), "widgets ["),
        (lambda n: n["MuseTalkDecodeFaces"]["inputs"][2].update(max=2), "batch_size has a narrower range"),
        (
            lambda n: n["MuseTalkDecodeFaces"]["inputs"].append({"id": "x", "type": "Mask", "optional": False}),
            "x is new and must be given",
        ),
    ],
)
def test_the_comparison_sees(change: Any, problem: str) -> None:
    old = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    new = copy.deepcopy(old)
    change(new)
    found = breaks(old, new)
    assert len(found) >= 1
    assert any(problem in each for each in found)
    assert breaks(old, old) == []
