"""Importing is quick, and touches no network, no GPU and no heavy library."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "cv2", "av", "diffusers", "transformers", "librosa", "huggingface_hub", "matplotlib", "scipy")
TORCH_AT_TOP = re.compile(r"^(?:import|from) torch\b", re.MULTILINE)
LONGEST_IMPORT = 1.0  # seconds of processor time for every light module at once; a host wants the pack in under 2

# Runs in a process of its own: imports each module named on the command line, and stops at the first thing that an
# import has no business to do.
PROBE = """
import importlib, json, sys, time

def guard(event, args):
    written = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
    if written and not str(args[0]).endswith((".pyc",)) and "__pycache__" not in str(args[0]):
        raise RuntimeError(f"an import writes {args[0]}")
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system"):
        raise RuntimeError(f"an import does {event} {args}")

sys.addaudithook(guard)
start = time.process_time()
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps({"seconds": time.process_time() - start, "loaded": sorted(sys.modules)}))
"""


def light_modules() -> list[str]:
    """Every module of the library but those that define networks as classes, and the one that runs the program."""
    names = []
    for path in sorted((REPO / "musetalk_core").rglob("*.py")):
        parts = path.relative_to(REPO).with_suffix("").parts
        if parts[-1] != "__main__" and not TORCH_AT_TOP.search(path.read_text(encoding="utf-8")):
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def probe(modules: list[str]) -> dict[str, Any]:
    command = [sys.executable, "-c", PROBE, *modules]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_importing_loads_nothing_heavy() -> None:
    loaded = probe(light_modules())["loaded"]
    assert [name for name in HEAVY if name in loaded] == []


def test_importing_is_quick() -> None:
    probe(light_modules())  # writes the byte code
    assert min(probe(light_modules())["seconds"] for _ in range(3)) < LONGEST_IMPORT


@pytest.mark.parametrize(
    "line", ["import socket; socket.getaddrinfo('localhost', 80)", "open('x', 'w')", "import os; os.system('true')"]
)
def test_the_probe_sees(line: str, tmp_path: Path) -> None:
    (tmp_path / "naughty.py").write_text(line)
    command = [sys.executable, "-c", PROBE, "naughty"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "an import" in done.stderr


def test_the_pack_loads_by_path_under_any_name() -> None:
    name = "/custom_nodes/comfyui-musetalk-main"  # ComfyUI takes the folder's path as the module's name
    before = (list(sys.path), dict(os.environ), set(sys.modules))
    spec = importlib.util.spec_from_file_location(name, REPO / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[name]
    assert (list(sys.path), dict(os.environ), set(sys.modules)) == before
    public = {key for key in vars(module) if not key.startswith("_")}
    # NODE_CLASS_MAPPINGS would switch comfy_entrypoint off; an entry point without nodes/ would be an empty promise.
    assert public == ({"WEB_DIRECTORY", "comfy_entrypoint"} if (REPO / "nodes").is_dir() else set())
