"""How far the chain's networks may lie from the recorded numbers: the largest absolute difference, in float32.

The spread of the outputs is about 1 (denoiser 0.5, face locator 0.06). A different CPU, thread count or torch build
moves the last bits; the banks' rounding to float16 can turn one of those into 1e-3 in single values, which the
denoiser's tolerances leave room for. The mistakes that these numbers must tell apart cost far more: the evaluation
branch 1.1, grouped image tokens 0.47, one portrait for all frames 0.45, exchanged masks 0.42.
"""

CHAIN: dict[str, float] = {
    # Exact: indices and arithmetic that every machine does alike.
    "audio_window": 0.0,
    "audio_interpolation": 1e-6,  # measured 0
    "scheduler": 1e-5,  # measured 0, and 3.0e-6 on another processor: betas are 1 less what float32 keeps of a ratio
    # Small networks. Measured 1.4e-6, 9.5e-7; the face locator's 6.1e-5 is its recording in float16.
    "audioproj": 2e-5,
    "imageproj": 2e-5,
    "face_locator": 2e-4,
    "wav2vec": 5e-5,  # measured 3.8e-6 over 12 layers
    # ReferenceNet. Measured 5.6e-6 and 4.8e-6; 3.9e-3 for its last features, which are recorded in float16.
    "banks_plain": 5e-5,
    "banks_plain:unet_return": 2e-2,
    "banks_denoise_f4": 5e-5,
    # The denoiser. Measured 2.5e-5, 2.4e-5, 2.0e-5, 3.3e-5; without the banks' rounding 4.9e-6.
    "denoise_f4": 1e-3,
    "denoise_f4_scale": 1e-3,
    "denoise_f16": 1e-3,
    "denoise_64_f2": 1e-3,
    "denoise_f4_fp32banks": 1e-4,
    # Inside the denoiser, where the spread is 4 to 7. Measured 1.6e-4.
    "denoise_f4:probes": 5e-3,
    # Three guided steps, each of which multiplies the denoiser's error. Measured 1.6e-5, 5.3e-5, 1.2e-4.
    "pipeline": 3e-3,
}

HALF = 0.1
"""Of the denoiser in float16 on a card. None has told it: it is a quarter of what the least of those mistakes costs."""

MUST_DIFFER = 0.1
"""What the two ways that are not the published one must at least be off by."""
