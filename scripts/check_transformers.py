"""Do the five hidden states of Whisper stay the same under another version of transformers?

Installs that version into a temporary folder that stands before the environment's own (nothing in the environment
changes), and runs the Whisper tests with it:

    python scripts/check_transformers.py [VERSION ...]        (default: 4.57.*)

Needs the real weights and the real speech that those tests use; without them they skip, and this exits with 1.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
TESTS = "tests/core/test_models_whisper.py"
# What a version of transformers needs beside it, when the environment's own is too new.
PARTNERS = {"4": ("huggingface_hub==0.36.*", "tokenizers==0.22.*"), "5": ()}


def check(version: str) -> bool:
    """Run the Whisper tests under one version of transformers."""
    with tempfile.TemporaryDirectory() as folder:
        packages = [f"transformers=={version}", *PARTNERS.get(version[0], ())]
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, *packages]
        subprocess.run(install, check=True)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([folder, str(REPO)])}
        show = "import transformers; print('transformers', transformers.__version__, transformers.__file__)"
        subprocess.run([sys.executable, "-c", show], check=True, env=environment)
        tests = [sys.executable, "-m", "pytest", TESTS, "-q", "-p", "no:cacheprovider"]
        result = subprocess.run(tests, check=False, env=environment, cwd=REPO, capture_output=True, text=True)
    print(result.stdout)
    return result.returncode == 0 and "skipped" not in result.stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("versions", nargs="*", default=["4.57.*"])
    results = {version: check(version) for version in parser.parse_args().versions}
    for version, good in results.items():
        print(f"transformers {version}: {'the same' if good else 'DIFFERENT, or not tested'}")
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
