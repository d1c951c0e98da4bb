"""From noise to the sixteen latents of a clip: the denoiser, all that it attends to, and its sampler."""
