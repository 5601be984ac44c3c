"""What a run says about itself: one line of JSON a record; with TensorBoard the same there, and its sheets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import MediaError
from ..video.read import open_footage


class RunLog:
    """Writes `log.jsonl` and, with the package tensorboard, `tensorboard/`.

    Args:
        folder: of the run.
        update: updates that are done; what a killed run wrote after them is taken back.
        active: only one of several processes writes.
    """

    def __init__(self, folder: Path, update: int, active: bool) -> None:
        self._path = folder / "log.jsonl"
        self._board: Any = None
        self._active = active
        if not active:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            kept = [line for line in read_log(self._path) if line["update"] <= update]
            self._path.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        except OSError as error:
            raise MediaError(f"{folder} cannot be written: {error}", "Choose another run.folder.") from error
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=update + 1)

    def write(self, kind: str, update: int, values: Mapping[str, float | None]) -> None:
        """One record.

        Args:
            kind: "train" or "validation".
            update: updates that are done.
            values: by name; None where a meter has none.
        """
        if not self._active:
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, "update": update, **values}) + "\n")
        if self._board is not None:
            for name, value in values.items():
                if value is not None:
                    self._board.add_scalar(f"{kind}/{name}", value, update)
            self._board.flush()

    def show(self, sheet: Path, update: int) -> None:
        """One picture for TensorBoard.

        Args:
            sheet: its file.
            update: updates that are done.
        """
        if self._board is not None:
            picture = open_footage(sheet).read([0])[0]
            self._board.add_image("validation/sheet", picture, update, dataformats="HWC")
            self._board.flush()

    def close(self) -> None:
        """End TensorBoard's file."""
        if self._board is not None:
            self._board.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """All whole records of a log; a line that a kill cut short is left out."""
    found = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
    return found
