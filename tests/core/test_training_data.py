"""Preparing a dataset and drawing samples from it."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from musetalk_core.audio.encode import SpeechOptions, encode_speech
from musetalk_core.audio.mel import syncnet_mel
from musetalk_core.audio.windows import tokens, window_starts
from musetalk_core.audio.write import Sound
from musetalk_core.errors import MediaError, OptionError
from musetalk_core.face.look import LookOptions
from musetalk_core.models.checkpoint import read_checkpoint, save_safetensors
from musetalk_core.models.load import load_audio_encoder
from musetalk_core.placement import SingleDevice
from musetalk_core.portraits.footage import portrait_footage
from musetalk_core.portraits.motion import speech_motion
from musetalk_core.timeline import Clock
from musetalk_core.training import cutting
from musetalk_core.training.balance import Clip
from musetalk_core.training.cutting import CutOptions, Watched, _sounds, at_rate, find_runs, to_int16
from musetalk_core.training.dataset import DataOptions, Samples, _open, open_clips
from musetalk_core.training.framing import FramingOptions
from musetalk_core.training.hearing import clip_mel, clip_tokens
from musetalk_core.training.prepare import (
    Job,
    PrepareOptions,
    find_jobs,
    held_out_people,
    index_dataset,
    measure_offsets,
    prepare_dataset,
)
from musetalk_core.training.sampling import SamplingOptions
from musetalk_core.types import AudioClip, FaceTrack
from musetalk_core.video.write import VideoWriter, WriteOptions

EASY = PrepareOptions(confidence=0.05)


def spoken(opening: np.ndarray, seed: int, late: float = 0.0) -> np.ndarray:
    """A sound whose loudness follows a mouth at 25 frames a second: noise and a hum, (S,) float32."""
    random = np.random.default_rng(seed)
    samples = len(opening) * 640
    seconds = np.arange(samples) / 16000 - late
    level = np.interp(seconds, (np.arange(len(opening)) + 0.5) / 25, opening / max(opening.max(), 1e-3))
    wave = np.sin(2 * np.pi * 140 * seconds) + 0.5 * np.sin(2 * np.pi * 700 * seconds)
    return (0.2 * level * wave + 0.003 * random.standard_normal(samples)).astype(np.float32)


def write_portrait(path: Path, seed: int, seconds: float = 3.2) -> None:
    """A drawn person who talks, with sound that fits the mouth."""
    footage = portrait_footage(seed, seconds, width=192, height=192, faults=0.0)
    sound = Sound(waveform=spoken(footage.truth().opening, seed)[None], rate=16000)
    options = WriteOptions(crf=20, preset="ultrafast")
    with VideoWriter(path, 192, 192, footage.clock, options, sound=sound) as writer:
        for k in range(0, len(footage.clock), 16):
            writer.write(footage.read(range(k, min(k + 16, len(footage.clock)))))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for person, seed in (("ann", 3), ("bob", 4)):
        (folder / person).mkdir()
        write_portrait(folder / person / "talk.mp4", seed)
    (folder / "bob" / "broken.mp4").write_bytes(b"no video")
    return folder


@pytest.fixture(scope="module")
def dataset(videos: Path, nano_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    prepare_dataset([videos], folder, nano_folder / "audio_encoder.safetensors", EASY, CutOptions(smallest_face=48))
    return folder


def test_a_dataset_says_what_it_took_and_why_not(dataset: Path):
    index = json.loads((dataset / "dataset.json").read_text())
    assert len(index["videos"]) == 3
    refused = [v for v in index["videos"] if v["refused"]]
    assert [Path(v["source"]).name for v in refused] == ["broken.mp4"]
    for video in index["videos"]:
        if not video["refused"]:
            assert abs(video["offset_ms"]) <= 50
            assert video["confidence"] > 0.2
            assert sum(c["frames"] for c in video["clips"]) >= 75


def test_defect_11_no_clip_is_skipped_and_validation_are_other_people(dataset: Path, videos: Path):
    jobs = find_jobs([videos], dataset, EASY)
    assert [(j.person, j.source.name) for j in jobs] == [
        ("ann", "talk.mp4"), ("bob", "broken.mp4"), ("bob", "talk.mp4")
    ]  # fmt: skip
    train, _ = open_clips(dataset, "train")
    held, _ = open_clips(dataset, "validation")
    assert {c.person for c in train} | {c.person for c in held} == {"ann", "bob"}
    assert not {c.person for c in train} & {c.person for c in held}


def test_a_finished_dataset_is_not_made_again(dataset: Path, videos: Path, nano_folder: Path, monkeypatch):
    def fail(*args: object) -> None:
        raise AssertionError("prepared again")

    before = json.loads((dataset / "dataset.json").read_text())
    monkeypatch.setattr("musetalk_core.training.prepare.cut_video", fail)
    audio = nano_folder / "audio_encoder.safetensors"
    assert prepare_dataset([videos], dataset, audio, EASY, CutOptions(smallest_face=48)) == before
    with pytest.raises(AssertionError, match="again"):  # other options, other clips
        prepare_dataset([videos], dataset, audio, EASY, CutOptions(smallest_face=49))


def test_two_workers_prepare_what_one_prepares(dataset: Path, videos: Path, nano_folder: Path, tmp_path):
    options = dataclasses.replace(EASY, workers=2)
    audio = nano_folder / "audio_encoder.safetensors"
    index = prepare_dataset([videos], tmp_path, audio, options, CutOptions(smallest_face=48))
    assert index == json.loads((dataset / "dataset.json").read_text())
    files = sorted(path.relative_to(dataset) for path in dataset.rglob("*.safetensors"))
    assert files == sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.safetensors"))
    assert len(files) == 4  # two videos, each with a clip and a curve
    for file in files:
        ours, theirs = (read_checkpoint(folder / file) for folder in (tmp_path, dataset))
        assert ours.header == theirs.header
        assert all(torch.equal(ours.tensors[name], theirs.tensors[name]) for name in theirs.tensors)
        assert set(ours.tensors) == set(theirs.tensors)


def test_workers_that_read_ahead_give_the_same_batches(dataset: Path):
    from torch.utils.data import DataLoader

    samples = _samples(dataset, frames=2)
    numbers = [[0, 1, 2], [7, 8, 9], [3, 4, 5], [10, 11, 12]]
    ahead = DataLoader(samples, batch_sampler=numbers, num_workers=2, multiprocessing_context="spawn")  # type: ignore[arg-type]
    alone = DataLoader(samples, batch_sampler=numbers)  # type: ignore[arg-type]
    count = 0
    for ours, theirs in zip(ahead, alone, strict=True):
        assert set(ours) == set(theirs)
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
        count += 1
    assert count == len(numbers)


def test_people_are_told_apart_by_folder_or_expression(tmp_path):
    (tmp_path / "s1").mkdir()
    for name in ("a_x.mp4", "a_y.mp4", "s1/b_z.mp4"):
        (tmp_path / name).touch()
    people = [j.person for j in find_jobs([tmp_path], tmp_path, PrepareOptions())]
    assert people == ["a_x", "a_y", "s1"]
    people = [j.person for j in find_jobs([tmp_path], tmp_path, PrepareOptions(person=r"(\w)_\w\.mp4"))]
    assert people == ["a", "a", "b"]
    with pytest.raises(OptionError, match="no person"):
        find_jobs([tmp_path], tmp_path, PrepareOptions(person="(nobody)"))
    with pytest.raises(OptionError, match="regular"):
        find_jobs([tmp_path], tmp_path, PrepareOptions(person="("))
    (tmp_path / "empty").mkdir()
    with pytest.raises(MediaError, match="no video"):
        find_jobs([tmp_path / "empty"], tmp_path, PrepareOptions())


def test_the_split_is_stable_and_leaves_somebody_on_both_sides():
    people = {f"p{i}" for i in range(20)}
    assert len(held_out_people(people, PrepareOptions())) == 2
    assert held_out_people(people, PrepareOptions()) <= held_out_people(people | {"new"}, PrepareOptions(held_out=0.2))
    assert len(held_out_people({"a", "b"}, PrepareOptions(held_out=0.9))) == 1
    assert held_out_people({"a"}, PrepareOptions(held_out=0.5)) == set()
    named = PrepareOptions(held_out_people="a|b")
    assert held_out_people({"a", "b", "ab"}, named) == {"a", "b"}


def _curve(folder: Path, late: float, seed: int, seconds: int = 24, related: bool = True) -> dict[str, object]:
    """A recording's curve and sound without any video."""
    opening = speech_motion(seed, seconds * 25, 25.0).opening
    heard = opening if related else np.roll(opening, seconds * 12)
    name = f"videos/{seed}"
    tensors = {"opening": torch.from_numpy(opening), "sound": torch.from_numpy(to_int16(spoken(heard, seed, late)))}
    save_safetensors(folder / name / "curve.safetensors", tensors, {})
    return {"folder": name, "person": "x", "seconds": float(seconds), "refused": None}


def test_defect_15_offsets_are_measured_and_what_is_not_in_sync_is_refused(tmp_path):
    videos = [
        _curve(tmp_path, 0.12, 0), _curve(tmp_path, -0.08, 1), _curve(tmp_path, 0.0, 2, related=False),
        _curve(tmp_path, 0.24, 3), _curve(tmp_path, 0.0, 4, seconds=3),
    ]  # fmt: skip
    videos[4]["person"] = "y"
    measure_offsets(videos, tmp_path, PrepareOptions(), _Silent())
    assert videos[0]["offset_ms"] == pytest.approx(120, abs=15)
    assert videos[1]["offset_ms"] == pytest.approx(-80, abs=15)
    assert videos[0]["refused"] is None
    assert videos[2]["offset_ms"] == 0.0
    assert "does not predict" in str(videos[2]["refused"])
    assert "off" in str(videos[3]["refused"])
    assert "Too short" in str(videos[4]["refused"])


class _Silent:
    def start(self, stage, total):
        return None

    def advance(self, count=1, preview=None):
        return None


def test_nothing_usable_is_an_error(tmp_path):
    with pytest.raises(MediaError, match="None of the"):
        index_dataset([Job(tmp_path / "a.mp4", tmp_path / "videos" / "a", "a")], tmp_path, PrepareOptions())


def _watched(heights: np.ndarray, cuts: list[int]) -> Watched:
    n = len(heights)
    cut = np.zeros(n, bool)
    cut[cuts] = True
    track = FaceTrack(
        np.ones(n, bool), np.zeros((n, 68, 2), np.float32), np.zeros((n, 4), np.int32), np.zeros(n, np.float32),
        np.ones(n, np.float32), np.zeros(n, np.uint8), 100, 100,
    )  # fmt: skip
    return Watched(np.arange(n), (np.arange(n) + 0.5) / 25, track, heights >= 96, cut)


def test_defect_08_every_frame_is_checked_for_size_in_the_source():
    heights = np.full(200, 120.0)
    heights[80] = 95  # one small frame in the middle, although the first is large
    runs = find_runs(_watched(heights, [150]), CutOptions())
    assert [(r.start, r.stop) for r in runs] == [(0, 80), (81, 150), (150, 200)]


def test_defect_08_watch_measures_the_source_not_the_window(videos: Path, monkeypatch):
    from musetalk_core.video.read import open_footage

    footage = open_footage(videos / "ann" / "talk.mp4")
    landmarks = np.repeat(portrait_footage(3, 0.1, width=192, height=192).truth().landmarks[:1], 80, axis=0)
    track = dataclasses.replace(_watched(np.ones(80), []).track, landmarks=landmarks)
    monkeypatch.setattr(cutting, "track_faces", lambda *args: [track])
    height = 2 * (landmarks[0, :, 1].max() - landmarks[0, 29, 1])
    assert cutting.watch(footage, CutOptions(smallest_face=int(height) - 1)).usable.all()
    assert not cutting.watch(footage, CutOptions(smallest_face=int(height) + 1)).usable.any()


def test_long_runs_are_cut_and_short_ones_left_out():
    runs = find_runs(_watched(np.full(810, 120.0), []), CutOptions(longest=10))
    assert [(r.start, r.stop) for r in runs] == [(0, 250), (250, 500), (500, 750), (750, 810)]
    assert find_runs(_watched(np.full(20, 120.0), []), CutOptions()) == []


@pytest.mark.parametrize("fps", [25, 30, Fraction(30000, 1001), 50, 12])
def test_other_rates_are_laid_on_25_and_keep_their_true_times(fps):
    clock = Clock.regular(240, Fraction(fps))
    frames, times = at_rate(clock)
    moments = (np.arange(len(frames)) + 0.5) / 25
    assert np.abs(times - moments).max() <= 0.5 / float(fps) + 1e-9
    assert np.allclose(times, [float(clock.centre(int(f))) for f in frames])


def test_defect_09_sound_beyond_30_s_is_that_of_its_own_time(nano_folder: Path, tmp_path):
    encoder = load_audio_encoder(nano_folder / "audio_encoder.safetensors", SingleDevice("cpu", "fp32"))
    random = np.random.default_rng(0)
    sound = AudioClip((0.1 * random.standard_normal(36 * 16000)).astype(np.float32))
    options = SpeechOptions(close_in_silence=False)
    whole = encode_speech(sound, encoder, Fraction(25), options)
    mel = syncnet_mel(sound)
    expected = tokens(whole, window_starts(Clock.regular(900, Fraction(25))))
    from musetalk_core.audio.encode import SpeechEncoder

    speech = SpeechEncoder(sound, encoder, Fraction(25), options)
    for first, last in ((700, 800), (0, 60), (850, 900)):  # across 30 s, and both ends
        times = (np.arange(first, last) + 0.5) / 25
        header: dict[str, object] = {"seconds": str(sound.seconds), "encoder": encoder.identity}
        tensors = _sounds(sound, speech, mel, times, header)
        path = tmp_path / f"{first}.safetensors"
        save_safetensors(path, tensors, header)
        file = _open(path)
        frames = np.arange(last - first)
        assert torch.allclose(clip_tokens(file, frames, 0.0, header), expected[first:last], atol=5e-3)
        row = int(80 * (first + 10) / 25)
        assert np.allclose(clip_mel(file, 10, 0.0, 52, header), mel[row : row + 52].T)
        late = clip_mel(file, 10, 0.1, 52, header)
        assert np.allclose(late, mel[row + 8 : row + 60].T)


def _samples(dataset: Path, frames: int = 4, seed: int = 1, **more: object) -> Samples:
    clips = open_clips(dataset, "train")[0]
    data = DataOptions(frames=frames, face_size=64)
    return Samples(clips, data, FramingOptions(), LookOptions(), SamplingOptions(), seed, **more)


def test_defect_10_a_sample_depends_on_seed_and_number_alone(dataset: Path):
    first, second = _samples(dataset), _samples(dataset)
    for number in (0, 7, 123456789):
        a = first[number]
        second[number + 1]  # whatever else was read before
        b = second[number]
        assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(first[0]["targets"], _samples(dataset, seed=2)[0]["targets"])


def test_samples_have_their_shapes_and_show_the_mouth(dataset: Path):
    samples = _samples(dataset, rows=16)
    sample = samples[3]
    assert sample["targets"].shape == sample["references"].shape == (4, 64, 64, 3)
    assert sample["tokens"].shape == (4, 50, 384)
    assert sample["mel"].shape == (80, 16)
    lips = sample["lips"]
    assert lips.shape == (4, 20, 2)
    assert (lips[..., 1] > 32).all()  # below the mask's edge
    assert (lips > 0).all()
    assert (lips < 64).all()


def test_crops_put_the_nose_on_the_masks_edge(dataset: Path):
    samples = _samples(dataset)
    for number in range(20):
        choice = samples.choose(number)
        geometry = samples.geometry(choice.clip)
        edges = geometry.framing.edges(choice.targets, choice.draw.margin, choice.draw.scale)
        middle = (edges[:, 1] + edges[:, 3]) / 2
        below = choice.draw.margin * (edges[:, 3] - edges[:, 1]) / (2 + 2 * choice.draw.margin)
        assert np.allclose(middle - below, geometry.landmarks[choice.targets, 29, 1])
        assert not np.isin(choice.references, choice.targets).all()


def test_people_can_be_drawn_evenly(tmp_path):
    clips = [Clip(tmp_path, 1000, "much", 0.0), Clip(tmp_path, 50, "little", 0.0), Clip(tmp_path, 50, "little", 0.0)]
    from musetalk_core.training.balance import clip_weights

    evenly = clip_weights(clips, 1, "people", "")
    assert evenly[0] == pytest.approx(evenly[1] + evenly[2])
    assert clip_weights(clips, 1, "frames", "")[0] == pytest.approx(1000 / 1100)


def test_clips_that_are_too_short_are_left_out(dataset: Path):
    with pytest.raises(MediaError, match="No clip"):
        _samples(dataset, frames=10_000)
