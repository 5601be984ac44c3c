"""The embedded model: it loads, rebuilds faces, follows the sound, and closes its mouth."""

from fractions import Fraction

import numpy as np
import pytest

from musetalk_core.audio.encode import encode_speech
from musetalk_core.audio.read import read_audio
from musetalk_core.audio.windows import speech_starts, tokens
from musetalk_core.eval.mouth import mouth_curves
from musetalk_core.eval.probe import Recording, sync_probe
from musetalk_core.face.crop import CropOptions
from musetalk_core.face.options import TrackOptions
from musetalk_core.face.track import track_faces
from musetalk_core.lips.decode import decode_faces
from musetalk_core.lips.encode import encode_faces
from musetalk_core.lips.generate import generate_lips
from musetalk_core.models.load import LoadedModel, load_model
from musetalk_core.models.registry import FolderLocator
from musetalk_core.pipeline.faces import crop_faces
from musetalk_core.placement import SingleDevice
from musetalk_core.portraits.footage import portrait_footage
from musetalk_core.portraits.sample import SAMPLE_SEED, sample_speech
from musetalk_core.progress import SilentProgress
from musetalk_core.timeline import Clock
from musetalk_core.video.read import ArrayFootage

FPS = Fraction(25)
SPOKEN, STILL = 150, 5  # frames of the sample speech; of one head


@pytest.fixture(scope="module")
def nano(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """The model as the package brings it; no other folder is asked."""
    return load_model("nano", FolderLocator(tmp_path_factory.mktemp("empty")), SingleDevice("cpu", "fp32"))


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    """(5, 256, 256, 3) crops of a drawn person it was not trained on."""
    portrait = portrait_footage(SAMPLE_SEED, STILL / 25, FPS)
    frames = portrait.read(range(STILL))
    footage = ArrayFootage(frames, portrait.clock.fps)
    track = track_faces(footage, TrackOptions(), CropOptions(), SilentProgress())[0]
    return crop_faces(frames, range(STILL), track, 256)


def test_it_is_nano_and_hears_with_its_own_encoder(nano: LoadedModel) -> None:
    assert nano.recipe.name == "nano"
    assert nano.audio.identity == nano.recipe.audio_encoder


def test_its_vae_rebuilds_a_drawn_face(nano: LoadedModel, crops: np.ndarray) -> None:
    back = decode_faces(encode_faces(crops, nano.vae, STILL).reference, nano.vae, STILL)
    error = np.square(back - crops / 255).mean()
    assert -10 * np.log10(error) > 28


@pytest.fixture(scope="module")
def said(nano: LoadedModel, crops: np.ndarray) -> np.ndarray:
    """(150, 256, 256, 3): one head's crop says the sample sentence."""
    speech = encode_speech(read_audio(sample_speech()), nano.audio, FPS)
    clock = Clock.regular(SPOKEN, FPS)
    latents = encode_faces(np.repeat(crops[:1], SPOKEN, axis=0), nano.vae, 8)
    lips = generate_lips(nano.lips, latents, tokens(speech, speech_starts(speech, clock)), 8)
    return np.asarray((decode_faces(lips, nano.vae, 8) * 255).round().astype(np.uint8))


@pytest.mark.slow
def test_mouths_follow_the_sound_and_the_rest_stays(said: np.ndarray, crops: np.ndarray) -> None:
    track = track_faces(ArrayFootage(said, FPS), TrackOptions(), CropOptions(), SilentProgress())[0]
    opening = mouth_curves(track).opening
    probe = sync_probe([Recording(opening, Clock.regular(len(opening), FPS), read_audio(sample_speech()))])
    assert probe is not None
    assert probe.peak_ms is not None
    assert probe.chance is not None
    assert abs(probe.peak_ms) <= 80  # six seconds tell no more
    assert probe.peak_r2 > max(0.1, probe.chance + 0.5)
    assert np.quantile(opening, 0.05) < 0.02  # it closes
    assert np.quantile(opening, 0.95) > 0.05  # and opens
    upper = np.abs(said[:, :96].astype(int) - crops[0, :96]).mean()
    assert upper < 6
