"""The nodes of MuseTalk: one file each, and the one list of them."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from ._bridge.places import register_folder
from ._bridge.replacements import register_replacements
from .blend_faces import MuseTalkBlendFaces
from .crop_faces import MuseTalkCropFaces
from .decode_faces import MuseTalkDecodeFaces
from .dub_video import MuseTalkDubVideo
from .encode_audio import MuseTalkEncodeAudio
from .encode_faces import MuseTalkEncodeFaces
from .generate_lips import MuseTalkGenerateLips
from .load_audio_encoder import MuseTalkLoadAudioEncoder
from .load_avatar import MuseTalkLoadAvatar
from .load_face_parser import MuseTalkLoadFaceParser
from .load_model import MuseTalkLoadModel
from .load_vae import MuseTalkLoadVAE
from .mask_faces import MuseTalkMaskFaces
from .prepare_avatar import MuseTalkPrepareAvatar
from .sample_portrait import MuseTalkSamplePortrait
from .save_avatar import MuseTalkSaveAvatar
from .speak import MuseTalkSpeak
from .track_faces import MuseTalkTrackFaces

NODES: list[type[io.ComfyNode]] = [
    MuseTalkDubVideo,
    MuseTalkSamplePortrait,
    MuseTalkLoadModel,
    MuseTalkLoadVAE,
    MuseTalkLoadAudioEncoder,
    MuseTalkLoadFaceParser,
    MuseTalkTrackFaces,
    MuseTalkCropFaces,
    MuseTalkMaskFaces,
    MuseTalkEncodeAudio,
    MuseTalkEncodeFaces,
    MuseTalkGenerateLips,
    MuseTalkDecodeFaces,
    MuseTalkBlendFaces,
    MuseTalkPrepareAvatar,
    MuseTalkSaveAvatar,
    MuseTalkLoadAvatar,
    MuseTalkSpeak,
]


class MuseTalkExtension(ComfyExtension):
    """What ComfyUI asks for the nodes."""

    async def on_load(self) -> None:
        """Name the model folder before any loader's menu is drawn up; say which old nodes ours replace."""
        register_folder()
        await register_replacements(MuseTalkDubVideo)

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """The nodes."""
        return NODES


def extension() -> MuseTalkExtension:
    """The extension, for `comfy_entrypoint`."""
    return MuseTalkExtension()
