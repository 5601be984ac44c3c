"""Runs the example workflows in a headless browser and takes the pictures beside them, example_workflows/NAME.jpg.

Needs Playwright and a Chromium (`--browser` names one that is installed), and a running ComfyUI with this pack:

    python scripts/take_thumbnails.py --url http://127.0.0.1:8188 [NAME ...]
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from make_workflows import WORKFLOWS

if TYPE_CHECKING:
    from playwright.sync_api import Page, Playwright

SIZE = {"width": 1600, "height": 900}  # pixels
START_SECONDS, RUN_SECONDS = 300, 1800  # a busy machine of two cores
SETTINGS = {
    "Comfy.TutorialCompleted": True,  # no page of templates over the graph
    "Comfy.Minimap.Visible": False,
    "Comfy.Graph.CanvasInfo": False,
    "Comfy.Graph.CanvasMenu": False,
    "Comfy.Workflow.Persist": False,
    "Comfy.NodeBadge.NodeSourceBadgeMode": "None",
    "LiteGraph.Canvas.MinFontSizeForLOD": 0,  # text at any zoom
    "LiteGraph.Canvas.LowQualityRenderingZoomThreshold": 0,
}
READY = """!!(window.app && window.LiteGraph && window.app.extensionManager
    && 'MuseTalkDubVideo' in window.LiteGraph.registered_node_types)"""
FOCUS = "window.app.extensionManager.command.execute('Workspace.ToggleFocusMode')"  # nothing but the graph, or back
FIT = """margin => {
    const canvas = window.app.canvas, boxes = [...window.app.graph.nodes, ...window.app.graph.groups].map(
        each => [each.pos[0], each.pos[1] - 40, each.pos[0] + each.size[0], each.pos[1] + each.size[1]])
    const left = Math.min(...boxes.map(b => b[0])), top = Math.min(...boxes.map(b => b[1]))
    const width = Math.max(...boxes.map(b => b[2])) - left, height = Math.max(...boxes.map(b => b[3])) - top
    const scale = Math.min((innerWidth - margin) / width, (innerHeight - margin) / height)
    canvas.ds.scale = scale
    canvas.ds.offset = [(innerWidth / scale - width) / 2 - left, (innerHeight / scale - height) / 2 - top]
    canvas.setDirty(true, true)
}"""


def main() -> None:
    """Take the pictures."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="examples; all when none is named")
    parser.add_argument("--url", default="http://127.0.0.1:8188", help="a running ComfyUI with this pack")
    parser.add_argument("--browser", default="/usr/bin/chromium", help="the program of a Chromium")
    parser.add_argument("--no-run", action="store_true", help="picture the graphs as they are loaded")
    arguments = parser.parse_args()
    paths = [WORKFLOWS / f"{name}.json" for name in arguments.names] or sorted(WORKFLOWS.glob("*.json"))
    with sync_playwright() as playwright:
        page = open_front_end(playwright, arguments.url, arguments.browser)
        for path in paths:
            load(page, json.loads(path.read_text(encoding="utf-8")))
            if not arguments.no_run:
                run(page)
            picture(page, path.with_suffix(".jpg"))
            print(path.with_suffix(".jpg"))


def open_front_end(playwright: Playwright, url: str, browser: str) -> Page:
    """A page with ComfyUI's front end, ready, with nothing but the graph in view."""
    page = playwright.chromium.launch(
        executable_path=browser, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    ).new_page(viewport=SIZE)
    page.set_default_timeout(1000 * START_SECONDS)
    page.request.post(f"{url}/settings", data=SETTINGS)
    page.goto(url, wait_until="commit")
    page.wait_for_function(READY)
    page.wait_for_timeout(4000)  # it loads its own default graph
    page.evaluate(FOCUS)
    return page


def load(page: Page, content: dict[str, Any]) -> None:
    """Open a workflow."""
    page.evaluate("async content => { await window.app.loadGraphData(content, true, true) }", content)
    page.wait_for_timeout(1000)


def sent(page: Page) -> dict[str, Any]:
    """The prompt that **Run** would send."""
    prompt = page.evaluate("async () => (await window.app.graphToPrompt()).output")
    return {key: {"class_type": node["class_type"], "inputs": node["inputs"]} for key, node in prompt.items()}


def run(page: Page) -> None:
    """Press Run, wait for the end.

    Raises:
        RuntimeError: it did not end well.
    """
    before = page.evaluate("async () => Object.keys(await (await fetch('/history')).json())")
    page.evaluate("() => { window.app.queuePrompt(0, 1) }")
    started = time.monotonic()
    while time.monotonic() - started < RUN_SECONDS:
        history = page.evaluate("async () => await (await fetch('/history')).json()")
        for entry in (entry for key, entry in history.items() if key not in before):
            if entry["status"]["status_str"] != "success":
                raise RuntimeError(json.dumps(entry["status"])[:2000])
            page.wait_for_timeout(5000)  # previews and videos are fetched
            return
        page.wait_for_timeout(500)
    raise RuntimeError(f"it did not end in {RUN_SECONDS} s")


def picture(page: Page, path: Path) -> None:
    """The whole graph."""
    page.evaluate(FIT, 40)
    page.wait_for_timeout(2000)
    page.screenshot(path=path, type="jpeg", quality=80)


if __name__ == "__main__":
    main()
