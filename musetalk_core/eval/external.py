"""Measures by networks that the user supplies: CSIM, FID, LPIPS. None of these networks is part of this project.

In the library a network is any function on arrays. On the command line it is an ONNX file, read by OpenCV: ONNX holds
a graph of fixed operations and numbers, so unlike a pickled or TorchScript file it cannot bring code along.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ModelError
from .align import ARCFACE, LATENTSYNC, LATENTSYNC_SHAPE, align_face

if TYPE_CHECKING:
    from ..models.syncnet import SyncNet

Embed = Callable[[np.ndarray], np.ndarray]
Compare = Callable[[np.ndarray, np.ndarray], float]

IDENTITY_SIZE = 112  # pixels; ArcFace
FEATURE_SIZE = 299  # pixels; Inception v3
COMPARE_SIZE = 256  # pixels


@dataclass(frozen=True, slots=True)
class ExternalNets:
    """The networks that the user supplied. Pictures are (1, 3, side, side) float32 RGB in -1..1.

    Args:
        identity: side 112, aligned as ArcFace wants it; returns a vector of any size.
        features: side 299, the whole face; returns Inception's pooled features.
        compare: two pictures of side 256; returns their perceptual distance.
        syncnet: loaded by `models.syncnet.load_syncnet`.
    """

    identity: Embed | None = None
    features: Embed | None = None
    compare: Compare | None = None
    syncnet: SyncNet | None = None


class OnnxNet:
    """A network in an ONNX file.

    Args:
        path: the file.

    Raises:
        ModelError: the file is missing, damaged, or has an operation that OpenCV lacks.
    """

    def __init__(self, path: Path) -> None:
        import cv2

        path = Path(path)
        if not path.is_file():
            raise ModelError(f"The network {path} does not exist.", "Give an ONNX file.")
        if path.suffix.lower() != ".onnx":
            raise ModelError(
                f"{path} is not an ONNX file.",
                "Export the network to ONNX: pickled and TorchScript files can run code and are not read.",
            )
        try:
            # From memory, since OpenCV cannot open every path on Windows.
            self._net = cv2.dnn.readNetFromONNX(np.fromfile(path, np.uint8))
        except cv2.error as error:
            raise ModelError(
                f"{path} cannot be used: {_reason(error)}", "Export it again, opset 17 or below."
            ) from error
        self._path = path

    def embed(self, picture: np.ndarray) -> np.ndarray:
        """The output for one picture, (1, 3, side, side), as a vector."""
        return self._run({"": picture})

    def compare(self, first: np.ndarray, second: np.ndarray) -> float:
        """The single number for two pictures; the file's inputs must be named in0 and in1, as LPIPS names them."""
        return float(self._run({"in0": first, "in1": second})[0])

    def _run(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        import cv2

        try:
            for name, picture in inputs.items():
                self._net.setInput(np.ascontiguousarray(picture, np.float32), name)
            result = np.asarray(self._net.forward(), np.float64).ravel()
        except cv2.error as error:
            shapes = ", ".join(str(picture.shape) for picture in inputs.values())
            raise ModelError(
                f"{self._path} failed on {shapes}: {_reason(error)}", "See docs/eval.md for its inputs."
            ) from error
        if not np.isfinite(result).all():
            raise ModelError(f"{self._path} gave NaN or infinite values.", "Export it in float32.")
        return result


def onnx_nets(identity: Path | None, features: Path | None, compare: Path | None) -> ExternalNets:
    """Networks from ONNX files; those that are None stay out."""
    return ExternalNets(
        identity=None if identity is None else OnnxNet(identity).embed,
        features=None if features is None else OnnxNet(features).embed,
        compare=None if compare is None else OnnxNet(compare).compare,
    )


@dataclass(slots=True)
class RunningGaussian:
    """Mean and covariance of vectors that come one by one."""

    count: int = 0
    total: np.ndarray = field(default_factory=lambda: np.zeros(0))
    square: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))

    def add(self, vector: np.ndarray) -> None:
        """One more vector (D,)."""
        if self.count == 0:
            self.total, self.square = np.zeros(len(vector)), np.zeros((len(vector), len(vector)))
        self.count += 1
        self.total += vector
        self.square += np.outer(vector, vector)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean (D,) and covariance (D, D), from two vectors on."""
        mean = self.total / self.count
        return mean, (self.square - self.count * np.outer(mean, mean)) / (self.count - 1)


def frechet(first: RunningGaussian, second: RunningGaussian) -> float | None:
    """Frechet distance of two Gaussians; None with fewer than two vectors on a side.

    Source: Heusel et al. 2017 (FID), without the nearest-square-root trick: the root is taken of symmetric matrices.
    """
    if min(first.count, second.count) < 2:
        return None
    (mean_a, cov_a), (mean_b, cov_b) = first.moments(), second.moments()
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_b @ root), 0)).sum()
    return float(max(0.0, np.square(mean_a - mean_b).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * shared))


class ExternalMeter:
    """Collects CSIM, FID and LPIPS frame by frame; memory does not grow.

    Args:
        nets: what to measure with.
    """

    def __init__(self, nets: ExternalNets) -> None:
        self._nets = nets
        self._cosines: list[float] = []
        self._distances: list[float] = []
        self._made, self._real = RunningGaussian(), RunningGaussian()

    @property
    def idle(self) -> bool:
        """Whether there is nothing to measure."""
        return self._nets.identity is None and self._nets.features is None and self._nets.compare is None

    def add(self, output: np.ndarray, output_points: np.ndarray, source: np.ndarray, source_points: np.ndarray) -> None:
        """One output frame beside the source frame that it was made from; points are (478, 2)."""
        if self._nets.identity is not None:
            a, b = (
                self._nets.identity(_planes(align_face(frame, points, ARCFACE, IDENTITY_SIZE)))
                for frame, points in ((output, output_points), (source, source_points))
            )
            self._cosines.append(float(a @ b / max(1e-12, float(np.linalg.norm(a) * np.linalg.norm(b)))))
        if self._nets.features is not None:
            self._made.add(self._nets.features(_face(output, output_points, FEATURE_SIZE)))
            self._real.add(self._nets.features(_face(source, source_points, FEATURE_SIZE)))

    def add_true(self, output: np.ndarray, truth: np.ndarray, points: np.ndarray) -> None:
        """One output frame beside the true one, both laid out by the truth's points."""
        if self._nets.compare is not None:
            faces = [_face(frame, points, COMPARE_SIZE) for frame in (output, truth)]
            self._distances.append(self._nets.compare(*faces))

    def result(self) -> dict[str, float]:
        """What was measured: csim, fid, lpips."""
        found = {
            "csim": float(np.mean(self._cosines)) if self._cosines else None,
            "fid": frechet(self._made, self._real),
            "lpips": float(np.mean(self._distances)) if self._distances else None,
        }
        return {name: value for name, value in found.items() if value is not None}


def _face(frame: np.ndarray, points: np.ndarray, side: int) -> np.ndarray:
    return _planes(align_face(frame, points, LATENTSYNC, side, LATENTSYNC_SHAPE))


def _planes(picture: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None])  # (h, w, 3) -> (1, 3, h, w)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
