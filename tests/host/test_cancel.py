"""Cancel in each stage: how long until it stops, and what it leaves behind.

Prints the seconds of each cancel, and in brackets the processor's: a machine that is free stops within one (never 15).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

LONGEST = 30  # seconds, of a machine that is not free
WAITS = ("0.1", "0.4", "1.0")  # seconds after a stage has begun
FRAMES, COPIES = 8, 40
SIZE = 256  # pixels a side
PATIENT = {"duration": 600.0}  # seconds of silence to hear
SPOKEN = {"duration": FRAMES * COPIES / 25}


def long_graph(discrete: Any) -> dict[str, Any]:
    """Every stage takes seconds: a few drawn frames, again and again."""
    frames, again = ["many", 0], ["sound", 0]
    also = {
        "many": ("RepeatImageBatch", {"image": ["portrait", 1], "amount": COPIES}),
        "sound": ("EmptyAudio", SPOKEN),
        "silence": ("EmptyAudio", PATIENT),
        "hear": ("MuseTalkEncodeAudio", {"audio": ["silence", 0], "audio_encoder": ["encoder", 0]}),
        "heard": ("MuseTalkGenerateLips", {"model": ["model", 0], "masked": ["encode", 0], "reference": ["encode", 1],
                                           "speech": ["hear", 0]}),
        "masks": ("MuseTalkMaskFaces", {"faces": ["track", 0]}),
        "video": ("CreateVideo", {"images": frames, "fps": 25.0}),
        "file": ("SaveVideo", {"video": ["video", 0], "filename_prefix": "long"}),
        "dub": ("MuseTalkDubVideo", {"video": ["video", 0], "audio": again,
                                     "model_name": str(Path("random", "unet.safetensors"))}),
        "dubbed": ("SaveVideo", {"video": ["dub", 0], "filename_prefix": "dubbed"}),
        "avatar": ("MuseTalkPrepareAvatar", {"image": frames, "faces": ["track", 0], "vae": ["vae", 0]}),
        "speak": ("MuseTalkSpeak", {"avatar": ["avatar", 0], "image": frames, "audio": again,
                                    "model_name": str(Path("random", "unet.safetensors"))}),
        "mask": ("MaskToImage", {"mask": ["masks", 0]}),
        "drawn": ("MuseTalkSamplePortrait", {"seconds": 60.0, "width": 512, "height": 512}),
    }  # fmt: skip
    ends = {"mask": 0, "speak": 0, "drawn": 1, "crop": 0}
    also |= {f"see_{name}": ("PreviewImage", {"images": [name, socket]}) for name, socket in ends.items()}
    prompt: dict[str, Any] = discrete(
        also,
        portrait={"seconds": FRAMES / 25, "width": SIZE, "height": SIZE},
        speech={"audio": again},
        **{name: {"image": frames} for name in ("track", "crop", "blend")},
    )
    return prompt


def only(prompt: dict[str, Any], name: str) -> dict[str, Any]:
    """A node, what it needs, and one node after it that ComfyUI takes for an end."""
    ends = {"decode": "save", "blend": "save", "lips": "save", "encode": "save", "track": "save", "hear": "end"}
    ends |= {"dub": "dubbed", "masks": "see_mask", "avatar": "see_speak"}
    wanted, kept = [ends.get(name, f"see_{name}")], {}
    if name == "hear":
        prompt["end"] = {"class_type": "PreviewImage", "inputs": {"images": ["heard_faces", 0]}}
        prompt["heard_faces"] = {"class_type": "MuseTalkDecodeFaces", "inputs": {"latent": ["heard", 0],
                                 "vae": ["vae", 0], "batch_size": 8}}  # fmt: skip
    while wanted:
        key = wanted.pop()
        kept[key] = prompt[key]
        wanted += [value[0] for value in prompt[key]["inputs"].values() if isinstance(value, list)]
    return kept


def files(base: Path) -> set[Path]:
    """Everything in the base folder but ComfyUI's own records."""
    return {path for name in ("input", "output", "temp", "models") for path in (base / name).rglob("*")}


@pytest.mark.parametrize(
    "stage", ["drawn", "track", "crop", "masks", "hear", "encode", "lips", "decode", "blend", "avatar", "speak", "dub"]
)
def test_cancel(host: Any, server: Any, discrete: Any, tmp_path: Path, stage: str) -> None:
    prompt = only(long_graph(discrete), stage)
    (tmp_path / "prompt.json").write_text(json.dumps(prompt), encoding="utf-8")
    before = files(server.base)
    process = str(server.process.pid)
    took = host.script("cancel.py", server.url, process, tmp_path / "prompt.json", stage, *WAITS)
    said = ", ".join("over before" if each is None else f"{each[0]:.2f} s ({each[1]:.2f})" for each in took)
    print(f"{stage}: cancelled after {said}")  # noqa: T201
    assert all(each is None or each[0] < LONGEST for each in took)
    if all(took):  # a stage that was over before has gone on to what writes
        assert [path for path in files(server.base) - before if path.is_file()] == []
