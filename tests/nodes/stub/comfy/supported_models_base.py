"""Stand-in for ComfyUI's module of this name."""


class BASE:
    def __init__(self, unet_config):
        self.unet_config = unet_config

    def process_unet_state_dict_for_saving(self, state_dict):
        return state_dict
