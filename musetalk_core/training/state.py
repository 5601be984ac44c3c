"""Checkpoints of a run: everything that a resumed run needs, in one safetensors file that is whole or not there.

Needs torch when it is imported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..errors import ModelError, OptionError
from ..models.checkpoint import read_checkpoint, save_safetensors
from .config import make_config

FORMAT, VERSION = "musetalk-training", 1
NAME = re.compile(r"update-(\d{8})\.safetensors")
FREE = ("run", "validation")  # tables that may differ between a run and its continuation


def checkpoint_path(folder: Path, update: int) -> Path:
    """Where the state after `update` updates lies."""
    return folder / f"update-{update:08d}.safetensors"


def save_state(path: Path, parts: Mapping[str, Any], update: int, config: Mapping[str, Any]) -> None:
    """Write a checkpoint.

    Args:
        path: its place.
        parts: networks, optimisers, and mappings of tensors, by name.
        update: updates that are done; with the seed it is the place in the data.
        config: the run's options.

    Raises:
        ModelError: the place cannot be written.
    """
    tensors: dict[str, Tensor] = {f"rng/{name}": value for name, value in _random_state().items()}
    plain: dict[str, Any] = {}
    for name, part in parts.items():
        for key, value in _entries(part).items():
            if isinstance(value, Tensor):
                tensors[f"{name}/{key}"] = value
            else:
                plain[f"{name}/{key}"] = value
    header = {"format": FORMAT, "version": VERSION, "update": update, "config": config, "plain": plain}
    save_safetensors(path, tensors, header)


def load_state(path: Path, parts: Mapping[str, Any], config: Mapping[str, Any]) -> int:
    """Put a checkpoint back into the same parts.

    Returns:
        Updates that are done.

    Raises:
        ModelError: the file is damaged or of another run.
        OptionError: the run's options have changed in a way that a continuation cannot have.
    """
    checkpoint = read_checkpoint(path)
    header = checkpoint.header
    if header.get("format") != FORMAT or header.get("version") != VERSION:
        raise ModelError(f"{path} is no checkpoint of this trainer's version.", "Begin a new run.")
    _require_same(header["config"], config, path)
    stored = {**checkpoint.tensors, **header["plain"]}
    for name, part in parts.items():
        own = {key.removeprefix(f"{name}/"): value for key, value in stored.items() if key.startswith(f"{name}/")}
        _restore(part, own, path, name)
    _set_random_state({key.removeprefix("rng/"): value for key, value in stored.items() if key.startswith("rng/")})
    return int(header["update"])


def newest(folder: Path) -> Path | None:
    """The checkpoint with the most updates, None when there is none."""
    found = sorted(path for path in folder.glob("update-*.safetensors") if NAME.fullmatch(path.name))
    return found[-1] if found else None


def prune(folder: Path, keep: int) -> None:
    """Delete all but the newest `keep` checkpoints, and what a kill left half written."""
    found = sorted(path for path in folder.glob("update-*.safetensors") if NAME.fullmatch(path.name))
    for path in [*found[:-keep], *folder.glob("update-*.part")]:
        path.unlink(missing_ok=True)


def _entries(part: Any) -> dict[str, Any]:
    if isinstance(part, nn.Module):
        return dict(part.state_dict())
    if isinstance(part, Optimizer):
        state = part.state_dict()["state"]
        return {f"{place}.{key}": value for place, values in state.items() for key, value in values.items()}
    return dict(part)


def _restore(part: Any, stored: dict[str, Any], path: Path, name: str) -> None:
    if isinstance(part, Optimizer):
        state: dict[int, dict[str, Any]] = {}
        for key, value in stored.items():
            place, entry = key.split(".", 1)
            state.setdefault(int(place), {})[entry] = value.clone()  # a file's memory is not to be written to
        part.load_state_dict({"state": state, "param_groups": part.state_dict()["param_groups"]})
        return
    own = part.state_dict() if isinstance(part, nn.Module) else part
    if set(own) != set(stored):
        raise ModelError(f"{path} holds another {name}.", "Resume with the networks that the run began with.")
    with torch.no_grad():
        for key, value in own.items():
            value.copy_(stored[key])


def _require_same(stored: Mapping[str, Any], config: Mapping[str, Any], path: Path) -> None:
    stored = make_config(stored).as_dict()  # options that came later had their default
    changed = [
        f"{table}.{key}"
        for table, values in config.items()
        if table not in FREE
        for key, value in values.items()
        if stored[table][key] != value
    ]
    seeds = [f"run.{k}" for k in ("seed", "batch", "accumulate") if stored["run"][k] != config["run"][k]]
    if changed or seeds:
        raise OptionError(
            f"{path} belongs to a run with other options: {', '.join(changed + seeds)}.",
            "Set them back, or begin a new run in another folder.",
        )


def _random_state() -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _set_random_state(state: Mapping[str, Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
