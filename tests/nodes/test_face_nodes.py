"""Track, crop, mask, blend: what must change, and what must never change."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

N = 8


@pytest.fixture(scope="module")
def image(portrait_clip: Any) -> torch.Tensor:
    """(N, 320, 320, 3) of a drawn person."""
    return torch.from_numpy(portrait_clip.read(range(N))).float() / 255


@pytest.fixture(scope="module")
def faces(pack: Any, image: torch.Tensor) -> Any:
    return pack.run("MuseTalkTrackFaces", image=image)[0]


def make_speech(pack: Any, frames: int, **changes: Any) -> Any:
    """A sound of so many frames at 25 a second; what it says does not matter."""
    types, steps = pack.core("types"), 2 * frames
    values = {
        "steps": torch.zeros(steps, 5, 384), "activity": np.ones(steps, np.float32), "rest": torch.zeros(50, 384),
        "seconds": Fraction(frames, 25), "fps": Fraction(25), "sync_mode": "bounce", "encoder": "whisper-tiny.en",
    }  # fmt: skip
    return types.Speech(**values | changes)


def test_the_face_is_found(pack: Any, image: torch.Tensor, portrait_clip: Any) -> None:
    kept = image.clone()
    faces, preview, boxes = pack.run("MuseTalkTrackFaces", image=image)
    assert torch.equal(image, kept)
    assert faces.found.all()
    truth = portrait_clip.truth().landmarks[:N]
    x1, y1, x2, y2 = faces.boxes.T
    mouths = truth[:, 48:].mean(axis=1)
    assert ((mouths[:, 0] > x1) & (mouths[:, 0] < x2) & (mouths[:, 1] > y1) & (mouths[:, 1] < y2)).all()
    assert preview.shape[0] == 1
    assert [len(frame) for frame in boxes] == [1] * N
    assert boxes[3][0]["x"] + boxes[3][0]["width"] == faces.boxes[3, 2]


def test_faces_from_other_nodes(pack: Any, image: torch.Tensor, faces: Any, portrait_clip: Any) -> None:
    given = {
        "frames": [[{"landmarks_xy": faces.landmarks[i]}] if i != 4 else [] for i in range(N)],
        "image_size": (320, 320),
    }
    by_landmarks = pack.run("MuseTalkTrackFaces", image=image, face_landmarks=given)[0]
    assert np.abs(by_landmarks.boxes - faces.boxes).max() <= 3
    low, high = faces.landmarks.min(axis=1), faces.landmarks.max(axis=1)
    boxes = [
        [{"x": a[0], "y": a[1], "width": b[0] - a[0], "height": b[1] - a[1]}] for a, b in zip(low, high, strict=True)
    ]
    by_boxes = pack.run("MuseTalkTrackFaces", image=image, bboxes=boxes)[0]
    assert np.abs(by_boxes.boxes - faces.boxes).max() <= 6
    with pytest.raises(pack.core("errors").OptionError, match="one of them"):
        pack.run("MuseTalkTrackFaces", image=image, face_landmarks=given, bboxes=boxes)


def test_a_mask_says_where_faces_count(pack: Any, image: torch.Tensor) -> None:
    with pytest.raises(pack.core("errors").FaceError, match="No face"):
        pack.run("MuseTalkTrackFaces", image=image, mask=torch.zeros(1, 320, 320))
    with pytest.raises(pack.core("errors").OptionError, match="8 frames"):
        pack.run("MuseTalkTrackFaces", image=image, mask=torch.ones(3, 320, 320))


def test_crops_are_one_a_frame(pack: Any, image: torch.Tensor, faces: Any) -> None:
    (crops,) = pack.run("MuseTalkCropFaces", image=image, faces=faces)
    assert crops.shape == (N, 256, 256, 3)
    with pytest.raises(pack.core("errors").FaceError, match="8 frames"):
        pack.run("MuseTalkCropFaces", image=image[:-1], faces=faces)


def test_masks_lie_over_the_mouth(pack: Any, faces: Any, portrait_clip: Any) -> None:
    (masks,) = pack.run("MuseTalkMaskFaces", faces=faces)
    assert masks.shape == (N, 320, 320)
    truth = portrait_clip.truth().landmarks[:N]
    for mask, points, box in zip(masks, truth, faces.boxes, strict=True):
        x, y = points[48:].mean(axis=0).round().astype(int)
        assert mask[y, x] > 0.99
        outside = mask.clone()
        outside[box[1] : box[3], box[0] : box[2]] = 0
        assert not outside.any()
    (wide,) = pack.run("MuseTalkMaskFaces", faces=faces, expand=0.1)
    assert wide.sum() > masks.sum()
    with pytest.raises(pack.core("errors").ModelError, match="face parser"):
        pack.run("MuseTalkMaskFaces", faces=faces, parsing_mode="jaw")


@pytest.mark.parametrize("frames", [5, N, 13])
@pytest.mark.parametrize("size", [(256, 256), (700, 512)])
def test_outside_the_mask_nothing_changes(pack: Any, image: torch.Tensor, faces: Any, frames: int, size: Any) -> None:
    alpha = torch.rand(N, 320, 320, 1)
    rgba = torch.cat([image, alpha], dim=3)
    kept = rgba.clone()
    noise = torch.rand(max(frames, N), *size, 3)
    speech = make_speech(pack, frames)
    (masks,) = pack.run("MuseTalkMaskFaces", faces=faces)
    images, shown = pack.run(
        "MuseTalkBlendFaces", image=rgba, face_images=noise, faces=faces, speech=speech, mask=masks
    )
    source = pack.core("pipeline.blend").clip_timeline(N, speech).source
    assert images.shape == (max(frames, N), 320, 320, 4)
    assert torch.equal(images[shown == 0], rgba[source][shown == 0])
    assert torch.equal(images[..., 3], rgba[source][..., 3])
    assert torch.equal(images[frames:], rgba[source][frames:])  # after the sound
    assert not torch.equal(images[:frames], rgba[source][:frames])
    assert torch.equal(rgba, kept)


def test_the_default_mask_is_the_mask_nodes_own(pack: Any, image: torch.Tensor, faces: Any) -> None:
    speech, new = make_speech(pack, N), torch.rand(N, 256, 256, 3)
    (masks,) = pack.run("MuseTalkMaskFaces", faces=faces)
    inputs = {"image": image, "face_images": new, "faces": faces, "speech": speech}
    assert torch.equal(
        pack.run("MuseTalkBlendFaces", **inputs)[0], pack.run("MuseTalkBlendFaces", **inputs, mask=masks)[0]
    )


def test_half_precision_pictures(pack: Any, image: torch.Tensor, faces: Any) -> None:
    half = image.half()
    (crops,) = pack.run("MuseTalkCropFaces", image=half, faces=faces)
    images, shown = pack.run(
        "MuseTalkBlendFaces", image=half, face_images=crops.half(), faces=faces, speech=make_speech(pack, N)
    )
    assert torch.equal(images.half()[shown == 0], half[shown == 0])
    assert (images - image).abs().max() < 12 / 255  # crops that were enlarged by Lanczos, put back


def test_a_mask_that_goes_beyond_the_face_fades_at_the_crop(pack: Any, image: torch.Tensor, faces: Any) -> None:
    inputs = {"image": image, "face_images": torch.rand(N, 256, 256, 3), "faces": faces, "speech": make_speech(pack, N)}
    images, shown = pack.run("MuseTalkBlendFaces", **inputs, mask=torch.ones(1, 320, 320))
    x1, y1, x2, y2 = faces.boxes[0]
    assert shown[0, (y1 + y2) // 2, (x1 + x2) // 2] == 1
    edge = shown[0, y1:y2, [x1, x2 - 1]]
    assert 0 < edge.max() < 0.05
    assert torch.equal(images[0, :, : int(x1)], image[0, :, : int(x1)])


def test_what_does_not_fit_is_told(pack: Any, image: torch.Tensor, faces: Any) -> None:
    errors, speech = pack.core("errors"), make_speech(pack, 13)
    inputs = {"image": image, "face_images": torch.rand(13, 256, 256, 3), "faces": faces, "speech": speech}
    for change, kind, words in (
        ({"face_images": torch.rand(N, 256, 256, 3)}, errors.GenerationError, "8 new faces.*13 frames"),
        ({"image": image[:4]}, errors.FaceError, "8 frames"),
        ({"mask": torch.ones(5, 320, 320)}, errors.OptionError, "8 frames"),
        ({"mask": torch.ones(1, 64, 64)}, errors.OptionError, "64"),
        ({"face_images": torch.full((13, 64, 64, 3), torch.nan)}, errors.GenerationError, "NaN"),
    ):
        with pytest.raises(kind, match=words):
            pack.run("MuseTalkBlendFaces", **inputs | change)


def test_one_frame(pack: Any, image: torch.Tensor) -> None:
    faces = pack.run("MuseTalkTrackFaces", image=image[:1])[0]
    (crops,) = pack.run("MuseTalkCropFaces", image=image[:1], faces=faces)
    speech = make_speech(pack, 4)
    images, _ = pack.run(
        "MuseTalkBlendFaces", image=image[:1], face_images=crops.expand(4, -1, -1, -1), faces=faces, speech=speech
    )
    assert images.shape == (4, 320, 320, 3)
