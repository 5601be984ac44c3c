"""From a name or a path to a model that can run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from ..placement import Placement
from .checkpoint import load_strictly
from .layouts import TITLES, Kind, Weights, content_name, read_weights
from .recipe import HIDDEN_STATES, RECIPES, Recipe, find_recipe, require_encoder
from .registry import EMBEDDED, REGISTRY, Entry, Locator
from .unet import LipNet, build_unet
from .vae import Autoencoder, KLAutoencoder, TinyAutoencoder, build_autoencoder
from .whisper import WhisperEncoder, build_whisper

if TYPE_CHECKING:
    from torch import nn

UNET_NAMES = ("unet.safetensors", "unet.pth", "pytorch_model.bin", "diffusion_pytorch_model.safetensors")
VAE_NAME = "vae.safetensors"
AUDIO_NAME = "audio_encoder.safetensors"
RELEASED_10 = ("musetalk", "pytorch_model.bin")  # folder and name that mark the released 1.0; 1.5 has musetalkV15


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """All networks of a model, and how it wants to be fed.

    Args:
        recipe: version differences.
        lips: paints mouths.
        vae: pictures to latents and back.
        audio: sound to features.
        source: the U-Net's file.
        vae_source, audio_source: files of the other two; None where a host gave the networks.
    """

    recipe: Recipe
    lips: LipNet
    vae: Autoencoder
    audio: WhisperEncoder
    source: Path
    vae_source: Path | None = None
    audio_source: Path | None = None


def load_model(
    model: str,
    locator: Locator,
    placement: Placement,
    *,
    vae: Path | None = None,
    audio_encoder: Path | None = None,
    recipe: str | None = None,
    sample_seed: int | None = None,
) -> LoadedModel:
    """Load the U-Net, the VAE and the sound encoder that belong together.

    Args:
        model: a recipe's name, or the path of a U-Net file, or of a folder that holds one (and, beside it,
            `vae.safetensors` and `audio_encoder.safetensors`; what is not there is asked of the locator).
        locator: knows where named weights lie.
        placement: where the networks run.
        vae: another VAE file than the recipe's.
        audio_encoder: another file of the recipe's sound encoder.
        recipe: name of the recipe, for a U-Net file that does not say.
        sample_seed: see `KLAutoencoder`.

    Raises:
        ModelError: a file is missing, damaged, of another network, or the three do not fit each other.
    """
    unet_path, folder = _find_unet(model, locator)
    lips = load_unet(unet_path, placement, RECIPES[model].name if model in RECIPES else recipe)
    found = lips.recipe
    vae_path = vae or _beside(folder, VAE_NAME) or locator.find(_entry(found.vae, found))
    audio_path = audio_encoder or _beside(folder, AUDIO_NAME) or locator.find(_entry(found.audio_encoder, found))
    audio = load_audio_encoder(audio_path, placement)
    require_encoder(found, audio.identity)
    if audio.layers + 1 != HIDDEN_STATES or audio.width != lips.width:
        raise ModelError(
            f"{audio_path} gives {audio.layers + 1} states of {audio.width} features; "
            f"{unet_path} takes {HIDDEN_STATES} of {lips.width}.",
            "Give the sound encoder that the U-Net was trained with.",
        )
    return LoadedModel(found, lips, load_vae(vae_path, placement, sample_seed), audio, unet_path, vae_path, audio_path)


def _find_unet(model: str, locator: Locator) -> tuple[Path, Path | None]:
    """The U-Net's file, and the folder in which its partners are looked for first."""
    if model == "nano":
        if not (EMBEDDED / UNET_NAMES[0]).is_file():
            raise ModelError(
                f"The embedded model is not there: {EMBEDDED / UNET_NAMES[0]}.",
                "Install the package again, or name another model.",
            )
        return EMBEDDED / UNET_NAMES[0], EMBEDDED
    if model in RECIPES:
        return locator.find(_entry(RECIPES[model].unet, RECIPES[model])), None
    path = Path(model).expanduser()
    if path.is_file():
        return path, path.parent
    if not path.is_dir():
        raise ModelError(
            f"There is no model {model!r}.", f"Use {', '.join(RECIPES)}, a U-Net file, or a folder that holds one."
        )
    for name in UNET_NAMES:
        if (path / name).is_file():
            return path / name, path
    raise ModelError(f"The folder {path} holds no U-Net.", f"It needs one of: {', '.join(UNET_NAMES)}.")


def _beside(folder: Path | None, name: str) -> Path | None:
    return folder / name if folder and (folder / name).is_file() else None


def _entry(identifier: str, recipe: Recipe) -> Entry:
    if identifier not in REGISTRY:
        raise ModelError(
            f"{recipe.title} needs its own {identifier!r} weights, which lie beside its U-Net.",
            f"Put {VAE_NAME} and {AUDIO_NAME} into the U-Net's folder, or name them (--vae, --audio-encoder).",
        )
    return REGISTRY[identifier]


def load_unet(path: Path, placement: Placement, recipe: str | None = None) -> LipNet:
    """A U-Net with its recipe.

    Args:
        path: its file.
        placement: where it runs.
        recipe: name, for files that do not say; without one a file of the released shape counts as 1.5, or as 1.0 when
            it is called `musetalk/pytorch_model.bin`.

    Raises:
        ModelError: the file is no U-Net, its recipe is unknown, or another one was named.
    """
    weights = _expect(path, "UNet2DConditionModel")
    if recipe and weights.recipe and recipe != weights.recipe:
        raise ModelError(
            f"{path} was made for recipe {weights.recipe}, not {recipe}.", f"Use --model {weights.recipe}."
        )
    found = find_recipe(recipe or weights.recipe or _recipe_by_name(path))
    return LipNet(build_network(weights), found, placement)


def _recipe_by_name(path: Path) -> str:
    return "1.0" if (path.parent.name, path.name) == RELEASED_10 else "1.5"


def load_vae(path: Path, placement: Placement, sample_seed: int | None = None) -> Autoencoder:
    """A VAE, Stable Diffusion 1's or a tiny one.

    Args:
        path: its file (of TAESD's two files, either).
        placement: where it runs.
        sample_seed: see `KLAutoencoder`.

    Raises:
        ModelError: the file is no VAE.
    """
    weights = _expect(path, "AutoencoderKL", "AutoencoderTiny", "SmallAutoencoder")
    # Cached latents are keyed by it, and a decoder does not change them.
    name = content_name({key: t for key, t in weights.tensors.items() if key.startswith(("encoder.", "quant_conv."))})
    network = build_network(weights)
    if weights.kind == "AutoencoderKL":
        return KLAutoencoder(network, f"kl-{name}", placement, sample_seed)
    return TinyAutoencoder(network, f"tiny-{name}", placement)


def load_audio_encoder(path: Path, placement: Placement) -> WhisperEncoder:
    """A Whisper encoder that knows which one it is.

    Raises:
        ModelError: the file is no Whisper, or does not tell which.
    """
    weights = _expect(path, "WhisperEncoder")
    if not weights.identity:
        raise ModelError(f"The header of {path} does not say which Whisper it is.", "Convert the weights again.")
    return WhisperEncoder(build_network(weights), weights.identity, placement)


def _expect(path: Path, *kinds: Kind) -> Weights:
    weights = read_weights(path)
    if weights.kind not in kinds:
        wanted = " or ".join(TITLES[kind] for kind in kinds)
        raise ModelError(f"{path} is a {TITLES[weights.kind]}, not a {wanted}.", f"Give the file of a {wanted}.")
    return weights


def load_network(path: Path, kind: Kind) -> nn.Module:
    """A bare network from its file.

    Raises:
        ModelError: the file holds another kind of network.
    """
    return build_network(_expect(path, kind))


def build_network(weights: Weights) -> nn.Module:
    """The network with these weights in it; they are taken over, not copied.

    Raises:
        ModelError: keys or shapes do not fit.
    """
    network = empty_network(weights.kind, weights.config)
    load_strictly(network, weights.tensors, weights.path, TITLES[weights.kind])
    return network


def empty_network(kind: Kind, config: Mapping[str, Any], device: str = "meta") -> nn.Module:
    """A network that nobody has trained.

    Args:
        kind: its class.
        config: its configuration.
        device: "meta" takes no memory until weights are loaded; on any other, U-Nets have random weights.

    Raises:
        ModelError: the configuration is not valid.
    """
    import torch

    if kind == "WhisperEncoder":
        return build_whisper(config)
    network = build_unet(config, device) if kind == "UNet2DConditionModel" else build_autoencoder(kind, config)
    # diffusers 0.42 warns at every change of precision, of modules that these networks do not have.
    network.to = MethodType(torch.nn.Module.to, network)  # type: ignore[method-assign]
    return network
