"""How often each network is asked per source frame, on a first dub and on a second one, and which files are written.

    python scripts/bench/calls.py MODEL [--frames 50]

The footage is a drawn portrait; the sound is twice as long, so every frame is shown twice.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from musetalk_core.audio.write import Sound
from musetalk_core.face.detect import FaceDetector
from musetalk_core.face.landmarks import LandmarkDetector
from musetalk_core.models.load import LoadedModel, load_model
from musetalk_core.models.registry import FolderLocator
from musetalk_core.pipeline.avatar import Avatar, FaceTools, find_faces, make_avatar
from musetalk_core.pipeline.dub import DubSettings, dub
from musetalk_core.placement import SingleDevice
from musetalk_core.portraits.footage import portrait_footage
from musetalk_core.timeline import Clock
from musetalk_core.video.read import open_footage
from musetalk_core.video.write import VideoWriter, WriteOptions

FPS = Fraction(25)
RATE = 16_000
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def main() -> None:
    """Print one table and the written files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="what --model takes")
    parser.add_argument("--frames", type=int, default=50)
    args = parser.parse_args()
    calls: Counter[str] = Counter()
    model = load_model(args.model, FolderLocator(None), SingleDevice())
    counted(calls, FaceDetector, ("detect", "detect_near", "detect_all"), "detector")
    counted(calls, LandmarkDetector, ("locate",), "landmarks")
    counted(calls, type(model.vae), ("encode",), "VAE crops encoded", lambda images, *_: len(images))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_clip(folder / "in.mp4", args.frames)
        written = watch_files(folder)
        tools = FaceTools(model.vae, model.recipe)
        footage = open_footage(folder / "in.mp4")
        run(folder, model, tools, None)
        print(f"{'calls per unique source frame':32s} first run")
        for what in ("detector", "landmarks", "VAE crops encoded"):
            print(f"  {what:30s} {calls[what] / args.frames:8.3f}")
        (found,) = find_faces(footage, tools)
        avatar = make_avatar(footage, found, tools)
        calls.clear()
        run(folder, model, tools, [avatar])
        print(f"second run, with the avatar: {dict(calls) or 'no call of any of them'}")
        between = sorted(written - {"out.mp4"})
        print(f"files written between input and output: {len([n for n in between if not n.startswith('.')])}")
        print(f"  (hidden names that became the output: {len([n for n in between if n.startswith('.')])})")


def counted(
    calls: Counter[str], owner: Any, methods: tuple[str, ...], what: str, size: Callable[..., int] = lambda *_: 1
) -> None:
    """Count the calls of some methods of a class, for this script's process only."""
    for method in methods:
        plain = getattr(owner, method)

        def count(self: Any, *values: Any, plain: Any = plain, **named: Any) -> Any:
            calls[what] += size(*values)
            return plain(self, *values, **named)

        setattr(owner, method, count)


def write_clip(path: Path, frames: int) -> None:
    """A portrait, with a voice of twice its length beside it as a WAV."""
    import soundfile

    drawn = portrait_footage(3, frames / FPS, FPS, width=320, height=320)
    time = np.arange(int(2 * frames / FPS * RATE)) / RATE
    voice = (0.3 * np.sin(2 * np.pi * 150 * time)).astype(np.float32)
    soundfile.write(path.with_suffix(".wav"), voice, RATE)
    with VideoWriter(
        path, 320, 320, Clock.regular(frames, FPS), WriteOptions(), sound=Sound(path.with_suffix(".wav"))
    ) as writer:
        writer.write(drawn.read(range(frames)))


def run(folder: Path, model: LoadedModel, tools: FaceTools, avatars: list[Avatar] | None) -> None:
    """One dub."""
    footage = open_footage(folder / "in.mp4")
    dub(footage, folder / "in.wav", folder / "out.mp4", model, tools, DubSettings(), avatars=avatars)


def watch_files(folder: Path) -> set[str]:
    """Names of files in a folder that Python opens for writing, or renames, from now on."""
    names: set[str] = set()

    def hook(event: str, values: tuple[Any, ...]) -> None:
        writes = event == "open" and bool((values[2] or 0) & WRITING) and not isinstance(values[0], int)
        if not writes and event != "os.rename":
            return
        path = Path(os.fsdecode(values[0]))
        if folder in path.parents:
            names.add(path.name)

    sys.addaudithook(hook)
    return names


if __name__ == "__main__":
    main()
