"""docs/library.md runs as it is written, on a random model."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from musetalk_core.audio.write import Sound
from musetalk_core.portraits.footage import portrait_footage
from musetalk_core.timeline import Clock
from musetalk_core.video.read import open_footage
from musetalk_core.video.write import VideoWriter, WriteOptions

REPO = Path(__file__).resolve().parents[2]


def test_the_examples_of_the_library_page_run(
    nano_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    drawn = portrait_footage(3, 0.2, width=224, height=224).read(range(5))
    waveform = 0.2 * np.sin(np.arange(9600) / 20, dtype=np.float32)[None].repeat(2, axis=0)
    speech = Sound(waveform=waveform, rate=48_000)
    with VideoWriter("talk.mp4", 224, 224, Clock.regular(5, Fraction(25)), WriteOptions(), sound=speech) as writer:
        writer.write(drawn)
    text = (REPO / "docs" / "library.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 2
    names = {"frames": drawn, "waveform": waveform}
    for block in blocks:
        runnable = block.replace('"1.5"', repr(str(nano_folder))).replace("speech.wav", "talk.mp4")
        exec(compile(runnable.replace("    ...", "    last = batch"), "docs/library.md", "exec"), names)
    assert len(open_footage("out.mp4").clock) == 5
    assert names["last"].shape[1:] == (224, 224, 3)
