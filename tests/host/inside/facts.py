"""Run the nodes inside a real ComfyUI, without its server, and print what was seen as one JSON object.

    python facts.py COMFYUI BASE [--compile]

BASE is a base folder with the pack in custom_nodes/comfyui-musetalk-main and a random model in models/musetalk/random.
"""

import json
import sys
from pathlib import Path

import pack

comfyui, base, flags = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
pack.start(comfyui, base)
import comfy.model_management
import comfy.patcher_extension
import comfy.sd
import comfy.taesd.taesd
import comfy.utils
import torch

import nodes

facts = {}
ours = pack.load(base)
run, core, difference = ours.run, ours.core, pack.difference
folder = Path("random")
model = run("MuseTalkLoadModel", model=str(folder / "unet.safetensors"))[0]
vae = run("MuseTalkLoadVAE", vae=str(folder / "vae.safetensors"))[0]
encoder = run("MuseTalkLoadAudioEncoder", audio_encoder=str(folder / "audio_encoder.safetensors"))[0]
faces = torch.rand(2, 256, 256, 3, generator=torch.Generator().manual_seed(0))
noise = torch.randn(1, 1, 2400, generator=torch.Generator().manual_seed(0)) * 0.1
audio = {"waveform": noise, "sample_rate": 16_000}
speech = run("MuseTalkEncodeAudio", audio=audio, audio_encoder=encoder)[0]
masked, reference = run("MuseTalkEncodeFaces", face_images=faces, vae=vae)
given = {"masked": masked, "reference": reference, "speech": speech}


def lips_of(patcher):
    return run("MuseTalkGenerateLips", model=patcher, **given)[0]


lips = lips_of(model)
plain = lips["samples"]
pictures = run("MuseTalkDecodeFaces", latent=lips, vae=vae)[0]

# The core by itself.
loaded = core("models.load").load_model(
    str(base / "models" / "musetalk" / "random"),
    core("models.registry").FolderLocator(),
    core("placement").SingleDevice("cpu", "fp32"),
)
timeline = core("timeline")
plan = timeline.plan(timeline.Clock.regular(2, speech.fps), speech.seconds, speech.sync_mode)
windows, types = core("audio.windows"), core("types")
latents = core("lips.encode").encode_faces(faces.numpy(), loaded.vae, 8)
shown = types.FaceLatents(latents.masked[plan.source], latents.reference[plan.source])
tokens = windows.tokens(speech, windows.speech_starts(speech, plan.clock))


def core_lips():
    return core("lips.generate").generate_lips(loaded.lips, shown, tokens, 8)


facts["frames"] = len(plain)
facts["lips_difference"] = difference(plain, core_lips())
expected = core("lips.decode").decode_faces(core_lips(), loaded.vae, 8)
facts["picture_difference"] = difference(pictures, torch.from_numpy(expected))
with torch.inference_mode():
    facts["native_decode_difference"] = difference(nodes.VAEDecode().decode(vae, lips)[0], pictures)
    facts["native_encode_difference"] = difference(
        nodes.VAEEncode().encode(vae, faces)[0]["samples"], reference["samples"]
    )

# What other nodes put on a MODEL.
seen = []
wrapped = model.clone()
wrapped.add_wrapper(
    comfy.patcher_extension.WrappersMP.APPLY_MODEL, lambda run_on, *a, **k: (seen.append(1), run_on(*a, **k) * 2)[1]
)
facts["wrapper_difference"] = difference(lips_of(wrapped)["samples"], 2 * plain)
facts["wrapper_calls"] = len(seen)
key = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
weight = loaded.lips.network.get_parameter(f"{key}.weight")
up, down = torch.randn(weight.shape[0], 2), torch.randn(2, weight.shape[1])
adapters = ours.module("musetalk_core.models.adapter")
person = base / "models" / "loras" / "person.safetensors"
adapters.Adapter({key: (down, up)}, "nano").save(person)
patched = nodes.LoraLoaderModelOnly().load_lora_model_only(model, person.name, 0.5)[0]
patched_lips = lips_of(patched)["samples"]
facts["lora_effect"] = difference(patched_lips, plain)
with torch.no_grad():
    adapters.apply_adapter(loaded.lips.network, "nano", adapters.load_adapter(person), 0.5)
    facts["lora_difference"] = difference(patched_lips, core_lips())
facts["after_lora_difference"] = difference(lips_of(model)["samples"], plain)

# ModelSave, and its file back.
from comfy_extras.nodes_model_merging import ModelSave

with torch.inference_mode():
    ModelSave().save(patched, "saved/lips")
saved = next((base / "output" / "saved").glob("lips_*.safetensors"))
target = base / "models" / "musetalk" / "saved.safetensors"
target.write_bytes(saved.read_bytes())
again = run("MuseTalkLoadModel", model=target.name)[0]
facts["saved_difference"] = difference(lips_of(again)["samples"], patched_lips)
target.unlink()

# A sampler, and ComfyUI's own audio node on a sound longer than Whisper hears.
words = [[torch.zeros(1, 77, 384), {}]]
try:
    with torch.inference_mode():
        nodes.KSampler().sample(
            model, 0, 1, 1.0, "euler", "normal", words, words, {"samples": torch.zeros(1, 4, 32, 32)}
        )
except Exception as error:
    facts["sampler"] = str(error)
from comfy_extras.nodes_audio_encoder import AudioEncoderEncode

long = {"waveform": torch.randn(1, 1, 16_000 * 31) * 0.1, "sample_rate": 16_000}
with torch.inference_mode():
    output = AudioEncoderEncode.execute(encoder, long).result[0]
facts["long_sound"] = [list(output["encoded_audio"].shape), len(output["encoded_audio_all_layers"])]
facts["long_speech"] = list(run("MuseTalkEncodeAudio", audio_encoder_output=output)[0].steps.shape)

# VAEs that are not ours.
xl = comfy.sd.VAE(sd={**comfy.taesd.taesd.TAESD().state_dict(), "vae_scale": torch.tensor(0.13025)})
try:
    run("MuseTalkEncodeFaces", face_images=faces, vae=xl)
except Exception as error:
    facts["tiny_xl"] = str(error)

# Precision and memory.
half = run("MuseTalkLoadModel", model=str(folder / "unet.safetensors"), dtype="bf16")[0]
facts["half_weights"] = sorted({str(value.dtype) for value in half.model.diffusion_model.parameters()})
facts["half_difference"] = difference(lips_of(half)["samples"], plain) / float(plain.abs().max())
bridge = ours.module("nodes._bridge.models")
with torch.inference_mode():
    repeat = bridge.lip_net_of(half)(shown.masked, shown.reference, tokens, dtype=torch.float32)
facts["repeat_difference"] = difference(repeat, plain) / float(plain.abs().max())
managed = comfy.model_management
facts["loaded"] = sorted({type(each.model.model).__name__ for each in managed.current_loaded_models})
managed.unload_all_models()
facts["loaded_after_unload"] = len(managed.current_loaded_models)
facts["after_unload_difference"] = difference(lips_of(model)["samples"], plain)

if "--compile" in flags:
    from comfy_api.torch_helpers import set_torch_compile_wrapper

    compiled = model.clone()
    set_torch_compile_wrapper(model=compiled, backend="eager")
    facts["compile_difference"] = difference(lips_of(compiled)["samples"], plain)
print(json.dumps(facts))
