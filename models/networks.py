"""The parts of a family of networks: what a worker loads, and what it does with it.

Every random number is drawn on the CPU in float32 from a generator keyed by seed, purpose and clip; the number of
threads is the family's, because it changes the order of additions.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.background import Enlarger
from models.chain import ChainNetworks, Clip, run_clip
from models.config import Sampling
from models.families import Arrays, ClipOptions, Family, Lane, PictureOptions
from models.fill import fill
from models.keys import noise_key
from models.masks import Box
from models.motion_frames import add_motion_noise, draw_patches, latent_protection, patch_drop
from models.network_config import NetworkConfig
from models.ngrams import embed
from models.portrait import PortraitHints, PortraitSizes, prepare_portrait
from models.restorer import TemporalRestorer
from models.spectrum import SAMPLES_A_FRAME, log_mel
from models.text import TextBranch
from models.upscale import Upscaler
from models.vae import Vae
from models.wav2vec import audio_windows
from models.yuv import yuv420p

CELLS = 4  # a side: the portrait's latents are pooled to 4 x 4 where they stand in for a face embedding


class Part:
    """What all parts share: the family, the device, and the class of arithmetic."""

    def __init__(self, family: Family, weights: str | None, device: str) -> None:
        if family.networks is None:
            raise ValueError(f"family {family.name!r} is not made of networks")
        torch.set_num_threads(family.threads)
        self.family = family
        self.config: NetworkConfig = family.networks
        self.device = torch.device(device)

    def numerics(self) -> dict[str, Any]:
        if self.device.type == "cuda":
            return {
                "device": torch.cuda.get_device_name(self.device),
                "torch": torch.__version__,
                "precision": "float32",
            }
        return {
            "device": f"CPU {torch.backends.cpu.get_cpu_capability()}",
            "torch": torch.__version__,
            "precision": "float32",
            "threads": self.family.threads,
        }

    def ready(self, network: nn.Module, name: str) -> nn.Module:
        """The network with its weights, for inference on the device."""
        return fill(network, f"{name}.").eval().requires_grad_(False).to(self.device)


class Prepare(Part):
    def __init__(self, family: Family, weights: str | None, device: str) -> None:
        super().__init__(family, weights, device)
        self._vae = self.ready(Vae(self.config.vae), "vae")

    @torch.inference_mode()
    def conditioning(self, portrait: np.ndarray, base_size: int, boxes: dict[str, Any]) -> tuple[Arrays, list[str]]:
        """Portrait uint8 [H, W, 3] → the crop, its latents, boxes, masks and identity, as the chain takes them."""
        sizes = PortraitSizes(
            size=base_size,
            mask_side=base_size // self.config.vae.factor,
            mask_levels=len(self.config.chain.unet.channels),
            embedding=self.config.chain.image_projection.embedding_width,
        )
        hints = PortraitHints(_corners(boxes.get("face_box")), _corners(boxes.get("lip_box")))
        arrays, notes = prepare_portrait(portrait, sizes, hints)
        pixels = torch.from_numpy(arrays["portrait"])[None].to(self.device)
        latents = self._vae.encode(pixels)[0]
        arrays["reference"] = latents.cpu().numpy()
        if self.config.identity == "pooled_latents":
            pooled = torch.nn.functional.adaptive_avg_pool2d(latents, CELLS)
            arrays["face_embedding"] = pooled.flatten().cpu().numpy()
            notes = [note for note in notes if "embedding" not in note]
        return arrays, notes

    @torch.inference_mode()
    def features(self, speech: np.ndarray, left: int, frames: int, right: int, silence: int) -> np.ndarray:
        """→ [frames + silence, 4, 80]: log-mel spectra."""
        wave = torch.nn.functional.pad(torch.from_numpy(speech), (0, silence * SAMPLES_A_FRAME))
        return log_mel(wave)[left : left + frames + silence].contiguous().numpy()


class Chain(Part):
    def __init__(self, family: Family, weights: str | None, device: str) -> None:
        super().__init__(family, weights, device)
        config = self.config
        self._networks = self.ready(ChainNetworks(config.chain), "chain")
        self._text = self.ready(TextBranch(config.text, config.chain.unet), "text") if config.text else None
        self._vae = self.ready(Vae(config.vae), "vae") if config.carry == "pixels" else None

    def start(self, conditioning: Arrays, seed: int, base_size: int) -> Arrays:
        """The portrait stands in for the frames before the first."""
        first = conditioning["portrait" if self.config.carry == "pixels" else "reference"]
        return {"motion": np.stack([first] * self.config.chain.motion_frames)}

    @torch.inference_mode()
    def next_clip(self, lanes: list[Lane | None]) -> list[tuple[np.ndarray, Arrays] | None]:
        """One clip of every lane. Lanes of other options are sampled after each other, each batch as large as all."""
        results: list[tuple[np.ndarray, Arrays] | None] = [None] * len(lanes)
        places = [place for place, lane in enumerate(lanes) if lane is not None]

        def options(place: int) -> tuple[int, float, int]:
            lane = lanes[place]
            assert lane is not None
            return lane.options.steps, lane.options.guidance_scale, lane.options.base_size

        for _, group in groupby(sorted(places, key=options), key=options):
            mine = list(group)
            batch = [lane for place in mine if (lane := lanes[place]) is not None]
            made = self._sample(batch + [batch[0]] * (len(lanes) - len(batch)), batch[0].options)
            for place, result in zip(mine, made, strict=False):
                results[place] = result
        return results

    def _sample(self, lanes: list[Lane], options: ClipOptions) -> list[tuple[np.ndarray, Arrays]]:
        motion = torch.stack([self._motion(lane) for lane in lanes])
        clip = Clip(
            reference=self._stack(lanes, "reference"),
            motion=motion,
            face_embedding=self._stack(lanes, "face_embedding"),
            audio=torch.stack([self._audio(lane) for lane in lanes]).to(self.device),
            region=self._stack(lanes, "region_mask"),
            masks=self._masks(lanes),
            **self._prompts(lanes),
        )
        shape = (self.config.chain.clip_frames, *self.family.latent_shape(options.base_size))
        noise = torch.stack([_normal(shape, lane.seed, "latents", lane.clip) for lane in lanes]).to(self.device)
        sampling = Sampling(options.steps, options.guidance_scale, schedule=self.config.sampler)
        latents = run_clip(self._networks, clip, noise, sampling, self._text)
        return [(lane.half().cpu().numpy(), self._state(lane)) for lane in latents]

    def _stack(self, lanes: list[Lane], name: str) -> Tensor:
        return torch.from_numpy(np.stack([lane.conditioning[name] for lane in lanes])).to(self.device)

    def _masks(self, lanes: list[Lane]) -> tuple[tuple[Tensor, ...], ...]:
        levels = range(len(self.config.chain.unet.channels))
        return tuple(
            tuple(self._stack(lanes, f"{region}_mask_{level}").flatten(1) for level in levels)
            for region in ("background", "face", "lip")
        )

    def _audio(self, lane: Lane) -> Tensor:
        """[f, window, layers, width]: the features around every frame of the clip."""
        radius = self.config.chain.audio_projection.radius
        frames = self.config.chain.clip_frames
        return audio_windows(torch.from_numpy(lane.features), radius, frames, radius=radius)

    def _prompts(self, lanes: list[Lane]) -> dict[str, Tensor]:
        if self.config.text is None:
            return {}
        texts = [lane.text or "" for lane in lanes]
        present = torch.tensor([lane.text is not None for lane in lanes], device=self.device)
        return {"prompt": embed(texts, self.config.text.embedding_width).to(self.device), "prompted": present}

    def _motion(self, lane: Lane) -> Tensor:
        """Latents [m, c, h, w] of the frames carried over, after patch drop (eq. 5, 6) and noise (eq. 7)."""
        config = self.config
        frames = torch.from_numpy(lane.state["motion"])
        generator = torch.Generator().manual_seed(noise_key(lane.seed, "patches", lane.clip))
        uniform = draw_patches((frames.shape[-2], frames.shape[-1]), config.patch, generator)
        protect = None
        if not config.drop_on_face:
            protect = torch.from_numpy(lane.conditioning["region_mask"][:1])
            protect = latent_protection(protect, config.vae.factor) if config.carry == "latents" else protect
        frames = patch_drop(frames, uniform, config.drop_rate, protect).to(self.device)
        latents = self._vae.encode(frames) if self._vae is not None else frames
        noise = _normal(tuple(latents.shape), lane.seed, "motion", lane.clip)
        return add_motion_noise(latents, noise.to(self.device), config.motion_noise)

    def _state(self, latents: Tensor) -> Arrays:
        last = latents[-self.config.chain.motion_frames :]
        if self._vae is not None:
            last = self._vae.decode(last) * 2 - 1
        return {"motion": last.cpu().numpy()}


class Upscale(Part):
    def __init__(self, family: Family, weights: str | None, device: str) -> None:
        super().__init__(family, weights, device)
        config = self.config
        self._vae = self.ready(Vae(config.vae), "vae")
        self._upscaler = Upscaler(
            config.upscale,
            self.ready(TemporalRestorer(config.restorer), "restorer"),
            self.ready(Enlarger(config.enlarger), "enlarger"),
        )

    @torch.inference_mode()
    def decode(self, latents: np.ndarray, options: PictureOptions) -> list[Tensor]:
        """[n, C, h, w] → n base frames [3, S, S], 0..1, decoded in one group of n."""
        group = torch.from_numpy(latents).float().to(self.device)
        return list(self._vae.decode(group, group=len(group)))

    @torch.inference_mode()
    def restore(
        self, window: list[Tensor], places: range, conditioning: Arrays, options: PictureOptions
    ) -> Iterator[Tensor]:
        """16 base frames → those at `places`, [3, R, R], 0..1."""
        frames = self._upscaler.frames(
            torch.stack(window),
            options.resolution,
            options.fidelity,
            options.background,  # type: ignore[arg-type]
            Box(*(float(edge) for edge in conditioning["face_box"])),
            keep=slice(places.start, places.stop),
        )
        for frame in frames:
            yield frame.picture

    def planes(self, frame: Tensor) -> np.ndarray:
        return yuv420p(frame).cpu().numpy()


def _corners(box: tuple[int, int, int, int] | None) -> Box | None:
    """[x, y, width, height], as manifests have it, to corners."""
    return Box(box[0], box[1], box[0] + box[2], box[1] + box[3]) if box else None


def _normal(shape: tuple[int, ...], seed: int, purpose: str, clip: int) -> Tensor:
    generator = torch.Generator().manual_seed(noise_key(seed, purpose, clip))
    return torch.randn(shape, generator=generator)


PARTS = {"prepare": Prepare, "chain": Chain, "upscale": Upscale}
