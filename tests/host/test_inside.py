"""The nodes in a real ComfyUI's process: its VAE, its MODEL and what other nodes do to it, its memory manager."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[2]
LONGEST_IMPORT = 2.0  # seconds of processor time, as never 1 says


@pytest.fixture(scope="module")
def facts(host: Any, base: Path) -> dict[str, Any]:
    """Everything that `inside/facts.py` saw."""
    found = dict(host.script("facts.py", base))
    print(found)  # noqa: T201
    return found


@pytest.mark.parametrize("folder", ["comfyui-musetalk-main", "comfyui-musetalk"])
def test_import(host: Any, base: Path, tmp_path: Path, folder: str) -> None:
    try:
        (tmp_path / folder).symlink_to(REPO, target_is_directory=True)
    except OSError:
        pytest.skip("this system does not let us link")
    found = host.script("start.py", base, tmp_path / folder)
    print({name: value for name, value in found.items() if name != "nodes"})  # noqa: T201
    assert found["import_seconds"] < LONGEST_IMPORT
    assert found["changed"] in (["keys"], ["keys", "modules"])
    assert found["new_keys"] == ["musetalk"]
    assert found["old_keys_same"]
    assert {"nodes", "musetalk_core"} & set(found["new_modules"]) == set()
    assert found["written"] == []
    assert len(found["nodes"]) == 18


def test_the_graph_is_the_core(facts: dict[str, Any]) -> None:
    assert facts["frames"] == 4  # 0.15 s at 25 frames a second
    assert facts["lips_difference"] < 1e-3  # of latents up to 20
    assert facts["picture_difference"] < 1 / 255
    assert facts["native_decode_difference"] < 1e-4
    assert facts["native_encode_difference"] < 1e-4


def test_what_other_nodes_put_on_the_model(facts: dict[str, Any]) -> None:
    assert facts["wrapper_calls"] == 1
    assert facts["wrapper_difference"] < 1e-4
    assert facts["lora_effect"] > 0.01
    assert facts["lora_difference"] < 1e-2 * facts["lora_effect"]
    assert facts["after_lora_difference"] == 0
    assert facts["saved_difference"] < 1e-2 * facts["lora_effect"]


def test_samplers_are_refused_in_one_sentence(facts: dict[str, Any]) -> None:
    assert facts["sampler"] == (
        "MuseTalk nano (embedded) paints lips in one step and is not for samplers. "
        "Connect it to MuseTalk Generate Lips."
    )


def test_tiny_vaes_of_other_models_are_refused(facts: dict[str, Any]) -> None:
    assert facts["tiny_xl"] == (
        "This tiny VAE is for latents of scale 0.1303 (SDXL: 0.1303); MuseTalk takes those of Stable Diffusion 1 "
        "(0.18215). Load taesd in place of taesdxl."
    )


def test_sounds_of_any_length_in_the_native_node(facts: dict[str, Any]) -> None:
    assert facts["long_sound"] == [[1, 1550, 384], 5]
    assert facts["long_speech"] == [1550, 5, 384]


def test_precision(facts: dict[str, Any]) -> None:
    assert facts["half_weights"] == ["torch.bfloat16"]
    assert 0 < facts["repeat_difference"] < facts["half_difference"] < 0.1


def test_unload_models(facts: dict[str, Any]) -> None:
    assert {"LipModel", "TinyStage", "WhisperEncoder"} <= set(facts["loaded"])
    assert facts["loaded_after_unload"] == 0
    assert facts["after_unload_difference"] == 0


@pytest.mark.slow
def test_torch_compile(host: Any, base: Path) -> None:
    assert host.script("facts.py", base, "--compile")["compile_difference"] < 1e-4


def test_half_precision_between_nodes(host: Any, base: Path) -> None:
    facts = host.script("half.py", base)
    print(facts)  # noqa: T201
    assert facts["types"] == ["torch.float16"]
    assert facts["finite"]
    assert facts["difference"]["image"] < 0.2  # levels: rounding to 11 bits
    assert facts["difference"]["images"] < 2  # rule 9, half precision
    assert facts["difference"]["spoken"] < 2


@pytest.mark.slow
def test_released_sizes(host: Any, base: Path) -> None:
    """Needs 12 GB of memory, 4 GB of disk, and minutes."""
    facts = host.script("full_size.py", base)
    print(facts)  # noqa: T201
    assert facts["frames"] == 4
    assert facts["picture_difference"] <= 1  # levels
    assert facts["face_difference"] <= 1
    assert facts["outside_difference"] == 0
    assert facts["inside_change"] > 10  # it paints
