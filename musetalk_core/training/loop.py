"""The training loop: any number of processes, exact continuation, one model or adapter at the end.

Needs torch and accelerate when it is imported.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import GenerationError, MediaError
from ..models.checkpoint import save_safetensors
from ..models.convert import convert
from ..models.layouts import Weights
from ..models.load import load_vae
from ..models.unet import position_code
from ..placement import SingleDevice
from ..progress import Progress, SilentProgress
from .building import average_into, build_adam, build_unet_for_training, extra_package, require_files, sync_rows
from .config import TrainConfig
from .dataset import Samples, open_clips
from .latents import LatentStore
from .log import RunLog
from .lora import add_adapter, trained_adapter
from .networks import TrainableLips, freeze
from .normalise import TokenScale, measure_scale, plain_scale
from .schedule import rate_at
from .state import checkpoint_path, load_state, newest, prune, save_state
from .step import Step, build_judges, make_batch
from .validate import Validator

ADAPTER_NAME = "adapter.safetensors"
SCALE_SAMPLES, SCALE_STRIDE = 256, 1009  # samples by which sound tokens are scaled, and their distance


class Trainer:
    """A run.

    Args:
        config: everything about it.
        progress: is told the updates that are done; its cancel passes through.

    Raises:
        MuseTalkError: a file is missing or does not fit, or the run cannot be continued.
    """

    def __init__(self, config: TrainConfig, progress: Progress | None = None) -> None:
        require_files(config)
        self.config, self._progress = config, progress or SilentProgress()
        run = config.run
        self.accelerator = extra_package("accelerate", "training").Accelerator(cpu=run.device == "cpu")
        self.device = self.accelerator.device
        self.folder = Path(run.folder)
        torch.manual_seed(run.seed)
        self._placement = SingleDevice(str(self.device), "bf16" if run.precision == "bf16" else "fp32")
        self.vae = load_vae(Path(config.network.vae), self._placement)
        freeze(self.vae, self.device)
        self.unet, self.recipe = build_unet_for_training(config, self._placement)
        self.unet.to(self.device, torch.float32).requires_grad_(True).train()
        if config.network.adapter:
            add_adapter(self.unet, config.network.adapter)
        self.samples, identity = self._samples()
        self.scale = self._scale()
        self._put(self.scale.unfold(self._weights()))
        self.lips = TrainableLips(self.unet, config.network.checkpointed, self.scale).to(self.device)
        self.judges = build_judges(config.loss, self.device)
        self.step = Step(self.lips, self.vae, self.judges, config)
        self.ema = self._weights()
        self._parts = self._optimisers()
        if identity != self.recipe.audio_encoder:
            raise MediaError(
                f"The dataset was heard by {identity}; {self.recipe.title} takes {self.recipe.audio_encoder}.",
                "Prepare it again with that encoder.",
            )
        self.update = self._resume()
        self._log = RunLog(self.folder, self.update, self.accelerator.is_main_process)

    def run(self) -> None:
        """Train to the end.

        Raises:
            GenerationError: a loss is not finite.
            ModelError: a checkpoint cannot be written.
        """
        run = self.config.run
        validator = Validator(self.config, self.vae, self.recipe, self._placement) if run.validate_every else None
        self._progress.start("training", run.updates)
        self._progress.advance(self.update)
        batches = iter(self._loader())
        while self.update < run.updates:
            started = time.perf_counter()
            losses = self._train_once(batches)
            self.update += 1
            self._write_log(losses, time.perf_counter() - started)
            last = self.update == run.updates
            if self.update % run.checkpoint_every == 0 or last:
                self.save()
            if validator is not None and (self.update % run.validate_every == 0 or last):
                self._validate(validator)
            self._progress.advance()
        self._log.close()

    def save(self) -> None:
        """Write a checkpoint and the model as it is now; only the first process writes."""
        if self.accelerator.is_main_process:
            folder = self.folder / "checkpoints"
            parts = {"unet": self._trained(), "ema": self.ema, **self._parts}
            save_state(checkpoint_path(folder, self.update), parts, self.update, self.config.as_dict())
            prune(folder, self.config.run.checkpoints_kept)
            self._export()
        self.accelerator.wait_for_everyone()

    def _train_once(self, batches: Iterator[dict[str, Tensor]]) -> dict[str, float]:
        """One update of everything; returns each loss, averaged over its batches on this process."""
        options, run = self.config.loss, self.config.run
        sums: dict[str, Tensor] = {}
        self.unet.train()
        for _ in range(run.accumulate):
            batch = make_batch(next(batches), self.vae, bool(options.latent), self.device)
            with self._precision():
                made = self.step.generate(batch)
                pictures = self.step.pictures(made, batch) if options.pixels else None
                losses = self.step.losses(batch, made, pictures, self.update)
            (torch.stack(list(losses.values())).sum() / run.accumulate).backward()  # type: ignore[no-untyped-call]
            if pictures is not None and self.judges.critics:
                with self._precision():
                    critic = self.step.critic_losses(batch, pictures)
                (torch.stack(list(critic.values())).sum() / run.accumulate).backward()  # type: ignore[no-untyped-call]
                losses |= critic
            for name, value in losses.items():
                sums[name] = sums.get(name, torch.zeros((), device=self.device)) + value.detach().float()
        self._apply()
        return self._mean({name: value / run.accumulate for name, value in sums.items()})

    def _apply(self) -> None:
        """Average the gradients over all processes, shorten them, and change the weights."""
        options, updates = self.config.optimiser, self.config.run.updates
        for name, optimiser in self._parts.items():
            if not isinstance(optimiser, torch.optim.Optimizer):
                continue
            parameters = [p for group in optimiser.param_groups for p in group["params"] if p.grad is not None]
            self._average([p.grad for p in parameters if p.grad is not None])
            if options.clip:
                torch.nn.utils.clip_grad_norm_(parameters, options.clip)
            rate = (
                self._rate(self.update)
                if name == "adam"
                else options.critic_rate * rate_at(self.update, updates, 0, options.critic_final, "cosine")
            )
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        average_into(self.ema, self._trained(), options.ema, self.update)

    def _precision(self) -> torch.autocast:
        """bf16 inside when asked for; accelerate's own switch cannot be changed within one process."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.run.precision == "bf16")

    def _rate(self, update: int) -> float:
        options = self.config.optimiser
        share = rate_at(update, self.config.run.updates, options.warmup, options.final, options.schedule)
        return options.rate * share

    def _average(self, tensors: list[Tensor]) -> None:
        if self.accelerator.num_processes > 1:
            for tensor in tensors:
                torch.distributed.all_reduce(tensor)
                tensor.div_(self.accelerator.num_processes)

    def _mean(self, losses: dict[str, Tensor]) -> dict[str, float]:
        values = torch.stack(list(losses.values()))
        self._average([values])
        if not torch.isfinite(values).all():
            shown = ", ".join(f"{name} {float(value):g}" for name, value in zip(losses, values, strict=True))
            raise GenerationError(
                f"Update {self.update} gave losses that are not finite: {shown}.",
                "Continue from the last checkpoint with a smaller optimiser.rate, or with run.precision fp32.",
            )
        return dict(zip(losses, values.tolist(), strict=True))

    def _optimisers(self) -> dict[str, Any]:
        """The optimisers and the discriminators, by the names under which checkpoints keep them."""
        options = self.config.optimiser
        parts: dict[str, Any] = {"adam": build_adam(self.unet, options.rate, self.config)}
        for name, critic in self.judges.critics.items():
            parts[f"{name}-critic"] = critic.network
            parts[f"{name}-critic-adam"] = build_adam(critic.network, options.critic_rate, self.config)
        return parts

    def _scale(self) -> TokenScale:
        """How sound tokens are scaled: by fixed samples, the same in every process and continuation."""
        config: Any = self.unet.config
        position = position_code(int(config.cross_attention_dim))
        if not self.config.network.scale_tokens:
            return plain_scale(position.shape[1]).to(self.device)
        heard = (self.samples.heard(number * SCALE_STRIDE) for number in range(SCALE_SAMPLES))
        return measure_scale(heard, position).to(self.device)

    def _samples(self) -> tuple[Samples, str]:
        """The training samples, and who heard them; stored latents are computed first where they are missing."""
        config, data, store = self.config, self.config.data, None
        folder = Path(data.folder)
        clips, identity = open_clips(folder, "train")
        if data.views:
            store = LatentStore(folder, self.vae.identity, data.face_size, config.framing, config.look, data.views)
        rows = sync_rows(config)
        samples = Samples(clips, data, config.framing, config.look, config.sampling, config.run.seed, rows, store)
        if store is not None:
            place = {clip.path: (number, clip.frames) for number, clip in enumerate(samples.clips)}
            missing = store.missing(list(place))[self.accelerator.process_index :: self.accelerator.num_processes]
            self._progress.start("encoding faces", sum(place[path][1] for path, _ in missing))
            for path, view in missing:
                store.fill(path, samples.geometry(place[path][0]).framing, view, self.vae, self._progress)
            self.accelerator.wait_for_everyone()
        return samples, identity

    def _loader(self) -> Any:
        """Batches of this process from where the run stands."""
        from torch.utils.data import DataLoader

        run, accelerator = self.config.run, self.accelerator
        numbers = batch_numbers(
            self.update, run.updates, run.batch, run.accumulate, accelerator.process_index, accelerator.num_processes
        )
        samples: Any = self.samples
        more = {"multiprocessing_context": "spawn", "prefetch_factor": 4} if run.workers else {}
        return DataLoader(samples, batch_sampler=numbers, num_workers=run.workers, **more)  # type: ignore[arg-type]

    def _resume(self) -> int:
        """Continue from the newest checkpoint; the number of updates that are done."""
        path = newest(self.folder / "checkpoints")
        if path is None:
            return 0
        return load_state(path, {"unet": self._trained(), "ema": self.ema, **self._parts}, self.config.as_dict())

    def _write_log(self, losses: dict[str, float], seconds: float) -> None:
        run = self.config.run
        if self.update % run.log_every == 0 or self.update == run.updates:
            count = run.batch * run.accumulate * self.accelerator.num_processes
            more = {"rate": self._rate(self.update - 1), "samples_per_second": count / seconds}
            self._log.write("train", self.update, {**losses, **more})

    def _validate(self, validator: Validator) -> None:
        if self.accelerator.is_main_process:
            trained = self._weights()
            self._put(self.scale.fold(self.ema))
            try:
                scores = validator.judge(self.unet, self.folder / "sheets", self.update)
            finally:
                self._put(trained)
            self._log.write("validation", self.update, scores)
            self._log.show(self.folder / "sheets" / f"update-{self.update:08d}.png", self.update)
        self.accelerator.wait_for_everyone()

    def _trained(self) -> dict[str, torch.nn.Parameter]:
        """The weights that training changes: the U-Net's, or its adapter's."""
        return {name: p for name, p in self.unet.named_parameters() if p.requires_grad}

    def _weights(self) -> dict[str, Tensor]:
        """A copy of them as they are."""
        return {name: p.detach().clone() for name, p in self._trained().items()}

    def _put(self, weights: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self._trained().items():
                parameter.copy_(weights[name])

    def _export(self) -> None:
        """The averaged weights as a model folder that `--model` takes, or as an adapter's file."""
        if self.config.network.adapter:
            trained_adapter(self.ema, self.recipe.name).save(self.folder / ADAPTER_NAME)
            return
        folder = self.folder / "model"
        unet: Any = self.unet
        plain = {key: value for key, value in dict(unet.config).items() if not key.startswith("_")}
        config = json.loads(json.dumps(plain))
        path = folder / "unet.safetensors"
        tensors = self.scale.fold(self.ema)
        weights = Weights("UNet2DConditionModel", config, tensors, path, self.recipe.name)
        save_safetensors(path, tensors, weights.header())
        for name, source in (("vae", self.config.network.vae), ("audio_encoder", self.config.network.audio_encoder)):
            target = folder / f"{name}.safetensors"
            if source and not target.exists():
                convert(Path(source), target)


def batch_numbers(
    update: int, updates: int, batch: int, accumulate: int, process: int, processes: int
) -> Iterator[list[int]]:
    """The numbers of the samples in each of one process's batches: together, all processes take every number once."""
    for place in range(update * accumulate, updates * accumulate):
        first = (place * processes + process) * batch
        yield list(range(first, first + batch))
