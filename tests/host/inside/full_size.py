"""The discrete graph with a U-Net and a VAE of the released sizes, through ComfyUI's own VAE nodes, against the core.

    python full_size.py COMFYUI BASE [FRAMES]

BASE is a base folder with the pack; random weights of the released 1.5's layout (3.4 GB) are written into it and
removed again. Prints what was seen as one JSON object.
"""

import gc
import json
import resource
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

import pack

comfyui, base, frames = sys.argv[1], Path(sys.argv[2]), int((*sys.argv[3:], "4")[0])
pack.start(comfyui, base)
import comfy.model_management
import torch

import nodes

ours = pack.load(base)
run, core = ours.run, ours.core
sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))
from make_random_model import write_random_released

CANCEL_AFTER = 0.7  # seconds
models = base / "models"
facts, clock = {}, time.monotonic()


def lap(name):
    """Seconds since the last lap."""
    global clock
    facts[f"seconds_{name}"], clock = round(time.monotonic() - clock, 1), time.monotonic()


def cancelled(node, **inputs):
    """Seconds, and of them seconds of processor time, from a cancel in a node's only batch to its end."""
    asked = []

    def ask():
        asked.extend((time.monotonic(), time.process_time()))
        comfy.model_management.interrupt_current_processing()

    timer = threading.Timer(CANCEL_AFTER, ask)
    timer.start()
    try:
        run(node, **inputs)
    except comfy.model_management.InterruptProcessingException:
        return [round(time.monotonic() - asked[0], 2), round(time.process_time() - asked[1], 2)]
    timer.cancel()
    comfy.model_management.interrupt_current_processing(False)
    return None


unet, vae_path, sound_path = write_random_released(models)
facts["bytes"] = {path.name: path.stat().st_size for path in (unet, vae_path, sound_path)}
lap("write")
try:
    _, image, audio = run("MuseTalkSamplePortrait", seconds=frames / 25, width=256, height=256)
    track = run("MuseTalkTrackFaces", image=image)[0]
    crops = run("MuseTalkCropFaces", image=image, faces=track)[0]
    encoder = run("MuseTalkLoadAudioEncoder", audio_encoder=sound_path.relative_to(models / "musetalk").as_posix())[0]
    speech = run("MuseTalkEncodeAudio", audio=audio, audio_encoder=encoder)[0]
    lap("prepare")
    with torch.inference_mode():
        vae = nodes.VAELoader().load_vae(vae_path.name)[0]
        model = run("MuseTalkLoadModel", model="1.5")[0]
        lap("load")
        masked, whole = run("MuseTalkEncodeFaces", face_images=crops, vae=vae)
        native = nodes.VAEEncode().encode(vae, crops)[0]
        facts["native_encode_difference"] = pack.difference(native["samples"], whole["samples"])
        lap("encode")
        lips = run("MuseTalkGenerateLips", model=model, masked=masked, reference=native, speech=speech)[0]
        lap("generate")
        faces = nodes.VAEDecode().decode(vae, lips)[0]
        lap("decode")
    facts["cancelled"] = {
        "encode": cancelled("MuseTalkEncodeFaces", face_images=crops, vae=vae),
        "generate": cancelled("MuseTalkGenerateLips", model=model, masked=masked, reference=whole, speech=speech),
        "decode": cancelled("MuseTalkDecodeFaces", latent=lips, vae=vae),
    }
    lap("cancel")
    images, shown = run("MuseTalkBlendFaces", image=image, face_images=faces, faces=track, speech=speech)
    facts["loaded"] = sorted({type(each.model.model).__name__ for each in comfy.model_management.current_loaded_models})
    facts["range_of_latents"] = float(lips["samples"].abs().max())
    del vae, model, encoder
    comfy.model_management.unload_all_models()
    gc.collect()

    placement = core("placement").SingleDevice("cpu", "fp32")
    loaded = core("models.load").load_model(
        "1.5", core("models.registry").FolderLocator(models / "musetalk"), placement, vae=vae_path,
        audio_encoder=sound_path,
    )  # fmt: skip
    lap("core_load")
    clip = core("audio.resample").speech_clip(audio["waveform"][0].numpy(), audio["sample_rate"])
    said = core("audio.encode").encode_speech(clip, loaded.audio, Fraction(25))
    windows, plan = core("audio.windows"), core("pipeline.blend").clip_timeline(len(crops), said)
    latents = core("lips.encode").encode_faces(crops.numpy(), loaded.vae, 8)
    lap("core_encode")
    given = core("types").FaceLatents(latents.masked[plan.source], latents.reference[plan.source])
    tokens = windows.tokens(said, windows.speech_starts(said, plan.clock))
    alone = core("lips.generate").generate_lips(loaded.lips, given, tokens, 8)
    lap("core_generate")
    mouths = core("lips.decode").decode_faces(alone, loaded.vae, 8)
    lap("core_decode")
    mask, options = core("pipeline.faces").mask_source(track), core("render.blend").BlendOptions()
    blended, _ = core("pipeline.blend").blend_frames(image.numpy(), mouths, track, said, mask, options)
    facts["lips_difference"] = pack.difference(lips["samples"], alone)
    facts["face_difference"] = pack.difference(faces, torch.from_numpy(mouths)) * 255
    facts["picture_difference"] = pack.difference(images, torch.from_numpy(blended)) * 255
    facts["outside_difference"] = pack.difference(images * (shown == 0)[..., None], image * (shown == 0)[..., None])
    facts["inside_change"] = pack.difference(images, image) * 255
    facts["frames"] = len(images)
    facts["peak_memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
finally:
    for path in (unet, vae_path, sound_path):
        path.unlink(missing_ok=True)
print(json.dumps(facts))
