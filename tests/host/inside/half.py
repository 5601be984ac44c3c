"""The discrete graph with ComfyUI's fp16 intermediates, and without: what leaves the nodes, and how far it is off.

Called with COMFYUI and BASE.
"""

import json
import sys
from pathlib import Path

import pack

comfyui, base = sys.argv[1], Path(sys.argv[2])
pack.start(comfyui, base, "--fp16-intermediates")
import comfy.model_management
import torch

ours = pack.load(base)
run = ours.run


def graph():
    """What each node gives."""
    given = {}
    _, given["image"], audio = run("MuseTalkSamplePortrait", seconds=0.16, width=192, height=192)
    given["image"] = given["image"].to(comfy.model_management.intermediate_dtype())
    model = run("MuseTalkLoadModel", model="random/unet.safetensors")[0]
    vae = run("MuseTalkLoadVAE", vae="random/vae.safetensors")[0]
    encoder = run("MuseTalkLoadAudioEncoder", audio_encoder="random/audio_encoder.safetensors")[0]
    faces, given["preview"], _ = run("MuseTalkTrackFaces", image=given["image"])
    given["crops"] = run("MuseTalkCropFaces", image=given["image"], faces=faces)[0]
    given["masks"] = run("MuseTalkMaskFaces", faces=faces)[0]
    speech = run("MuseTalkEncodeAudio", audio=audio, audio_encoder=encoder)[0]
    masked, whole = run("MuseTalkEncodeFaces", face_images=given["crops"], vae=vae)
    lips = run("MuseTalkGenerateLips", model=model, masked=masked, reference=whole, speech=speech)[0]
    given["mouths"] = run("MuseTalkDecodeFaces", latent=lips, vae=vae)[0]
    given["images"], given["shown"] = run(
        "MuseTalkBlendFaces", image=given["image"], face_images=given["mouths"], faces=faces, speech=speech,
        mask=given["masks"],
    )  # fmt: skip
    avatar = run("MuseTalkPrepareAvatar", image=given["image"], faces=faces, vae=vae)[0]
    given["spoken"] = run("MuseTalkSpeak", avatar=avatar, image=given["image"], audio=audio,
                          model_name="random/unet.safetensors")[0]  # fmt: skip
    return given


half = graph()
comfy.model_management.intermediate_dtype = lambda: torch.float32
full = graph()
facts = {
    "types": sorted({str(value.dtype) for value in half.values()}),
    "finite": all(bool(torch.isfinite(value).all()) for value in half.values()),
    "difference": {name: pack.difference(half[name], full[name]) * 255 for name in half},
}
print(json.dumps(facts))
