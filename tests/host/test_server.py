"""ComfyUI as users run it: start-up log, list of nodes, prompts over HTTP, what is read when something is wrong."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

FOLDER = "comfyui-musetalk-main"
RANDOM = "random"
CANCEL_SECONDS = 30  # a second on a machine that is free


@pytest.fixture(scope="module")
def catalogue(server: Any) -> dict[str, Any]:
    """/object_info of our nodes and ComfyUI's."""
    return dict(server.get("/object_info"))


@pytest.fixture
def prompt(catalogue: dict[str, Any]) -> Any:
    """Makes a prompt in API format: widgets that are not named get the default that the server names."""

    def make(**nodes: tuple[str, dict[str, Any]]) -> dict[str, Any]:
        made = {}
        for name, (kind, inputs) in nodes.items():
            widgets = {}
            for key, (options, *more) in catalogue[kind]["input"].get("required", {}).items():
                settings = more[0] if more else {}
                menu = options if isinstance(options, list) else settings.get("options")
                if "default" in settings or menu:
                    widgets[key] = settings.get("default", menu[0] if menu else None)
            made[name] = {"class_type": kind, "inputs": {**widgets, **inputs}}
        return made

    return make


def discrete(**changes: Any) -> dict[str, Any]:
    """The discrete graph on a drawn person; `changes` replace inputs of nodes by name."""
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "portrait": ("MuseTalkSamplePortrait", {"seconds": 0.16, "width": 192, "height": 192}),
        "model": ("MuseTalkLoadModel", {"model": str(Path(RANDOM, "unet.safetensors"))}),
        "vae": ("MuseTalkLoadVAE", {"vae": str(Path(RANDOM, "vae.safetensors"))}),
        "encoder": ("MuseTalkLoadAudioEncoder", {"audio_encoder": str(Path(RANDOM, "audio_encoder.safetensors"))}),
        "track": ("MuseTalkTrackFaces", {"image": ["portrait", 1]}),
        "crop": ("MuseTalkCropFaces", {"image": ["portrait", 1], "faces": ["track", 0]}),
        "speech": ("MuseTalkEncodeAudio", {"audio": ["portrait", 2], "audio_encoder": ["encoder", 0]}),
        "encode": ("MuseTalkEncodeFaces", {"face_images": ["crop", 0], "vae": ["vae", 0]}),
        "lips": (
            "MuseTalkGenerateLips",
            {"model": ["model", 0], "masked": ["encode", 0], "reference": ["encode", 1], "speech": ["speech", 0]},
        ),
        "decode": ("MuseTalkDecodeFaces", {"latent": ["lips", 0], "vae": ["vae", 0]}),
        "blend": (
            "MuseTalkBlendFaces",
            {
                "image": ["portrait", 1],
                "face_images": ["decode", 0],
                "faces": ["track", 0],
                "speech": ["speech", 0],
            },
        ),
        "save": ("SaveImage", {"images": ["blend", 0], "filename_prefix": "discrete"}),
    }
    return {name: (kind, {**inputs, **changes.get(name, {})}) for name, (kind, inputs) in nodes.items()}


def test_the_log_says_nothing_bad_of_us(server: Any, catalogue: dict[str, Any]) -> None:
    lines = [line for line in server.log.splitlines() if FOLDER in line or "musetalk" in line.lower()]
    assert [line for line in lines if re.search("warn|error|fail|traceback", line, re.IGNORECASE)] == []
    seconds = re.search(rf"([\d.]+) seconds: .*{FOLDER}", server.log)
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


def test_the_discrete_graph(server: Any, prompt: Any) -> None:
    outcome = server.run(prompt(**discrete()))
    assert outcome.node_errors == {}
    assert (outcome.status, outcome.error) == ("success", "")
    assert len(outcome.outputs["save"]["images"]) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"model": "1.5"}}, "musetalkV15.unet.pth, 3400 MB, from https://huggingface.co/TMElyralab/MuseTalk"),
        ({"model": {"model": str(Path(RANDOM, "vae.safetensors"))}}, None),
        ({"encoder": {"audio_encoder": "whisper-tiny"}}, "Whisper tiny, multilingual is not there"),
    ],
)
def test_what_the_user_reads(server: Any, prompt: Any, changes: dict[str, Any], message: str | None) -> None:
    outcome = server.run(prompt(**discrete(**changes)))
    if message is None:  # the menu does not offer it
        assert "model" in outcome.node_errors
        return
    assert outcome.status == "error"
    assert re.search(message, outcome.error)


def test_unload_models_gives_the_memory_back(server: Any, prompt: Any) -> None:
    def free() -> float:
        server.post("/free", {"unload_models": True, "free_memory": True})
        time.sleep(1.5)  # the worker looks at its flags once a second
        return float(server.memory())

    def run(seed: int) -> None:
        portrait = {"portrait": {"seed": seed}}
        assert server.run(prompt(**discrete(**portrait))).status == "success"

    run(1)
    first = free()
    for seed in (2, 3):
        run(seed)
    assert free() < first + 30e6  # bytes; the networks alone are 60 MB


def test_cancel_stops(server: Any, prompt: Any) -> None:
    nodes = discrete(speech={"audio": ["silence", 0]})
    prompt_id, errors = server.queue(prompt(silence=("EmptyAudio", {"duration": 600.0}), **nodes))
    assert errors == {}
    while not server.get("/queue")["queue_running"]:
        time.sleep(0.05)
    time.sleep(1)  # it draws, tracks, or hears ten minutes of silence by now
    asked = time.monotonic()
    server.post("/interrupt", {})
    outcome = server.wait(prompt_id)
    print(f"cancelled after {time.monotonic() - asked:.1f} s")  # noqa: T201
    assert outcome.status == "error"
    assert outcome.outputs == {}
    assert time.monotonic() - asked < CANCEL_SECONDS


def test_the_same_prompt_twice(server: Any, prompt: Any) -> None:
    first, _ = server.queue(prompt(**discrete(portrait={"seed": 11})))
    second, _ = server.queue(prompt(**discrete(portrait={"seed": 12})))
    outcomes = [server.wait(each) for each in (first, second)]
    assert [each.status for each in outcomes] == ["success", "success"]
    names = [image["filename"] for each in outcomes for image in each.outputs["save"]["images"]]
    assert len(names) == len(set(names)) == 8
