"""From a sound to frames that speak: in one node, in a chain, by a saved avatar."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

MODEL = "random/unet.safetensors"
FRAMES = 10


@pytest.fixture(scope="module")
def sample(pack: Any) -> Any:
    """VIDEO, IMAGE, AUDIO: ten frames of a drawn person, half as much again of sound."""
    video, image, _ = pack.run("MuseTalkSamplePortrait", seconds=FRAMES / 25, width=200, height=176)
    return video, image, pack.run("MuseTalkSamplePortrait", seconds=1.5 * FRAMES / 25, width=128, height=128)[2]


@pytest.fixture(scope="module")
def faces(pack: Any, sample: Any) -> Any:
    return pack.run("MuseTalkTrackFaces", image=sample[1])[0]


@pytest.fixture(scope="module")
def parts(pack: Any) -> Any:
    """MODEL, VAE, AUDIO_ENCODER."""
    model = pack.run("MuseTalkLoadModel", model=MODEL)[0]
    vae = pack.run("MuseTalkLoadVAE", vae="random/vae.safetensors")[0]
    return model, vae, pack.run("MuseTalkLoadAudioEncoder", audio_encoder="random/audio_encoder.safetensors")[0]


@pytest.fixture(scope="module")
def discrete(pack: Any, sample: Any, faces: Any, parts: Any) -> Any:
    """Frames of the discrete graph, its mask, and the frames that they were made of."""
    (_, image, audio), (model, vae, encoder) = sample, parts
    (crops,) = pack.run("MuseTalkCropFaces", image=image, faces=faces)
    masked, reference = pack.run("MuseTalkEncodeFaces", face_images=crops, vae=vae)
    (speech,) = pack.run("MuseTalkEncodeAudio", audio=audio, audio_encoder=encoder)
    (lips,) = pack.run("MuseTalkGenerateLips", model=model, masked=masked, reference=reference, speech=speech)
    (spoken,) = pack.run("MuseTalkDecodeFaces", latent=lips, vae=vae)
    (masks,) = pack.run("MuseTalkMaskFaces", faces=faces)
    images, shown = pack.run(
        "MuseTalkBlendFaces", image=image, face_images=spoken, faces=faces, speech=speech, mask=masks
    )
    source = pack.core("pipeline.blend").clip_timeline(FRAMES, speech).source
    return images, shown, image[source]


def frames_of(pack: Any, video: Any) -> np.ndarray:
    footage = pack.bridge("video").footage_of_video(video)
    return footage.read(range(len(footage.clock))).astype(np.float32) / 255


def test_one_node_and_the_chain_agree(pack: Any, sample: Any, discrete: Any) -> None:
    images, shown, source = discrete
    assert len(images) == 15
    for batch in (8, 3):
        video, report = pack.run(
            "MuseTalkDubVideo", video=sample[0], audio=sample[2], model_name=MODEL, lossless=True, batch_size=batch
        )
        dubbed = frames_of(pack, video)
        assert np.abs(dubbed - images.numpy()).max() <= 1.5 / 255  # rule 9, and half a level of rounding to 8 bit
        assert np.abs(dubbed - source.numpy())[shown.numpy() == 0].max() < 0.5 / 255
        assert np.abs(dubbed - source.numpy()).max() > 20 / 255
        assert report.splitlines()[0].startswith("15 frames, 0.60 s")
        assert "15 frames speak" in report
    assert not list((pack.base / "temp").glob(".*")), "a hidden file is left"


def test_an_avatar_speaks_as_the_chain_does(pack: Any, sample: Any, faces: Any, parts: Any, discrete: Any) -> None:
    _, image, audio = sample
    (avatar,) = pack.run("MuseTalkPrepareAvatar", image=image, faces=faces, vae=parts[1], embed_frames=True)
    _, file = pack.run("MuseTalkSaveAvatar", avatar=avatar)
    again = pack.run("MuseTalkSaveAvatar", avatar=avatar)[1]
    assert file != again
    load = pack.nodes["MuseTalkLoadAvatar"]
    name = Path(file).relative_to(pack.base / "output").as_posix() + " [output]"
    assert name in load.define_schema().inputs[0].more["options"]
    (loaded,) = pack.run("MuseTalkLoadAvatar", avatar=name)
    assert load.fingerprint_inputs(name) == Path(file).stat().st_mtime
    for given in (
        {"image": image, "model_name": MODEL},
        {"model": parts[0], "vae": parts[1], "audio_encoder": parts[2]},
    ):
        (images,) = pack.run("MuseTalkSpeak", avatar=loaded, audio=audio, **{"model_name": "nano", **given})
        assert (images - discrete[0]).abs().max() <= 1 / 255
    with pytest.raises(pack.core("errors").AvatarError, match="another source"):
        pack.run("MuseTalkSpeak", avatar=loaded, audio=audio, model_name=MODEL, image=image.flip(0))


@pytest.mark.parametrize("name", ["../../etc/passwd [output]", "/etc/passwd [input]", "x", "", "a.safetensors [temp]"])
def test_avatars_lie_in_their_folders_only(pack: Any, name: str) -> None:
    with pytest.raises(pack.core("errors").AvatarError):
        pack.run("MuseTalkLoadAvatar", avatar=name)


def test_a_trimmed_video_from_a_file(pack: Any, sample: Any) -> None:
    whole, _ = pack.run("MuseTalkDubVideo", video=sample[0], audio=sample[2], model_name=MODEL, lossless=True)
    trimmed = pack.bridge("video").InputImpl.VideoFromFile(whole.get_stream_source(), start_time=0.08, duration=0.2)
    video, report = pack.run("MuseTalkDubVideo", video=trimmed, audio=sample[2], model_name=MODEL, sync_mode="cut_off")
    assert len(frames_of(pack, video)) == 5
    assert report.startswith("5 frames, 0.20 s")


def test_progress_shows_the_face_and_cancel_leaves_nothing(pack: Any, sample: Any) -> None:
    import comfy.model_management as host  # the stub, once the fixture has put it there
    import comfy.utils

    bar = comfy.utils.ProgressBar
    bar.updates.clear()
    inputs = {"video": sample[0], "audio": sample[2], "model_name": MODEL, "batch_size": 4}
    pack.run("MuseTalkDubVideo", **inputs)
    value, total, preview = bar.updates[-1]
    assert value == total == 15
    assert preview[1].size == (256, 256)
    temp = pack.base / "temp"
    before = set(temp.iterdir())
    plain = bar.update_absolute
    for stage in (1, 12):  # while faces are looked for; while frames are written
        seen = []

        def press(self: Any, *args: Any, stage: int = stage, seen: list = seen, **words: Any) -> None:
            plain(self, *args, **words)
            seen.append(0)
            host.interrupt_current_processing(len(seen) >= min(stage, 3))

        bar.update_absolute = press
        try:
            with pytest.raises(host.InterruptProcessingException):
                pack.run("MuseTalkDubVideo", **inputs)
        finally:
            bar.update_absolute = plain
            host.interrupt_current_processing(False)
        assert set(temp.iterdir()) == before


def test_what_the_user_reads(pack: Any, sample: Any) -> None:
    errors = pack.core("errors")
    inputs = {"video": sample[0], "audio": sample[2], "model_name": MODEL}
    silent = {"waveform": torch.zeros(1, 1, 0), "sample_rate": 16000}
    for change, kind, words in (
        ({"audio": silent}, errors.MediaError, "no samples"),
        ({"model_name": "1.5"}, errors.ModelError, "MuseTalk 1.5"),
        ({"parsing_mode": "jaw"}, errors.ModelError, "face parser"),
        ({"bbox_shift": 7}, errors.OptionError, "bbox_shift"),
        ({"mask": torch.ones(1, 64, 64)}, errors.OptionError, "64"),
        ({"mask": torch.ones(3, 176, 200)}, errors.OptionError, "MASK"),
        ({"speaker_selection": "index", "face_index": 3}, errors.FaceError, "number 3"),
    ):
        with pytest.raises(kind, match=words):
            pack.run("MuseTalkDubVideo", **inputs | change)


def test_samples_are_repeatable(pack: Any) -> None:
    video, image, audio = pack.run("MuseTalkSamplePortrait", seconds=0.2, people=2, width=256, height=128, fps=29.97)
    assert image.shape == (6, 128, 256, 3)
    assert video.get_components().images is image
    assert audio["waveform"].shape == (1, 1, round(6 * 1001 / 30000 * 16000))
    again = pack.run("MuseTalkSamplePortrait", seconds=0.2, people=2, width=256, height=128, fps=29.97)
    assert torch.equal(again[1], image)
    other = pack.run("MuseTalkSamplePortrait", seconds=0.2, people=2, width=256, height=128, fps=29.97, seed=8)
    assert not torch.equal(other[1], image)
