"""The one way to read and write a file of tensors. Nothing in a file is ever run.

We write safetensors with a JSON header. We read safetensors and torch's pickled files, the latter only through torch's
restricted unpickler, which builds tensors and plain containers and refuses everything else.
"""

from __future__ import annotations

import json
import os
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn

HEADER_KEY = "musetalk"  # where our JSON lies in the metadata of a safetensors file
SAFETENSORS = ".safetensors"
PICKLED = (".bin", ".pth", ".pt", ".ckpt")
ENDINGS = (SAFETENSORS, *PICKLED)
WRAPPERS = ("state_dict", "model_state_dict", "model", "ema", "params_ema", "params")  # keys under which weights nest
PREFIXES = ("module.", "_orig_mod.")  # what data-parallel training and torch.compile put before each key
REFUSED = "Weights only load failed"  # torch's words when its restricted unpickler meets anything but plain weights
PICKLE_START = b"\x80"  # the first byte of every pickle that a program wrote in this century
DOWNLOAD_AGAIN = "Download it again (`musetalk models get`), or copy it again from where you have it."


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """What a file of tensors holds.

    Args:
        path: the file.
        tensors: name to tensor, on the CPU; wrappers and prefixes of training code are already taken away.
        header: our JSON header; of a foreign safetensors file its metadata; of a pickled file what stood beside the
            weights (OpenAI's Whisper keeps its sizes there).
    """

    path: Path
    tensors: Mapping[str, torch.Tensor]
    header: Mapping[str, Any] = field(default_factory=dict)

    @property
    def numbers(self) -> int:
        """How many numbers the file holds."""
        return sum(tensor.numel() for tensor in self.tensors.values())


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a file of tensors, mapped from disk where the format allows.

    Args:
        path: .safetensors, or a pickled .bin, .pth, .pt or .ckpt of torch.

    Returns:
        Its tensors and header.

    Raises:
        ModelError: missing, empty, truncated, of another kind, or holding code.
    """
    path = Path(path)
    _require_readable(path)
    if path.suffix.lower() == SAFETENSORS:
        return _read_safetensors(path)
    return _read_pickled(path)


def _require_readable(path: Path) -> None:
    if path.is_dir():
        raise ModelError(f"{path} is a folder where a weight file is needed.", "Name the file inside it.")
    if not path.is_file():
        raise ModelError(f"The weight file {path} does not exist.", "`musetalk models list` says what is found where.")
    if path.suffix.lower() not in ENDINGS:
        raise ModelError(f"{path} is not a weight file that we know.", f"Its name must end in {', '.join(ENDINGS)}.")
    try:
        with path.open("rb") as file:
            start = file.read(256)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error}", "Check its permissions.") from error
    if not start:
        raise ModelError(f"{path} is empty.", DOWNLOAD_AGAIN)
    if start.startswith(b"version https://git-lfs"):
        raise ModelError(f"{path} is a git-lfs pointer, not the weights.", "Run `git lfs pull`, or download the file.")
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ModelError(f"{path} is a web page that was saved as a weight file.", DOWNLOAD_AGAIN)


def _read_safetensors(path: Path) -> Checkpoint:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, ValueError) as error:
        size = path.stat().st_size
        raise ModelError(
            f"{path} is damaged or not safetensors ({size} bytes on disk): {_first_line(error)}.", DOWNLOAD_AGAIN
        ) from error
    return Checkpoint(path, _without_prefix(tensors), _parse_header(path, metadata))


def _parse_header(path: Path, metadata: Mapping[str, str]) -> Mapping[str, Any]:
    if HEADER_KEY not in metadata:
        return metadata
    try:
        header = json.loads(metadata[HEADER_KEY])
    except json.JSONDecodeError as error:
        raise ModelError(f"{path} has a damaged header: {error}.", DOWNLOAD_AGAIN) from error
    if not isinstance(header, dict):
        raise ModelError(f"{path} has a damaged header: it is no JSON object.", DOWNLOAD_AGAIN)
    return header


def _read_pickled(path: Path) -> Checkpoint:
    import torch

    zipped = zipfile.is_zipfile(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except MemoryError:
        raise
    except Exception as error:  # a damaged file makes torch raise any of a dozen types
        with path.open("rb") as file:
            pickled = zipped or file.read(1) == PICKLE_START
        if pickled and REFUSED in str(error):
            raise ModelError(
                f"{path} holds code, not just weights; it was refused and nothing in it was run.",
                "Use a .safetensors copy from a source that you trust.",
            ) from error
        size = path.stat().st_size
        raise ModelError(f"{path} is damaged or not a weight file ({size} bytes on disk).", DOWNLOAD_AGAIN) from error
    tensors, rest = _unwrap(content)
    if not tensors:
        raise ModelError(f"{path} holds no weights.", "Give the file of the network itself.")
    return Checkpoint(path, _without_prefix(tensors), rest)


def _unwrap(content: Any) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The weights of a pickled file, and what stands beside them; training code nests weights under a few names."""
    import torch

    rest: dict[str, Any] = {}
    while isinstance(content, Mapping):
        tensors = {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}
        others = {str(name): value for name, value in content.items() if not isinstance(value, torch.Tensor)}
        inner = next((name for name in WRAPPERS if isinstance(others.get(name), Mapping)), None)
        if inner is None or tensors:
            return tensors, {**rest, **others}
        content = others.pop(inner)
        rest.update(others)
    return {}, rest


def _without_prefix(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    found = dict(tensors)
    for prefix in PREFIXES:
        if found and all(name.startswith(prefix) for name in found):
            found = {name[len(prefix) :]: value for name, value in found.items()}
    return found


def load_strictly(network: nn.Module, tensors: Mapping[str, torch.Tensor], file: Path, what: str) -> None:
    """Put weights into a network: every key and every shape must fit. The tensors are taken over, not copied.

    Args:
        network: may stand on the meta device, so that its weights never exist twice in memory.
        tensors: name to tensor.
        file: where they come from, for messages.
        what: the network's name, for messages.

    Raises:
        ModelError: names the first missing and unexpected keys and the first wrong shape.
    """
    expected = network.state_dict()
    missing = [name for name in expected if name not in tensors]
    unexpected = [name for name in tensors if name not in expected]
    wrong = [name for name in expected if name in tensors and tensors[name].shape != expected[name].shape]
    problems = []
    if missing:
        problems.append(f"{len(missing)} of {len(expected)} keys are missing (first: {missing[0]})")
    if unexpected:
        problems.append(f"{len(unexpected)} keys are unknown (first: {unexpected[0]})")
    if wrong:
        found, needed = tuple(tensors[wrong[0]].shape), tuple(expected[wrong[0]].shape)
        problems.append(f"{len(wrong)} shapes differ (first: {wrong[0]} is {found}, expected {needed})")
    if problems:
        raise ModelError(f"{file} is not a {what}: {'; '.join(problems)}.", f"Give the file of a {what}.")
    network.load_state_dict(dict(tensors), strict=True, assign=True)
    network.requires_grad_(False).eval()


def save_safetensors(path: Path, tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any]) -> None:
    """Write tensors and a JSON header; the file appears under its name only when it is whole.

    Args:
        path: the file; its folder is made when missing.
        tensors: name to tensor; any device, any memory layout.
        header: what `Checkpoint.header` will give back; must be JSON.

    Raises:
        ModelError: the place cannot be written.
    """
    from safetensors.torch import save_file

    metadata = {HEADER_KEY: json.dumps(header), "format": "pt"}  # other programs look for "pt"
    with whole_file(Path(path)) as part:
        save_file(_own_memory(tensors), str(part), metadata=metadata)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`; what was written there takes the final name when the block ends well.

    Raises:
        ModelError: the folder or the file cannot be written.
    """
    from safetensors import SafetensorError

    part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
        rights = part.stat().st_mode  # safetensors would leave the file readable by its owner alone
        yield part
        part.chmod(rights)
        os.replace(part, path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be written: {_first_line(error)}.", "Check disk space and rights.") from error
    finally:
        part.unlink(missing_ok=True)


def _own_memory(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Contiguous tensors on the CPU that share no memory, as the format demands."""
    found: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        own = tensor.detach().cpu().contiguous()
        start = own.untyped_storage().data_ptr()
        found[name] = own.clone() if start in seen else own
        seen.add(start)
    return found


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
