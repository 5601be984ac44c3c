"""Stand-in for ComfyUI's module of this name."""


class SD15:
    latent_channels = 4
