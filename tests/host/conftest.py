"""A real ComfyUI: its checkout, an interpreter that runs it, a server of our own.

COMFYUI_PATH names the checkout (default ~/ComfyUI), COMFYUI_PYTHON an interpreter with its requirements and ours
(default: the one that runs the tests). What is missing is said in the reason for skipping.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[2]
INSIDE = Path(__file__).parent / "inside"  # scripts that run in the host's interpreter
FOLDER = "comfyui-musetalk-main"  # as GitHub's zip names it
RANDOM = "random"  # folder of a random model of nano's size in models/musetalk
# What ComfyUI and the pack cannot start without; imported, because a wheel may be there and broken.
NEEDED = "torch, torchvision, torchaudio, torchsde, aiohttp, alembic, comfyui_frontend_package, diffusers, cv2, librosa"
START_SECONDS, RUN_SECONDS = 600, 600  # a busy machine of two cores


@dataclass(frozen=True)
class Host:
    """A checkout and its interpreter."""

    path: Path
    python: str

    @property
    def environment(self) -> dict[str, str]:
        """Writes no byte code into the checkout."""
        return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}

    def script(self, name: str, *arguments: str | Path) -> Any:
        """What a script of `inside/` prints as its last line of JSON."""
        command = [self.python, str(INSIDE / name), str(self.path), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=self.environment)
        assert done.returncode == 0, done.stderr[-6000:]
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def host() -> Host:
    """The checkout, or a skip that says what is missing."""
    path = Path(os.environ.get("COMFYUI_PATH") or Path.home() / "ComfyUI")
    python = os.environ.get("COMFYUI_PYTHON") or sys.executable
    if not (path / "main.py").is_file():
        pytest.skip(f"no ComfyUI in {path}; COMFYUI_PATH names one")
    done = subprocess.run([python, "-c", f"import {NEEDED}"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{python} cannot run ComfyUI ({done.stderr.splitlines()[-1]}); COMFYUI_PYTHON names one that can")
    return Host(path, python)


def make_base(folder: Path, nano_folder: Path) -> Path:
    """A base folder for ComfyUI with the pack in it and a random model of nano's size."""
    for name in ("custom_nodes", "models/musetalk/random", "input", "output", "temp", "user"):
        (folder / name).mkdir(parents=True)
    for file in nano_folder.iterdir():
        shutil.copy(file, folder / "models" / "musetalk" / "random")
    shutil.copy(INSIDE / "stand_in.py", folder / "custom_nodes")
    target = folder / "custom_nodes" / FOLDER
    try:
        target.symlink_to(REPO, target_is_directory=True)
    except OSError:  # Windows without the right to link
        for name in ("nodes", "musetalk_core", "web"):
            if (REPO / name).is_dir():
                shutil.copytree(REPO / name, target / name)
        shutil.copy(REPO / "__init__.py", target)
    return folder


@pytest.fixture(scope="session")
def base(nano_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ComfyUI's base folder."""
    return make_base(tmp_path_factory.mktemp("comfy") / "base folder", nano_folder)


@dataclass(frozen=True)
class Outcome:
    """How a prompt went.

    Args:
        node_errors: what validation said, by node.
        status: of the history: "success", "error", or "" when it was not run.
        error: the exception's text, empty when there was none.
        outputs: of the output nodes, by node.
        seconds: from queueing to the end.
    """

    node_errors: dict[str, Any] = field(default_factory=dict)
    status: str = ""
    error: str = ""
    outputs: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


class Server:
    """A running ComfyUI.

    Args:
        url: where it listens.
        base: its base folder.
        log: file of what it printed.
        process: it.
    """

    def __init__(self, url: str, base: Path, log: Path, process: subprocess.Popen[bytes]) -> None:
        self.url, self.base, self._log, self.process = url, base, log, process

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def get(self, path: str) -> Any:
        """The JSON behind a path."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=60) as answer:
            return json.loads(answer.read())

    def post(self, path: str, content: dict[str, Any]) -> Any:
        """The JSON that the server answers, also when it refuses."""
        request = urllib.request.Request(
            f"{self.url}{path}", json.dumps(content).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            text = error.read()
        return json.loads(text) if text else None

    def queue(self, prompt: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Queue a prompt in API format; gives its id ("" when refused) and the node errors."""
        answer = self.post("/prompt", {"prompt": prompt, "client_id": uuid.uuid4().hex})
        return answer.get("prompt_id", ""), answer.get("node_errors", {})

    def wait(self, prompt_id: str) -> Outcome:
        """Wait until a queued prompt has ended."""
        started = time.monotonic()
        while time.monotonic() - started < RUN_SECONDS:
            history = self.get(f"/history/{prompt_id}")
            if prompt_id in history:
                entry = history[prompt_id]
                messages = dict(entry["status"]["messages"])
                error = messages.get("execution_error", {})
                return Outcome(
                    status=entry["status"]["status_str"],
                    error=error.get("exception_message", ""),
                    outputs=entry["outputs"],
                    seconds=time.monotonic() - started,
                )
            time.sleep(0.05)
        raise AssertionError(f"the prompt did not end in {RUN_SECONDS} s\n{self.log[-3000:]}")

    def run(self, prompt: dict[str, Any]) -> Outcome:
        """Queue a prompt and wait for its end."""
        prompt_id, errors = self.queue(prompt)
        return self.wait(prompt_id) if prompt_id and not errors else Outcome(node_errors=errors)

    def memory(self) -> float:
        """Bytes of its own memory, files that it has mapped left out."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return 1024 * next(float(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def start_server(host: Host, base: Path, *arguments: str) -> Server:
    """Start ComfyUI on the CPU and wait until it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [host.python, "main.py", "--cpu", "--base-directory", str(base), "--listen", "127.0.0.1", "--port",
               str(port), "--disable-api-nodes", "--database-url", "sqlite:///:memory:", *arguments]  # fmt: skip
    log = base / "log.txt"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=host.path, stdout=out, stderr=out, env=host.environment)
    server = Server(f"http://127.0.0.1:{port}", base, log, process)
    started = time.monotonic()
    while process.poll() is None and time.monotonic() - started < START_SECONDS:
        try:
            server.get("/system_stats")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
        else:
            return server
    process.kill()
    raise AssertionError(f"ComfyUI did not start:\n{server.log[-4000:]}")


def stop_server(server: Server) -> None:
    """End it, and wait for it."""
    server.process.terminate()
    try:
        server.process.wait(20)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()


@pytest.fixture(scope="session")
def server(host: Host, base: Path) -> Iterator[Server]:
    """A server with the pack, for all tests of the session."""
    running = start_server(host, base)
    yield running
    stop_server(running)


Nodes = dict[str, tuple[str, dict[str, Any]]]  # name: kind and inputs


@pytest.fixture(scope="session")
def catalogue(server: Server) -> dict[str, Any]:
    """/object_info: our nodes and ComfyUI's."""
    return dict(server.get("/object_info"))


@pytest.fixture(scope="session")
def prompt(catalogue: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """Makes a prompt in API format: widgets that are not named get the default that the server names."""

    def make(**nodes: tuple[str, dict[str, Any]]) -> dict[str, Any]:
        return {
            name: {"class_type": kind, "inputs": _defaults(catalogue[kind]["input"].get("required", {})) | inputs}
            for name, (kind, inputs) in nodes.items()
        }

    return make


def _defaults(ports: dict[str, Any]) -> dict[str, Any]:
    """The widgets among some inputs, as they stand at first."""
    widgets: dict[str, Any] = {}
    for key, (options, *more) in ports.items():
        settings = more[0] if more else {}
        menu = options if isinstance(options, list) else settings.get("options")
        if menu and isinstance(menu[0], dict):  # each choice brings further widgets
            widgets[key] = menu[0]["key"]
            further = _defaults(menu[0]["inputs"].get("required", {}))
            widgets |= {f"{key}.{name}": value for name, value in further.items()}
        elif "default" in settings or menu:
            widgets[key] = settings.get("default", menu[0] if menu else None)
    return widgets


@pytest.fixture(scope="session")
def discrete(prompt: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Makes the discrete graph on a drawn person: `also` adds nodes, the others change inputs of nodes by name."""

    def make(also: Nodes | None = None, **changes: dict[str, Any]) -> dict[str, Any]:
        nodes = _discrete()
        return prompt(**{name: (kind, inputs | changes.get(name, {})) for name, (kind, inputs) in nodes.items()},
                      **also or {})  # fmt: skip

    return make


def _discrete() -> Nodes:
    return {
        "portrait": ("MuseTalkSamplePortrait", {"seconds": 0.16, "width": 192, "height": 192}),
        "model": ("MuseTalkLoadModel", {"model": str(Path(RANDOM, "unet.safetensors"))}),
        "vae": ("MuseTalkLoadVAE", {"vae": str(Path(RANDOM, "vae.safetensors"))}),
        "encoder": ("MuseTalkLoadAudioEncoder", {"audio_encoder": str(Path(RANDOM, "audio_encoder.safetensors"))}),
        "track": ("MuseTalkTrackFaces", {"image": ["portrait", 1]}),
        "crop": ("MuseTalkCropFaces", {"image": ["portrait", 1], "faces": ["track", 0]}),
        "speech": ("MuseTalkEncodeAudio", {"audio": ["portrait", 2], "audio_encoder": ["encoder", 0]}),
        "encode": ("MuseTalkEncodeFaces", {"face_images": ["crop", 0], "vae": ["vae", 0]}),
        "lips": (
            "MuseTalkGenerateLips",
            {"model": ["model", 0], "masked": ["encode", 0], "reference": ["encode", 1], "speech": ["speech", 0]},
        ),
        "decode": ("MuseTalkDecodeFaces", {"latent": ["lips", 0], "vae": ["vae", 0]}),
        "blend": (
            "MuseTalkBlendFaces",
            {"image": ["portrait", 1], "face_images": ["decode", 0], "faces": ["track", 0], "speech": ["speech", 0]},
        ),
        "save": ("SaveImage", {"images": ["blend", 0], "filename_prefix": "discrete"}),
    }
