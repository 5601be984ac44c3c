"""Whole clips in memory, stage by stage: what a graph of nodes calls gives what the dub gives."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from musetalk_core.audio.encode import SpeechOptions, encode_speech
from musetalk_core.audio.windows import speech_starts, tokens
from musetalk_core.audio.write import Sound
from musetalk_core.errors import FaceError, GenerationError, MediaError, ModelError, OptionError
from musetalk_core.face.crop import CropOptions
from musetalk_core.face.mask import MaskOptions, full_mask, mask_face, mask_from_user
from musetalk_core.face.options import TrackOptions
from musetalk_core.face.track import track_faces
from musetalk_core.lips.decode import decode_faces
from musetalk_core.lips.encode import encode_faces
from musetalk_core.lips.generate import generate_lips
from musetalk_core.models.load import LoadedModel
from musetalk_core.pipeline.avatar import Avatar, FaceTools, make_avatar
from musetalk_core.pipeline.blend import blend_frames, clip_timeline
from musetalk_core.pipeline.dub import DubSettings, dub
from musetalk_core.pipeline.faces import crop_faces, mask_frames, mask_source
from musetalk_core.pipeline.speak import Speaker
from musetalk_core.portraits.footage import portrait_footage
from musetalk_core.progress import SilentProgress
from musetalk_core.render.blend import BlendOptions
from musetalk_core.types import FaceLatents, FaceTrack, Speech
from musetalk_core.video.read import ArrayFootage, FootagePart, VideoFootage, open_footage
from musetalk_core.video.write import VideoWriter, WriteOptions

FPS = Fraction(25)
N, F = 8, 11  # the sound is longer than the footage: bounce


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """(N, 200, 240, 4) float32: a drawn person, with alpha."""
    rgb = portrait_footage(3, N / 25, width=240, height=200).read(range(N)).astype(np.float32) / 255
    alpha = np.random.default_rng(0).uniform(0, 1, (*rgb.shape[:3], 1)).astype(np.float32)
    return np.concatenate([rgb, alpha], axis=3)


@pytest.fixture(scope="module")
def track(frames: np.ndarray) -> FaceTrack:
    return track_faces(ArrayFootage(frames, FPS), TrackOptions(), CropOptions(), SilentProgress())[0]


@pytest.fixture(scope="module")
def speech(model: LoadedModel) -> Speech:
    return encode_speech(buzz().clip(), model.audio, FPS, SpeechOptions())


def buzz() -> Sound:
    wave = np.sin(np.arange(round(F / 25 * 16_000)) * 0.35) * 0.5
    return Sound(waveform=wave.astype(np.float32)[None], rate=16_000)


@pytest.fixture(scope="module")
def mouths(frames: np.ndarray, track: FaceTrack, speech: Speech, model: LoadedModel) -> np.ndarray:
    """New faces by the stages, one after another."""
    timeline = clip_timeline(N, speech)
    faces = encode_faces(crop_faces(frames[..., :3], range(N), track, 256), model.vae, 4)
    shown = FaceLatents(faces.masked[timeline.source], faces.reference[timeline.source])
    lips = generate_lips(model.lips, shown, tokens(speech, speech_starts(speech, timeline.clock)), 4)
    return decode_faces(lips, model.vae, 4)


def test_stages_one_by_one_give_what_the_speaker_gives(frames, track, speech, mouths, model) -> None:
    tools = FaceTools(model.vae, model.recipe)
    footage = ArrayFootage(frames, FPS)
    avatar = make_avatar(footage, Avatar(track, tools.key(footage, track), footage.clock), tools)
    timeline = clip_timeline(N, speech)
    spoken = Speaker([avatar], footage, timeline, model.lips, tools, BlendOptions(), 4).all_frames(speech)
    masks = mask_frames(track, MaskOptions())
    blended, shown = blend_frames(frames, mouths, track, speech, mask_source(track, masks), BlendOptions())
    assert spoken.shape == (F, 200, 240, 3)
    assert np.abs(blended[..., :3] - spoken).max() <= 1 / 255
    assert not np.array_equal(blended[..., :3], frames[timeline.source][..., :3])
    untouched = shown == 0
    assert np.array_equal(blended[untouched], frames[timeline.source][untouched])
    assert np.array_equal(blended[..., 3], frames[timeline.source][..., 3])


def test_masks_survive_as_pictures(track: FaceTrack) -> None:
    for kind in ("landmarks", "mouth"):
        options = MaskOptions(kind=kind)
        for index in np.flatnonzero(track.strength):
            patch = mask_face(track, index, options)
            back = mask_from_user(full_mask(patch, track.height, track.width), track, index)
            assert (back.x, back.y) == (patch.x, patch.y)
            assert np.array_equal(back.alpha, patch.alpha)


def test_blending_the_crops_changes_next_to_nothing(frames, track, speech) -> None:
    source = clip_timeline(N, speech).source
    x1, y1, x2, y2 = track.boxes[0]
    same = FaceTrack(
        track.found, track.landmarks, track.boxes[:1].repeat(N, 0), track.roll, track.strength, track.skip, 240, 200
    )
    for size, limit in ((None, 1), (512, 8)):  # as it is; and enlarged by Lanczos, at the sharpest edge
        crops = frames[:, y1:y2, x1:x2, :3] if size is None else crop_faces(frames[..., :3], range(N), same, size)
        blended, _ = blend_frames(frames, crops[source], same, speech, mask_source(same), BlendOptions())
        assert np.abs(blended - frames[source]).max() <= limit / 255


def test_what_does_not_belong_together_is_refused(frames, track, speech, mouths) -> None:
    def blend(frames, mouths):
        blend_frames(frames, mouths, track, speech, mask_source(track), BlendOptions())

    with pytest.raises(GenerationError, match="11 frames"):
        blend(frames, mouths[:-1])
    with pytest.raises(FaceError, match="240x200"):
        blend(frames[:, :100], mouths)
    with pytest.raises(OptionError, match="8 frames"):
        mask_source(track, np.ones((3, 200, 240), np.float32))
    with pytest.raises(ModelError, match="face parser"):
        mask_frames(track, MaskOptions(kind="jaw"))


def test_a_part_of_a_video(tmp_path: Path, frames: np.ndarray) -> None:
    path = tmp_path / "whole.mkv"
    pictures = np.rint(frames[..., :3] * 255).astype(np.uint8)
    clock = ArrayFootage(frames, Fraction(30000, 1001)).clock
    with VideoWriter(path, 240, 200, clock, WriteOptions(lossless=True)) as writer:
        writer.write(frames[..., :3].copy())  # floats are rounded
    video = open_footage(path)
    assert isinstance(video, VideoFootage)
    assert np.array_equal(video.read(range(N)), pictures)
    assert video.frames_between(0) == (0, N)
    assert video.frames_between(0.1, 0.1) == (3, 6)  # frames begin at 0, 33, 67, 100, 133, 167, 200 ms
    part = FootagePart(video, *video.frames_between(0.1, 0.1))
    assert (len(part.clock), part.clock.fps) == (3, Fraction(30000, 1001))
    assert np.array_equal(part.read([2, 0]), pictures[[5, 3]])
    assert part.digest() != video.digest()
    with pytest.raises(IndexError):
        part.read([-1])
    with pytest.raises(MediaError, match="no frames"):
        FootagePart(video, *video.frames_between(5))


def test_a_dub_takes_samples_and_a_part(tmp_path: Path, frames: np.ndarray, model: LoadedModel) -> None:
    part = FootagePart(ArrayFootage(frames, FPS), 2, 7)
    out = tmp_path / "out.mp4"
    report = dub(part, buzz(), out, model, FaceTools(model.vae, model.recipe), DubSettings())
    assert (report.frames, report.source_frames) == (F, 5)
    made = open_footage(out)
    assert len(made.clock) == F
    assert len(made.info.sounds) == 1
