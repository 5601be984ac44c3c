"""What a run writes for people: TensorBoard's scalars and sheets, and videos whose sound fits their pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from musetalk_core.audio.read import read_audio
from musetalk_core.models.checkpoint import save_safetensors
from musetalk_core.training.balance import Clip
from musetalk_core.training.log import RunLog, read_log
from musetalk_core.training.validate import _write_video

RED = np.full((40, 60, 3), (200, 30, 30), np.uint8)


def _board(folder: Path) -> Any:
    loaded = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    board = loaded.EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0, "scalars": 0})
    return board.Reload()


def _write_picture(path: Path, picture: np.ndarray) -> Path:
    from musetalk_core.face.preview import write_picture

    path.parent.mkdir(exist_ok=True)
    write_picture(path, picture)
    return path


def test_tensorboard_holds_every_scalar_and_the_sheets(tmp_path):
    log = RunLog(tmp_path, 0, True)
    for update in (1, 2):
        log.write("train", update, {"pixel": 0.5 / update, "rate": 1e-3})
    log.write("validation", 2, {"dub": 0.25, "leak": None})
    log.show(_write_picture(tmp_path / "sheets" / "update-00000002.png", RED), 2)
    log.close()
    board = _board(tmp_path)
    assert set(board.Tags()["scalars"]) == {"train/pixel", "train/rate", "validation/dub"}
    assert [(event.step, event.value) for event in board.Scalars("train/pixel")] == [(1, 0.5), (2, 0.25)]
    lines = read_log(tmp_path / "log.jsonl")
    assert [line["update"] for line in lines] == [1, 2, 2]
    assert lines[2] == {"kind": "validation", "update": 2, "dub": 0.25, "leak": None}
    (image,) = board.Images("validation/sheet")
    assert (image.step, image.width, image.height) == (2, 60, 40)
    (tmp_path / "shown.png").write_bytes(image.encoded_image_string)
    from musetalk_core.video.read import open_footage

    assert np.array_equal(open_footage(tmp_path / "shown.png").read([0])[0], RED)


def test_what_a_killed_run_wrote_after_its_checkpoint_is_taken_back(tmp_path):
    log = RunLog(tmp_path, 0, True)
    for update in (1, 2, 3, 4):
        log.write("train", update, {"pixel": float(update)})
    log.close()
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"kind": "tra')  # a kill cut the line
    log = RunLog(tmp_path, 2, True)
    for update in (3, 4, 5):
        log.write("train", update, {"pixel": 10.0 * update})
    log.close()
    values = [(line["update"], line["pixel"]) for line in read_log(tmp_path / "log.jsonl")]
    assert values == [(1, 1.0), (2, 2.0), (3, 30.0), (4, 40.0), (5, 50.0)]
    assert [(event.step, event.value) for event in _board(tmp_path).Scalars("train/pixel")] == values


def test_only_one_of_several_processes_writes(tmp_path):
    log = RunLog(tmp_path / "run", 0, False)
    log.write("train", 1, {"pixel": 1.0})
    log.show(tmp_path / "missing.png", 1)
    log.close()
    assert not (tmp_path / "run").exists()


def _clip(path: Path, click: float, begin: float, offset: float) -> Clip:
    """A clip whose sound file holds a click at a time of the whole recording; its stored sound begins 0.5 s early."""
    first = round((begin - 0.5) * 16000)
    sound = np.zeros(round(3.0 * 16000), np.int16)
    sound[round(click * 16000) - first] = 30000
    times = begin + (torch.arange(50, dtype=torch.float64) + 0.5) / 25
    save_safetensors(path, {"times": times, "sound": torch.from_numpy(sound)}, {"first_sample": first})
    return Clip(path, 50, "x", offset)


@pytest.mark.parametrize("offset", [0.0, 0.12, -0.08])
def test_a_sample_video_has_both_streams_of_one_length_and_in_sync(tmp_path, offset):
    begin, flash = 2.0, 20  # frame 20 lights up where its own sound clicks
    moment = begin + flash / 25
    clip = _clip(tmp_path / "clip.safetensors", moment + offset, begin, offset)
    pictures = np.full((50, 64, 128, 3), 40, np.uint8)
    pictures[flash:] = 220
    _write_video(tmp_path / "out.mp4", pictures, clip)
    with av.open(str(tmp_path / "out.mp4")) as file:
        video, sound = file.streams.video[0], file.streams.audio[0]
        assert (video.codec_context.name, sound.codec_context.name) == ("h264", "aac")
        assert (video.width, video.height, video.average_rate) == (128, 64, 25)
        frames = [(float(frame.pts * frame.time_base), frame.to_ndarray(format="gray")) for frame in file.decode(video)]
    assert len(frames) == 50
    lit = [time for time, picture in frames if picture.mean() > 130]
    assert lit[0] == pytest.approx(flash / 25, abs=1e-6)
    heard = read_audio(tmp_path / "out.mp4").samples
    assert len(heard) / 16000 == pytest.approx(2.0, abs=0.07)  # AAC comes in pieces of 64 ms
    assert np.abs(heard).argmax() / 16000 == pytest.approx(lit[0], abs=0.002)
