"""Writes example_workflows/*.json and the sub-graph blueprint from `example_graphs.py`, as the front end saves them.

Ids, widgets and their order come from a running ComfyUI that has this pack:

    .venv/bin/python scripts/make_workflows.py --url http://127.0.0.1:8188
"""

from __future__ import annotations

import argparse
import json
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from example_graphs import EXAMPLES, Example, Group, Node, lips_groups

REPO = Path(__file__).resolve().parents[1]
WORKFLOWS, SUBGRAPHS = REPO / "example_workflows", REPO / "subgraphs"
BLUEPRINT = "MuseTalk Lip Sync"
PACK = "musetalk-lipsync"  # the registry's name: who lacks the pack is offered it
WIDGETS = ("INT", "FLOAT", "BOOLEAN", "STRING", "COMBO")
DYNAMIC = "COMFY_DYNAMICCOMBO_V3"  # a combo whose choice decides about further widgets
OUTSIDE_IN, OUTSIDE_OUT = -10, -20  # ids that the front end gives a sub-graph's own ends
MUTED, ACTIVE = 2, 0  # modes of a node
COLUMN, GAP, PADDING = 350, 50, 30  # pixels
TITLE, MARGIN, SLOT, WIDGET = 30, 24, 20, 24  # pixels of a node's height
PREVIEWS = {"SaveVideo": 340, "PreviewImage": 340, "PreviewAny": 160, "MuseTalkSaveAvatar": 60,
            **dict.fromkeys(("MuseTalkSamplePortrait", "MuseTalkDubVideo", "MuseTalkSpeak"), 230)}  # fmt: skip
GROUP_HEAD = 80  # pixels from a group's upper edge to its first node's body
NOTE_WIDTH, NOTE_LINE, NOTE_LETTERS = 460, 13, 75  # pixels, pixels, letters in a line
WIDE = 16 / 9  # width to height of a screen
GROUP_COLOR = "#3f789e"
Catalogue = Mapping[str, Any]


def main() -> None:
    """Write all files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8188", help="a running ComfyUI with this pack")
    with urllib.request.urlopen(f"{parser.parse_args().url}/object_info", timeout=60) as answer:
        catalogue = json.loads(answer.read())
    for path, content in files(catalogue).items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(as_text(content), encoding="utf-8", newline="\n")
        print(path.relative_to(REPO))


def files(catalogue: Catalogue) -> dict[Path, dict[str, Any]]:
    """All files and what belongs into them."""
    found = {WORKFLOWS / f"{example.name}.json": workflow(example, catalogue) for example in EXAMPLES}
    return {**found, SUBGRAPHS / f"{BLUEPRINT}.json": blueprint(catalogue)}


def as_text(content: dict[str, Any]) -> str:
    """The JSON of a file."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def widgets_of(kind: str, catalogue: Catalogue) -> dict[str, Any]:
    """Default of each widget by its name, in the order in which the front end saves their values.

    The name of a widget that is only in the front end (what happens to a seed after a run) ends with "()".
    """
    spec = catalogue[kind]["input"]
    return dict(_widgets({**spec.get("required", {}), **spec.get("optional", {})}))


def _widgets(spec: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, (kind, *more) in spec.items():
        settings = more[0] if more else {}
        menu = kind if isinstance(kind, list) else settings.get("options")
        if settings.get("forceInput"):
            continue
        if kind == DYNAMIC:
            chosen = menu[0]
            yield prefix + name, chosen["key"]
            nested = {**chosen["inputs"].get("required", {}), **chosen["inputs"].get("optional", {})}
            yield from _widgets(nested, f"{prefix}{name}.")
        elif isinstance(kind, list) or kind in WIDGETS:
            first = menu[0] if menu else ""
            yield prefix + name, settings.get("default", first)
            if settings.get("control_after_generate"):
                yield f"{prefix}{name}()", "fixed"


def sockets_of(kind: str, catalogue: Catalogue) -> dict[str, tuple[str, bool]]:
    """Type of each input that is no widget, and whether it is optional, by its name."""
    widgets, found = widgets_of(kind, catalogue), {}
    for need in ("required", "optional"):
        for name, (port, *_) in catalogue[kind]["input"].get(need, {}).items():
            if name not in widgets and isinstance(port, str) and port != DYNAMIC:
                found[name] = (port, need == "optional")
    return found


def graph(nodes: Mapping[str, Node], catalogue: Catalogue, ends: Mapping[str, str]) -> tuple[list[Any], list[Any]]:
    """Nodes and links as the front end saves them, without places.

    Args:
        nodes: by name, each after those that it is connected to where the layout allows it.
        catalogue: /object_info.
        ends: type of each input of the sub-graph that the nodes lie in; a link from "inputs" comes from there.

    Returns:
        (nodes, links): links as (id, origin, slot, target, slot, type).
    """
    ids = {name: number for number, name in enumerate(nodes, start=1)} | {"inputs": OUTSIDE_IN}
    made, links = [], []
    for name, node in nodes.items():
        defaults, sockets = widgets_of(node.kind, catalogue), sockets_of(node.kind, catalogue)
        wanted = {key: value for key, value in node.inputs.items() if isinstance(value, tuple)}
        values = {**defaults, **{key: value for key, value in node.inputs.items() if key not in wanted}}
        if unknown := (set(node.inputs) - set(defaults) - set(sockets)):
            raise ValueError(f"{node.kind} has no input {unknown}")
        inputs: list[dict[str, Any]] = [
            {"name": key, "type": port, **({"shape": 7} if optional else {}), "link": None}
            for key, (port, optional) in sockets.items()
        ]
        inputs += [
            {"name": key, "type": _port(node.kind, key, catalogue), "widget": {"name": key}, "link": None}
            for key in wanted
            if key in defaults
        ]
        for slot, port in enumerate(inputs):
            if port["name"] in wanted:
                source, output = wanted[port["name"]]
                start = list(ends).index(output) if source == "inputs" else _slot(nodes[source].kind, output, catalogue)
                port["link"] = len(links) + 1
                links.append([len(links) + 1, ids[source], start, ids[name], slot, port["type"]])
        made.append(_saved(ids[name], node, inputs, list(values.values()), catalogue))
    for node_id, outputs in ((each["id"], each["outputs"]) for each in made):
        for slot, port in enumerate(outputs):
            port["links"] = [link[0] for link in links if (link[1], link[2]) == (node_id, slot)] or None
    return made, links


def _saved(
    node_id: int, node: Node, inputs: list[dict[str, Any]], values: list[Any], catalogue: Catalogue
) -> dict[str, Any]:
    entry = catalogue[node.kind]
    outputs = [{"name": name, "type": port} for name, port in zip(entry["output_name"], entry["output"], strict=True)]
    ours = node.kind.startswith("MuseTalk")
    properties: dict[str, Any] = {"Node name for S&R": node.kind, "cnr_id": PACK if ours else "comfy-core"}
    if node.models:
        properties["models"] = [{"name": m.name, "url": m.url, "directory": m.directory} for m in node.models]
    return {
        "id": node_id,
        "type": node.kind,
        "pos": [0, 0],
        "size": [COLUMN, height(node.kind, catalogue)],
        "flags": {},
        "order": node_id,
        "mode": MUTED if node.muted else ACTIVE,
        "inputs": inputs,
        "outputs": outputs,
        "properties": properties,
        "widgets_values": values,
    }


def height(kind: str, catalogue: Catalogue) -> int:
    """Pixels that a node takes: slots, widgets, preview."""
    slots = max(len(sockets_of(kind, catalogue)), len(catalogue[kind]["output"]))
    return MARGIN + SLOT * slots + WIDGET * len(widgets_of(kind, catalogue)) + PREVIEWS.get(kind, 0)


def _port(kind: str, name: str, catalogue: Catalogue) -> str:
    spec = catalogue[kind]["input"]
    port = {**spec.get("required", {}), **spec.get("optional", {})}[name][0]
    return port if isinstance(port, str) else "COMBO"


def _slot(kind: str, output: str, catalogue: Catalogue) -> int:
    return int(catalogue[kind]["output_name"].index(output))


def place(groups: tuple[Group, ...], made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give the nodes their places, group by group and column by column; gives the groups as they are saved."""
    waiting, boxes, left = iter(made), [], 0
    for number, group in enumerate(groups, start=1):
        right, lowest = left + PADDING, 0
        for column in group.columns:
            top = GROUP_HEAD
            for node in islice(waiting, len(column)):
                node["pos"] = [right, top]
                top += node["size"][1] + TITLE + GAP
            right, lowest = right + COLUMN + GAP, max(lowest, top)
        box = [left, 0, right - left - GAP + PADDING, lowest - TITLE - GAP + PADDING]
        boxes.append({"id": number, "title": group.title, "bounding": box, "color": GROUP_COLOR, "font_size": 24})
        left = left + box[2] + GAP
    return boxes


def workflow(example: Example, catalogue: Catalogue) -> dict[str, Any]:
    """A file of example_workflows."""
    made, links = graph(example.nodes, catalogue, {})
    groups = place(example.groups, made)
    made.append(_note(len(made) + 1, example.note, groups))
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, example.name)),
        "revision": 0,
        "last_node_id": len(made),
        "last_link_id": len(links),
        "nodes": made,
        "links": links,
        "groups": groups,
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def _note(node_id: int, text: str, groups: list[dict[str, Any]]) -> dict[str, Any]:
    lines = 2 + sum(1 + len(line) // NOTE_LETTERS for line in text.splitlines())
    wide, high = NOTE_WIDTH + GAP, NOTE_LINE * lines + TITLE + GAP
    right, lowest = groups[-1]["bounding"][0] + groups[-1]["bounding"][2], max(each["bounding"][3] for each in groups)
    # Beside the graph or above it: where a wide screen shows both larger.
    beside = max((right + wide) / WIDE, lowest) <= max(right / WIDE, lowest + high)
    return {
        "id": node_id,
        "type": "MarkdownNote",
        "pos": [-wide, TITLE] if beside else [0, TITLE - high],
        "size": [NOTE_WIDTH, NOTE_LINE * lines],
        "flags": {},
        "order": 0,
        "mode": ACTIVE,
        "inputs": [],
        "outputs": [],
        "title": "Note",
        "properties": {},
        "widgets_values": [text],
        "color": "#432",
        "bgcolor": "#653",
    }


def blueprint(catalogue: Catalogue) -> dict[str, Any]:
    """The chain of single steps as a sub-graph that the node library offers."""
    ends = {"images": "IMAGE", "audio": "AUDIO", "fps": "FLOAT"}
    groups = lips_groups(*(("inputs", name) for name in ends))
    groups = tuple(
        Group(group.title, tuple({k: n for k, n in column.items() if k != "preview"} for column in group.columns))
        for group in groups
    )
    nodes = Example("", "", groups).nodes
    menus = {"model": ("model", "model"), "vae": ("vae", "vae"), "audio_encoder": ("encoder", "audio_encoder"),
             "speaker_selection": ("track", "speaker_selection"), "face_index": ("track", "face_index"),
             "sync_mode": ("speech", "sync_mode"), "parsing_mode": ("mask", "parsing_mode")}  # fmt: skip
    for name, (node, widget) in menus.items():
        ends[name] = _port(nodes[node].kind, widget, catalogue)
        nodes[node] = Node(nodes[node].kind, {**nodes[node].inputs, widget: ("inputs", name)})
    made, links = graph(nodes, catalogue, ends)
    results = {"images": ("blend", "images"), "mask": ("blend", "mask"), "preview": ("track", "preview")}
    numbers = dict(zip(nodes, made, strict=True))
    boxes = place(groups, made)
    outputs = []
    for slot, (name, (node, output)) in enumerate(results.items()):
        start = _slot(nodes[node].kind, output, catalogue)
        port = catalogue[nodes[node].kind]["output"][start]
        links.append([len(links) + 1, numbers[node]["id"], start, OUTSIDE_OUT, slot, port])
        numbers[node]["outputs"][start]["links"] = [*(numbers[node]["outputs"][start]["links"] or []), len(links)]
        outputs.append((name, port, [len(links)]))
    inputs = [
        (name, port, [link[0] for link in links if link[1:3] == [OUTSIDE_IN, slot]])
        for slot, (name, port) in enumerate(ends.items())
    ]
    right = boxes[-1]["bounding"][0] + boxes[-1]["bounding"][2] + 100
    subgraph = {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, BLUEPRINT)),
        "version": 1,
        "state": {"lastGroupId": len(boxes), "lastNodeId": len(made), "lastLinkId": len(links), "lastRerouteId": 0},
        "revision": 0,
        "config": {},
        "name": BLUEPRINT,
        "category": "MuseTalk",
        "description": "New lips for the face in a clip: frames, sound and rate in, frames out.",
        "inputNode": {"id": OUTSIDE_IN, "bounding": [-250, 200, 150, 40 + 20 * len(inputs)]},
        "outputNode": {"id": OUTSIDE_OUT, "bounding": [right, 200, 120, 40 + 20 * len(outputs)]},
        "inputs": [_end(*each) for each in inputs],
        "outputs": [_end(*each) for each in outputs],
        "widgets": [],
        "nodes": made,
        "groups": boxes,
        "links": [
            dict(zip(("id", "origin_id", "origin_slot", "target_id", "target_slot", "type"), link, strict=True))
            for link in links
        ],
        "extra": {},
    }
    return {
        "revision": 0,
        "last_node_id": 1,
        "last_link_id": 0,
        "nodes": [_outer(subgraph, set(menus) | {"fps"})],
        "links": [],
        "version": 0.4,
        "definitions": {"subgraphs": [subgraph]},
        "extra": {},
    }


def _end(name: str, port: str, links: list[int]) -> dict[str, Any]:
    made = uuid.uuid5(uuid.NAMESPACE_URL, f"{BLUEPRINT}/{name}/{port}")
    return {"id": str(made), "name": name, "type": port, "linkIds": links}


def _outer(subgraph: dict[str, Any], widgets: set[str]) -> dict[str, Any]:
    inputs = [
        {"name": each["name"], "type": each["type"],
         **({"widget": {"name": each["name"]}} if each["name"] in widgets else {}), "link": None}
        for each in subgraph["inputs"]
    ]  # fmt: skip
    return {
        "id": 1,
        "type": subgraph["id"],
        "pos": [0, 0],
        "size": [COLUMN, MARGIN + WIDGET * len(inputs)],
        "flags": {},
        "order": 0,
        "mode": ACTIVE,
        "inputs": inputs,
        "outputs": [{"name": each["name"], "type": each["type"], "links": None} for each in subgraph["outputs"]],
        "title": BLUEPRINT,
        "properties": {"cnr_id": PACK},
        "widgets_values": [],
    }


def prompt(content: Mapping[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    """A saved workflow as ComfyUI's API takes it: what the front end sends when **Run** is pressed.

    Muted nodes and notes are left out; sub-graphs are not opened. Widgets that an older ComfyUI's nodes lack fall off
    the end, as in its front end.
    """
    links = {link[0]: [str(link[1]), link[2]] for link in content["links"]}
    made = {}
    for node in content["nodes"]:
        if node["type"] not in catalogue or node["mode"] != ACTIVE:
            continue
        names = widgets_of(node["type"], catalogue)
        values = dict(zip(names, node["widgets_values"], strict=False))
        inputs = {name: value for name, value in values.items() if not name.endswith("()")}
        inputs |= {port["name"]: links[port["link"]] for port in node["inputs"] if port["link"]}
        made[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    return made


if __name__ == "__main__":
    main()
