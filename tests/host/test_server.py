"""ComfyUI as users run it: start-up log, list of nodes, prompts over HTTP, what is read when something is wrong."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from musetalk_core.video.read import VideoFootage

FOLDER = "comfyui-musetalk-main"
RANDOM = "random"


def test_the_log_says_nothing_bad_of_us(server: Any, catalogue: dict[str, Any]) -> None:
    started = server.log.partition("Starting server")[0]  # later lines tell of what other tests do wrong
    lines = [line for line in started.splitlines() if FOLDER in line or "musetalk" in line.lower()]
    assert [line for line in lines if re.search("warn|error|fail|traceback", line, re.IGNORECASE)] == []
    seconds = re.search(rf"([\d.]+) seconds: .*{FOLDER}", started)
    assert seconds is not None
    print(f"import: {seconds[1]} s")  # noqa: T201


def test_every_node_is_there(catalogue: dict[str, Any]) -> None:
    ours = {name: entry for name, entry in catalogue.items() if name.startswith("MuseTalk")}
    assert len(ours) == 18
    for entry in ours.values():
        assert entry["python_module"] == f"custom_nodes.{FOLDER}"
        assert entry["category"] == "MuseTalk"
        for kind in ("required", "optional"):
            ports = entry["input"].get(kind, {})
            assert [name for name, (_, *more) in ports.items() if not (more and more[0].get("tooltip"))] == []
        assert all(entry["output_tooltips"])


def test_menus_name_what_is_there(catalogue: dict[str, Any]) -> None:
    options, settings = catalogue["MuseTalkLoadModel"]["input"]["required"]["model"]
    menu = options if isinstance(options, list) else settings["options"]
    assert menu[:3] == ["nano", "1.5", "1.0"]
    assert str(Path(RANDOM, "unet.safetensors")) in menu


def test_the_discrete_graph(server: Any, discrete: Any) -> None:
    outcome = server.run(discrete())
    assert outcome.node_errors == {}
    assert (outcome.status, outcome.error) == ("success", "")
    assert len(outcome.outputs["save"]["images"]) == 4


def test_unload_models_gives_the_memory_back(server: Any, discrete: Any) -> None:
    def free() -> float:
        server.post("/free", {"unload_models": True, "free_memory": True})
        time.sleep(1.5)  # the worker looks at its flags once a second
        return float(server.memory())

    def run(seed: int) -> None:
        assert server.run(discrete(portrait={"seed": seed})).status == "success"

    run(1)
    first = free()
    for seed in (2, 3):
        run(seed)
    assert free() < first + 30e6  # bytes; the networks alone are 60 MB


def test_the_same_prompt_twice(server: Any, discrete: Any) -> None:
    first, _ = server.queue(discrete(portrait={"seed": 11}))
    second, _ = server.queue(discrete(portrait={"seed": 12}))
    outcomes = [server.wait(each) for each in (first, second)]
    assert [each.status for each in outcomes] == ["success", "success"]
    names = [image["filename"] for each in outcomes for image in each.outputs["save"]["images"]]
    assert len(names) == len(set(names)) == 8


@pytest.mark.slow
def test_another_video_under_the_same_name(server: Any, prompt: Any, assets: Path) -> None:
    """Never 14: caches are keyed by content."""
    made, sources = [], []
    for name in ("lbax4n", "lrwp9a"):
        clip = assets / "video" / "grid_others" / f"{name}.mpg"
        shutil.copyfile(clip, server.base / "input" / "same.mpg")
        dub = {"video": ["load", 0], "audio": ["sound", 0], "sync_mode": "cut_off"}
        outcome = server.run(
            prompt(
                load=("LoadVideo", {"file": "same.mpg"}),
                sound=("EmptyAudio", {"duration": 0.4}),
                dub=("MuseTalkDubVideo", {**dub, "model_name": str(Path(RANDOM, "unet.safetensors"))}),
                save=("SaveVideo", {"video": ["dub", 0], "filename_prefix": "same"}),
            )
        )
        assert (outcome.status, outcome.error) == ("success", "")
        (video,) = outcome.outputs["save"]["images"]
        footage = VideoFootage(server.base / "output" / video["filename"])
        made.append(footage.read(range(len(footage.clock))).astype(np.float32))
        drawn = VideoFootage(clip).read(range(len(footage.clock)))
        sources.append(drawn.astype(np.float32))
        assert np.median(np.abs(made[-1] - drawn)) < 4  # levels: it is this clip, but for its mouth
    assert np.abs(made[0] - made[1]).mean() > 0.8 * np.abs(sources[0] - sources[1]).mean() > 8
