"""The nodes around the networks, on the stub: what they give is the core's own result, and what they refuse."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

FACES, SECONDS, RATE = 3, 0.2, 22_050


@pytest.fixture(scope="module")
def parts(pack: Any) -> Any:
    """The three networks as the loaders give them."""
    return SimpleNamespace(
        model=pack.run("MuseTalkLoadModel", model=str(Path("random/unet.safetensors")))[0],
        vae=pack.run("MuseTalkLoadVAE", vae=str(Path("random/vae.safetensors")))[0],
        audio_encoder=pack.run("MuseTalkLoadAudioEncoder", audio_encoder=str(Path("random/audio_encoder.safetensors")))[
            0
        ],
    )


@pytest.fixture(scope="module")
def audio() -> dict[str, Any]:
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 2, int(RATE * SECONDS)))
    return {"waveform": torch.tensor(noise, dtype=torch.float32), "sample_rate": RATE}


@pytest.fixture(scope="module")
def faces() -> torch.Tensor:
    return torch.tensor(np.random.default_rng(1).random((FACES, 256, 256, 3)), dtype=torch.float32)


@pytest.fixture
def uncancelled(pack: Any) -> Iterator[Any]:
    import comfy.model_management as host

    host.interrupt_current_processing(False)
    yield host
    host.interrupt_current_processing(False)


def test_the_graph_is_the_core(pack: Any, parts: Any, audio: Any, faces: torch.Tensor) -> None:
    speech = pack.run("MuseTalkEncodeAudio", audio=audio, audio_encoder=parts.audio_encoder, sync_mode="bounce")[0]
    masked, reference = pack.run("MuseTalkEncodeFaces", face_images=faces, vae=parts.vae)
    before = masked["samples"].clone()
    lips = pack.run("MuseTalkGenerateLips", model=parts.model, masked=masked, reference=reference, speech=speech)[0]
    pictures = pack.run("MuseTalkDecodeFaces", latent=lips, vae=parts.vae)[0]
    assert torch.equal(masked["samples"], before)

    core = pack.core("models.load").load_model(
        str(pack.base / "models" / "musetalk" / "random"),
        pack.core("models.registry").FolderLocator(),
        pack.core("placement").SingleDevice("cpu", "fp32"),
    )
    clip = pack.core("audio.resample").speech_clip(audio["waveform"][0].numpy(), RATE)
    own = pack.core("audio.encode").encode_speech(clip, core.audio, Fraction(25))
    timeline = pack.core("timeline")
    plan = timeline.plan(timeline.Clock.regular(FACES, own.fps), own.seconds, own.sync_mode)
    windows = pack.core("audio.windows")
    latents = pack.core("lips.encode").encode_faces(faces.numpy(), core.vae, 8)
    shown = pack.core("types").FaceLatents(latents.masked[plan.source], latents.reference[plan.source])
    tokens = windows.tokens(own, windows.speech_starts(own, plan.clock))
    expected = pack.core("lips.decode").decode_faces(
        pack.core("lips.generate").generate_lips(core.lips, shown, tokens, 8), core.vae, 8
    )
    assert len(plan) == 5  # 0.2 s at 25 frames a second
    assert pictures.shape == expected.shape
    assert np.abs(pictures.numpy() - expected).max() < 1e-5


def test_frames_after_the_sound_keep_their_face(pack: Any, parts: Any, audio: Any) -> None:
    speech = pack.run("MuseTalkEncodeAudio", audio=audio, audio_encoder=parts.audio_encoder)[0]
    latent = {"samples": torch.randn(7, 4, 32, 32)}
    one = {"samples": torch.randn(1, 4, 32, 32)}
    inputs = {"model": parts.model, "masked": latent, "speech": speech}
    lips = pack.run("MuseTalkGenerateLips", reference=latent, **inputs)[0]["samples"]
    assert torch.equal(lips[5:], latent["samples"][5:])
    assert not torch.equal(lips[:5], latent["samples"][:5])
    assert len(pack.run("MuseTalkGenerateLips", reference=one, **inputs)[0]["samples"]) == 7


def test_crops_of_any_size_and_one_reference(pack: Any, parts: Any, faces: torch.Tensor) -> None:
    large = faces.repeat_interleave(2, 1).repeat_interleave(2, 2)
    plain = pack.run("MuseTalkEncodeFaces", face_images=faces, vae=parts.vae)
    again = pack.run("MuseTalkEncodeFaces", face_images=large, vae=parts.vae)
    assert torch.allclose(plain[1]["samples"], again[1]["samples"], atol=1e-4)
    masked, reference = pack.run("MuseTalkEncodeFaces", face_images=faces, vae=parts.vae, reference=faces[:1])
    assert torch.equal(masked["samples"], plain[0]["samples"])
    assert torch.equal(reference["samples"], plain[1]["samples"][:1].expand(FACES, -1, -1, -1))


def test_an_encoded_sound_is_a_sound(pack: Any, parts: Any, audio: Any) -> None:
    output = parts.audio_encoder.encode_audio(audio["waveform"], audio["sample_rate"])
    assert output["encoded_audio"].shape == (1, 10, 384)
    assert len(output["encoded_audio_all_layers"]) == 5
    direct = pack.run("MuseTalkEncodeAudio", audio=audio, audio_encoder=parts.audio_encoder, fps=29.97)[0]
    speech = pack.run("MuseTalkEncodeAudio", audio_encoder_output=output, fps=29.97)[0]
    assert speech.fps == Fraction(30_000, 1001)
    assert torch.equal(speech.steps, direct.steps)
    assert np.array_equal(speech.activity, direct.activity)


def test_what_is_refused(pack: Any, parts: Any, audio: Any, faces: torch.Tensor) -> None:
    error = pack.core("errors").MuseTalkError
    latent = {"samples": torch.zeros(2, 4, 32, 32)}
    speech = pack.run("MuseTalkEncodeAudio", audio=audio, audio_encoder=parts.audio_encoder)[0]
    lips = {"model": parts.model, "masked": latent, "reference": latent, "speech": speech}
    empty = {"waveform": torch.zeros(1, 1, 0), "sample_rate": 16_000}
    other = SimpleNamespace(model=SimpleNamespace())
    for node, inputs, message in (
        ("MuseTalkLoadModel", {"model": str(Path("random/vae.safetensors"))}, "not a MuseTalk U-Net"),
        ("MuseTalkLoadModel", {"model": "gone.pth"}, "There is no 'gone.pth' in"),
        ("MuseTalkLoadModel", {"model": "1.5"}, r"musetalkV15.unet\.pth, 3400 MB, from https://huggingface.co"),
        ("MuseTalkLoadVAE", {"vae": str(Path("random/unet.safetensors"))}, "is a MuseTalk U-Net, not a"),
        ("MuseTalkLoadAudioEncoder", {"audio_encoder": "whisper-tiny"}, "Whisper tiny, multilingual is not there"),
        ("MuseTalkLoadFaceParser", {}, "BiSeNet face parser, for the released masks is not there"),
        ("MuseTalkEncodeAudio", {"audio": audio}, "no sound to encode"),
        ("MuseTalkEncodeAudio", {"audio": audio, "audio_encoder": other}, "not trained with"),
        ("MuseTalkEncodeAudio", {"audio": empty, "audio_encoder": parts.audio_encoder}, "no samples"),
        ("MuseTalkEncodeAudio", {"audio_encoder_output": {"encoded_audio": None}}, "not trained with"),
        (
            "MuseTalkEncodeFaces",
            {"face_images": faces, "vae": SimpleNamespace(latent_channels=16, latent_dim=2)},
            "16 channels",
        ),
        ("MuseTalkEncodeFaces", {"face_images": faces, "vae": parts.vae, "reference": faces[:2]}, "do not match"),
        ("MuseTalkGenerateLips", {**lips, "model": other}, "not a MuseTalk U-Net"),
        ("MuseTalkGenerateLips", {**lips, "masked": {"samples": torch.zeros(2, 16, 4, 4)}}, r"\(2, 16, 4, 4\)"),
        ("MuseTalkGenerateLips", {**lips, "reference": {"samples": torch.zeros(3, 4, 32, 32)}}, "but 3 references"),
    ):
        with pytest.raises(error, match=message):
            pack.run(node, **inputs)


def test_another_encoder_is_refused_by_name(pack: Any, parts: Any, audio: Any) -> None:
    import dataclasses

    speech = pack.run("MuseTalkEncodeAudio", audio=audio, audio_encoder=parts.audio_encoder)[0]
    latent = {"samples": torch.zeros(2, 4, 32, 32)}
    inputs = {"model": parts.model, "masked": latent, "reference": latent}
    with pytest.raises(pack.core("errors").ModelError, match=r"whisper-tiny\.en, not of whisper-tiny"):
        pack.run("MuseTalkGenerateLips", speech=dataclasses.replace(speech, encoder="whisper-tiny"), **inputs)


def test_samplers_are_refused(pack: Any, parts: Any) -> None:
    with pytest.raises(pack.core("errors").ModelError, match="not for samplers"):
        parts.model.model.extra_conds(noise=None)


def test_cancel(pack: Any, parts: Any, faces: torch.Tensor, audio: Any, uncancelled: Any) -> None:
    speech = pack.run("MuseTalkEncodeAudio", audio=audio, audio_encoder=parts.audio_encoder)[0]
    latent = {"samples": torch.zeros(2, 4, 32, 32)}
    lips = {"model": parts.model, "masked": latent, "reference": latent, "speech": speech}
    for node, inputs in (
        ("MuseTalkEncodeAudio", {"audio": audio, "audio_encoder": parts.audio_encoder}),
        ("MuseTalkEncodeFaces", {"face_images": faces, "vae": parts.vae}),
        ("MuseTalkGenerateLips", lips),
        ("MuseTalkDecodeFaces", {"latent": latent, "vae": parts.vae}),
    ):
        uncancelled.interrupt_current_processing()
        with pytest.raises(uncancelled.InterruptProcessingException):
            pack.run(node, **inputs)


def test_a_cancel_is_heard_within_a_batch(
    pack: Any, parts: Any, faces: torch.Tensor, audio: Any, uncancelled: Any
) -> None:
    speech = pack.run("MuseTalkEncodeAudio", audio=audio, audio_encoder=parts.audio_encoder)[0]
    latent = {"samples": torch.zeros(2, 4, 32, 32)}
    lips = {"model": parts.model, "masked": latent, "reference": latent, "speech": speech}
    for node, inputs, network in (
        ("MuseTalkEncodeFaces", {"face_images": faces, "vae": parts.vae}, parts.vae.first_stage_model),
        ("MuseTalkDecodeFaces", {"latent": latent, "vae": parts.vae}, parts.vae.first_stage_model),
        ("MuseTalkGenerateLips", lips, parts.model.model.diffusion_model),
        (
            "MuseTalkEncodeAudio",
            {"audio": audio, "audio_encoder": parts.audio_encoder},
            parts.audio_encoder.encoder.network,
        ),
    ):
        layers = [module for module in network.modules() if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear))]
        ran: list[torch.nn.Module] = []

        def count(module: torch.nn.Module, *_: Any, ran: list[torch.nn.Module] = ran) -> None:
            uncancelled.interrupt_current_processing()
            ran.append(module)

        hooks = [layer.register_forward_hook(count) for layer in layers]
        try:
            with pytest.raises(uncancelled.InterruptProcessingException):
                pack.run(node, **inputs)
        finally:
            for hook in hooks:
                hook.remove()
        assert len(ran) == 1 < len(layers)  # the layer in which the user cancelled was the last
        pack.run(node, **inputs)  # and nothing of it stays


def test_tiny_vaes_of_other_models_are_refused(pack: Any, faces: torch.Tensor) -> None:
    stage = SimpleNamespace(vae_scale=torch.tensor(0.13025))
    vae = SimpleNamespace(latent_channels=4, latent_dim=2, downscale_ratio=8, first_stage_model=stage)
    with pytest.raises(pack.core("errors").ModelError, match="taesd in place of taesdxl"):
        pack.run("MuseTalkEncodeFaces", face_images=faces, vae=vae)


def test_progress(pack: Any, parts: Any, faces: torch.Tensor) -> None:
    import comfy.utils

    comfy.utils.ProgressBar.updates.clear()
    pack.run("MuseTalkEncodeFaces", face_images=faces, vae=parts.vae, batch_size=2)
    assert comfy.utils.ProgressBar.updates == [(2, 3, None), (3, 3, None)]
    progress = pack.bridge("host").HostProgress()
    progress.start("anything", 4)
    progress.advance(1, np.zeros((8, 6, 3), np.uint8))
    value, total, (kind, picture, size) = comfy.utils.ProgressBar.updates[-1]
    assert (value, total, kind, picture.size, size) == (1, 4, "JPEG", (6, 8), 512)
    progress.start("who knows how long", None)
    progress.advance()


def test_networks_are_lent_by_the_memory_manager(pack: Any, parts: Any) -> None:
    import comfy.model_management as host

    host.unload_all_models()
    parts.audio_encoder.encoder.encode(np.zeros(100, np.float32))
    assert [type(patcher.model).__name__ for patcher in host.current_loaded_models] == ["WhisperEncoder"]


def test_weights_that_half_precision_cannot_hold_stay(pack: Any) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    network[0].weight.data.fill_(1e6)
    pack.bridge("host").make_castable(network, torch.float16)
    assert [layer.weight.dtype for layer in network] == [torch.float32, torch.float16]
    assert not any(weight.requires_grad for weight in network.parameters())


def test_all_networks_of_a_name(pack: Any, parts: Any) -> None:
    models = pack.bridge("models")
    loaded = models.loaded_model(str(Path("random/unet.safetensors")))
    assert (loaded.recipe.name, loaded.audio.identity) == ("nano", "whisper-tiny.en")
    assert loaded.vae.identity == models.autoencoder_of(parts.vae).identity
    assert loaded.vae.identity.startswith("tiny-")
    joined = models.loaded_model("not looked at", parts.model, parts.vae, parts.audio_encoder)
    assert joined.lips.network is parts.model.model.diffusion_model
    assert joined.audio is parts.audio_encoder.encoder
