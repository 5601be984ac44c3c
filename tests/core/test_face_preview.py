"""Contact sheets."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from musetalk_core.errors import MediaError
from musetalk_core.face.preview import (
    BOX_COLORS,
    SKIPPED_COLOR,
    contact_sheet,
    sheet_frames,
    tile_images,
    write_picture,
)
from musetalk_core.types import FaceTrack, MaskPatch, Skip
from musetalk_core.video.read import ArrayFootage


def sample(n: int) -> FaceTrack:
    skip = np.zeros(n, np.uint8)
    skip[n // 2] = Skip.TURNED
    skip[n // 2 + 1] = Skip.NO_FACE
    return FaceTrack(
        found=skip != Skip.NO_FACE,
        landmarks=np.random.default_rng(0).uniform(40, 60, (n, 68, 2)).astype(np.float32),
        boxes=np.tile(np.array([20, 20, 80, 80], np.int32), (n, 1)),
        roll=np.zeros(n, np.float32),
        strength=(skip == 0).astype(np.float32),
        skip=skip,
        width=100,
        height=100,
    )


def has(sheet: np.ndarray, color: tuple[int, int, int]) -> bool:
    return bool((sheet == color).all(axis=2).any())


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_sheet_shows_boxes_masks_and_every_reason(dtype: type) -> None:
    footage = ArrayFootage(np.zeros((101, 100, 100, 3), dtype), Fraction(25))
    track = sample(101)
    assert {50, 51} <= set(sheet_frames(101, [track], 4))
    mask = MaskPatch(30, 50, np.ones((20, 40), np.float16))
    plain = contact_sheet(footage, [track], columns=4, tile_width=200)
    masked = contact_sheet(footage, [track], [{0: mask}], columns=4, tile_width=200)
    assert has(plain, BOX_COLORS[0])
    assert has(plain, SKIPPED_COLOR)
    assert (masked.min(axis=2) > 200).sum() > (plain.min(axis=2) > 200).sum()


@pytest.mark.parametrize("n", [1, 2, 5])
def test_short_clips_have_sheets(n: int) -> None:
    footage = ArrayFootage(np.zeros((n, 30, 40, 3), np.uint8), Fraction(25))
    assert contact_sheet(footage, [], columns=4, tile_width=64).shape[2] == 3


def test_tiles_of_any_size_and_count() -> None:
    sheet = tile_images([np.full((10, 20, 3), 9, np.uint8), np.full((30, 16, 3), 7, np.uint8)], 5, ["", "long " * 50])
    assert (sheet == 9).sum() == 10 * 20 * 3
    assert (sheet == 7).sum() >= 30 * 16 * 3


def test_pictures_are_written_under_any_name(tmp_path: Path) -> None:
    import cv2

    picture = np.zeros((8, 9, 3), np.uint8)
    picture[..., 0] = 200  # red
    path = tmp_path / "\u8138 %08d \U0001f642.png"
    write_picture(path, picture)
    again = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(again, picture)
    assert [part.name for part in tmp_path.iterdir()] == [path.name]
    with pytest.raises(MediaError, match="no picture"):
        write_picture(tmp_path / "sheet.txt", picture)
    with pytest.raises(MediaError, match="cannot be written"):
        write_picture(tmp_path / "absent" / "sheet.png", picture)
