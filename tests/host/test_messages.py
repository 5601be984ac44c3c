"""What the user reads when something is wrong, and what must work at the edges."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

RANDOM = "random"


@pytest.fixture(scope="module")
def odd_files(base: Path, server: Any) -> Iterator[None]:
    """Files in models/musetalk that are not what they are taken for."""
    folder = base / "models" / "musetalk"
    shutil.copy(folder / RANDOM / "vae.safetensors", folder / "a_vae.safetensors")
    (folder / "a_text.safetensors").write_text("This is no model. " * 10)
    (folder / "a_page.pth").write_text("<html>404</html>")
    content = (folder / RANDOM / "audio_encoder.safetensors").read_bytes()
    said = content.replace(b'whisper-tiny.en\\"', b'whisper-tiny\\"   ')  # the header keeps its length
    assert said != content
    (folder / "multilingual.safetensors").write_bytes(said)
    yield
    for name in ("a_vae.safetensors", "a_text.safetensors", "a_page.pth", "multilingual.safetensors"):
        (folder / name).unlink()


def audio(seconds: float) -> tuple[str, dict[str, Any]]:
    """Silence."""
    return "EmptyAudio", {"duration": seconds}


SILENT = {"also": {"sound": audio(0.16)}, "speech": {"audio": ["sound", 0]}}
OTHER_CLIP = {"also": {"other": ("MuseTalkSamplePortrait", {"seconds": 0.12, "width": 192, "height": 192}),
                       "masks": ("ImageToMask", {"image": ["other", 1]})}}  # fmt: skip
LARGER_CLIP = {"also": {"other": ("MuseTalkSamplePortrait", {"seconds": 0.16, "width": 256, "height": 256}),
                        "masks": ("ImageToMask", {"image": ["other", 1]})}}  # fmt: skip
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "missing model": (
        {"model": {"model": "1.5"}},
        r"MuseTalk 1.5 U-Net is not there: .*musetalkV15.unet.pth, 3400 MB, from "
        r"https://huggingface.co/TMElyralab/MuseTalk. Put the file there and try again; nano needs no file.",
    ),
    "missing encoder": ({"encoder": {"audio_encoder": "whisper-tiny"}}, "Whisper tiny, multilingual is not there"),
    "a VAE as model": ({"model": {"model": "a_vae.safetensors"}}, "a_vae.safetensors is a .*VAE.*, not a MuseTalk"),
    "a text as model": ({"model": {"model": "a_text.safetensors"}}, "a_text.safetensors"),
    "a web page as model": ({"model": {"model": "a_page.pth"}}, "a_page.pth"),
    "wrong encoder": (
        {"encoder": {"audio_encoder": "multilingual.safetensors"}},
        "whisper-tiny.en.*whisper-tiny|whisper-tiny.*whisper-tiny.en",
    ),
    "a VAE as encoder": ({"encoder": {"audio_encoder": "a_vae.safetensors"}}, "not a Whisper encoder"),
    "a sound of 0 samples": (
        {"also": {"sound": audio(0.0)}, "speech": {"audio": ["sound", 0]}},
        "The sound has no samples. Give a sound that is longer than 0 seconds.",
    ),
    "masks of another length": (
        {**OTHER_CLIP, "blend": {"mask": ["masks", 0]}},
        r"The MASK has the shape \(3, 192, 192\), but there are 4 frames. "
        "Give one mask for all of them, or one for each.",
    ),
    "masks of another size": (
        {**LARGER_CLIP, "blend": {"mask": ["masks", 0]}},
        r"The mask has the shape \(4, 256, 256\), the 4 frames are 192 x 192 pixels",
    ),
    "no face": (
        {"also": {"grey": ("EmptyImage", {"width": 192, "height": 192, "batch_size": 4})},
         "track": {"image": ["grey", 0]}},
        "No face was found in the 4 frames.",
    ),
    "faces of another clip": (
        {"also": OTHER_CLIP["also"], "crop": {"image": ["other", 1]}},
        "",
    ),
    "an image as video latents": (
        {"also": {"flat": ("EmptyLatentImage", {"width": 256, "height": 256}),
                  "sd3": ("EmptySD3LatentImage", {"width": 256, "height": 256})},
         "lips": {"masked": ["sd3", 0]}},
        r"The masked LATENT has the shape \(1, 16, 32, 32\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_the_user_reads(server: Any, discrete: Any, odd_files: None, name: str) -> None:
    changes, message = CASES[name]
    outcome = server.run(discrete(**changes))
    print(f"{name}: {outcome.error.strip() or outcome.node_errors}")  # noqa: T201
    assert outcome.node_errors == {}
    assert outcome.status == "error"
    assert re.search(message, outcome.error, re.DOTALL)
    assert "\n\n" not in outcome.error.strip()


def test_a_menu_refuses_what_it_does_not_offer(server: Any, discrete: Any) -> None:
    outcome = server.run(discrete(model={"model": str(Path(RANDOM, "vae.safetensors"))}))
    assert "model" in outcome.node_errors
    print(json.dumps(outcome.node_errors["model"]["errors"][0]["details"])[:300])  # noqa: T201


def test_one_frame_and_a_sound(server: Any, discrete: Any) -> None:
    outcome = server.run(discrete(**SILENT, portrait={"seconds": 0.04}))
    assert (outcome.status, outcome.error) == ("success", "")
    assert len(outcome.outputs["save"]["images"]) == 4


def test_the_second_run_is_cached_and_the_same(server: Any, discrete: Any) -> None:
    prompt = discrete(portrait={"seed": 21})
    first, second = server.run(prompt), server.run(prompt)
    assert (first.status, second.status) == ("success", "success")
    assert second.outputs == first.outputs  # the same files: nothing was computed again
    server.post("/free", {"free_memory": True, "unload_models": True})
    again = server.run(discrete(portrait={"seed": 21}, save={"filename_prefix": "again"}))
    files = [[server.base / "output" / image["filename"] for image in outcome.outputs["save"]["images"]]
             for outcome in (first, again)]  # fmt: skip
    assert [path.read_bytes()[-2000:] for path in files[0]] == [path.read_bytes()[-2000:] for path in files[1]]


def test_any_name(server: Any, discrete: Any) -> None:
    """Spaces, %08d, Chinese, emoji (never 15)."""
    prefix = "musetalk/my %08d 你好 😀 avatar"
    also = {
        "avatar": ("MuseTalkPrepareAvatar", {"image": ["portrait", 1], "faces": ["track", 0], "vae": ["vae", 0]}),
        "kept": ("MuseTalkSaveAvatar", {"avatar": ["avatar", 0], "filename_prefix": prefix}),
    }
    files = []
    for seed in (31, 32):
        outcome = server.run(discrete(also, portrait={"seed": seed}))
        assert (outcome.status, outcome.error) == ("success", "")
        files.append(Path(outcome.outputs["kept"]["text"][0]))
    assert len(set(files)) == 2
    assert all(path.is_file() and path.name.startswith("my %08d 你好 😀 avatar") for path in files)
