"""Stand-in for ComfyUI's module of this name."""

import torch


class BaseModel(torch.nn.Module):
    def __init__(self, model_config):
        super().__init__()
        self.model_config = model_config

    def apply_model(self, x, t, c_concat=None, c_crossattn=None, control=None, transformer_options=None):
        return self._apply_model(x, t, c_concat, c_crossattn, control, transformer_options)

    def extra_conds(self, **kwargs):
        return {}
