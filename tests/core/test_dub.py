"""A dub through real files: what must change, what must never change, and what is left behind when it fails."""

from __future__ import annotations

import contextlib
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from musetalk_core.audio.encode import SpeechOptions
from musetalk_core.errors import AvatarError, FaceError, MediaError, MuseTalkError
from musetalk_core.face.mask import MaskOptions, mask_face
from musetalk_core.face.options import TrackOptions
from musetalk_core.models.checkpoint import read_checkpoint, save_safetensors
from musetalk_core.models.load import LoadedModel, load_model
from musetalk_core.models.registry import FolderLocator
from musetalk_core.pipeline.avatar import (
    FaceOptions,
    FaceTools,
    find_faces,
    load_avatar,
    make_avatar,
    require_match,
    save_avatar,
)
from musetalk_core.pipeline.dub import DubOptions, DubSettings, dub
from musetalk_core.pipeline.report import DubReport, spoken_frames
from musetalk_core.placement import SingleDevice
from musetalk_core.portraits.footage import portrait_footage
from musetalk_core.timeline import Clock, plan
from musetalk_core.types import Footage
from musetalk_core.video.read import ArrayFootage, open_footage
from musetalk_core.video.write import VideoWriter, WriteOptions

FPS = Fraction(25)
LOSSLESS = WriteOptions(lossless=True)


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """A drawn person, (10, 256, 256, 3) uint8."""
    return portrait_footage(3, 0.4, width=256, height=256).read(range(10))


@pytest.fixture(scope="module")
def blank() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (30, 48, 64, 3), np.uint8)


def write_sound(path: Path, seconds: float, rate: int = 16_000) -> Path:
    """A loud buzz: speech, as far as the energy gate can tell."""
    import soundfile

    time = np.arange(round(seconds * rate)) / rate
    loud = 0.3 * np.sin(2 * np.pi * 150 * time) * (1 + 0.5 * np.sin(2 * np.pi * 4 * time))
    soundfile.write(path, loud.astype(np.float32), rate)
    return path


def run(
    footage: Footage,
    sound: Path,
    output: Path,
    model: LoadedModel,
    *,
    faces: FaceOptions | None = None,
    settings: DubSettings | None = None,
    **more: object,
) -> DubReport:
    tools = FaceTools(model.vae, model.recipe, faces or FaceOptions())
    return dub(footage, sound, output, model, tools, settings or DubSettings(write=LOSSLESS), **more)


def frames_of(path: Path) -> np.ndarray:
    footage = open_footage(path)
    return footage.read(range(len(footage.clock)))


def test_only_pixels_inside_the_mask_change(portrait: np.ndarray, model: LoadedModel, tmp_path: Path) -> None:
    footage = ArrayFootage(portrait, FPS)
    run(footage, write_sound(tmp_path / "a.wav", 0.4), tmp_path / "out.mkv", model)
    result = frames_of(tmp_path / "out.mkv")
    (person,) = find_faces(footage, FaceTools(model.vae, model.recipe))
    for i, (before, after) in enumerate(zip(portrait, result, strict=True)):
        mask = mask_face(person.track, i, MaskOptions())
        height, width = mask.alpha.shape
        inside = np.zeros(before.shape[:2], bool)
        inside[mask.y : mask.y + height, mask.x : mask.x + width] = mask.alpha > 0
        changed = (before != after).any(axis=2)
        assert not (changed & ~inside).any()
        assert changed[inside].mean() > 0.5


def test_frames_without_a_face_pass_and_nothing_shifts(
    portrait: np.ndarray, model: LoadedModel, tmp_path: Path
) -> None:
    clip = np.concatenate([portrait, np.full((20, 256, 256, 3), 90, np.uint8), portrait])
    report = run(ArrayFootage(clip, FPS), write_sound(tmp_path / "a.wav", 1.6), tmp_path / "out.mkv", model)
    result = frames_of(tmp_path / "out.mkv")
    assert len(result) == len(clip) == report.frames == 40
    assert (result[10:30] == clip[10:30]).all()
    assert (result[:9] != clip[:9]).any(axis=(1, 2, 3)).all()
    (skipped,) = report.skipped[0]
    assert (skipped.first, skipped.last, skipped.reason) == (10, 29, "no face found")


@pytest.mark.slow
def test_a_gap_in_ten_seconds(portrait: np.ndarray, model: LoadedModel, tmp_path: Path) -> None:
    clip = np.concatenate([portrait] * 25)
    clip[30:50] = 120
    run(ArrayFootage(clip, FPS), write_sound(tmp_path / "a.wav", 10), tmp_path / "out.mkv", model)
    result = frames_of(tmp_path / "out.mkv")
    assert len(result) == 250
    assert (result[30:50] == clip[30:50]).all()


def test_no_face_is_refused_and_leaves_no_file(blank: np.ndarray, model: LoadedModel, tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "a.wav", 1.0)
    with pytest.raises(FaceError):
        run(ArrayFootage(blank, FPS), sound, tmp_path / "out.mkv", model)
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_no_face_passes_when_asked(blank: np.ndarray, model: LoadedModel, tmp_path: Path) -> None:
    settings = DubSettings(run=DubOptions(no_face="pass"), write=LOSSLESS)
    sound = write_sound(tmp_path / "a.wav", 1.2)
    report = run(ArrayFootage(blank, FPS), sound, tmp_path / "out.mkv", model, settings=settings)
    assert report.spoken == []
    assert (frames_of(tmp_path / "out.mkv") == blank).all()


@pytest.mark.parametrize("sync_mode", ["bounce", "loop", "hold", "remap", "cut_off", "silence"])
@pytest.mark.parametrize(("footage_frames", "seconds"), [(15, 2.0), (30, 0.6)])
def test_files_have_the_frames_that_the_sync_mode_says(
    blank: np.ndarray, model: LoadedModel, tmp_path: Path, sync_mode: str, footage_frames: int, seconds: float
) -> None:
    settings = DubSettings(DubOptions(no_face="pass"), SpeechOptions(sync_mode=sync_mode), write=LOSSLESS)
    footage = ArrayFootage(blank[:footage_frames], FPS)
    sound = write_sound(tmp_path / "a.wav", seconds)
    run(footage, sound, tmp_path / "out.mkv", model, settings=settings)
    longer = {"bounce": 50, "loop": 50, "hold": 50, "remap": 50, "cut_off": 15, "silence": 15}
    shorter = {"bounce": 30, "loop": 30, "hold": 30, "remap": 15, "cut_off": 15, "silence": 30}
    result = frames_of(tmp_path / "out.mkv")
    assert len(result) == (longer if footage_frames == 15 else shorter)[sync_mode]
    shown = plan(footage.clock, Fraction(str(seconds)), sync_mode).source
    assert (result == blank[shown]).all()


def test_a_variable_rate_keeps_its_times(blank: np.ndarray, model: LoadedModel, tmp_path: Path) -> None:
    clock = Clock(np.concatenate([[0], np.cumsum(np.tile([1, 3, 2], 10))]), Fraction(1, 50))
    with VideoWriter(tmp_path / "in.mkv", 64, 48, clock, LOSSLESS) as writer:
        writer.write(blank)
    settings = DubSettings(run=DubOptions(no_face="pass"), write=LOSSLESS)
    sound = write_sound(tmp_path / "a.wav", 1.2)
    run(open_footage(tmp_path / "in.mkv"), sound, tmp_path / "out.mkv", model, settings=settings)
    result = open_footage(tmp_path / "out.mkv")
    assert result.clock.variable
    got = [result.clock.centre(i) for i in range(30)]
    assert max(abs(got[i] - clock.centre(i)) for i in range(30)) <= Fraction(1, 1000)  # Matroska counts milliseconds


def test_the_other_person_is_bit_identical_and_dubs_chain(model: LoadedModel, tmp_path: Path) -> None:
    footage = portrait_footage(3, 0.4, width=640, height=320, people=2, faults=0)
    source = footage.read(range(10))
    sound = write_sound(tmp_path / "a.wav", 0.4)
    left, right = (FaceOptions(TrackOptions(selection="index", index=i)) for i in (0, 1))
    run(footage, sound, tmp_path / "left.mkv", model, faces=left)
    first = frames_of(tmp_path / "left.mkv")
    assert (first[:, :, 320:] == source[:, :, 320:]).all()
    assert (first[:, :, :320] != source[:, :, :320]).any(axis=(1, 2, 3)).all()
    run(open_footage(tmp_path / "left.mkv"), sound, tmp_path / "both.mkv", model, faces=right)
    second = frames_of(tmp_path / "both.mkv")
    assert (second[:, :, :320] == first[:, :, :320]).all()
    assert (second[:, :, 320:] != source[:, :, 320:]).any(axis=(1, 2, 3)).all()


class CountingVAE:
    """A real VAE that counts the crops it encodes."""

    def __init__(self, vae: object) -> None:
        self._vae = vae
        self.identity = vae.identity  # type: ignore[attr-defined]
        self.encoded = 0

    def encode(self, images: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        self.encoded += len(images)
        return self._vae.encode(images, dtype)  # type: ignore[attr-defined, no-any-return]

    def decode(self, latents: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        return self._vae.decode(latents, dtype)  # type: ignore[attr-defined, no-any-return]


def test_each_source_frame_is_encoded_once_and_an_avatar_never_again(
    portrait: np.ndarray, model: LoadedModel, tmp_path: Path
) -> None:
    footage = ArrayFootage(portrait[:4], FPS)
    vae = CountingVAE(model.vae)
    tools = FaceTools(vae, model.recipe)
    sound = write_sound(tmp_path / "a.wav", 0.4)
    settings = DubSettings(write=LOSSLESS)
    dub(footage, sound, tmp_path / "direct.mkv", model, tools, settings)  # 10 frames, back and forth over 4
    assert vae.encoded == 2 * 4  # masked and reference
    (person,) = find_faces(footage, tools)
    save_avatar(make_avatar(footage, person, tools), tmp_path / "a.safetensors")
    assert vae.encoded == 4 * 4
    avatar = load_avatar(tmp_path / "a.safetensors")
    require_match(avatar, tools.key(footage), "a")
    dub(footage, sound, tmp_path / "again.mkv", model, tools, settings, avatars=[avatar])
    assert vae.encoded == 4 * 4
    assert (frames_of(tmp_path / "again.mkv") == frames_of(tmp_path / "direct.mkv")).all()


def test_an_avatar_of_other_footage_is_refused(portrait: np.ndarray, model: LoadedModel, tmp_path: Path) -> None:
    tools = FaceTools(model.vae, model.recipe)
    (person,) = find_faces(ArrayFootage(portrait[:4], FPS), tools)
    save_avatar(person, tmp_path / "a.safetensors")
    avatar = load_avatar(tmp_path / "a.safetensors")
    other = portrait[:4].copy()
    other[2, 0, 0, 0] ^= 1  # same size, same length, one bit
    with pytest.raises(AvatarError, match="source"):
        require_match(avatar, tools.key(ArrayFootage(other, FPS)), "a")
    changed = FaceTools(model.vae, model.recipe, FaceOptions(mask=MaskOptions(kind="mouth")))
    with pytest.raises(AvatarError, match="mask"):
        require_match(avatar, changed.key(ArrayFootage(portrait[:4], FPS)), "a")


def test_an_avatar_can_carry_its_frames(portrait: np.ndarray, model: LoadedModel, tmp_path: Path) -> None:
    footage = ArrayFootage(portrait[:4], FPS)
    tools = FaceTools(model.vae, model.recipe)
    (person,) = find_faces(footage, tools)
    save_avatar(make_avatar(footage, person, tools, embed_frames=True), tmp_path / "a.safetensors")
    assert (load_avatar(tmp_path / "a.safetensors").footage().read(range(4)) == portrait[:4]).all()
    with pytest.raises(AvatarError, match="no frames"):
        person.footage()


def test_a_weight_file_is_no_avatar(nano_folder: Path) -> None:
    with pytest.raises(AvatarError, match="not an avatar"):
        load_avatar(nano_folder / "unet.safetensors")


def test_batch_size_never_changes_the_picture(portrait: np.ndarray, model: LoadedModel, tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "a.wav", 0.24)
    results = []
    for size in (1, 4, 6):
        settings = DubSettings(run=DubOptions(batch_size=size), write=LOSSLESS)
        run(ArrayFootage(portrait[:6], FPS), sound, tmp_path / f"{size}.mkv", model, settings=settings)
        results.append(frames_of(tmp_path / f"{size}.mkv").astype(int))
    assert abs(results[0] - results[1]).max() <= 1
    assert abs(results[0] - results[2]).max() <= 1


def test_weights_that_overflow_half_precision_still_give_the_right_mouths(
    portrait: np.ndarray, nano_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(nano_folder, folder)
    checkpoint = read_checkpoint(folder / "unet.safetensors")
    tensors = {name: tensor.float().clone() for name, tensor in checkpoint.tensors.items()}
    tensors["conv_in.weight"] *= 1e6  # beyond 65504; group norm undoes the scale in fp32
    save_safetensors(folder / "unet.safetensors", tensors, checkpoint.header)
    sound = write_sound(tmp_path / "a.wav", 0.2)
    results = []
    for dtype in ("fp32", "fp16"):
        loaded = load_model(str(folder), FolderLocator(None), SingleDevice("cpu", dtype))
        run(ArrayFootage(portrait[:5], FPS), sound, tmp_path / f"{dtype}.mkv", loaded)
        results.append(frames_of(tmp_path / f"{dtype}.mkv").astype(int))
    assert abs(results[0] - results[1]).mean() < 1  # the VAE still runs in fp16
    assert (results[1] != portrait[:5]).any(axis=(1, 2, 3)).all()


class CancelAt:
    """A host that cancels at the n-th report."""

    def __init__(self, reports: int) -> None:
        self._left = reports

    def start(self, stage: str, total: int | None) -> None:
        self.advance()

    def advance(self, count: int = 1, preview: np.ndarray | None = None) -> None:
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt


def test_cancel_at_any_report_leaves_nothing(portrait: np.ndarray, model: LoadedModel, tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "a.wav", 0.4)
    footage = ArrayFootage(portrait[:10], FPS)
    settings = DubSettings(run=DubOptions(batch_size=4), write=LOSSLESS)
    cancelled = 0
    for reports in range(20):
        with contextlib.suppress(KeyboardInterrupt):
            run(footage, sound, tmp_path / "out.mkv", model, settings=settings, progress=CancelAt(reports))
            break
        cancelled += 1
        assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
    assert cancelled >= 4
    assert len(frames_of(tmp_path / "out.mkv")) == 10


@pytest.mark.parametrize(
    "name", ["with space.mkv", "%08d.mkv", "\u4e2d\u6587 \u8bf4\u8bdd.mkv", "\U0001f600.mkv", "a.mp4; touch x; .mkv"]
)
def test_odd_names(blank: np.ndarray, model: LoadedModel, tmp_path: Path, name: str) -> None:
    settings = DubSettings(run=DubOptions(no_face="pass"), write=LOSSLESS)
    sound = write_sound(tmp_path / "ton \U0001f600 %d.wav", 1.2)
    run(ArrayFootage(blank, FPS), sound, tmp_path / name, model, settings=settings)
    assert (frames_of(tmp_path / name) == blank).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "ton \U0001f600 %d.wav"])


def test_a_missing_folder_is_named(blank: np.ndarray, model: LoadedModel, tmp_path: Path) -> None:
    settings = DubSettings(run=DubOptions(no_face="pass"))
    with pytest.raises(MediaError, match="nowhere"):
        run(
            ArrayFootage(blank, FPS),
            write_sound(tmp_path / "a.wav", 1),
            tmp_path / "nowhere" / "out.mkv",
            model,
            settings=settings,
        )


def test_a_parser_mask_without_parser_is_refused(model: LoadedModel) -> None:
    with pytest.raises(MuseTalkError, match="79999_iter"):
        FaceTools(model.vae, model.recipe, FaceOptions(mask=MaskOptions(kind="jaw")))


def test_an_odd_size_with_the_face_at_the_edge(portrait: np.ndarray, model: LoadedModel, tmp_path: Path) -> None:
    clip = np.ascontiguousarray(portrait[:4, :151, 60:201])  # the chin is cut off; 141 x 151 pixels
    footage = ArrayFootage(clip, FPS)
    settings = DubSettings(run=DubOptions(no_face="pass"), write=LOSSLESS)
    report = run(footage, write_sound(tmp_path / "a.wav", 0.16), tmp_path / "out.mkv", model, settings=settings)
    result = frames_of(tmp_path / "out.mkv")
    assert result.shape == clip.shape
    assert (result[:, :40] == clip[:, :40]).all()
    people = find_faces(footage, FaceTools(model.vae, model.recipe))
    timeline = plan(footage.clock, Fraction("0.16"), "bounce")
    assert report.spoken == [int(spoken_frames(person.track, timeline).sum()) for person in people]
