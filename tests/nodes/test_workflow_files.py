"""The example workflows and the blueprint fit the schemas; what other pages say of them is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from musetalk_core.models.registry import REGISTRY

REPO = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((REPO / "example_workflows").glob("*.json"))
BLUEPRINTS = sorted((REPO / "subgraphs").glob("*.json"))
PAGES = [REPO / "README.md", REPO / "CHANGELOG.md", *(REPO / "docs").glob("*.md"), *(REPO / "web").rglob("*.md")]
VALUES = {"Int": int, "Float": (int, float), "Boolean": bool, "Combo": str, "String": str}
SOCKETS = {"AudioEncoder": "AUDIO_ENCODER", "AudioEncoderOutput": "AUDIO_ENCODER_OUTPUT", "BoundingBox": "BOUNDING_BOX"}
INPUT_END, OUTPUT_END = -10, -20  # a sub-graph's own ends
ACTIVE = 0
KEYS = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")


def graphs(path: Path) -> Iterator[dict[str, Any]]:
    """The graph of a file and those of its sub-graphs; links by the names of their fields."""
    content = json.loads(path.read_text(encoding="utf-8"))
    yield {**content, "links": [dict(zip(KEYS, link, strict=True)) for link in content["links"]]}
    yield from content.get("definitions", {}).get("subgraphs", [])


def type_of(port: Any) -> str:
    """A port's type as the front end writes it."""
    return str(SOCKETS.get(port.type, port.type.upper()))


def test_they_are_there() -> None:
    assert len(EXAMPLES) == 10
    assert len(BLUEPRINTS) == 1


@pytest.mark.parametrize("path", [*EXAMPLES, *BLUEPRINTS], ids=lambda path: path.stem)
def test_links_join_what_is_there(path: Path) -> None:
    for graph in graphs(path):
        nodes = {node["id"]: node for node in graph["nodes"]}
        ends = {INPUT_END: graph.get("inputs", []), OUTPUT_END: graph.get("outputs", [])}
        assert len(nodes) == len(graph["nodes"])
        for link in graph["links"]:
            starts = nodes[link["origin_id"]]["outputs"] if link["origin_id"] in nodes else ends[link["origin_id"]]
            stops = nodes[link["target_id"]]["inputs"] if link["target_id"] in nodes else ends[link["target_id"]]
            start, stop = starts[link["origin_slot"]], stops[link["target_slot"]]
            assert link["id"] in start.get("links", start.get("linkIds"))
            assert link["id"] in (stop["link"],) if "link" in stop else link["id"] in stop["linkIds"]
            assert stop["type"] in (start["type"], "*")
            assert link["type"] == stop["type"]
        joined = {link["id"] for link in graph["links"]}
        used = {port["link"] for node in nodes.values() for port in node["inputs"]} - {None}
        assert used <= joined


@pytest.mark.parametrize("path", [*EXAMPLES, *BLUEPRINTS], ids=lambda path: path.stem)
def test_nodes_are_as_their_schemas_say(pack: Any, path: Path) -> None:
    ours = [node for graph in graphs(path) for node in graph["nodes"] if node["type"].startswith("MuseTalk")]
    assert ours
    for node in ours:
        schema = pack.nodes[node["type"]].define_schema()
        ports = {port.id: port for port in schema.inputs}
        assert [output["type"] for output in node["outputs"]] == [type_of(port) for port in schema.outputs]
        for saved in node["inputs"]:
            assert type_of(ports[saved["name"]]) == saved["type"]
        missing = {port.id for port in schema.inputs if not port.optional and port.type not in VALUES}
        assert missing <= {saved["name"] for saved in node["inputs"] if saved["link"]}
        check_values(node, [port for port in schema.inputs if port.type in VALUES])


def check_values(node: dict[str, Any], widgets: list[Any]) -> None:
    """As many values as widgets, in their order, of their types, in their ranges."""
    values = list(node["widgets_values"])
    for port in widgets:
        value = values.pop(0)
        assert isinstance(value, VALUES[port.type]), port.id
        assert isinstance(value, bool) == (port.type == "Boolean"), port.id
        if port.type == "Combo" and node["mode"] == ACTIVE:
            assert value in port.more["options"], port.id
        if port.more.get("min") is not None:
            assert port.more["min"] <= value <= port.more["max"], port.id
        if port.more.get("control_after_generate"):
            assert values.pop(0) == "fixed"  # a shared example shows everybody the same
    assert values == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_explains_itself(path: Path) -> None:
    (graph,) = graphs(path)
    (note,) = [node for node in graph["nodes"] if node["type"] == "MarkdownNote"]
    (text,) = note["widgets_values"]
    assert text.startswith("# ")
    assert re.search("Load (Video|Image|Audio)", text)
    assert "agreed" in text
    assert all(group["title"] for group in graph["groups"])
    assert {node["properties"].get("cnr_id") for node in graph["nodes"] if node is not note} == {
        "comfy-core",
        "musetalk-lipsync",
    }
    order = {node["id"]: node["order"] for node in graph["nodes"]}
    assert all(order[link["origin_id"]] < order[link["target_id"]] for link in graph["links"])


def test_models_are_named_as_the_registry_names_them() -> None:
    named = [
        (model, node)
        for path in EXAMPLES
        for graph in graphs(path)
        for node in graph["nodes"]
        for model in node["properties"].get("models", [])
    ]
    files = {
        (file.place, f"https://huggingface.co/{file.source.replace(':', '/resolve/main/')}")
        for entry in REGISTRY.values()
        for file in entry.files
        if file.source
    }
    ours = [model for model, node in named if node["type"].startswith("MuseTalk")]
    assert len(ours) == 3  # U-Net, VAE and Whisper of 1.5
    assert {(model["name"], model["url"]) for model in ours} <= files
    assert {model["directory"] for model in ours} == {"musetalk"}
    native = [(model["name"], node["widgets_values"][0]) for model, node in named if model not in ours]
    assert native == [("mediapipe_face_fp32.safetensors", "mediapipe_face_fp32.safetensors")]


def test_examples_that_other_pages_name_exist() -> None:
    names = {path.stem for path in EXAMPLES}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert set(re.findall(r"example_workflows/(\w+)", text)) <= names, page
    for path in EXAMPLES:
        for named in re.findall(r"the example `(\w+)`", path.read_text(encoding="utf-8").replace("\\n", " ")):
            assert named in names
