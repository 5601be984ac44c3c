"""A person's adapter: its file, what it adds to a U-Net, and whom it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from musetalk_core.errors import ModelError
from musetalk_core.models.adapter import Adapter, apply_adapter, load_adapter
from musetalk_core.models.checkpoint import read_checkpoint, save_safetensors

torch = pytest.importorskip("torch")

NAME = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"


@pytest.fixture
def unet():
    from musetalk_core.models.load import empty_network
    from musetalk_core.models.recipe import NANO_UNET

    torch.manual_seed(0)
    return empty_network("UNet2DConditionModel", NANO_UNET, "cpu")


@pytest.fixture
def adapter(unet) -> Adapter:
    outputs, inputs = unet.get_submodule(NAME).weight.shape
    return Adapter({NAME: (torch.randn(4, inputs), torch.randn(outputs, 4))}, "nano")


def test_an_adapter_comes_back_from_its_file_in_the_names_that_comfyui_reads(adapter, tmp_path):
    path = tmp_path / "adapter.safetensors"
    adapter.save(path)
    keys = set(read_checkpoint(path).tensors)
    assert keys == {f"diffusion_model.{NAME}.lora_A.weight", f"diffusion_model.{NAME}.lora_B.weight"}
    back = load_adapter(path)
    assert back.recipe == "nano"
    assert all(torch.equal(a, b) for a, b in zip(back.pairs[NAME], adapter.pairs[NAME], strict=True))


def test_it_adds_the_product_by_its_strength_and_touches_nothing_else(unet, adapter):
    before = {name: p.clone() for name, p in unet.named_parameters()}
    apply_adapter(unet, "nano", adapter, 0.5)
    down, up = adapter.pairs[NAME]
    for name, parameter in unet.named_parameters():
        added = 0.5 * up @ down if name == f"{NAME}.weight" else torch.zeros(())
        assert torch.allclose(parameter, before[name] + added)


def test_the_strength_that_other_programs_write_is_taken_in(adapter, tmp_path):
    down, up = adapter.pairs[NAME]
    tensors = {f"{NAME}.lora_A.weight": down, f"{NAME}.lora_B.weight": up, f"{NAME}.alpha": torch.tensor(2.0)}
    save_safetensors(tmp_path / "other.safetensors", tensors, {})
    back = load_adapter(tmp_path / "other.safetensors")
    assert back.recipe is None
    assert torch.allclose(back.pairs[NAME][1], up * (2.0 / 4))


def _of_another_shape(adapter: Adapter) -> Adapter:
    return Adapter({NAME: (torch.zeros(4, 3), torch.zeros(3, 4))}, adapter.recipe)


def test_it_refuses_another_u_net(unet, adapter):
    with pytest.raises(ModelError, match=r"trained for 1\.5"):
        apply_adapter(unet, "nano", Adapter(adapter.pairs, "1.5"))
    with pytest.raises(ModelError, match="does not fit"):
        apply_adapter(unet, "nano", _of_another_shape(adapter))
    with pytest.raises(ModelError, match="nobody"):
        apply_adapter(unet, "nano", Adapter({"nobody": adapter.pairs[NAME]}, None))


def test_a_network_that_has_run_already_runs_with_it(unet, adapter):
    from musetalk_core.placement import SingleDevice

    placement = SingleDevice("cpu", "bf16")
    with placement.lend(unet) as before:
        old = before.get_submodule(NAME).weight.clone()
    apply_adapter(unet, "nano", adapter)
    with placement.lend(unet) as after:
        assert not torch.equal(after.get_submodule(NAME).weight, old)


@pytest.mark.parametrize("tensors", [{}, {"conv_in.weight": 3}, {f"{NAME}.lora_A.weight": 4}])
def test_a_file_without_pairs_is_refused(tmp_path: Path, tensors):
    path = tmp_path / "x.safetensors"
    save_safetensors(path, {name: torch.zeros(size, 2) for name, size in tensors.items()}, {})
    with pytest.raises(ModelError):
        load_adapter(path)
