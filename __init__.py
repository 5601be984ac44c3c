"""MuseTalk for ComfyUI, the custom node package as ComfyUI loads it by path.

It exports nothing yet, so ComfyUI logs that it skips the package: this version has the library `musetalk_core` and its
command line, and no nodes. `WEB_DIRECTORY` and `comfy_entrypoint` come together with `nodes/`.
"""
