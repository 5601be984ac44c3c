"""Named landmarks, and the 68-point view of MediaPipe's 478."""

from __future__ import annotations

import numpy as np

from ..errors import FaceError

# The usual 68-point order: jaw 0-16, brows 17-26, nose 27-35, eyes 36-47, outer lips 48-59, inner lips 60-67.
# Checked by drawing it over real faces. MediaPipe's points lie on its own mesh, so each differs from a person's mark of
# the same name by a little; point 29, on which the crop hangs, is MediaPipe's 5.
POINTS_68 = (
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301),
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
    *(78, 82, 13, 312, 308, 317, 14, 87),
)

# Of the 68. "Left" and "right" are the picture's, as a viewer sees an upright face.
JAW_68 = tuple(range(17))
BROW_LEFT_68 = tuple(range(17, 22))
BROW_RIGHT_68 = tuple(range(22, 27))
NOSE_BRIDGE_68 = tuple(range(27, 31))
NOSE_BASE_68 = tuple(range(31, 36))
EYE_LEFT_68 = tuple(range(36, 42))
EYE_RIGHT_68 = tuple(range(42, 48))
LIPS_OUTER_68 = tuple(range(48, 60))
LIPS_INNER_68 = tuple(range(60, 68))
CHIN_68 = 8
HALF_68 = 29  # the crop's middle row, from which the mouth is repainted

# Of the 478: closed outlines, in order.
FACE_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
JAW = (234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454)
LIPS_OUTER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
LIPS_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
EYE_LEFT = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
EYE_RIGHT = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
IRISES = tuple(range(468, 478))

# What neither speech nor blinking moves; the first row holds a rigid motion, the second is where colours are compared.
RIGID = (33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 98, 327, 2, 9, 151, 10, 127, 356, 234, 454)
STABLE = tuple(sorted(set(range(468)) - set(LIPS_OUTER) - set(LIPS_INNER) - set(EYE_LEFT) - set(EYE_RIGHT)))
RIGID_68 = (*NOSE_BRIDGE_68, *NOSE_BASE_68, 36, 39, 42, 45)
STABLE_68 = tuple(range(48))
EYE_CORNERS = {478: (33, 263), 68: (36, 45)}  # outer corners, left and right

# Pairs of mirrored points, left then right: their depths differ by the head's turn.
MIRRORED = ((33, 263), (133, 362), (127, 356), (234, 454), (61, 291), (98, 327), (70, 300), (58, 288))
# tan(yaw) = nose tip's offset from the middle of the outer eye corners / half their distance / this.
NOSE_DEPTH = 0.92  # depth of point 30 before the eye corners over half their distance, in MediaPipe's canonical face


def points68(landmarks: np.ndarray) -> np.ndarray:
    """The 68-point view of a face.

    Args:
        landmarks: (..., 478, C) or (..., 68, C); 68 points are returned as they are.

    Returns:
        (..., 68, C), same dtype.

    Raises:
        FaceError: another number of points.
    """
    count = landmarks.shape[-2] if landmarks.ndim >= 2 else 0
    if count == 68:
        return landmarks
    if count != 478:
        raise FaceError(f"Landmarks of shape {landmarks.shape} are unknown.", "Give 478 or 68 points a face.")
    return landmarks[..., POINTS_68, :]


def head_yaw(landmarks: np.ndarray) -> float:
    """How far the head is turned to a side, from 478 points with depth, or estimated from the outline of fewer.

    Args:
        landmarks: (478, 3), (478, 2) or (68, 2).

    Returns:
        Radians, -pi/2..pi/2; 0 looks into the camera, positive turns the nose to the picture's right.
    """
    if landmarks.shape[-1] == 3:
        left, right = np.array(MIRRORED).T
        across = (landmarks[right] - landmarks[left]).mean(axis=0)
        return float(np.arctan2(across[2], np.hypot(across[0], across[1])))
    points = points68(landmarks)
    axis = (points[45] - points[36]) / 2
    offset = (points[30] - (points[45] + points[36]) / 2) @ axis
    return float(np.arctan2(offset, NOSE_DEPTH * max(float(axis @ axis), 1e-6)))


def mouth_opening(landmarks: np.ndarray) -> np.ndarray:
    """How far the lips are apart, relative to the face's height, so that size and distance do not matter.

    Args:
        landmarks: (..., 478, C) or (..., 68, C).

    Returns:
        (...,) float, distance of the inner lips' middles over the distance of forehead (68 points: nose root) and chin.
    """
    upper, lower, top, bottom = (13, 14, 10, 152) if landmarks.shape[-2] > 68 else (62, 66, 27, 8)
    opening = np.linalg.norm(landmarks[..., upper, :2] - landmarks[..., lower, :2], axis=-1)
    height = np.linalg.norm(landmarks[..., top, :2] - landmarks[..., bottom, :2], axis=-1)
    return np.asarray(opening / np.maximum(height, 1e-6))
