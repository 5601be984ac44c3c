"""How a long stage reports and how it is cancelled: the host answers, the core asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np


class Progress(Protocol):
    """Receives the progress of one job, stage after stage.

    Both methods may raise the host's own cancel (KeyboardInterrupt, ComfyUI's interrupt): callers clean up with
    `finally` and let it through.
    """

    def start(self, stage: str, total: int | None) -> None:
        """Begin a stage of `total` units (frames unless the stage says otherwise); None when unknown."""

    def advance(self, count: int = 1, preview: np.ndarray | None = None) -> None:
        """Report `count` more units done, with an optional picture (H, W, 3) uint8 RGB to show."""


class SilentProgress:
    """Reports to nobody and never cancels."""

    def start(self, stage: str, total: int | None) -> None:
        return None

    def advance(self, count: int = 1, preview: np.ndarray | None = None) -> None:
        return None
