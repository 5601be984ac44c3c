"""What goes over the bridge: no input is written to, nothing is lost, and what cannot cross is refused in words."""

from __future__ import annotations

import io
from fractions import Fraction
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def convert(pack: Any) -> ModuleType:
    return pack.bridge("convert")


@pytest.fixture(scope="module")
def options(pack: Any) -> ModuleType:
    return pack.bridge("options")


def error(pack: Any, name: str) -> type[Exception]:
    return getattr(pack.core("errors"), name)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [3, 4])
def test_images_there_and_back(convert, dtype, channels) -> None:
    image = torch.rand(2, 5, 7, channels).to(dtype)
    kept = image.clone()
    frames = convert.frames_of(image)
    assert (frames.shape, frames.dtype) == ((2, 5, 7, 3), np.float32)
    assert convert.frames_of(image, alpha=True).shape[3] == channels
    back = convert.image_of(frames)
    assert back.dtype == torch.float32
    assert torch.equal(back.to(dtype), image[..., :3])
    assert torch.equal(image, kept)


def test_bytes_survive_what_the_host_does_with_them(convert) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, 3)
    image = convert.image_of(levels)
    saved = (image * 255).clamp(0, 255).byte().numpy()  # as CreateVideo and SaveImage write: cut off, not rounded
    assert np.array_equal(saved, levels)


@pytest.mark.parametrize("shape", [(0, 4, 4, 3), (2, 4, 4, 1), (4, 4, 3), (0, 0, 0, 3)])
def test_what_is_no_picture_is_refused(pack, convert, shape) -> None:
    with pytest.raises(error(pack, "MediaError"), match="IMAGE"):
        convert.frames_of(torch.zeros(shape))


@given(st.sampled_from([24000, 30000, 60000]), st.booleans())
def test_television_rates_are_exact(pack, numerator, rounded) -> None:
    rate = Fraction(numerator, 1001)
    shown = round(float(rate), 3 if numerator == 24000 else 2) if rounded else float(rate)
    assert pack.bridge("convert").rate_of(shown) == rate


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (Fraction(29.97), Fraction(30000, 1001)),  # as CreateVideo makes it: a denominator of 2**48
        (Fraction(2997, 100), Fraction(2997, 100)),  # as a file says it
        (Fraction(30000, 1001), Fraction(30000, 1001)),
        (Fraction(12.1), Fraction(121, 10)),
    ],
)
def test_a_fraction_is_kept_unless_it_was_a_number(convert, given, meant) -> None:
    assert convert.rate_of(given) == meant


@pytest.mark.parametrize("fps", [16, 25, 12.5, 29.5, 59, 60, 24, 23.5, 1])
def test_other_rates_are_kept(convert, fps) -> None:
    assert convert.rate_of(fps) == Fraction(fps)


def test_no_rate_is_refused(pack, convert) -> None:
    for fps in (0, -25, float("nan")):
        with pytest.raises(error(pack, "OptionError")):
            convert.rate_of(fps)


@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (96000, 6), (8000, 1), (16000, 1)])
def test_sounds_become_mono_16_khz(convert, rate, channels) -> None:
    waveform = (torch.rand(1, channels, rate // 2) - 0.5).half()
    clip = convert.clip_of({"waveform": waveform, "sample_rate": rate})
    assert clip.rate == 16_000
    assert abs(len(clip.samples) - 8000) <= 1
    assert convert.sound_of({"waveform": waveform, "sample_rate": rate}).waveform.shape == (channels, rate // 2)


@pytest.mark.parametrize(
    ("audio", "words"),
    [
        (None, "no sound"),
        ({"sample_rate": 16000}, "no sound"),
        ({"waveform": torch.zeros(1, 1, 0), "sample_rate": 16000}, "no samples"),
        ({"waveform": torch.zeros(2, 1, 9), "sample_rate": 16000}, "one sound"),
        ({"waveform": torch.full((1, 1, 9), torch.nan), "sample_rate": 16000}, "NaN"),
    ],
)
def test_unusable_sounds_are_refused(pack, convert, audio, words) -> None:
    with pytest.raises(error(pack, "MediaError"), match=words):
        convert.clip_of(audio)


def test_latents_keep_their_numbers(pack, convert) -> None:
    samples = torch.randn(3, 4, 32, 32)
    assert torch.equal(convert.latents_of(convert.latent_of(samples)), samples)
    for shape in ((3, 16, 32, 32), (3, 4, 8, 32, 32), (0, 4, 32, 32)):
        with pytest.raises(error(pack, "ModelError"), match="SD 1"):
            convert.latents_of({"samples": torch.zeros(shape)})


def test_masks_are_counted(pack, convert) -> None:
    assert convert.masks_of(torch.rand(8, 6), 3).shape == (8, 6)
    assert convert.masks_of(torch.rand(1, 8, 6), 3).shape == (8, 6)
    assert convert.masks_of(torch.rand(3, 8, 6).half(), 3).shape == (3, 8, 6)
    for count in (2, 4):
        with pytest.raises(error(pack, "OptionError"), match="3 frames"):
            convert.masks_of(torch.rand(count, 8, 6), 3)


def test_landmarks_of_the_host(pack, convert) -> None:
    face = {"landmarks_xy": np.random.default_rng(0).uniform(0, 99, (478, 2)), "bbox_xyxy": np.zeros(4), "score": 0.9}
    given_landmarks = {"frames": [[face, face], [], [face]], "image_size": (100, 120)}
    found = convert.landmarks_of(given_landmarks, 100, 120)
    assert [faces.shape for faces in found] == [(2, 478, 2), (0, 478, 2), (1, 478, 2)]
    for bad, size in ((given_landmarks, (100, 100)), ([], (100, 120))):
        with pytest.raises(error(pack, "FaceError")):
            convert.landmarks_of(bad, *size)


def test_boxes_of_the_host(pack, convert) -> None:
    box = {"x": 3, "y": 4, "width": 10, "height": 20}
    for one in (box, [box], [[box]]):  # as ComfyUI's own nodes take them
        assert [boxes.tolist() for boxes in convert.boxes_of(one, 2)] == [[[3, 4, 13, 24]]] * 2
    assert [len(boxes) for boxes in convert.boxes_of([[box, box], [], [box]], 3)] == [2, 0, 1]
    with pytest.raises(error(pack, "FaceError"), match="3 frames"):
        convert.boxes_of([[box, box], [], [box]], 4)


def test_widgets_say_what_the_options_say(pack, options) -> None:
    module = pack.core("face.options")
    widgets = {port.id: port for port in options.inputs_of(module.TrackOptions)}
    specs = pack.core("options").option_specs(module.TrackOptions)
    assert list(widgets) == [options.widget_name(spec.name) for spec in specs]
    assert widgets["speaker_selection"].more["options"] == ["largest", "index", "coordinates", "all"]
    assert (widgets["yaw_limit"].default, widgets["yaw_limit"].more["max"]) == (50.0, 90.0)
    defaults = {name: port.default for name, port in widgets.items()}
    assert options.options_of(module.TrackOptions, defaults) == module.TrackOptions()
    chosen = options.options_of(module.TrackOptions, {"speaker_selection": "coordinates", "speaker_x": 5, "other": 1})
    assert (chosen.selection, chosen.point_x) == ("point", 5)
    with pytest.raises(error(pack, "OptionError")):
        options.options_of(module.TrackOptions, {"yaw_limit": 500})


def test_extra_margin_counts_pixels(pack, options) -> None:
    crop, recipes = pack.core("face.crop"), pack.core("models.recipe").RECIPES
    widget = {port.id: port for port in options.inputs_of(crop.CropOptions)}["extra_margin"]
    assert widget.default == 10
    assert options.options_of(crop.CropOptions, {"extra_margin": 10}) == crop.CropOptions()
    own = {"extra_margin": options.MODEL_MARGIN}
    assert options.crop_options_of(own, recipes["1.0"]).chin_margin == 0
    assert options.crop_options_of(own, recipes["1.5"]).chin_margin == recipes["1.5"].chin_margin
    assert options.crop_options_of({"extra_margin": 0}, recipes["1.5"]).chin_margin == 0


def test_a_video_in_memory_becomes_a_file_once(pack, portrait_clip) -> None:
    video, core = pack.bridge("video"), pack.core("video.write")
    path = video.new_video_path(".mkv")
    clock = pack.core("timeline").Clock.regular(5, Fraction(25))
    frames = portrait_clip.read(range(5))
    with core.VideoWriter(path, 320, 320, clock, core.WriteOptions(lossless=True)) as writer:
        writer.write(frames)
    host = video.InputImpl
    content = io.BytesIO(path.read_bytes())
    for file in (str(path), content, content):
        footage = video.footage_of_video(host.VideoFromFile(file, start_time=0.04, duration=0.12))
        assert np.array_equal(footage.read(range(3)), frames[1:4])
    assert len(list(path.parent.glob("*.video"))) == 1
    assert len(video.footage_of_video(host.VideoFromFile(str(path))).clock) == 5
