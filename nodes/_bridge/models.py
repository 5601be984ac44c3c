"""ComfyUI's MODEL, VAE and AUDIO_ENCODER to the core's networks and back."""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.sd
import comfy.supported_models_base
import comfy.taesd.taesd

from ...musetalk_core.audio.encode import SpeechOptions, encode_speech
from ...musetalk_core.errors import GenerationError, ModelError
from ...musetalk_core.models.layouts import content_name, read_weights
from ...musetalk_core.models.load import (
    AUDIO_NAME,
    VAE_NAME,
    LoadedModel,
    load_audio_encoder,
    load_unet,
    load_vae,
)
from ...musetalk_core.models.recipe import LATENT_SCALE, RECIPES, Recipe, require_encoder
from ...musetalk_core.models.unet import LipNet
from ...musetalk_core.models.vae import (
    LATENT_CHANNELS,
    PIXELS_PER_LATENT,
    Autoencoder,
    run_tiny,
    scaled_latents,
    unscaled_latents,
)
from ...musetalk_core.models.whisper import WhisperEncoder
from ...musetalk_core.placement import DtypeName
from ...musetalk_core.types import AudioClip
from .convert import clip_of
from .host import HostPlacement, HostProgress, ModelPlacement, interruptible, make_castable, managed
from .places import find_file, partner

if TYPE_CHECKING:
    import torch
    from torch import nn

SAME_SCALE = 1e-3  # between two numbers for one latent space
ANY_RATE = Fraction(25)  # of a Speech whose features alone are used
HEARD = "musetalk"  # where our AUDIO_ENCODER_OUTPUT keeps the encoder and the sound


class LipModelConfig(comfy.supported_models_base.BASE):
    """What ComfyUI asks of a model before it runs; ours brings its own network."""

    latent_format = comfy.latent_formats.SD15
    memory_usage_factor = 1.0  # about Stable Diffusion 1's

    def process_unet_state_dict_for_saving(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        """Keep the released names, so that what ModelSave writes loads again."""
        return state_dict


class LipModel(comfy.model_base.BaseModel):
    """A U-Net of MuseTalk in ComfyUI's own clothes: patches, LoRA, torch.compile and wrappers fit; samplers do not.

    Args:
        lips: the U-Net; its weights are already as they shall compute.
        compute_dtype: precision that it runs in.
        source: its file.
    """

    def __init__(self, lips: LipNet, compute_dtype: torch.dtype, source: Path) -> None:
        super().__init__(LipModelConfig({"disable_unet_model_creation": True}))
        self.diffusion_model: nn.Module = lips.network
        self.recipe: Recipe = lips.recipe
        self.compute_dtype = compute_dtype
        self.source = source

    def _apply_model(self, x: torch.Tensor, t: torch.Tensor, c_concat: Any = None, c_crossattn: Any = None,
                     control: Any = None, transformer_options: Any = None, **kwargs: Any) -> torch.Tensor:  # fmt: skip
        lips: torch.Tensor = self.diffusion_model(x, t, encoder_hidden_states=c_crossattn, return_dict=False)[0]
        return lips

    def extra_conds(self, **kwargs: Any) -> dict[str, Any]:
        """What a sampler asks for first."""
        raise ModelError(
            f"{self.recipe.title} paints lips in one step and is not for samplers.",
            "Connect it to MuseTalk Generate Lips.",
        )


def load_lip_model(path: Path, recipe: str | None, dtype: DtypeName, disable_dynamic: bool = False) -> Any:
    """A U-Net file as a MODEL.

    Args:
        path: the file.
        recipe: name, for a file that does not say.
        dtype: precision.
        disable_dynamic: keep weights that other nodes can hold on to; ComfyUI asks for it before torch.compile.

    Raises:
        ModelError: the file is no U-Net, or of another recipe.
    """
    placement = HostPlacement(dtype)
    lips = load_unet(path, placement, recipe)
    make_castable(lips.network, placement.dtype)
    patcher = managed(LipModel(lips, placement.dtype, path), placement.device, dynamic=not disable_dynamic)
    patcher.cached_patcher_init = (load_lip_model, (path, recipe, dtype))
    return patcher


def lip_net_of(model: Any) -> LipNet:
    """The U-Net on a MODEL socket.

    Raises:
        ModelError: another kind of model.
    """
    lips = getattr(model, "model", None)
    if not isinstance(lips, LipModel):
        raise ModelError(f"The MODEL is a {type(lips).__name__}, not a MuseTalk U-Net.", "Use MuseTalk Load Model.")
    return LipNet(lips.diffusion_model, lips.recipe, ModelPlacement(model))


class TinyStage(comfy.taesd.taesd.TAESD):
    """nano's VAE, or another tiny one, called as ComfyUI calls TAESD.

    Args:
        network: in -1..1 and latents of unit variance.
    """

    def __init__(self, network: nn.Module) -> None:
        super(comfy.taesd.taesd.TAESD, self).__init__()
        self.network = network

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Unscaled latents of images in -1..1."""
        network: Any = self.network
        return unscaled_latents(run_tiny(network.encode, x))

    def decode(self, x: torch.Tensor) -> torch.Tensor:
        """Images in -1..1 of unscaled latents."""
        network: Any = self.network
        return run_tiny(network.decode, scaled_latents(x))


def load_host_vae(path: Path) -> Any:
    """A VAE file as a VAE of ComfyUI's own.

    Raises:
        ModelError: the file is no VAE.
    """
    weights = read_weights(path)
    if weights.kind == "AutoencoderKL":
        return comfy.sd.VAE(sd=dict(weights.tensors))
    tiny: Any = load_vae(path, HostPlacement())
    # ComfyUI knows TAESD of one size: its VAE is made for that one, and then given ours.
    vae: Any = comfy.sd.VAE(sd=comfy.taesd.taesd.TAESD().state_dict())
    make_castable(tiny.network, vae.vae_dtype)
    vae.first_stage_model = TinyStage(tiny.network).eval()
    vae.patcher = managed(vae.first_stage_model, vae.device)
    vae.musetalk_identity = tiny.identity
    return vae


class HostAutoencoder:
    """A VAE of ComfyUI as the core's `Autoencoder`; ComfyUI chooses device, precision and batches.

    Args:
        vae: what lies on the VAE socket.
    """

    def __init__(self, vae: Any) -> None:
        self._vae = vae

    @cached_property
    def identity(self) -> str:
        """See `Autoencoder.identity`."""
        known = getattr(self._vae, "musetalk_identity", None)
        if known:
            return str(known)
        return f"host-{content_name({name: value.cpu() for name, value in self._vae.get_sd().items()})}"

    def encode(self, images: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        """See `Autoencoder.encode`."""
        import torch

        self._require(dtype)
        with torch.inference_mode(), interruptible(self._vae.first_stage_model):
            latents: torch.Tensor = self._vae.encode(images.movedim(1, -1) / 2 + 0.5)
        return latents.cpu().float()

    def decode(self, latents: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        """See `Autoencoder.decode`."""
        import torch

        self._require(dtype)
        with torch.inference_mode(), interruptible(self._vae.first_stage_model):
            images: torch.Tensor = self._vae.decode(latents)
        return images.cpu().float().movedim(-1, 1) * 2 - 1

    def _require(self, dtype: torch.dtype | None) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()  # between the networks of a batch too
        if dtype not in (None, self._vae.vae_dtype):
            raise GenerationError(
                f"The VAE gave values that are not finite in {self._vae.vae_dtype}.", "Start ComfyUI with --fp32-vae."
            )


def autoencoder_of(vae: Any) -> Autoencoder:
    """The autoencoder on a VAE socket.

    Raises:
        ModelError: a VAE of another latent space.
    """
    channels, ratio = getattr(vae, "latent_channels", None), getattr(vae, "downscale_ratio", None)
    if (channels, ratio) != (LATENT_CHANNELS, PIXELS_PER_LATENT) or vae.latent_dim != 2:
        raise ModelError(
            f"This VAE makes latents of {channels} channels; MuseTalk takes those of Stable Diffusion 1.",
            "Load sd-vae-ft-mse, TAESD or nano's (MuseTalk Load VAE).",
        )
    scale = getattr(vae.first_stage_model, "vae_scale", None)  # of ComfyUI's TAESD; SDXL's large VAE tells nothing
    if scale is not None and abs(float(scale) - LATENT_SCALE) > SAME_SCALE:
        raise ModelError(
            f"This tiny VAE is for latents of scale {float(scale):.4g} (SDXL: 0.1303); MuseTalk takes those of Stable "
            f"Diffusion 1 ({LATENT_SCALE}).",
            "Load taesd in place of taesdxl.",
        )
    return HostAutoencoder(vae)


class HostAudioEncoder:
    """What lies on AUDIO_ENCODER sockets: Whisper, for sounds of any length, for ComfyUI's own node too.

    Args:
        encoder: the core's.
    """

    def __init__(self, encoder: WhisperEncoder) -> None:
        self.encoder = encoder

    def encode_audio(self, audio: torch.Tensor, sample_rate: int) -> dict[str, Any]:
        """All states of a sound, as ComfyUI's AudioEncoderEncode wants them.

        Args:
            audio: (1, C, S).
            sample_rate: samples a second.
        """
        clip = clip_of({"waveform": audio, "sample_rate": sample_rate})
        options = SpeechOptions(close_in_silence=False)
        steps = encode_speech(clip, self.encoder, ANY_RATE, options, progress=HostProgress()).steps  # (T, 5, D)
        states = [state[None] for state in steps.unbind(1)]
        return {
            "encoded_audio": states[-1],
            "encoded_audio_all_layers": states,
            "audio_samples": len(clip.samples),
            HEARD: (self.encoder, clip),
        }


def load_host_audio_encoder(path: Path, dtype: DtypeName = "auto") -> HostAudioEncoder:
    """A Whisper file as an AUDIO_ENCODER.

    Raises:
        ModelError: the file is no Whisper, or does not tell which.
    """
    return HostAudioEncoder(load_audio_encoder(path, HostPlacement(dtype)))


def whisper_of(audio_encoder: Any) -> WhisperEncoder:
    """The encoder on an AUDIO_ENCODER socket.

    Raises:
        ModelError: another kind of encoder.
    """
    if not isinstance(audio_encoder, HostAudioEncoder):
        model = type(getattr(audio_encoder, "model", audio_encoder)).__name__
        raise ModelError(
            f"The AUDIO_ENCODER is a {model}, which MuseTalk was not trained with.", "Use MuseTalk Load Audio Encoder."
        )
    return audio_encoder.encoder


def heard_in(output: Any) -> tuple[WhisperEncoder, AudioClip]:
    """The encoder and the sound of an AUDIO_ENCODER_OUTPUT.

    Raises:
        ModelError: another encoder made it.
    """
    if HEARD not in output:
        raise ModelError(
            "This AUDIO_ENCODER_OUTPUT comes from an encoder that MuseTalk was not trained with.",
            "Use MuseTalk Load Audio Encoder before Audio Encoder Encode.",
        )
    encoder, clip = output[HEARD]
    return encoder, clip


def loaded_model(
    name: str, model: Any = None, vae: Any = None, audio_encoder: Any = None, dtype: DtypeName = "auto"
) -> LoadedModel:
    """All networks of a model: what is connected, and for the rest what belongs to its U-Net.

    Args:
        name: a word of `model_names()`; only used when no `model` is given.
        model, vae, audio_encoder: what lies on the sockets, None where nothing is connected.
        dtype: precision of what is loaded.

    Raises:
        ModelError: a file is missing, or the parts do not fit each other.
    """
    model = model or load_lip_model(find_file(name, "unet"), name if name in RECIPES else None, dtype)
    lips = lip_net_of(model)
    recipe, path = lips.recipe, model.model.source
    vae = vae or load_host_vae(partner(path, VAE_NAME, recipe.vae, recipe))
    sound = audio_encoder or load_host_audio_encoder(partner(path, AUDIO_NAME, recipe.audio_encoder, recipe), dtype)
    encoder = whisper_of(sound)
    require_encoder(recipe, encoder.identity)
    return LoadedModel(recipe, lips, autoencoder_of(vae), encoder, path)
