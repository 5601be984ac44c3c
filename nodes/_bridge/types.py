"""Sockets that ComfyUI has no type for."""

from __future__ import annotations

from comfy_api.latest import io

MUSETALK_FACES = io.Custom("MUSETALK_FACES")  # musetalk_core.types.FaceTrack: one person
MUSETALK_SPEECH = io.Custom("MUSETALK_SPEECH")  # musetalk_core.types.Speech
MUSETALK_AVATAR = io.Custom("MUSETALK_AVATAR")  # musetalk_core.pipeline.avatar.Avatar
MUSETALK_PARSER = io.Custom("MUSETALK_PARSER")  # musetalk_core.face.parse.FaceParser
FACE_LANDMARKS = io.Custom("FACE_LANDMARKS")  # ComfyUI's own, of its MediaPipe nodes
