"""The stub that the quick tests run on says nothing of ComfyUI that is not so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

STUB = Path(__file__).resolve().parents[1] / "nodes" / "stub"


def test_the_stub_is_true(host: Any) -> None:
    assert host.script("contract.py", STUB) == []


def test_the_contract_sees(host: Any, tmp_path: Path) -> None:
    (tmp_path / "folder_paths.py").write_text("def get_input_directory(whose):\n    return ''\n\nno_such_name = 1\n")
    assert host.script("contract.py", tmp_path) == [
        "folder_paths.get_input_directory takes no 'whose': []",
        "folder_paths.no_such_name does not exist",
    ]
