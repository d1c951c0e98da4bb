"""The part that draws: one clip of latents after another, each from the last frames of the one before.

Every random number is drawn on the CPU in float32 from a generator keyed by seed, purpose and clip.
"""

from __future__ import annotations

import copy
from dataclasses import astuple, replace
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.autoencoder.cosines import Cosines
from models.diffusion.clip import Clip, run_clip
from models.diffusion.motion_frames import add_motion_noise, latent_protection, patch_drop
from models.execution.stepping import Stepping
from models.families.config import Sampling
from models.families.finite import finite
from models.families.protocol import Arrays, ClipOptions, Family, Lane, Made
from models.image.wider import in_bfloat16
from models.parts.clip_noise import PublishedNoise, keyed_normal, keyed_patches
from models.parts.part import Part
from models.parts.rough_look import RoughLook, blended
from models.prompts.prompts import PromptProblem, Prompts
from models.speech.wav2vec import audio_windows

DISSOLVE = 12  # frames over which a new start comes out of what was before


class Chain(Part):
    remade: frozenset[int] = frozenset()
    """Places of the last call whose clip was not finite, and was made again (`models.families.finite`)."""

    def __init__(self, family: Family, weights: str | None, device: str) -> None:
        super().__init__(family, weights, device)
        config = self.config
        self._networks = self.ready("chain")
        self._stepping = Stepping(self._networks.denoising_unet, self.device)
        self._text, self._prompts = self._text_branch()
        self._vae = self.ready("vae") if config.carry == "pixels" else None
        self._published: dict[int, PublishedNoise] = {}
        vae = config.vae
        self._look = RoughLook(Cosines(vae.latent_channels, vae.factor // vae.shrink)) if vae.cosines else None

    def numerics(self) -> dict[str, Any]:
        return super().numerics() | self._made_again()

    def arithmetic(self, options: ClipOptions, lanes: int) -> dict[str, Any]:
        return self._stepping.settle(options, lanes, lambda: self.next_clip([self.sample(0, options)] * lanes))

    def look(self, made: Made) -> dict[str, float]:
        assert self._look is not None, f"the latents of family {self.family.name} make no rough pictures"
        return self._look(made)

    def joined(self, before: Arrays, latents: np.ndarray) -> np.ndarray:
        """A dissolve, in latents: the last frame before stands still, and goes over into those that follow."""
        assert self.config.carry == "latents", "pixels are no latents"
        last = torch.from_numpy(before["motion"][-1])
        return blended(last, torch.from_numpy(latents), DISSOLVE).numpy()

    def start(self, conditioning: Arrays, seed: int, base_size: int) -> Arrays:
        """The portrait stands in for the frames before the first."""
        first = conditioning["portrait" if self.config.carry == "pixels" else "reference"]
        return {"motion": np.stack([first] * self.config.chain.motion_frames)}

    def sample(self, seed: int, options: ClipOptions) -> Lane:
        """A made-up input, as the self-test of lanes takes it: every array differs from seed to seed."""
        random, size, config = np.random.default_rng(seed), options.base_size, self.config
        side, projection = size // config.vae.factor, config.chain.audio_projection

        def numbers(*shape: int) -> np.ndarray:
            return random.standard_normal(shape, np.float32)

        conditioning = {
            "portrait": numbers(3, size, size).clip(-1, 1),
            "reference": numbers(config.vae.latent_channels, side, side),
            "face_embedding": numbers(config.chain.image_projection.embedding_width),
            "region_mask": random.random((3, size, size), np.float32),
        }
        for level in range(len(config.chain.unet.channels)):
            for region in ("background", "face", "lip"):
                tokens = (side // config.chain.unet.patch >> level) ** 2
                conditioning[f"{region}_mask_{level}"] = random.random((1, tokens), np.float32)
        heard = config.chain.clip_frames + 2 * projection.radius
        return Lane(
            seed=seed,
            clip=0,
            conditioning=conditioning,
            state=self.start(conditioning, seed, size),
            features=numbers(heard, projection.layers, projection.feature_width),
            text=None,
            options=options,
        )

    @torch.inference_mode()
    def next_clip(self, lanes: list[Lane | None]) -> list[tuple[np.ndarray, Arrays] | None]:
        """One clip of every lane. Lanes of other options are sampled after each other, each batch as large as all."""
        results: list[tuple[np.ndarray, Arrays] | None] = [None] * len(lanes)
        remade: set[int] = set()
        places = [place for place, lane in enumerate(lanes) if lane is not None]

        def options(place: int) -> tuple[float | str, ...]:
            lane = lanes[place]
            assert lane is not None
            return astuple(lane.options)

        for _, group in groupby(sorted(places, key=options), key=options):
            mine = list(group)
            batch = [lane for place in mine if (lane := lanes[place]) is not None]
            batch += [batch[0]] * (len(lanes) - len(batch))
            made = self._sample(batch, batch[0].options)
            broken = {number for number, (latents, state) in enumerate(made) if not finite([latents, *state.values()])}
            if broken and self._made_again():
                # Of the whole batch, whose shape decides about bits; the other lanes keep what they have.
                again = self._in_bfloat16()._sample(batch, replace(batch[0].options, compiled=False, devices=1))
                made = [again[number] if number in broken else one for number, one in enumerate(made)]
                remade |= {place for number, place in enumerate(mine) if number in broken}
            for place, result in zip(mine, made, strict=False):
                results[place] = result
        self.remade = frozenset(remade)
        return results

    def _in_bfloat16(self) -> Chain:
        """The same part in bfloat16, for one call: so seldom that it is not worth its memory."""
        wide = copy.copy(self)
        wide._networks, wide._text, wide._vae = (
            None if network is None else in_bfloat16(network) for network in (self._networks, self._text, self._vae)
        )
        wide._stepping = Stepping(wide._networks.denoising_unet, self.device)
        return wide

    def _sample(self, lanes: list[Lane], options: ClipOptions) -> list[tuple[np.ndarray, Arrays]]:
        draws = [self._draw(lane) for lane in lanes]
        clip = Clip(
            reference=self._stack(lanes, "reference"),
            motion=torch.stack([self._motion(lane, uniform) for lane, (uniform, _) in zip(lanes, draws, strict=True)]),
            face_embedding=self._stack(lanes, "face_embedding"),
            audio=self._sent(torch.stack([self._audio(lane) for lane in lanes])),
            region=self._stack(lanes, "region_mask"),
            masks=self._masks(lanes),
            last=self._last(lanes),
            **self._embedded(lanes),
        )
        noise = self._sent(torch.stack([latents for _, latents in draws]))
        sampling = Sampling(
            options.steps,
            options.guidance_scale,
            schedule=self.config.sampler,
            guided_share=options.guided_share,
            deep_every=options.deep_every,
            solver=options.solver,
        )
        way = self._stepping.way(options, len(lanes))
        latents = run_clip(self._networks, clip, noise, sampling, self._text, way.denoise, way.elsewhere)
        return [(lane.half().cpu().numpy(), self._state(lane)) for lane in latents]

    def _draw(self, lane: Lane) -> tuple[Tensor, Tensor]:
        """Uniform numbers for the patches of the motion frames, and the noise that the clip's latents start from."""
        size, frames = lane.options.base_size, self.config.chain.clip_frames
        if lane.options.compat == "published" and not lane.attempt:  # its generator knows no second try
            if size not in self._published:
                vae = self.config.vae
                self._published[size] = PublishedNoise(size, vae.latent_channels, vae.factor, frames)
            return self._published[size](lane.clip)
        edge = size if self.config.carry == "pixels" else size // self.config.vae.factor
        uniform = keyed_patches((edge, edge), self.config.patch, lane.seed, lane.clip, lane.attempt)
        shape = (frames, *self.family.latent_shape(size))
        return uniform, keyed_normal(shape, lane.seed, "latents", lane.clip, lane.attempt)

    def _text_branch(self) -> tuple[Any, Prompts | None]:
        """The text branch and what embeds its prompts; neither where the folder of weights has no file of it."""
        text = self.config.text
        if text is None or (self.folder is not None and self.file("text") is None):
            return None, None
        if text.clip is None:
            return self.ready("text"), Prompts(text.embedding_width)
        words = self.file("clip", "vocab.json")
        assert words is not None
        return self.ready("text"), Prompts(text.embedding_width, self.ready("clip"), words[1].parent)

    def _stack(self, lanes: list[Lane], name: str) -> Tensor:
        return self._sent(torch.from_numpy(np.stack([lane.conditioning[name] for lane in lanes])))

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

    def _embedded(self, lanes: list[Lane]) -> dict[str, Tensor]:
        if self._prompts is None:
            if any(lane.text for lane in lanes):
                raise PromptProblem("a prompt was given, and the folder of weights has no text branch")
            return {}
        present = self._sent(torch.tensor([lane.text is not None for lane in lanes]))
        return {"prompt": self._sent(self._prompts([lane.text or "" for lane in lanes])), "prompted": present}

    def _motion(self, lane: Lane, uniform: Tensor) -> Tensor:
        """Latents [m, c, h, w] of the frames carried over, after patch drop (eq. 5, 6) and noise (eq. 7)."""
        config = self.config
        frames = torch.from_numpy(lane.state["motion"])
        protect = None
        if not config.drop_on_face:
            protect = torch.from_numpy(lane.conditioning["region_mask"][:1])
            protect = latent_protection(protect, config.vae.factor) if config.carry == "latents" else protect
        # A small network is spared to draw anew what a dropped patch hid: the portrait shows through there.
        instead = torch.from_numpy(lane.conditioning["reference"]) if config.chain.unet.corrects else None
        frames = self._sent(patch_drop(frames, uniform, config.drop_rate, protect, instead))
        latents = self._vae.encode(frames) if self._vae is not None else frames
        if config.motion_noise == 0:
            return latents
        noise = keyed_normal(tuple(latents.shape), lane.seed, "motion", lane.clip, lane.attempt)
        return add_motion_noise(latents, self._sent(noise), config.motion_noise)

    def _last(self, lanes: list[Lane]) -> Tensor | None:
        """Latents [lanes, c, h, w] of the last frame carried over, for networks that copy it."""
        if not self.config.chain.unet.corrects:
            return None
        return self._sent(torch.from_numpy(np.stack([lane.state["motion"][-1] for lane in lanes])))

    def _state(self, latents: Tensor) -> Arrays:
        last = latents[-self.config.chain.motion_frames :]
        if self._vae is not None:
            last = self._vae.decode(last) * 2 - 1
        return {"motion": last.cpu().numpy()}
