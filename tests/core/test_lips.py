"""Faces to latents to lips to pictures, on real networks of a few channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from musetalk_core.errors import FaceError, GenerationError
from musetalk_core.lips.decode import decode_faces
from musetalk_core.lips.encode import encode_faces
from musetalk_core.lips.generate import generate_lips
from musetalk_core.models.recipe import RECIPES
from musetalk_core.models.unet import LipNet, build_unet
from musetalk_core.models.vae import KLAutoencoder
from musetalk_core.placement import SingleDevice
from musetalk_core.types import FaceLatents

CPU = SingleDevice("cpu", "fp32")


class CountingVae(KLAutoencoder):
    """Remembers what it was given."""

    def encode(self, images: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        self.seen = [*getattr(self, "seen", []), images.clone()]
        return super().encode(images, dtype)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(4, 4, 4, 4),
        norm_num_groups=2,
        layers_per_block=1,
    )


@pytest.fixture
def vae(network: nn.Module) -> CountingVae:
    return CountingVae(network, "random", CPU)


@pytest.fixture(scope="module")
def lip_net() -> LipNet:
    torch.manual_seed(1)
    config: dict[str, Any] = {
        "sample_size": 32,
        "in_channels": 8,
        "out_channels": 4,
        "block_out_channels": (8, 8),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": 8,
        "attention_head_dim": 2,
        "norm_num_groups": 4,
    }
    network = build_unet(config).to_empty(device="cpu")
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    return LipNet(network, RECIPES["nano"], CPU)


def crops(count: int, seed: int = 0, size: int = 256) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


def latents(count: int, seed: int = 0) -> FaceLatents:
    generator = torch.Generator().manual_seed(seed)
    return FaceLatents(
        torch.randn(count, 4, 32, 32, generator=generator), torch.randn(count, 4, 32, 32, generator=generator)
    )


def test_the_vae_sees_the_masked_and_the_whole_face_in_one_call(vae: CountingVae) -> None:
    faces = crops(2)
    encode_faces(faces, vae, 8)
    (seen,) = vae.seen
    assert seen.shape == (4, 3, 256, 256)
    whole = torch.tensor(faces).permute(0, 3, 1, 2) / 127.5 - 1
    torch.testing.assert_close(seen[2:], whole)
    torch.testing.assert_close(seen[:2, :, :128], whole[:, :, :128])
    assert (seen[:2, :, 128:] == -1).all()


def test_latents_are_those_of_each_picture_alone(vae: CountingVae) -> None:
    faces = crops(3, size=64)
    result = encode_faces(faces, vae, 2)
    assert result.masked.shape == result.reference.shape == (3, 4, 8, 8)
    whole = torch.tensor(faces).permute(0, 3, 1, 2) / 127.5 - 1
    black = whole.clone()
    black[:, :, 32:] = -1
    torch.testing.assert_close(result.reference, vae.encode(whole), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(result.masked, vae.encode(black), atol=1e-5, rtol=1e-5)


def test_bytes_and_floats_are_the_same_face(vae: CountingVae) -> None:
    faces = crops(1, size=64)
    as_float = encode_faces(faces.astype(np.float32) / 255, vae, 1)
    torch.testing.assert_close(encode_faces(faces, vae, 1).reference, as_float.reference, atol=1e-5, rtol=1e-5)


def test_the_crops_are_left_alone(vae: CountingVae) -> None:
    faces = crops(2, size=64).astype(np.float32) / 255
    before = faces.copy()
    encode_faces(faces, vae, 1)
    assert (faces == before).all()


def test_another_frame_can_be_the_reference(vae: CountingVae) -> None:
    faces, others = crops(2, size=64), crops(2, seed=9, size=64)
    result = encode_faces(faces, vae, 4, reference=others)
    assert torch.equal(result.masked, encode_faces(faces, vae, 4).masked)
    assert torch.equal(result.reference, encode_faces(others, vae, 4).reference)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((256, 256, 3), np.uint8),
        np.zeros((0, 256, 256, 3), np.uint8),
        np.zeros((1, 256, 256, 4), np.uint8),
        np.zeros((1, 256, 256, 3), np.float64),
    ],
    ids=["one crop", "none", "alpha", "float64"],
)
def test_what_is_no_stack_of_crops_is_refused(vae: CountingVae, wrong: np.ndarray) -> None:
    with pytest.raises(FaceError, match="no stack of face crops"):
        encode_faces(wrong, vae, 1)


def test_references_that_do_not_match_are_refused(vae: CountingVae) -> None:
    with pytest.raises(FaceError, match="do not match"):
        encode_faces(crops(2), vae, 1, reference=crops(1))


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_lips_do_not_depend_on_the_batch(lip_net: LipNet, batch_size: int) -> None:
    faces, tokens = latents(5), torch.randn(5, 50, 8, generator=torch.Generator().manual_seed(2))
    lips = generate_lips(lip_net, faces, tokens, batch_size)
    assert lips.shape == (5, 4, 32, 32)
    for i in range(5):
        alone = lip_net(faces.masked[i : i + 1], faces.reference[i : i + 1], tokens[i : i + 1])
        torch.testing.assert_close(lips[i : i + 1], alone, atol=1e-4, rtol=1e-4)


def test_the_tokens_move_the_lips(lip_net: LipNet) -> None:
    faces = latents(1)
    quiet, loud = (generate_lips(lip_net, faces, torch.full((1, 50, 8), value), 1) for value in (0.0, 2.0))
    assert (quiet - loud).abs().max() > 1e-3


def test_another_number_of_windows_than_faces_is_refused(lip_net: LipNet) -> None:
    with pytest.raises(GenerationError, match="4 audio windows"):
        generate_lips(lip_net, latents(5), torch.zeros(4, 50, 8), 2)


def test_pictures_are_float32_from_0_to_1(vae: CountingVae) -> None:
    values = latents(3).reference[:, :, :8, :8] * 20
    pictures = decode_faces(values, vae, 2)
    assert pictures.shape == (3, 64, 64, 3)
    assert pictures.dtype == np.float32
    assert pictures.flags.c_contiguous
    raw = vae.decode(values)
    wanted = ((raw + 1) / 2).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(pictures, wanted, atol=1e-5)


class Overflowing(KLAutoencoder):
    """A decoder whose half-precision pictures hold infinite values, as weights that overflow fp16 give."""

    def decode(self, latents: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        images = super().decode(latents, dtype)
        return images if dtype is torch.float32 else images * 1e20 * 1e20


def test_infinite_pictures_are_made_again_and_never_shown(network: nn.Module) -> None:
    values = latents(2).reference[:, :, :8, :8]
    broken = decode_faces(values, Overflowing(network, "overflowing", CPU), 1)
    np.testing.assert_array_equal(broken, decode_faces(values, KLAutoencoder(network, "random", CPU), 1))
