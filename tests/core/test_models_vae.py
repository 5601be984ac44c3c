"""Autoencoders: every layout gives the same network, the border speaks unscaled latents, results do not vary."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from safetensors.torch import load_file, save_file

from musetalk_core.errors import ModelError
from musetalk_core.models import layouts
from musetalk_core.models.layouts import read_weights
from musetalk_core.models.load import load_vae
from musetalk_core.models.recipe import LATENT_SCALE
from musetalk_core.models.vae import OFFICIAL_KL, KLAutoencoder, build_autoencoder
from musetalk_core.placement import SingleDevice

SMALL_KL = {**OFFICIAL_KL, "block_out_channels": (32, 32, 64, 64)}
CPU = SingleDevice("cpu", "fp32")

# Today's names of diffusers to those of the latent diffusion code, written here from the other side than the library.
TO_LDM = (
    (r"^encoder\.down_blocks\.(\d)\.resnets", r"encoder.down.\1.block"),
    (r"^encoder\.down_blocks\.(\d)\.downsamplers\.0", r"encoder.down.\1.downsample"),
    (r"^decoder\.up_blocks\.(\d)\.resnets", r"decoder.up.!\1.block"),
    (r"^decoder\.up_blocks\.(\d)\.upsamplers\.0", r"decoder.up.!\1.upsample"),
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
    (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
    (r"mid_block\.attentions\.0\.to_([qkv])", r"mid.attn_1.\1"),
    ("conv_shortcut", "nin_shortcut"),
    ("conv_norm_out", "norm_out"),
)


def ldm(tensors: dict[str, torch.Tensor], prefix: str = "") -> dict[str, torch.Tensor]:
    found = {}
    for name, value in tensors.items():
        renamed = name
        for pattern, new in TO_LDM:
            renamed = re.sub(pattern, new, renamed)
        renamed = re.sub(r"!(\d)", lambda match: str(3 - int(match[1])), renamed)
        convolution = "attn_1" in renamed and value.dim() == 2
        found[prefix + renamed] = value[:, :, None, None] if convolution else value
    return found


def old_diffusers(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    found = {}
    for name, value in tensors.items():
        renamed = name
        for new, old in names.items():
            renamed = renamed.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
        found[renamed] = value
    return found


def random_kl(config: dict) -> AutoencoderKL:
    torch.manual_seed(0)
    return AutoencoderKL(**config).eval()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> AutoencoderKL:
    monkeypatch.setattr(layouts, "OFFICIAL_KL", SMALL_KL)
    return random_kl(SMALL_KL)


LAYOUTS = {
    "diffusers": lambda tensors: tensors,
    "old diffusers": old_diffusers,
    "LDM": ldm,
    "LDM in a whole Stable Diffusion": lambda t: (
        ldm(t, "first_stage_model.") | {"model.diffusion_model.x": torch.ones(1)}
    ),
    "LDM with its training": lambda t: (
        ldm(t) | {"loss.logvar": torch.ones(()), "model_ema.num_updates": torch.ones(())}
    ),
}


def largest_difference(vae: KLAutoencoder, network: AutoencoderKL, side: int = 64) -> float:
    images = torch.rand(2, 3, side, side) * 2 - 1
    with torch.no_grad():
        latents = network.encode(images).latent_dist.mode()
        decoded = network.decode(latents).sample.clamp(-1, 1)
    gaps = [(vae.encode(images) - latents).abs().max(), (vae.decode(latents) - decoded).abs().max()]
    return float(max(gaps))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("ending", [".safetensors", ".ckpt"])
def test_every_layout_is_the_same_network(small: AutoencoderKL, tmp_path: Path, layout: str, ending: str) -> None:
    path = tmp_path / f"vae{ending}"
    tensors = {name: value.contiguous() for name, value in LAYOUTS[layout](small.state_dict()).items()}
    if ending == ".ckpt":
        torch.save({"state_dict": tensors, "global_step": 840000}, path)
    else:
        save_file(tensors, str(path))
    vae = load_vae(path, CPU)
    assert isinstance(vae, KLAutoencoder)
    assert largest_difference(vae, small) <= 1e-5
    torch.save(small.state_dict(), tmp_path / "plain.bin")
    assert vae.identity == load_vae(tmp_path / "plain.bin", CPU).identity


def test_our_names_are_those_of_diffusers_own_converter(small: AutoencoderKL, tmp_path: Path) -> None:
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    tensors = ldm(small.state_dict())
    torch.save(tensors, tmp_path / "vae.ckpt")
    assert set(read_weights(tmp_path / "vae.ckpt").tensors) == set(convert_ldm_vae_checkpoint(tensors, small.config))


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["old diffusers", "LDM"])
def test_every_layout_at_full_size(tmp_path: Path, layout: str) -> None:
    network = random_kl(OFFICIAL_KL)
    torch.save(LAYOUTS[layout](network.state_dict()), tmp_path / "vae.ckpt")
    vae = load_vae(tmp_path / "vae.ckpt", CPU)
    assert isinstance(vae, KLAutoencoder)
    assert largest_difference(vae, network) <= 1e-5


def test_the_released_size() -> None:
    network = build_autoencoder("AutoencoderKL", OFFICIAL_KL)
    assert (sum(p.numel() for p in network.parameters()), len(network.state_dict())) == (83_653_863, 248)


def test_mode_by_default_and_seeded_samples(small: AutoencoderKL, tmp_path: Path) -> None:
    path = tmp_path / "vae.bin"
    torch.save(small.state_dict(), path)
    images = torch.rand(3, 3, 32, 32) * 2 - 1
    mode, one, again, two = (load_vae(path, CPU, seed) for seed in (None, 1, 1, 2))
    assert torch.equal(mode.encode(images), mode.encode(images))
    assert torch.equal(one.encode(images), again.encode(images))
    assert not torch.equal(one.encode(images), two.encode(images))
    torch.testing.assert_close(one.encode(images)[1:2], one.encode(images[1:2]), atol=1e-4, rtol=0)
    assert len({vae.identity for vae in (mode, one, two)}) == 3
    assert one.identity == again.identity


def test_another_encoder_has_another_name_and_another_decoder_has_not(small: AutoencoderKL, tmp_path: Path) -> None:
    names = []
    for part in (None, small.decoder.conv_out, small.encoder.conv_in):
        if part is not None:
            with torch.no_grad():
                part.bias[0] += 1e-3
        torch.save(small.state_dict(), tmp_path / "vae.bin")
        names.append(load_vae(tmp_path / "vae.bin", CPU).identity)
    assert names[0] == names[1] != names[2]  # it names cached latents, which a decoder does not change


def test_half_precision_is_close_and_results_can_be_changed(small: AutoencoderKL, tmp_path: Path) -> None:
    torch.save(small.state_dict(), tmp_path / "vae.bin")
    vae = load_vae(tmp_path / "vae.bin", SingleDevice("cpu", "bf16"))
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    latents = vae.encode(images)
    assert latents.dtype == torch.float32
    exact = vae.encode(images, torch.float32)
    assert (latents - exact).norm() / exact.norm() < 0.05
    latents += 1  # not a tensor of inference mode
    vae.decode(latents).clamp_(0, 1)


def test_an_overflow_is_seen_and_not_painted_white(small: AutoencoderKL, tmp_path: Path) -> None:
    with torch.no_grad():
        small.decoder.conv_out.bias[0] = float("inf")
    torch.save(small.state_dict(), tmp_path / "vae.bin")
    assert load_vae(tmp_path / "vae.bin", CPU).decode(torch.zeros(1, 4, 4, 4))[:, 0].isnan().all()


def test_a_vae_of_another_family_is_refused(tmp_path: Path) -> None:
    wide = random_kl({**SMALL_KL, "latent_channels": 16})
    torch.save(wide.state_dict(), tmp_path / "flux.bin")
    with pytest.raises(ModelError, match=r"flux.bin is not a Stable Diffusion 1 VAE: .* shapes differ"):
        load_vae(tmp_path / "flux.bin", CPU)
    with pytest.raises(ModelError, match="16 latent channels"):
        build_autoencoder("AutoencoderKL", {**SMALL_KL, "latent_channels": 16})


def taesd_reference(assets: Path) -> AutoencoderTiny:
    """TAESD under diffusers' names, numbered here by walking its layers in order."""
    network = AutoencoderTiny().eval()
    for part, half in (("encoder", network.encoder), ("decoder", network.decoder)):
        own = [layer for layer in half.layers if list(layer.parameters())]
        tensors = load_file(assets / "weights" / f"taesd_{part}_bf16.safetensors")
        numbers = sorted({int(name.split(".")[0]) for name in tensors})
        for layer, number in zip(own, numbers, strict=True):
            start = f"{number}."
            layer.load_state_dict({k[len(start) :]: v for k, v in tensors.items() if k.startswith(start)})
    return network


@pytest.mark.parametrize("layout", ["two files", "one file", "comfyui", "diffusers"])
def test_taesd_in_every_layout(assets: Path, tmp_path: Path, layout: str) -> None:
    network = taesd_reference(assets)
    halves = {p: load_file(assets / "weights" / f"taesd_{p}_bf16.safetensors") for p in ("encoder", "decoder")}
    path = tmp_path / "tiny_decoder.safetensors"
    if layout == "two files":
        for part, tensors in halves.items():
            save_file(tensors, str(tmp_path / f"tiny_{part}.safetensors"))
    elif layout == "diffusers":
        save_file(network.state_dict(), str(path))
    else:
        start = "taesd_" if layout == "comfyui" else ""
        save_file({f"{start}{part}.{name}": v for part, t in halves.items() for name, v in t.items()}, str(path))
    vae = load_vae(path, CPU)
    images = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        scaled = network.encode(images).latents
        decoded = network.decode(scaled).sample.clamp(-1, 1)
    torch.testing.assert_close(vae.encode(images), scaled / LATENT_SCALE, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(vae.decode(scaled / LATENT_SCALE), decoded, atol=1e-4, rtol=1e-4)


def test_half_of_taesd_asks_for_the_other(assets: Path, tmp_path: Path) -> None:
    path = tmp_path / "taesd_encoder.safetensors"
    path.write_bytes((assets / "weights" / "taesd_encoder_bf16.safetensors").read_bytes())
    with pytest.raises(ModelError, match=r"only the encoder of a tiny VAE.*named taesd_decoder.safetensors"):
        load_vae(path, CPU)


def test_taesd_keeps_a_face(assets: Path) -> None:
    import av

    with av.open(str(assets / "video" / "videoretalking_2.mp4")) as video:
        frame = next(video.decode(video=0)).to_ndarray(format="rgb24")
    image = torch.from_numpy(frame[100:612, 150:662]).float().permute(2, 0, 1)[None] / 127.5 - 1
    vae = load_vae(assets / "weights" / "taesd_encoder_bf16.safetensors", CPU)
    error = (vae.decode(vae.encode(image)) - image).square().mean() / 4
    assert -10 * torch.log10(error) > 25  # dB
