"""Stand-in for ComfyUI's module of this name: a CPU, and a cancel button."""

import torch

current_loaded_models: list = []
_cancelled = False


class InterruptProcessingException(BaseException):
    pass


def interrupt_current_processing(value=True):
    global _cancelled
    _cancelled = value


def throw_exception_if_processing_interrupted():
    if _cancelled:
        interrupt_current_processing(False)
        raise InterruptProcessingException


def get_torch_device():
    return torch.device("cpu")


def unet_offload_device():
    return torch.device("cpu")


def intermediate_device():
    return torch.device("cpu")


def intermediate_dtype():
    return torch.float32


def unet_dtype(device=None, supported_dtypes=()):
    return torch.float32


def unet_manual_cast(weight_dtype, inference_device, supported_dtypes=()):
    return None


def archive_model_dtypes(model):
    return None


def load_models_gpu(models, memory_required=0):
    current_loaded_models.extend(model for model in models if model not in current_loaded_models)


def unload_all_models():
    current_loaded_models.clear()
