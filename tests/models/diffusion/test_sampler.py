"""Solvers of the sampler, against each other and against what they are to converge to."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.diffusion.sampler import scheduler, solve
from models.families.config import SamplerConfig

torch.set_num_threads(1)
MEAN, SPREAD = 0.7, 0.3


@pytest.mark.parametrize("prediction", ["v_prediction", "sample"])
def test_the_multistep_solver_comes_nearer_in_as_many_steps(prediction: str) -> None:
    """Of numbers that are normally distributed the best prediction is known, and so where a noise must end."""
    config = SamplerConfig(prediction=prediction)
    kept = scheduler(config).alphas_cumprod

    def predict(noisy: Tensor, timestep: Tensor) -> Tensor:
        alpha, sigma = kept[timestep.long()].sqrt(), (1 - kept[timestep.long()]).sqrt()
        total = alpha**2 * SPREAD**2 + sigma**2
        sample = MEAN + alpha * SPREAD**2 / total * (noisy - alpha * MEAN)
        if prediction == "sample":
            return sample
        return alpha * (sigma * (noisy - alpha * MEAN) / total) - sigma * sample

    noise = torch.linspace(-2, 2, 9)[:, None]
    exact = MEAN + SPREAD * noise

    def error(solver: str, steps: int) -> float:
        for latents in solve(predict, noise, config, steps, solver):  # noqa: B007  the last one is wanted
            pass
        return float((latents - exact).abs().max())

    # Both end with a step of the first order, which is most of what is left.
    assert error("dpm++", 200) < 0.6 * error("ddim", 200) < 0.02
    for steps in (5, 10, 20, 40):
        assert error("dpm++", steps) < error("ddim", steps)


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="solver is 'euler': expected ddim or dpm"):
        next(solve(lambda latents, timestep: latents, torch.zeros(1), SamplerConfig(), 4, "euler"))
    with pytest.raises(ValueError, match="steps is 0"):
        next(solve(lambda latents, timestep: latents, torch.zeros(1), SamplerConfig(), 0))
