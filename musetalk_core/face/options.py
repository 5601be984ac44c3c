"""What a user can set about finding and following faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..options import Options, option

Selection = Literal["largest", "index", "point", "all"]


@dataclass(frozen=True, slots=True)
class TrackOptions(Options):
    """Whose face speaks, and when it does not."""

    selection: Literal["largest", "index", "point", "all"] = option(
        "largest",
        "whose mouth moves: the largest face over the clip, a number counted from left to right (index), the face at a "
        "point of the picture, or everybody (all)",
    )
    index: int = option(0, "for the selection index: number of the face, the leftmost is 0", low=0, high=999)
    point_x: int = option(0, "for the selection point: pixels from the picture's left", low=0, high=65535, unit="px")
    point_y: int = option(0, "for the selection point: pixels from the picture's top", low=0, high=65535, unit="px")
    smoothing: float = option(
        1.0,
        "how steady boxes and landmarks are held; 0 leaves them as seen, more follows fast motion less",
        low=0.0,
        high=5.0,
    )
    hold_seconds: float = option(
        0.2, "the longest gap within a shot over which a lost face is held", low=0.0, high=2.0, unit="s"
    )
    fade_seconds: float = option(
        0.2, "how long the new mouth takes to appear and to vanish beside skipped frames", low=0.0, high=2.0, unit="s"
    )
    yaw_limit: float = option(
        50.0, "the head's turn to a side beyond which the mouth is left alone", low=10.0, high=90.0, unit="degrees"
    )
    roll_limit: float = option(
        50.0,
        "the head's tilt to a shoulder beyond which the mouth is left alone; none with align_roll",
        low=10.0,
        high=180.0,
        unit="degrees",
    )
    smallest_face: int = option(32, "crop height below which a face is left alone", low=8, high=4096, unit="px")
    likeness: float = option(
        0.86,
        "how alike two faces must look to be the same person after a cut; lower joins more, higher splits more",
        low=0.5,
        high=1.0,
    )
    most_faces: int = option(6, "how many faces are followed at once; of more, the largest", low=1, high=50)
    align_roll: bool = option(False, "turn the crop with the head; the released models were trained without")
