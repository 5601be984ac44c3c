"""MuseTalk for ComfyUI, the custom node package as ComfyUI loads it by path."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():  # type: ignore[no-untyped-def]  # ComfyUI's class, which only the host has
    """ComfyUI's door: the extension with all nodes."""
    from .nodes import extension  # here, not above: pytest imports this file too, with no package around it

    return extension()
