"""What would `pip install -r requirements.txt` change in the environments that ComfyUI users have?

For each environment below: makes a fresh virtual environment, installs what such a user already has, asks an
installer for a dry run of requirements.txt, and prints what would be added and what would be replaced. Nothing is
installed into the environment that runs this script.

    python scripts/check_environments.py [--installer pip|uv|pip-by-line] [--only NAME ...] [--keep DIR]

`pip-by-line` installs each line by itself, as ComfyUI-Manager does.

Exits with 1 when an environment that must stay as it is would be changed, or when torch would be installed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements.txt"
TORCH = "torch==" + os.environ.get("TORCH_VERSION", "2.13.0")
# What ComfyUI's own requirements bring that ours touch as well.
HOST = (TORCH, "numpy", "scipy", "pillow", "pyyaml", "tqdm", "psutil", "aiohttp", "pydantic", "av", "safetensors")
OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")


@dataclass(frozen=True)
class Environment:
    """A user's environment.

    Args:
        name: short name.
        has: requirements that are there before ours.
        may_replace: packages that are known and documented to be replaced.
    """

    name: str
    has: tuple[str, ...]
    may_replace: tuple[str, ...] = ()


ENVIRONMENTS = (
    Environment("newest", (*HOST, "transformers", "diffusers", "huggingface-hub", "opencv-python", "librosa")),
    Environment("host-only", (*HOST, "transformers")),
    Environment("transformers-4", (*HOST, "transformers==4.57.*", "huggingface-hub==0.36.*", "opencv-python")),
    Environment("numpy-1", (*HOST, "numpy==1.26.*", "transformers", "opencv-python==4.11.*")),
    Environment("numpy-1-no-opencv", (*HOST, "numpy==1.26.*", "transformers"), may_replace=("numpy",)),
    Environment("headless", (*HOST, "transformers", "opencv-python-headless")),
    Environment("contrib", (*HOST, "transformers", "opencv-contrib-python")),
    Environment(
        "numpy-1-headless", (*HOST, "numpy==1.26.*", "transformers", "opencv-python-headless==4.11.*"), ("numpy",)
    ),
    Environment("no-torch", ("pip",)),
)


def main() -> int:
    """Check the environments that were asked for; 0 when all stay as they must."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--installer", choices=list(INSTALLERS), default="pip", help="uv must be on the PATH")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[each.name for each in ENVIRONMENTS])
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep the environments in this folder and use them again"
    )
    args = parser.parse_args()
    chosen = [each for each in ENVIRONMENTS if args.only is None or each.name in args.only]
    with tempfile.TemporaryDirectory() as scratch:
        bad = [each.name for each in chosen if not check(each, args.keep or Path(scratch), args.installer)]
    say(f"\n{len(chosen)} environments, {len(bad)} changed that must not be: {', '.join(bad) or 'none'}")
    return 1 if bad else 0


def check(environment: Environment, folder: Path, installer: str) -> bool:
    """Print what the requirements would do to one environment; True when that is allowed."""
    start = time.monotonic()
    python = make(environment, folder / environment.name)
    before = installed(python)
    wanted = INSTALLERS[installer](python)
    replaced = {name: version for name, version in wanted.items() if name in before}
    added = {name: version for name, version in wanted.items() if name not in before}
    say(f"\n{environment.name} ({installer}, {time.monotonic() - start:.0f} s)")
    known = ("torch", "numpy", "transformers", "huggingface-hub", "diffusers", *OPENCV)
    say("  has:      " + ", ".join(f"{name} {before[name]}" for name in known if name in before))
    say(f"  added:    {len(added)}: " + ", ".join(f"{name} {version}" for name, version in sorted(added.items())))
    changes = ", ".join(f"{name} {before[name]} -> {version}" for name, version in sorted(replaced.items()))
    say(f"  replaced: {len(replaced)}: {changes}" if replaced else "  replaced: 0")
    beside = [name for name in OPENCV if name in before]
    if beside and any(name in OPENCV for name in added):
        say(f"  beware:   the added OpenCV writes over the cv2 folder of {', '.join(beside)} (see README, Install)")
    return set(replaced) <= set(environment.may_replace) and "torch" not in added


def make(environment: Environment, folder: Path) -> Path:
    """The Python of a virtual environment in `folder` that has what the user has."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (folder / "ready").is_file():
        venv.create(folder, with_pip=True, clear=True)
        run(python, "-m", "pip", "install", "-qq", "--no-compile", *environment.has)
        (folder / "ready").touch()
    return python


def installed(python: Path) -> dict[str, str]:
    """Version of every installed package."""
    rows = json.loads(run(python, "-m", "pip", "list", "--format", "json"))
    return {normal(row["name"]): row["version"] for row in rows}


def would_install(python: Path, *wanted: str | Path) -> dict[str, str]:
    """Version of every package that pip would install."""
    what = wanted or ("-r", REQUIREMENTS)
    report = json.loads(run(python, "-m", "pip", "install", "--dry-run", "-qq", "--report", "-", *what))
    return {normal(row["metadata"]["name"]): row["metadata"]["version"] for row in report["install"]}


def would_install_by_line(python: Path) -> dict[str, str]:
    """Version of every package that pip would install when each line of the file is a command of its own."""
    lines = [line for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines() if line[:1] not in ("", "#")]
    return {name: version for line in lines for name, version in would_install(python, line).items()}


def would_install_uv(python: Path) -> dict[str, str]:
    """Version of every package that uv would install; uv prints a line `+ name==version` for each."""
    lines = run("uv", "pip", "install", "--dry-run", "--color", "never", "--python", python, "-r", REQUIREMENTS)
    return {normal(name): version for name, version in re.findall(r"^ *\+ ([\w.-]+)==(\S+)", lines, re.MULTILINE)}


INSTALLERS = {"pip": would_install, "uv": would_install_uv, "pip-by-line": would_install_by_line}


def normal(name: str) -> str:
    """A package's name as the indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def run(*command: str | Path) -> str:
    """What a command prints; uv writes its plan to standard error, pip only warnings."""
    streams = subprocess.STDOUT if command[0] == "uv" else None
    done = subprocess.run(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=streams, text=True, check=True
    )
    return done.stdout


def say(line: str) -> None:
    """Print at once, also into a pipe."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
