"""A training run as a TOML file: one table a part, one documented field a line."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from ..errors import OptionError
from ..face.look import LookOptions
from ..options import Options, option, option_specs
from .dataset import DataOptions
from .framing import FramingOptions
from .options import LossOptions, SyncNetOptions
from .sampling import SamplingOptions

T = TypeVar("T")
SMALLEST_CRITIC = 64  # pixels; what four convolutions and three halvings leave something of
INCLUDED = Path(__file__).parent / "configs"


@dataclass(frozen=True, slots=True)
class NetworkOptions(Options):
    """Which networks."""

    size: Literal["nano", "official"] = option(
        "nano", "the U-Net's size when it begins with random weights, and the recipe that is written into its file"
    )
    start: str = option(
        "", "U-Net file to begin with: stage 2 needs stage 1's model/unet.safetensors; empty begins with random weights"
    )
    vae: str = option("", "file of the VAE: sd-vae-ft-mse, or a tiny one")
    audio_encoder: str = option("", "file of Whisper, copied into the model's folder and used to check the dataset")
    scale_tokens: bool = option(
        False, "train on sound tokens of unit variance, which is quicker from random weights; the file takes raw ones"
    )
    adapter: int = option(
        0, "train an adapter (LoRA) of this rank in place of the U-Net itself; 0 trains the U-Net", low=0, high=256
    )
    checkpointed: bool = option(True, "compute the U-Net's inner values again in the backward pass: slower, smaller")
    decode_chunk: int = option(
        1, "frames decoded and judged at once, computed again in the backward pass; 0 keeps everything", low=0
    )


@dataclass(frozen=True, slots=True)
class OptimiserOptions(Options):
    """How weights change. Everything is counted in updates, however many micro-batches and processes make one."""

    kind: Literal["adamw", "adamw8bit"] = option("adamw", "adamw8bit needs the package bitsandbytes and a GPU")
    rate: float = option(2e-5, "highest learning rate", low=0.0, high=1.0)
    warmup: int = option(1000, "the rate rises from 0 over these", low=0, unit="updates")
    schedule: Literal["constant", "linear", "cosine"] = option("linear", "how the rate falls after that")
    final: float = option(0.0, "the last update's rate, as a part of the highest", low=0.0, high=1.0)
    beta1: float = option(0.5, "AdamW's memory of gradients", low=0.0, high=0.9999)
    beta2: float = option(0.999, "AdamW's memory of their squares", low=0.0, high=0.999999)
    decay: float = option(0.01, "AdamW's weight decay", low=0.0, high=1.0)
    clip: float = option(1.0, "gradients are shortened to this length; 0 leaves them", low=0.0)
    ema: float = option(
        0.999, "memory of the averaged weights, which are what is saved as the model", low=0.0, high=1.0
    )
    critic_rate: float = option(5e-6, "the discriminators' rate; it falls by a cosine", low=0.0, high=1.0)
    critic_final: float = option(0.2, "its last, as a part of it", low=0.0, high=1.0)


@dataclass(frozen=True, slots=True)
class RunOptions(Options):
    """How long, with what, and what is written when."""

    folder: str = option("", "receives checkpoints, logs, sheets and the model")
    updates: int = option(250_000, "length of the run", low=1)
    batch: int = option(4, "samples of one process at once", low=1)
    accumulate: int = option(1, "batches whose gradients make one update", low=1)
    seed: int = option(0, "decides all random choices", low=0)
    precision: Literal["fp32", "bf16"] = option("fp32", "of the networks' inner values; weights stay fp32")
    device: Literal["auto", "cpu"] = option("auto", "auto takes what accelerate finds")
    workers: int = option(0, "processes that read samples ahead; 0 reads in the training process", low=0, high=256)
    log_every: int = option(1, "updates between two lines of log.jsonl", low=1)
    checkpoint_every: int = option(1000, "updates between two checkpoints", low=1)
    checkpoints_kept: int = option(2, "older ones are deleted", low=1)
    validate_every: int = option(1000, "updates between two validations; 0 never validates", low=0)


@dataclass(frozen=True, slots=True)
class ValidationOptions(Options):
    """What the held-out people are used for."""

    samples: int = option(32, "fixed samples whose losses are measured, with the right sound and a wrong one", low=2)
    dubs: int = option(
        0, "held-out clips that are dubbed with another clip's sound and judged by the meters; one is shown", low=0
    )
    dub_frames: int = option(75, "length of each", low=16, unit="frames")
    sheet: int = option(6, "samples shown on the sheet", low=1, high=64)


@dataclass(frozen=True, slots=True)
class AutoencoderOptions(Options):
    """How a small VAE is trained (`musetalk train vae`); its teacher is `network.vae`."""

    start: str = option("", "small VAE file to begin with; empty begins with random weights")
    latent: float = option(1.0, "weight of the mean difference from the teacher's latents", low=0.0, high=1000.0)
    teacher: float = option(
        0.5, "share of the pictures that are decoded from the teacher's latents, the rest from its own", low=0, high=1
    )
    masked: float = option(0.3, "share of the pictures whose lower half is black, as the U-Net's input", low=0, high=1)
    window: int = option(
        0,
        "side of the parts of faces that are shown, a multiple of 8; 0 shows whole faces",
        low=0,
        high=1024,
        unit="px",
    )
    freeze_encoder: bool = option(False, "train the decoder alone")


@dataclass(frozen=True, slots=True)
class SyncTraining(Options):
    """How a SyncNet is trained (`musetalk train sync`)."""

    rate: float = option(1e-4, "learning rate of Adam", low=0.0, high=1.0)
    moments: int = option(6, "windows of each clip, whose sounds are told from each other", low=2, high=64)
    apart: int = option(8, "distance between two of them", low=1, unit="frames")
    temperature: float = option(0.07, "by which cosines are divided", low=0.001, high=10.0)


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """All of a run; each field is a table of the file."""

    data: DataOptions = field(default_factory=DataOptions)
    framing: FramingOptions = field(default_factory=FramingOptions)
    look: LookOptions = field(default_factory=LookOptions)
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    network: NetworkOptions = field(default_factory=NetworkOptions)
    loss: LossOptions = field(default_factory=LossOptions)
    optimiser: OptimiserOptions = field(default_factory=OptimiserOptions)
    run: RunOptions = field(default_factory=RunOptions)
    validation: ValidationOptions = field(default_factory=ValidationOptions)
    syncnet: SyncNetOptions = field(default_factory=SyncNetOptions)
    sync: SyncTraining = field(default_factory=SyncTraining)
    autoencoder: AutoencoderOptions = field(default_factory=AutoencoderOptions)

    def __post_init__(self) -> None:
        loss = self.loss
        if loss.features == "vgg19" and loss.perceptual and not loss.vgg19:
            raise OptionError("loss.features is vgg19, but loss.vgg19 names no file.", 'Name it, or take "random".')
        if loss.sync and not loss.syncnet:
            raise OptionError("loss.sync is on, but loss.syncnet names no file.", "Run `musetalk train sync` first.")
        if self.network.adapter and self.network.scale_tokens:
            raise OptionError("An adapter takes sound tokens as they are.", "Set network.scale_tokens = false.")
        if self.data.generated and not loss.sync:
            raise OptionError("data.generated is for the sync loss, which is off.", "Lower data.frames instead.")
        if loss.critic_side >> (loss.critic_scales - 1) < SMALLEST_CRITIC:
            raise OptionError("The discriminators' smallest pictures are too small.", "Lower loss.critic_scales.")

    def as_dict(self) -> dict[str, Any]:
        """All options by table and name."""
        return dataclasses.asdict(self)


def load_config(path: Path, changes: Sequence[str] = ()) -> TrainConfig:
    """Read a run's file.

    Args:
        path: the TOML file, or the name of one of ours ("stage1").
        changes: such as "run.updates=100": they count before the file.

    Raises:
        OptionError: it cannot be read, or a table, a name or a value is wrong.
    """
    if not path.is_file() and (INCLUDED / f"{path}.toml").is_file():
        path = INCLUDED / f"{path}.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise OptionError(f"The configuration {path} cannot be read: {error}", "See docs/training.md.") from error
    content = _parse(text, str(path))
    for change in changes:
        name, equals, value = change.partition("=")
        table, dot, key = name.strip().partition(".")
        if not equals or not dot:
            raise OptionError(f"{change!r} changes nothing.", "Write TABLE.NAME=VALUE, such as run.updates=100.")
        content.setdefault(table, {})[key] = _value(value.strip())
    return make_config(content)


def make_config(content: Mapping[str, Any]) -> TrainConfig:
    """A run from tables of plain values.

    Raises:
        OptionError: a table, a name or a value is wrong.
    """
    tables = {f.name: f.default_factory for f in dataclasses.fields(TrainConfig)}
    for name in content:
        if name not in tables:
            raise OptionError(f"There is no table [{name}].", f"Use: {', '.join(tables)}.")
    parts: dict[str, Any] = {name: _table(name, tables[name], values) for name, values in content.items()}
    return TrainConfig(**parts)


def _table(name: str, kind: Any, values: Any) -> Any:
    if not isinstance(values, Mapping):
        raise OptionError(f"{name} must be a table.", f"Write [{name}] on a line of its own.")
    known = {spec.name: spec for spec in option_specs(kind)}
    for key, value in values.items():
        if key not in known:
            raise OptionError(f"[{name}] has no {key!r}.", f"It has: {', '.join(known)}.")
        if known[key].kind in (bool, str) and not isinstance(value, known[key].kind):
            raise OptionError(f"{name}.{key} = {value!r} is not of type {known[key].kind.__name__}.")
    return kind(**values)


def _value(text: str) -> Any:
    """One value as TOML reads it; a bare word is a string."""
    try:
        return _parse(f"x = {text}", text)["x"]
    except OptionError:
        return text


def _parse(text: str, name: str) -> dict[str, Any]:
    reader: Any
    try:
        reader = importlib.import_module("tomllib")  # Python 3.11 and later
    except ModuleNotFoundError:
        try:
            reader = importlib.import_module("tomli")
        except ModuleNotFoundError as error:
            raise OptionError("Python 3.10 cannot read TOML.", "Install the package tomli.") from error
    try:
        return dict(reader.loads(text))
    except reader.TOMLDecodeError as error:
        raise OptionError(f"{name} is not valid TOML: {error}.") from error
