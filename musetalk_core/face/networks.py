"""The two embedded face networks, run by OpenCV."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ModelError

if TYPE_CHECKING:
    import cv2

WEIGHTS = Path(__file__).parent / "weights"
SHA256 = {
    "face_detector.tflite": "b4578f35940bf5a1a655214a1cce5cab13eba73c1297cd78e1a04c2380b0152f",
    "face_landmarks_detector.tflite": "c7d54204ce0448474c7f3fa9af494787c0965cbdd6f20fc72867e43046bd43d5",
}


class TFLiteNetwork:
    """One TFLite network on the CPU. Not safe to share between threads: each job loads its own.

    Args:
        name: file name in `weights/`.
        outputs: names of the outputs to return, in order.

    Raises:
        ModelError: the file is missing or damaged.
    """

    def __init__(self, name: str, outputs: tuple[str, ...]) -> None:
        path = WEIGHTS / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelError(f"The face network {name} cannot be read: {error}", "Install MuseTalk again.") from error
        if hashlib.sha256(content).hexdigest() != SHA256[name]:
            raise ModelError(f"The face network {name} is damaged.", "Install MuseTalk again.")
        self._net = _read(path, content)
        self._outputs = outputs

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """Run one image.

        Args:
            image: (H, W, 3) float32 RGB of the network's input size and range.

        Returns:
            The outputs, float32, flat.
        """
        blob = np.ascontiguousarray(image.transpose(2, 0, 1))[None]  # (H, W, 3) -> (1, 3, H, W)
        self._net.setInput(blob)
        return [np.asarray(output, np.float32).reshape(-1) for output in self._net.forward(self._outputs)]


def _read(path: Path, content: bytes) -> cv2.dnn.Net:
    import cv2

    if not hasattr(cv2.dnn, "ENGINE_CLASSIC"):  # OpenCV 4
        return cv2.dnn.readNetFromTFLite(np.frombuffer(content, np.uint8))
    # OpenCV 5: only the classic engine gives every output, and only a path selects it (5.0 ignores it for a buffer).
    return cv2.dnn.readNetFromTFLite(_plain_path(path), engine=cv2.dnn.ENGINE_CLASSIC)


def _plain_path(path: Path) -> str:
    """The path as OpenCV can open it: on Windows only ASCII, which the way from the working folder often is."""
    if os.name != "nt" or str(path).isascii():
        return str(path)
    try:
        relative = os.path.relpath(path)
    except ValueError:  # on another drive
        relative = str(path)
    if not relative.isascii():
        raise ModelError(
            f"OpenCV 5 cannot open the face network in {path.parent}, because the folder's name is not ASCII.",
            "Move the installation to a folder with an English name, or install opencv-python 4.12.",
        )
    return relative


def unit_range(image: np.ndarray) -> np.ndarray:
    """The image as float32 in 0..1, from uint8 or float."""
    return image.astype(np.float32) / 255 if image.dtype == np.uint8 else image.astype(np.float32)
