"""Stand-in for ComfyUI's module of this name."""

import torch


class ProgressBar:
    updates: list = []  # of every bar: (value, total, preview)

    def __init__(self, total):
        self.total = total

    def update_absolute(self, value, total=None, preview=None):
        self.updates.append((value, self.total, preview))


def common_upscale(samples, width, height, upscale_method, crop):
    return torch.nn.functional.interpolate(samples, size=(height, width), mode=upscale_method)
