"""The pack as ComfyUI loads it, on a stub of exactly the names that it uses (tests/host holds the stub to the real)."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[2]
STUB = Path(__file__).parent / "stub"
NAME = "musetalk_pack"
HOST_NAMES = ("comfy", "comfy_api", "folder_paths")


class Pack:
    """The loaded pack.

    Attributes:
        nodes: class of each node by its id.
        base: the stub host's folder, with models, input, output, temp.
    """

    def __init__(self, nodes: dict[str, Any], base: Path) -> None:
        self.nodes = nodes
        self.base = base

    def core(self, name: str) -> ModuleType:
        """A module of the pack's own core: the classes are not those of an installed `musetalk_core`."""
        return importlib.import_module(f"{NAME}.musetalk_core.{name}")

    def bridge(self, name: str) -> ModuleType:
        """A module of the bridge."""
        return importlib.import_module(f"{NAME}.nodes._bridge.{name}")

    def run(self, node: str, **inputs: Any) -> Any:
        """What a node gives, as a tuple; widgets that are not named have their defaults."""
        import torch

        schema = self.nodes[node].define_schema()
        known = {port.id: port.default for port in schema.inputs if not port.optional and port.default is not None}
        assert set(inputs) <= {port.id for port in schema.inputs}, f"{node} has no such input"
        with torch.inference_mode():  # as ComfyUI's executor does
            return self.nodes[node].execute(**{**known, **inputs}).result


@pytest.fixture(scope="session")
def pack(nano_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pack]:
    """The pack on the stub; models/musetalk/random holds a random model of nano's size."""
    base = tmp_path_factory.mktemp("stub host")
    target = base / "models" / "musetalk" / "random"
    target.mkdir(parents=True)
    for file in nano_folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] in HOST_NAMES}
    assert before == {}, "a host is loaded already"
    sys.path.insert(0, str(STUB))
    try:
        folders = importlib.import_module("folder_paths")
        folders.models_dir, folders.base_path = str(base / "models"), str(base)
        yield Pack(load_nodes(), base)
    finally:
        sys.path.remove(str(STUB))
        for name in list(sys.modules):
            if name.split(".")[0] in (*HOST_NAMES, NAME):
                del sys.modules[name]


def load_nodes() -> dict[str, Any]:
    """The way of ComfyUI's custom node loader."""
    spec = importlib.util.spec_from_file_location(NAME, REPO / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)

    async def enter() -> list[Any]:
        extension = await module.comfy_entrypoint()
        await extension.on_load()
        return list(await extension.get_node_list())

    return {node.GET_SCHEMA().node_id: node for node in asyncio.run(enter())}
