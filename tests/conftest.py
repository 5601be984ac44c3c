"""Shared fixtures: where real footage lies, and which tests are slow."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from musetalk_core.models.load import LoadedModel
    from musetalk_core.portraits.footage import PortraitFootage
from hypothesis import settings

# Machines differ in speed, and a failure must come back: no deadlines, the same examples every run.
settings.register_profile("musetalk", deadline=None, derandomize=True)
settings.load_profile("musetalk")

REPO = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of real clips, speech and small weights beside the checkout."""
    folder = REPO.parent / "shared" / "assets"
    if not folder.is_dir():
        pytest.skip(f"needs the real footage in {folder}")
    return folder


@pytest.fixture(scope="session")
def nano_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a seeded, random model of nano's size: U-Net, small tiny VAE, Whisper tiny.en."""
    spec = importlib.util.spec_from_file_location("make_random_model", REPO / "scripts" / "make_random_model.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    folder: Path = script.write_random_model(tmp_path_factory.mktemp("models") / "random nano")
    return folder


@pytest.fixture(scope="module")
def model(nano_folder: Path) -> LoadedModel:
    """That model, loaded for one file's tests."""
    from musetalk_core.models.load import load_model
    from musetalk_core.models.registry import FolderLocator
    from musetalk_core.placement import SingleDevice

    return load_model(str(nano_folder), FolderLocator(None), SingleDevice("cpu", "fp32"))


@pytest.fixture(scope="session")
def scripts() -> Iterator[None]:
    """Lets the scripts be imported, which import each other."""
    sys.path.insert(0, str(REPO / "scripts"))
    yield
    sys.path.remove(str(REPO / "scripts"))


@pytest.fixture(scope="session")
def workflows(scripts: None) -> ModuleType:
    """scripts/make_workflows.py, which makes the example workflows and reads them."""
    return importlib.import_module("make_workflows")


@pytest.fixture(scope="session")
def portrait_clip() -> PortraitFootage:
    """Two seconds of a drawn person who talks, 25 frames a second, 320 x 320, with ground truth (`.truth()`)."""
    from musetalk_core.portraits.footage import portrait_footage

    return portrait_footage(7, 2, width=320, height=320)
