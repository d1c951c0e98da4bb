"""Sampling with classifier-free guidance, as functions: noise in, latents out, no random numbers drawn.

Shapes: r rows, f frames, c channels, h w latent sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from models.families.config import SamplerConfig

if TYPE_CHECKING:
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler

Predict = Callable[[Tensor, Tensor], Tensor]
"""Latents and timestep (a tensor without dimensions) -> the model's prediction in the latents' shape."""


def scheduler(config: SamplerConfig) -> DDIMScheduler:
    """The diffusion schedule; training takes its noise and targets from it too (`add_noise`, `get_velocity`)."""
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler  # slow to import, and not every family samples

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


def multistep_scheduler(config: SamplerConfig) -> DPMSolverMultistepScheduler:
    """The same schedule for DPM-Solver++ (Lu et al., arXiv 2211.01095), second order: it looks back one step."""
    from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler  # likewise

    return DPMSolverMultistepScheduler(
        num_train_timesteps=config.train_steps,
        beta_start=config.beta_start,
        beta_end=config.beta_end,
        beta_schedule=config.betas,
        prediction_type=config.prediction,
        rescale_betas_zero_snr=config.zero_terminal_snr,
        timestep_spacing=config.spacing,
        algorithm_type="dpmsolver++",
        solver_order=2,
        final_sigmas_type="zero",
    )


def solve(predict: Predict, noise: Tensor, config: SamplerConfig, steps: int, solver: str = "ddim") -> Iterator[Tensor]:
    """Denoise `noise` in `steps` deterministic steps of `ddim` or `dpm++`, yielding the latents after each."""
    if not 1 <= steps <= config.train_steps:
        raise ValueError(f"steps is {steps}: expected 1 to {config.train_steps}")
    if solver not in ("ddim", "dpm++"):
        raise ValueError(f"solver is {solver!r}: expected ddim or dpm++")
    schedule = scheduler(config) if solver == "ddim" else multistep_scheduler(config)
    schedule.set_timesteps(steps)
    latents = noise
    # The schedule looks its numbers up on the processor; the network gets its own copies, all at once.
    for timestep, there in zip(schedule.timesteps, schedule.timesteps.to(noise.device), strict=True):
        latents = schedule.step(predict(latents, there), timestep, latents, return_dict=False)[0]
        yield latents


def guided(predict: Predict, scale: float) -> Predict:
    """Classifier-free guidance: `predict` gets the latents twice, unconditional rows first."""

    def both(latents: Tensor, timestep: Tensor) -> Tensor:
        without, with_conditions = predict(torch.cat([latents, latents]), timestep).chunk(2)
        return without + scale * (with_conditions - without)

    return both
