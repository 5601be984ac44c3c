"""Shared fixtures: where real footage lies, and which tests are slow."""

from __future__ import annotations

from pathlib import Path

import pytest

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
