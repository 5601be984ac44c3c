"""Stand-in for ComfyUI's module of this name: pictures and latents around a first stage that the pack puts in."""

import torch


class VAE:
    def __init__(self, sd):
        self.latent_channels = 4
        self.latent_dim = 2
        self.downscale_ratio = 8
        self.vae_dtype = torch.float32
        self.device = torch.device("cpu")
        self.first_stage_model = None

    def encode(self, pixel_samples):
        return self.first_stage_model.encode(pixel_samples.movedim(-1, 1) * 2 - 1)

    def decode(self, samples_in):
        return ((self.first_stage_model.decode(samples_in) + 1) / 2).clamp(0, 1).movedim(1, -1)

    def get_sd(self):
        return self.first_stage_model.state_dict()
