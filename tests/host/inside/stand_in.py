"""A custom node for tests: FACE_LANDMARKS as ComfyUI's own detector gives them, where that one's weights are missing.

The points are those of MuseTalk's own tracker, which are the same 478.
"""

import nodes


class TestFaceLandmarks:
    """Takes the place of Detect Face Landmarks (MediaPipe)."""

    CATEGORY, FUNCTION, RETURN_TYPES = "tests", "find", ("FACE_LANDMARKS",)

    @classmethod
    def INPUT_TYPES(cls):
        """The one input that counts."""
        return {"required": {"image": ("IMAGE",)}}

    def find(self, image):
        """One face in every frame."""
        track = nodes.NODE_CLASS_MAPPINGS["MuseTalkTrackFaces"].execute(image, 25.0).args[0]
        frames = [[{"landmarks_xy": points, "presence": 1.0, "score": 1.0}] for points in track.landmarks]
        return ({"frames": frames, "image_size": tuple(image.shape[1:3])},)


NODE_CLASS_MAPPINGS = {"TestFaceLandmarks": TestFaceLandmarks}
