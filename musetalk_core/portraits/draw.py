"""A person in a picture: prepared once, then drawn in any pose with any mouth, with ground truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .background import paint_body, paint_scene
from .eyes import Eyes
from .hair import Layer
from .hairstyles import LONG_STYLES
from .head import Head, paint_head
from .identity import Identity
from .light import Light
from .motion import EyeShape, MouthShape, Pose
from .mouth import Mouth
from .paint import Sheet
from .surface import CHIN_PER_GAP, Layout, lopsided, skin_source

PIVOT_Y, PIVOT_Z = 0.60, -0.46  # face units; the head turns about the top of the spine
BROW_TRAVEL = 0.022  # face units from rest to raised
DETAIL = 1.2  # pixels of the head's raster for each pixel of the picture
COARSE = 4  # pixels; the turn's map is smooth, so it is solved this coarsely
# What the landmark network measures (points 13 to 14 over 10 to 152) for a drawn gap over the drawn face's height; mean
# of 40 identities, 13 gaps, small turns. A narrow gap with its shadow is taken for wider, a wide one for narrower.
MEASURED = (0.0, 0.0050, 0.0084, 0.0180, 0.0256, 0.0312, 0.0367, 0.0483, 0.0607, 0.0810, 0.0996, 0.1125, 0.1235, 0.1400)
DRAWN = (0.0, 0.0, 0.004, 0.008, 0.012, 0.020, 0.030, 0.045, 0.060, 0.080, 0.100, 0.120, 0.140, 0.160)
FACE_SHARE = 0.47  # height of the face over the picture's short side


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """A person, painted at rest, ready to be moved.

    Args:
        person: who.
        width, height: pixels of the picture.
        scale: pixels per face unit. x, y: pixels of the nasion at rest.
        sheet: raster of the head. place: where features lie.
        head, eyes, mouth: its painters. back, front: hair behind and before, premultiplied (H, W, 4).
        body: neck and shoulders, premultiplied (height, width, 4). scene: (height, width, 3) background.
    """

    person: Identity
    width: int
    height: int
    scale: float
    x: float
    y: float
    sheet: Sheet
    place: Layout
    head: Head
    eyes: Eyes
    mouth: Mouth
    back: np.ndarray | None
    front: np.ndarray | None
    body: np.ndarray
    scene: np.ndarray

    @classmethod
    def prepare(
        cls, person: Identity, width: int = 512, height: int = 512, *, face_height: float | None = None,
        centre: tuple[float, float] | None = None,
    ) -> Portrait:  # fmt: skip
        """Paint a person at rest; takes about a second.

        Args:
            person: who.
            width, height: pixels of the picture.
            face_height: pixels from hairline to chin; by default 0.47 of the picture's short side.
            centre: pixels of the nasion; by default in the middle, 0.42 of the height down.
        """
        scale = face_height if face_height is not None else FACE_SHARE * min(width, height)
        x, y = centre if centre is not None else (0.5 * width, 0.42 * height)
        light = Light.of(person)
        low = 1.40 if person.hair in LONG_STYLES else 0.98
        wide = 0.80 if person.hair == "afro" else 0.64
        sheet = Sheet.over(-wide, -0.86, wide, low, scale * DETAIL)
        head = paint_head(person, sheet, light)
        frame = Sheet(-x / scale, -y / scale, scale, width, height)
        return cls(
            person=person, width=width, height=height, scale=scale, x=x, y=y, sheet=sheet,
            place=Layout.of(person.shape), head=head, eyes=Eyes.of(person, light, sheet, head.shine),
            mouth=Mouth.of(person, light), back=None if head.back is None else _premultiplied(head.back),
            front=None if head.front is None else _premultiplied(head.front),
            body=_premultiplied(paint_body(person, frame, light)), scene=paint_scene(person, width, height),
        )  # fmt: skip

    def draw(self, pose: Pose, mouth: MouthShape, eyes: EyeShape) -> np.ndarray:
        """One picture, (height, width, 3) uint8 RGB, without a camera's faults."""
        frame = self.scene.copy()
        self.paint(frame, pose, mouth, eyes)
        return np.asarray(np.clip(frame * 255 + 0.5, 0, 255).astype(np.uint8))

    def paint(self, frame: np.ndarray, pose: Pose, mouth: MouthShape, eyes: EyeShape) -> None:
        """Lay the person over a picture, (height, width, 3) float32 display values, which is written to."""
        import cv2

        face = self._face(mouth, eyes)
        map_x, map_y, where = self._turned(pose)
        if self.back is not None:
            _lay(frame[where], cv2.remap(self.back, map_x, map_y, cv2.INTER_LINEAR))
        self._lay_body(frame, pose)
        _lay(frame[where], cv2.remap(face, map_x, map_y, cv2.INTER_LINEAR))

    def gap(self, opening: float) -> float:
        """Face units between the drawn inner lips for an opening as the meters measure it."""
        drawn = float(np.interp(opening, MEASURED, DRAWN))
        return drawn / (1 - CHIN_PER_GAP * drawn)  # the chin goes down with the lip, so the face grows

    def _face(self, mouth: MouthShape, eyes: EyeShape) -> np.ndarray:
        """The head with this mouth and these eyes, facing: premultiplied (H, W, 4)."""
        import cv2

        gap, half = self.gap(mouth.opening), self.place.mouth_half * mouth.width
        face = self.head.skin.copy()
        for top, bottom in ((-0.30, 0.06), (0.10, 1.0)):  # brows, then everything that the jaw moves
            part, where = self.sheet.window(-9, top, 9, bottom)
            small = Sheet(part.left, part.top, part.scale / COARSE, -(-part.width // COARSE), -(-part.height // COARSE))
            x, y = skin_source(small, self.place, gap, half, eyes.brow * BROW_TRAVEL)
            move = np.stack([x - small.x, y - small.y], axis=-1) * self.sheet.scale
            size = (small.width * COARSE, small.height * COARSE)
            move = cv2.resize(move, size, interpolation=cv2.INTER_LINEAR)[: part.height, : part.width]
            column = np.arange(part.width, dtype=np.float32)[None] + where[1].start
            row = np.arange(part.height, dtype=np.float32)[:, None] + where[0].start
            face[where] = cv2.remap(
                self.head.skin, move[..., 0] + column, move[..., 1] + row, cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )  # fmt: skip
        color, alpha = cv2.cvtColor(face, cv2.COLOR_RGBA2RGB), face[..., 3].copy()
        self.eyes.draw(color, self.sheet, eyes.opening, (eyes.gaze_x, eyes.gaze_y))
        self.mouth.draw(color, self.sheet, self.head.depth, self.head.shadow, gap, half, mouth.rounding)
        face = cv2.merge((*cv2.split(cv2.multiply(color, cv2.merge((alpha, alpha, alpha)))), alpha))
        if self.front is None:
            return np.asarray(face)
        rest = 1 - self.front[..., 3]
        return np.asarray(cv2.add(cv2.multiply(face, cv2.merge((rest, rest, rest, rest))), self.front))

    def _turned(self, pose: Pose) -> tuple[np.ndarray, np.ndarray, tuple[slice, slice]]:
        """For each pixel of the picture's window, the pixel of the head's raster that is seen there."""
        import cv2

        matrix = rotation(pose)
        flat, deep = matrix[:2, :2], matrix[:2, 2]
        turn = np.linalg.inv(flat)
        slip = (turn @ deep).tolist()  # how far a point moves sideways for each unit of depth
        scale, origin = self.scale * pose.scale, self._origin(pose)
        low = self.sheet.top + self.sheet.height / self.sheet.scale
        corners = np.array([(x, y) for x in (self.sheet.left, -self.sheet.left) for y in (self.sheet.top, low)])
        seen = (corners - (0, PIVOT_Y)) @ flat.T * scale + origin
        pad = 0.12 * scale
        x1, y1 = np.clip((seen.min(axis=0) - pad).astype(int), 0, (self.width - 8, self.height - 8))
        x2, y2 = np.clip((seen.max(axis=0) + pad).astype(int), (x1 + 8, y1 + 8), (self.width, self.height))
        columns, rows = -(-(x2 - x1) // COARSE), -(-(y2 - y1) // COARSE)
        px = x1 + (np.arange(columns, dtype=np.float32)[None] + 0.5) * COARSE
        py = y1 + (np.arange(rows, dtype=np.float32)[:, None] + 0.5) * COARSE
        qx, qy = (px - origin[0]) / scale, (py - origin[1]) / scale
        bx = (turn[0, 0] * qx + turn[0, 1] * qy).astype(np.float32)
        by = (turn[1, 0] * qx + turn[1, 1] * qy).astype(np.float32)
        depth = cv2.resize(self.head.pose_depth, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        half = self.sheet.scale / 2
        z = np.full_like(bx, -0.1)
        for _ in range(7):  # each round brings the point nearer to the line of sight; steepest slope x tan(yaw) < 0.7
            x, y = bx - slip[0] * (z - PIVOT_Z), by - slip[1] * (z - PIVOT_Z) + PIVOT_Y
            at_x, at_y = (x - self.sheet.left) * half - 0.5, (y - self.sheet.top) * half - 0.5
            seen_z = cv2.remap(depth, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            z = 0.15 * z + 0.85 * seen_z
        x, y = bx - slip[0] * (z - PIVOT_Z), by - slip[1] * (z - PIVOT_Z) + PIVOT_Y
        lean_x, lean_y = lopsided(self.person.shape, x, y)
        x, y = x - lean_x, y - lean_y
        pixels = (
            np.stack([(x - self.sheet.left), (y - self.sheet.top)], axis=-1).astype(np.float32) * self.sheet.scale - 0.5
        )
        pixels = cv2.resize(pixels, (columns * COARSE, rows * COARSE), interpolation=cv2.INTER_LINEAR)
        pixels = pixels[: y2 - y1, : x2 - x1]
        return pixels[..., 0].copy(), pixels[..., 1].copy(), (slice(y1, y2), slice(x1, x2))

    def _origin(self, pose: Pose) -> np.ndarray:
        """Pixels of the head's pivot."""
        return np.array([self.x + pose.x * self.scale, self.y + (pose.y + PIVOT_Y) * self.scale])

    def project(self, points: np.ndarray, pose: Pose, depth: np.ndarray | None = None) -> np.ndarray:
        """Pixels at which points of the face are seen.

        Args:
            points: (n, 2) face units.
            pose: of the head.
            depth: (n,) face units; by default that of the resting face there.
        """
        import cv2

        if depth is None:
            at = self.sheet.pixels(points).astype(np.float32)
            depth = cv2.remap(
                self.head.pose_depth,
                at[:, None, 0].copy(),
                at[:, None, 1].copy(),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )[:, 0]
        points = points + np.stack(lopsided(self.person.shape, points[:, 0], points[:, 1]), axis=1)
        space = np.concatenate([points - (0, PIVOT_Y), (depth - PIVOT_Z)[:, None]], axis=1)
        return np.asarray((space @ rotation(pose).T)[:, :2] * self.scale * pose.scale + self._origin(pose))

    def _lay_body(self, frame: np.ndarray, pose: Pose) -> None:
        """Neck and shoulders, which follow the head a little."""
        import cv2

        top = max(0, int(self.y + 0.30 * self.scale))
        move = np.array([[1, 0, 0.55 * pose.x * self.scale], [0, 1, 0.6 * pose.y * self.scale]], np.float32)
        layer = self.body[top:]
        layer = cv2.warpAffine(layer, move, (self.width, self.height - top), borderMode=cv2.BORDER_REPLICATE)
        _lay(frame[top:], layer)


def rotation(pose: Pose) -> np.ndarray:
    """The head's turn, (3, 3): x right, y down, z to the viewer."""
    (sy, cy), (sp, cp), (sr, cr) = ((np.sin(a), np.cos(a)) for a in (pose.yaw, pose.pitch, pose.roll))
    yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    pitch = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    roll = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(roll @ pitch @ yaw)


def _premultiplied(layer: Layer) -> np.ndarray:
    return np.dstack([layer.color * layer.alpha[..., None], layer.alpha]).astype(np.float32)


def _lay(frame: np.ndarray, layer: np.ndarray) -> None:
    """A premultiplied layer over a picture, in place."""
    import cv2

    rest = 1 - layer[..., 3]
    covered = cv2.multiply(frame, cv2.merge((rest, rest, rest)))  # several times faster than NumPy's broadcasting
    frame[:] = cv2.add(covered, cv2.cvtColor(layer, cv2.COLOR_RGBA2RGB))
