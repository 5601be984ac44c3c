"""Stand-in for ComfyUI's module of this name: its layers, without the casting."""

import torch


class manual_cast:
    class Linear(torch.nn.Linear):
        pass

    class Conv1d(torch.nn.Conv1d):
        pass

    class Conv2d(torch.nn.Conv2d):
        pass

    class GroupNorm(torch.nn.GroupNorm):
        pass

    class LayerNorm(torch.nn.LayerNorm):
        pass

    class BatchNorm2d(torch.nn.BatchNorm2d):
        pass

    class Embedding(torch.nn.Embedding):
        pass
