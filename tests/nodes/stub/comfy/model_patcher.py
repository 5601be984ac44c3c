"""Stand-in for ComfyUI's module of this name."""


class ModelPatcher:
    def __init__(self, model, load_device, offload_device):
        self.model = model
        self.load_device = load_device
        self.offload_device = offload_device
        self.model_options = {"transformer_options": {}}
        self.wrappers = {}
        self.cached_patcher_init = None


CoreModelPatcher = ModelPatcher
