"""The example workflows in ComfyUI's own front end: every node known, what Run sends, one of them run.

Needs Playwright and a Chromium: CHROMIUM names its program (default: the one on the path).
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from musetalk_core.models.registry import EMBEDDED

REPO = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in (REPO / "example_workflows").glob("*.json"))
UNKNOWN = """() => window.app.graph.nodes.map(node => node.type).filter(
    type => !(type in window.LiteGraph.registered_node_types))"""
BOXES = "() => window.app.graph.nodes.map(node => [node.title, ...node.pos, ...node.size])"
GROUPS = "() => window.app.graph.groups.map(group => [...group.pos, ...group.size])"
NOTE = "Note"  # the one node outside of the groups
SELECT = "kind => window.app.canvas.selectNode(window.app.graph.nodes.find(node => node.type === kind))"
PICTURE = """() => [...document.querySelectorAll('img')].some(
    image => image.src.includes('/docs/') && image.naturalWidth > 100)"""
TITLE = 30  # pixels of a node's head, above its place


@pytest.fixture(scope="module")
def thumbnails(scripts: None) -> ModuleType:
    """scripts/take_thumbnails.py."""
    return importlib.import_module("take_thumbnails")


@pytest.fixture(scope="module")
def page(server: Any, thumbnails: ModuleType) -> Iterator[Any]:
    """The front end in a headless browser."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    browser = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("there is no Chromium; CHROMIUM names one")
    with playwright.sync_playwright() as started:
        yield thumbnails.open_front_end(started, server.url, browser)


@pytest.fixture
def errors(page: Any) -> Iterator[list[str]]:
    """What goes wrong on the page: uncaught errors, and those of the console that name us."""
    found: list[str] = []

    def heard(message: Any) -> None:
        said = f"{message.text} {message.location}"
        if message.type == "error" and "musetalk" in said.lower():
            found.append(said)

    def uncaught(error: Any) -> None:
        found.append(str(error))

    page.on("console", heard)
    page.on("pageerror", uncaught)
    yield found
    page.remove_listener("console", heard)
    page.remove_listener("pageerror", uncaught)


def read(workflows: Any, name: str) -> dict[str, Any]:
    """An example's file."""
    return dict(json.loads((workflows.WORKFLOWS / f"{name}.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", NAMES)
def test_example_loads(server: Any, page: Any, thumbnails: Any, workflows: Any, errors: list[str], name: str) -> None:
    content = read(workflows, name)
    thumbnails.load(page, content)
    assert page.evaluate(UNKNOWN) == []
    assert thumbnails.sent(page) == workflows.prompt(content, server.get("/object_info"))
    boxes = page.evaluate(BOXES)
    assert [(a[0], b[0]) for i, a in enumerate(boxes) for b in boxes[:i] if overlap(a[1:], b[1:])] == []
    groups = page.evaluate(GROUPS)
    assert [box[0] for box in boxes if not any(holds(group, box[1:]) for group in groups)] == [NOTE]
    assert errors == []


def overlap(a: list[float], b: list[float]) -> bool:
    """Whether two nodes, (x, y, width, height) each, cover each other."""
    beside = a[0] + a[2] <= b[0] or b[0] + b[2] <= a[0]
    return not (beside or a[1] + a[3] <= b[1] - TITLE or b[1] + b[3] <= a[1] - TITLE)


def holds(group: list[float], node: list[float]) -> bool:
    """Whether a node lies in a group with its head, (x, y, width, height) each."""
    left, top, width, height = group
    inside = left <= node[0] and node[0] + node[2] <= left + width
    return inside and top <= node[1] - TITLE and node[1] + node[3] <= top + height


def test_blueprint_is_offered_and_loads(
    server: Any, page: Any, thumbnails: Any, workflows: Any, errors: list[str]
) -> None:
    offered = [each["name"] for each in server.get("/global_subgraphs").values() if "musetalk" in json.dumps(each)]
    assert offered == [workflows.BLUEPRINT]
    content = json.loads((workflows.SUBGRAPHS / f"{workflows.BLUEPRINT}.json").read_text(encoding="utf-8"))
    thumbnails.load(page, content)
    (graph,) = content["definitions"]["subgraphs"]
    sent = thumbnails.sent(page)
    assert sorted(node["class_type"] for node in sent.values()) == sorted(node["type"] for node in graph["nodes"])
    assert "nano" in [node["inputs"].get("model") for node in sent.values()]
    assert errors == []


@pytest.mark.parametrize("name", ["MuseTalkTrackFaces", "MuseTalkEncodeAudio"])
def test_help_is_shown(server: Any, page: Any, thumbnails: Any, workflows: Any, name: str) -> None:
    thumbnails.load(page, read(workflows, "dub_video_in_steps"))
    page.evaluate(thumbnails.FOCUS)
    page.evaluate(SELECT, name)
    page.locator("[data-testid=info-button]").click()
    page.locator("h1", has_text=server.get("/object_info")[name]["display_name"]).wait_for()
    page.wait_for_function(PICTURE)
    page.evaluate(thumbnails.FOCUS)


def test_run(server: Any, page: Any, thumbnails: Any, workflows: Any) -> None:
    content = read(workflows, "dub_video")
    for node in content["nodes"]:
        if node["type"] == "MuseTalkSamplePortrait":
            node["widgets_values"] = [7, "fixed", 0.4, 1, 25, 256, 256]
        if node["type"] == "MuseTalkDubVideo" and not (EMBEDDED / "unet.safetensors").is_file():
            node["widgets_values"][0] = str(Path("random", "unet.safetensors"))
    before = set((server.base / "output").rglob("musetalk_dub_video*.mp4"))
    thumbnails.load(page, content)
    thumbnails.run(page)
    assert len(set((server.base / "output").rglob("musetalk_dub_video*.mp4")) - before) == 1
