"""DDIM sampling with classifier-free guidance, as functions: noise in, latents out, no random numbers drawn.

Shapes: r rows, f frames, c channels, h w latent sides.
"""

from collections.abc import Callable, Iterator

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from models.config import SamplerConfig

Predict = Callable[[Tensor, Tensor], Tensor]
"""Latents and timestep (a tensor without dimensions) -> the model's prediction in the latents' shape."""


def scheduler(config: SamplerConfig) -> DDIMScheduler:
    """The diffusion schedule; training takes its noise and targets from it too (`add_noise`, `get_velocity`)."""
    return DDIMScheduler(
        num_train_timesteps=config.train_steps,
        beta_start=config.beta_start,
        beta_end=config.beta_end,
        beta_schedule=config.betas,
        prediction_type=config.prediction,
        rescale_betas_zero_snr=config.zero_terminal_snr,
        timestep_spacing=config.spacing,
        clip_sample=False,
        set_alpha_to_one=True,
    )


def ddim(predict: Predict, noise: Tensor, config: SamplerConfig, steps: int) -> Iterator[Tensor]:
    """Denoise `noise` in `steps` deterministic steps, yielding the latents after each."""
    if not 1 <= steps <= config.train_steps:
        raise ValueError(f"steps is {steps}: expected 1 to {config.train_steps}")
    schedule = scheduler(config)
    schedule.set_timesteps(steps)
    latents = noise
    for timestep in schedule.timesteps:
        latents = schedule.step(predict(latents, timestep), timestep, latents, eta=0.0).prev_sample
        yield latents


def guided(predict: Predict, scale: float) -> Predict:
    """Classifier-free guidance: `predict` gets the latents twice, unconditional rows first."""

    def both(latents: Tensor, timestep: Tensor) -> Tensor:
        without, with_conditions = predict(torch.cat([latents, latents]), timestep).chunk(2)
        return without + scale * (with_conditions - without)

    return both
