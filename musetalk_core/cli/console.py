"""What the command line shows: lines on stdout, a progress bar on stderr, never a crash on a narrow code page."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    import numpy as np
    from tqdm import tqdm


def write_line(text: str, stream: TextIO | None = None) -> None:
    """One line of text; characters that the console cannot show are escaped instead of raising."""
    target = stream or sys.stdout
    encoding = target.encoding or "utf-8"
    target.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    target.flush()


class TerminalProgress:
    """Progress as a bar with rate and time left; Ctrl-C arrives as KeyboardInterrupt by itself.

    Args:
        quiet: show nothing.
        unit: what is counted; bytes ("B") are shown as kB and MB.
    """

    def __init__(self, quiet: bool = False, unit: str = "frame") -> None:
        self._quiet = quiet
        self._unit = unit
        self._bar: tqdm[None] | None = None

    def start(self, stage: str, total: int | None) -> None:
        from tqdm import tqdm

        self.close()
        scale = self._unit == "B"
        self._bar = tqdm(
            total=total, desc=stage, unit=self._unit, unit_scale=scale, disable=self._quiet, dynamic_ncols=True
        )

    def advance(self, count: int = 1, preview: np.ndarray | None = None) -> None:
        if self._bar is not None:
            self._bar.update(count)

    def close(self) -> None:
        """End the bar of the last stage."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
