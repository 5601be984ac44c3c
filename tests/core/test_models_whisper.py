"""The Whisper encoder: transformers' mathematics under versions 4 and 5, every layout, and never the wrong Whisper."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperModel

from musetalk_core.errors import MediaError, ModelError
from musetalk_core.models.load import load_audio_encoder
from musetalk_core.models.whisper import WhisperEncoder
from musetalk_core.placement import SingleDevice

CPU = SingleDevice("cpu", "fp32")
TINY = {"d_model": 384, "encoder_layers": 4, "encoder_attention_heads": 6, "encoder_ffn_dim": 1536}
DECODER = {"decoder_layers": 1, "decoder_attention_heads": 6, "decoder_ffn_dim": 32}
TO_OPENAI = (
    ("embed_positions.weight", "positional_embedding"),
    ("self_attn_layer_norm", "attn_ln"),
    ("final_layer_norm", "mlp_ln"),
    ("layer_norm", "ln_post"),
    ("layers.", "blocks."),
    ("self_attn.q_proj", "attn.query"),
    ("self_attn.k_proj", "attn.key"),
    ("self_attn.v_proj", "attn.value"),
    ("self_attn.out_proj", "attn.out"),
    ("fc1", "mlp.0"),
    ("fc2", "mlp.2"),
)


@pytest.fixture(scope="module")
def tiny_en(assets: Path) -> dict[str, torch.Tensor]:
    return load_file(assets / "weights" / "whisper_tiny_en_encoder_fp16.safetensors")


@pytest.fixture(scope="module")
def encoder(assets: Path) -> WhisperEncoder:
    return load_audio_encoder(assets / "weights" / "whisper_tiny_en_encoder_fp16.safetensors", CPU)


@pytest.fixture(scope="module")
def jfk(assets: Path) -> np.ndarray:
    import librosa

    samples, _ = librosa.load(assets / "audio" / "jfk.flac", sr=16_000, mono=True)
    return samples.astype(np.float32)


def openai(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    found = {}
    for name, value in tensors.items():
        renamed = name
        for new, old in TO_OPENAI:
            renamed = renamed.replace(new, old)
        found[f"encoder.{renamed}"] = value
    return found


def other(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights of the same shapes that are not tiny.en's."""
    return {name: value + 0.01 for name, value in tensors.items()}


def test_all_five_states_equal_transformers(
    tiny_en: dict[str, torch.Tensor], encoder: WhisperEncoder, jfk: np.ndarray
) -> None:
    model = WhisperModel(WhisperConfig(**TINY, **DECODER)).eval()
    model.encoder.load_state_dict(tiny_en)
    features = WhisperFeatureExtractor()(jfk, sampling_rate=16_000, return_tensors="pt").input_features
    normalised = []
    model.encoder.layer_norm.register_forward_hook(lambda _module, _inputs, output: normalised.append(output))
    with torch.no_grad():
        expected = model.encoder(features, output_hidden_states=True).hidden_states
    found = encoder.encode(jfk)
    assert found.shape == (1500, 5, 384)
    assert len(expected) == 5
    for state in range(5):
        assert (found[:, state] - expected[state][0]).abs().max() <= 1e-5
    assert (found[:, 4] - normalised[0][0]).abs().max() <= 1e-5  # the last state is the normalised one


def test_the_last_state_is_normalised_under_any_flag(encoder: WhisperEncoder, jfk: np.ndarray) -> None:
    before = encoder.encode(jfk)
    encoder.network.config.tie_last_hidden_states = False
    try:
        assert torch.equal(encoder.encode(jfk), before)
    finally:
        encoder.network.config.tie_last_hidden_states = True


def test_half_precision_short_and_long_sound(encoder: WhisperEncoder, jfk: np.ndarray) -> None:
    exact = encoder.encode(jfk)
    half = encoder.encode(jfk, torch.bfloat16)
    assert half.dtype == torch.float32
    assert (half - exact).norm() / exact.norm() < 0.05
    half += 1  # not a tensor of inference mode
    assert encoder.encode(jfk[:1]).isfinite().all()
    with pytest.raises(MediaError, match=r"30.00 s of sound is longer than 30 s"):
        encoder.encode(np.zeros(480_001, np.float32))


def whole(prefix: str, tensors: dict[str, torch.Tensor], words: int) -> dict[str, torch.Tensor]:
    decoder = {f"{prefix}decoder.embed_tokens.weight": torch.zeros(words, 1, dtype=torch.float16)}
    return {f"{prefix}encoder.{name}": value.clone() for name, value in tensors.items()} | decoder


@pytest.mark.parametrize(("words", "identity"), [(51864, "whisper-tiny.en"), (51865, "whisper-tiny")])
@pytest.mark.parametrize("layout", ["model.", "", "openai", "config.json"])
def test_every_layout_tells_which_whisper_it_is(
    tiny_en: dict[str, torch.Tensor], tmp_path: Path, layout: str, words: int, identity: str
) -> None:
    tensors = other(tiny_en)
    path = tmp_path / "w.pt"
    if layout == "openai":
        torch.save({"dims": {"n_vocab": words, "n_mels": 80}, "model_state_dict": openai(tensors)}, path)
    elif layout == "config.json":
        path = tmp_path / "w.safetensors"
        save_file(tensors, str(path))
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "whisper", "vocab_size": words}))
    else:
        torch.save(whole(layout, tensors, words), path)
    found = load_audio_encoder(path, CPU)
    assert found.identity == identity
    assert (found.layers, found.width) == (4, 384)
    assert {name: value.shape for name, value in found.network.state_dict().items()} == {
        name: value.shape for name, value in tiny_en.items()
    }
    assert all(torch.equal(value, tensors[name]) for name, value in found.network.state_dict().items())


def test_a_whole_model_saved_by_transformers(tmp_path: Path) -> None:
    model = WhisperForConditionalGeneration(WhisperConfig(**TINY, **DECODER, vocab_size=51865))
    model.save_pretrained(tmp_path)
    found = load_audio_encoder(tmp_path / "model.safetensors", CPU)
    assert found.identity == "whisper-tiny"
    assert torch.equal(found.network.conv1.weight, model.model.encoder.conv1.weight)


def test_an_encoder_alone_is_known_by_content(tiny_en: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = tmp_path / "encoder.safetensors"
    save_file({name: value.float() for name, value in tiny_en.items()}, str(path))
    assert load_audio_encoder(path, CPU).identity == "whisper-tiny.en"
    save_file(other(tiny_en), str(path))
    with pytest.raises(ModelError, match="does not tell which Whisper it is"):
        load_audio_encoder(path, CPU)
    (tmp_path / "config.json").write_text("{ not JSON")
    with pytest.raises(ModelError, match="does not tell which Whisper it is"):
        load_audio_encoder(path, CPU)


def test_an_incomplete_encoder_is_refused(tiny_en: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = tmp_path / "encoder.safetensors"
    save_file({name: value for name, value in tiny_en.items() if name != "layer_norm.bias"}, str(path))
    with pytest.raises(ModelError, match=r"not a Whisper encoder: 1 of 67 keys are missing \(first: layer_norm.bias\)"):
        load_audio_encoder(path, CPU)
