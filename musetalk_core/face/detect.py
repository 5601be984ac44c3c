"""Find faces in one picture: BlazeFace short range, with tiles for small faces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .networks import TFLiteNetwork, unit_range

INPUT_SIZE = 128  # pixels; what BlazeFace sees
SCORE_LIMIT = 0.5  # MediaPipe's own default
OVERLAP_LIMIT = 0.3  # IoU from which two boxes are the same face; MediaPipe's own default
SMALLEST_TILE = 160  # pixels; below, a tile would be enlarged and no more is seen
COARSEST_GRID = ((16, 2), (8, 6))  # cells a side and anchors a cell, of both feature maps


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """K faces, best first.

    Args:
        boxes: (K, 4) float32 pixels x1, y1, x2, y2: brows to chin.
        eyes: (K, 2, 2) float32 pixels, the eye on the picture's left first (of an upright face).
        scores: (K,) float32 in 0..1.
    """

    boxes: np.ndarray
    eyes: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)


class FaceDetector:
    """BlazeFace short range: finds faces of about 10 % of the picture's long side and more.

    Source: Bazarevsky et al. 2019, "BlazeFace"; the released MediaPipe network.
    """

    def __init__(self) -> None:
        self._network = TFLiteNetwork("face_detector.tflite", ("regressors", "classificators"))
        self._anchors = _anchors()

    def detect(self, frame: np.ndarray) -> Detections:
        """Large faces: one run on the whole frame.

        Args:
            frame: (H, W, 3) RGB, uint8 or float in 0..1.
        """
        height, width = frame.shape[:2]
        return _merge([self._run(frame, (0, 0, max(width, height)))])

    def detect_near(self, frame: np.ndarray, box: np.ndarray) -> Detections:
        """Faces in a window around a box, three times its size: one run.

        Args:
            frame: (H, W, 3) RGB, uint8 or float in 0..1.
            box: (4,) x1, y1, x2, y2.
        """
        side = 3 * float(max(box[2] - box[0], box[3] - box[1]))
        left, top = (box[0] + box[2] - side) / 2, (box[1] + box[3] - side) / 2
        return _merge([self._run(frame, (int(left), int(top), max(1, int(side))))])

    def detect_all(self, frame: np.ndarray) -> Detections:
        """Large and small faces: the whole frame, then overlapping tiles of half its size, and, as long as nothing is
        found, tiles of half that size again.

        Args:
            frame: (H, W, 3) RGB, uint8 or float in 0..1.
        """
        height, width = frame.shape[:2]
        side = max(width, height)
        found = [self._run(frame, (0, 0, side))]
        while side // 2 >= SMALLEST_TILE:
            side //= 2
            found += [
                self._run(frame, (left, top, side)) for top in _starts(height, side) for left in _starts(width, side)
            ]
            if any(len(part) for part in found):
                break
        return _merge(found)

    def _run(self, frame: np.ndarray, square: tuple[int, int, int]) -> Detections:
        """One network run on a square (left, top, side) of the frame; black beyond the frame's edges."""
        import cv2

        left, top, side = square
        height, width = frame.shape[:2]
        x1, y1, x2, y2 = max(0, left), max(0, top), min(width, left + side), min(height, top + side)
        scale = INPUT_SIZE / side
        if x2 <= x1 or y2 <= y1:
            return Detections(np.zeros((0, 4), np.float32), np.zeros((0, 2, 2), np.float32), np.zeros(0, np.float32))
        size = (max(1, round((x2 - x1) * scale)), max(1, round((y2 - y1) * scale)))
        small = cv2.resize(frame[y1:y2, x1:x2], size, interpolation=cv2.INTER_AREA)
        image = np.full((INPUT_SIZE, INPUT_SIZE, 3), -1, np.float32)
        dx, dy = (
            min(round((x1 - left) * scale), INPUT_SIZE - size[0]),
            min(round((y1 - top) * scale), INPUT_SIZE - size[1]),
        )
        image[dy : dy + size[1], dx : dx + size[0]] = unit_range(small) * 2 - 1
        regressors, logits = self._network(image)
        keep = logits > np.log(SCORE_LIMIT / (1 - SCORE_LIMIT))
        # (896 * 16,) -> (K, 8, 2): box centre, box size, six key points, in pixels of the input
        points = regressors.reshape(-1, 8, 2)[keep]
        anchors = self._anchors[keep]
        origin = np.array([left, top], np.float32)
        centre = (points[:, 0] + anchors) / scale + origin
        half = points[:, 1] / scale / 2
        eyes = (points[:, 2:4] + anchors[:, None]) / scale + origin
        scores = 1 / (1 + np.exp(-logits[keep]))
        return Detections(np.concatenate([centre - half, centre + half], axis=1), eyes, scores)


def overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of one box (4,) with each of (K, 4), (K,) in 0..1."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    area = (box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - shared
    return np.asarray(shared / np.maximum(area, 1e-9))


def _anchors() -> np.ndarray:
    """Centres of the 896 anchors, (896, 2) in pixels of the input."""
    centres = []
    for cells, count in COARSEST_GRID:
        y, x = np.mgrid[:cells, :cells]
        grid = (np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) * (INPUT_SIZE / cells)  # row by row
        centres.append(np.repeat(grid, count, axis=0))
    return np.concatenate(centres).astype(np.float32)


def _starts(length: int, tile: int) -> list[int]:
    """First pixels of tiles that cover `length` and overlap by half at least."""
    count = max(0, -(-(length - tile) // (tile // 2))) if length > tile else 0
    return [round(i * (length - tile) / count) for i in range(count + 1)] if count else [0]


def _merge(parts: list[Detections]) -> Detections:
    """One face for each group of overlapping ones: the average, weighted by score, under the best score."""
    boxes = np.concatenate([part.boxes for part in parts])
    eyes = np.concatenate([part.eyes for part in parts])
    scores = np.concatenate([part.scores for part in parts])
    usable = np.isfinite(boxes).all(axis=1) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    left = [i for i in np.argsort(-scores, kind="stable") if usable[i]]
    merged = []
    while left:
        shared = overlap(boxes[left[0]], boxes[left]) > OVERLAP_LIMIT
        group = [i for i, same in zip(left, shared, strict=True) if same]
        weights = scores[group] / scores[group].sum()
        merged.append(
            (weights @ boxes[group], np.tensordot(weights, eyes[group], axes=1), scores[group[0]]),
        )
        left = [i for i, same in zip(left, shared, strict=True) if not same]
    return Detections(
        np.array([face[0] for face in merged], np.float32).reshape(-1, 4),
        np.array([face[1] for face in merged], np.float32).reshape(-1, 2, 2),
        np.array([face[2] for face in merged], np.float32),
    )
