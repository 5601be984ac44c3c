"""A real ComfyUI in this process, without its web server, and the pack in it as its custom node loader loads it."""

import asyncio
import importlib
import importlib.util
import os
import sys
from pathlib import Path


def start(comfyui, base, *arguments):
    """Import ComfyUI on the CPU, with its own base folder."""
    sys.argv = ["main.py", "--cpu", "--base-directory", str(base), *arguments]
    sys.path.insert(0, comfyui)
    os.chdir(comfyui)
    import comfy.options

    comfy.options.enable_args_parsing()
    importlib.import_module("utils.extra_config")  # as main.py does, before another `utils` is put on the path
    import server

    server.PromptServer(asyncio.new_event_loop())  # packs register with it


class Pack(dict):
    """The nodes by id.

    Args:
        name: under which the package lies in `sys.modules`.
    """

    def __init__(self, name, nodes):
        super().__init__(nodes)
        self._name = name

    def module(self, name):
        """A module of the pack."""
        return importlib.import_module(f"{self._name}.{name}")

    def core(self, name):
        """A module of its core."""
        return self.module(f"musetalk_core.{name}")

    def run(self, node, **inputs):
        """What a node gives; widgets that are not named have their defaults."""
        import torch

        ports = self[node].define_schema().inputs
        known = {p.id: p.default for p in ports if not p.optional and getattr(p, "default", None) is not None}
        menus = {p.id: p.options[0] for p in ports if getattr(p, "options", None) and p.id not in known}
        with torch.inference_mode():
            return self[node].execute(**{**known, **menus, **inputs}).result


def load(base, folder=None):
    """The pack in a folder; default: that of the base folder."""
    name = str(folder or base / "custom_nodes" / "comfyui-musetalk-main")

    async def enter():
        spec = importlib.util.spec_from_file_location(name, Path(name, "__init__.py"))
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        extension = await module.comfy_entrypoint()
        await extension.on_load()
        return {node.GET_SCHEMA().node_id: node for node in await extension.get_node_list()}

    return Pack(name, asyncio.run(enter()))


def difference(a, b):
    """The largest."""
    return float((a.float() - b.float()).abs().max())
