"""Stand-in for ComfyUI's module of this name."""

import torch


class TAESD(torch.nn.Module):
    def encode(self, x):
        raise NotImplementedError

    def decode(self, x):
        raise NotImplementedError
