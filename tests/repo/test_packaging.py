"""What is shipped: dependencies, versions, weights and their licences, files that may be in the repository."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    tomllib = pytest.importorskip("tomli")

REPO = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DEPENDENCIES: list[str] = PROJECT["dependencies"]
NAMES = [re.split(r"[\s<>=!~\[;]", each)[0].lower() for each in DEPENDENCIES]
LARGEST_FILE = 20_000_000  # bytes

TEXT = {
    ".py",
    ".pyi",
    ".toml",
    ".txt",
    ".md",
    ".json",
    ".yml",
    ".yaml",
    ".html",
    ".css",
    ".js",
    ".svg",
    ".typed",
    ".ps1",
    ".sh",
}
WITHOUT_SUFFIX = {
    "LICENSE",
    "NOTICE",
    ".gitignore",
    ".gitattributes",
    ".comfyignore",
    ".ci/run",
    "scripts/test",
    "scripts/demo",
}
WEIGHTS = {".tflite", ".safetensors"}
PICTURES = {".png", ".jpg"}
DRAWN = ("assets/", "docs/images/", "web/docs/", "example_workflows/")  # folders of pictures that our own code drew
SOUNDS = {"musetalk_core/portraits/speech.wav"}  # said by a synthetic voice


def committed() -> list[str]:
    """Paths of all files that git holds or would take."""
    if not (REPO / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=REPO, capture_output=True, check=True).stdout.decode()
    return [path for path in listing.split("\0") if path and (REPO / path).is_file()]


def embedded() -> dict[str, str]:
    """sha256 of each file in the package that others made or had a part in."""
    files = [path for path in (REPO / "musetalk_core").glob("**/weights/*") if path.suffix in WEIGHTS]
    files += [REPO / path for path in SOUNDS]
    return {path.relative_to(REPO).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_requirements_are_the_dependencies() -> None:
    lines = (REPO / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == DEPENDENCIES


def test_dependencies_leave_the_host_as_it_is() -> None:
    brings_torch = {"torch", "torchvision", "torchaudio", "accelerate", "peft", "timm", "xformers", "bitsandbytes"}
    assert not brings_torch & set(NAMES)
    assert [each for each in DEPENDENCIES if re.search(r"<|==|~=|!=|===|@", each)] == [], "no pins, no upper bounds"
    order = [NAMES.index(name) for name in ("transformers", "huggingface-hub", "diffusers")]
    assert order == sorted(order), "this order lets the installer pick a diffusers that fits the user's hub"
    assert len([name for name in NAMES if name.startswith("opencv")]) == 1


def test_versions_agree() -> None:
    newest = re.search(r"^## \[([^\]]+)\]", (REPO / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None
    assert newest[1] == PROJECT["version"]
    package = (REPO / "musetalk_core" / "__init__.py").read_text(encoding="utf-8")
    assert f'__version__ = "{PROJECT["version"]}"' in package


def test_license_files_exist() -> None:
    assert [name for name in PROJECT["license-files"] if not (REPO / name).is_file()] == []
    assert "Permission is hereby granted, free of charge" in (REPO / "LICENSE").read_text(encoding="utf-8")


def test_every_embedded_file_is_in_the_notice() -> None:
    notice = (REPO / "NOTICE").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^(musetalk_core/\S+)\n\s+sha256\s+([0-9a-f]{64})$", notice, re.MULTILINE))
    assert listed == embedded()


def test_the_model_card_speaks_of_the_models_that_are_there() -> None:
    weights = REPO / "musetalk_core" / "models" / "weights"
    card = (weights / "MODEL_CARD.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `(\S+\.safetensors)` \|.*\| (\d+) \|[^|]+\|$", card, re.MULTILINE))
    assert told == {path.name: str(path.stat().st_size) for path in weights.glob("*.safetensors")}
    if "unet.safetensors" in told:
        assert "{{" not in card, "figures are missing"


def test_every_file_of_the_package_is_packaged() -> None:
    settings = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["musetalk_core"]
    inside = [PurePosixPath(path) for path in committed() if path.startswith("musetalk_core/")]
    paths = [path.relative_to("musetalk_core") for path in inside if path.suffix != ".py"]
    assert len(paths) > 8
    assert [path for path in paths if not any(path.match(pattern) for pattern in patterns)] == []


def test_only_files_that_belong_here_are_committed() -> None:
    def belongs(path: str) -> bool:
        suffix = PurePosixPath(path).suffix
        if suffix in WEIGHTS:
            return "/weights/" in path
        if suffix in PICTURES:
            return path.startswith(DRAWN)
        return suffix in TEXT or path in WITHOUT_SUFFIX | SOUNDS

    # Pictures, sound and video show people; ours are drawn.
    assert [path for path in committed() if not belongs(path)] == []


def test_the_registry_can_show_the_pack() -> None:
    comfy = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["comfy"]
    assert set(comfy) == {"PublisherId", "DisplayName", "Icon", "Banner", "requires-comfyui"}
    assert "comfyui" not in PROJECT["name"].lower()
    assert "Operating System :: OS Independent" in PROJECT["classifiers"]
    sizes = {"Icon": (400, 400), "Banner": (1260, 540)}
    for name, size in sizes.items():
        head = (REPO / comfy[name]).read_bytes()[:24]
        assert head[:8] == b"\x89PNG\r\n\x1a\n"
        assert (int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")) == size


def test_no_file_is_huge() -> None:
    assert [path for path in committed() if (REPO / path).stat().st_size > LARGEST_FILE] == []


@pytest.mark.parametrize("path", [".ci/run", "scripts/test", "scripts/demo"])
def test_commands_can_be_run_from_a_fresh_clone(path: str) -> None:
    committed()
    row = subprocess.run(["git", "ls-files", "-s", path], cwd=REPO, capture_output=True, check=True).stdout.decode()
    assert row.startswith("100755"), f"git update-index --chmod=+x {path}"
    assert b"\r" not in (REPO / path).read_bytes()
