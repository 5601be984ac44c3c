"""Chunked, checkpointed decoding gives the plain gradients; training feeds the U-Net as inference does."""

from __future__ import annotations

import pytest
import torch

from musetalk_core.models.load import empty_network
from musetalk_core.models.recipe import NANO_UNET, RECIPES
from musetalk_core.models.unet import LipNet
from musetalk_core.models.vae import KLAutoencoder
from musetalk_core.placement import SingleDevice
from musetalk_core.training.features import RandomFeatures
from musetalk_core.training.losses import perceptual_loss, pixel_loss
from musetalk_core.training.memory import in_chunks
from musetalk_core.training.networks import TrainableLips, freeze, pixel_decoder

SMALL_KL = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (16, 16, 32, 32),
    "layers_per_block": 1,
    "latent_channels": 4,
    "norm_num_groups": 8,
}


def _filled(network: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(seed)
    network.to_empty(device="cpu")
    for name, parameter in network.named_parameters():
        with torch.no_grad():
            if parameter.dim() > 1:
                parameter.normal_(0, (1 / parameter[0].numel()) ** 0.5, generator=generator)
            else:
                parameter.fill_(float("norm" in name and name.endswith("weight")))
    return network


@pytest.fixture(scope="module")
def vae() -> KLAutoencoder:
    found = KLAutoencoder(_filled(empty_network("AutoencoderKL", SMALL_KL)), "test", SingleDevice("cpu", "fp32"))
    freeze(found, torch.device("cpu"))
    return found


@pytest.fixture(scope="module")
def unet() -> torch.nn.Module:
    return _filled(empty_network("UNet2DConditionModel", NANO_UNET))


def _inputs(frames: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    sizes = [(4, 8, 8), (4, 8, 8), (50, 384)]
    return [torch.randn(frames, *size, generator=generator) for size in sizes]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_chunked_checkpointed_gradients_equal_the_plain_ones(vae, unet, size):
    decode, features = pixel_decoder(vae), RandomFeatures()
    target = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(9)) * 2 - 1

    def gradients(chunk: int, checkpointed: bool) -> list[torch.Tensor]:
        lips = TrainableLips(unet, checkpointed)
        if not checkpointed:
            unet.disable_gradient_checkpointing()
        lips.train()
        unet.zero_grad()
        made = in_chunks(decode, lips(*_inputs(3)), size=chunk)
        loss = in_chunks(lambda a, b: pixel_loss(a, b) + perceptual_loss(a, b, features), made, target, size=chunk)
        loss.mean().backward()
        return [p.grad.clone() for p in unet.parameters() if p.grad is not None]

    plain, ours = gradients(0, False), gradients(size, True)
    assert len(plain) == len(ours) > 100
    scale = torch.cat([g.flatten() for g in plain]).norm()
    difference = torch.cat([(a - b).flatten() for a, b in zip(plain, ours, strict=True)]).norm()
    assert scale > 0
    assert difference / scale <= 1e-5


def test_chunks_keep_no_inner_values(vae):
    decode = pixel_decoder(vae)

    def saved(size: int) -> int:
        bytes_kept = 0

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal bytes_kept
            bytes_kept += tensor.numel() * tensor.element_size()
            return tensor

        latents = torch.randn(4, 4, 8, 8, requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            in_chunks(decode, latents, size=size)
        return bytes_kept

    assert saved(1) < 0.05 * saved(0)


def test_defect_01_training_adds_the_position_code_as_inference_does(unet):
    inputs = _inputs(2)
    trained = TrainableLips(unet).eval()(*inputs)
    unet.eval()
    inference = LipNet(unet, RECIPES["nano"], SingleDevice("cpu", "fp32"))(*inputs)
    assert torch.allclose(trained, inference, atol=1e-5 * float(inference.abs().max()))
    lips = TrainableLips(unet)
    lips.position.zero_()  # the released trainer
    assert not torch.allclose(lips(*inputs), inference, atol=1e-3 * float(inference.abs().max()))


def test_the_pixel_decoder_is_the_vae_without_the_clamp(vae):
    latents = torch.randn(2, 4, 8, 8)
    assert torch.allclose(pixel_decoder(vae)(latents).clamp(-1, 1), vae.decode(latents), atol=1e-5)
