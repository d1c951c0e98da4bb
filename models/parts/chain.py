"""The parts of a family of networks: what a worker loads, and what it does with it.

Every random number is drawn on the CPU in float32 from a generator keyed by seed, purpose and clip; the number of
threads is the family's, because it changes the order of additions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import astuple, replace
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.diffusion.clip import Clip, run_clip
from models.diffusion.motion_frames import add_motion_noise, latent_protection, patch_drop
from models.execution.precision import number_type, told
from models.execution.stepping import Stepping
from models.faces.face_finding import Finder, FoundFace, OnnxFaces, mesh_finder, open_onnx, torch_finder
from models.faces.portrait import MeshFinder, PortraitHints, PortraitSizes, prepare_portrait
from models.families.config import Sampling
from models.families.memory_plan import Fitted, Pieces
from models.families.network_config import NetworkConfig
from models.families.registry import Arrays, ClipOptions, Family, Hints, Lane, PictureOptions
from models.families.reproduction import reproduction, warning
from models.families.weight_files import WeightFile
from models.image.masks import Box
from models.image.yuv import yuv420p
from models.parts.clip_noise import PublishedNoise, keyed_normal, keyed_patches
from models.prompts.prompts import PromptProblem, Prompts
from models.restoration.plate import stands_still
from models.restoration.upscale import UpscaledFrame, Upscaler
from models.speech.separator import Separator, SeparatorProblem, sizes_of
from models.speech.spectrum import SAMPLES_A_FRAME, heard
from models.speech.speech_level import gain_for
from models.speech.wav2vec import audio_windows, normalise
from models.weights.loading import load, synthetic

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
        self.folder = Path(weights) if weights else None
        self._types: dict[str, torch.dtype] = {}  # of the networks that were loaded

    def numerics(self) -> dict[str, Any]:
        same = {"torch": torch.__version__, "precision": told(self._types)}
        if self.device.type == "cuda":
            return {"device": torch.cuda.get_device_name(self.device), **same}
        return {"device": f"CPU {torch.backends.cpu.get_cpu_capability()}", **same, "threads": self.family.threads}

    def file(self, network: str, suffix: str = "") -> tuple[WeightFile, Path] | None:
        """The first file of a network that is in the folder of weights."""
        for file in self.family.tree:
            for name in file.paths:
                if self.folder and file.network == network and name.endswith(suffix) and (self.folder / name).exists():
                    return file, self.folder / name
        return None

    def ready(self, network: str) -> Any:
        """The network with its weights, for inference on the device: from its file, or by rule without a folder."""
        if self.folder is None:
            return self._laid_out(network, synthetic(network, self.config, self.device))
        found = self.file(network)
        if found is None:
            raise FileNotFoundError(f"family {self.family.name}: no file of {network} in the folder of weights")
        return self._laid_out(network, load(found[1], found[0], self.config, self.device))

    def _laid_out(self, name: str, network: torch.nn.Module) -> torch.nn.Module:
        """Convolutions with channels last, as both kinds of device compute them, and as attention reads pictures."""
        kind = self._types[name] = number_type(self.family, name, self.device)
        network = network.to(kind)
        if self.device.type == "cpu" and self.family.needs_weights:
            return network  # gigabytes that workers of a machine share as pages of their files: no copies of these
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class Prepare(Part):
    def __init__(self, family: Family, weights: str | None, device: str) -> None:
        super().__init__(family, weights, device)
        self._vae = self.ready("vae")
        self._speech = self.ready("speech") if self.config.speech else None
        self._notes: list[str] = []
        self._faces = self._optional("face_finder", self._onnx_faces)
        self._mesh: MeshFinder | None = self._optional("face_mesh", mesh_finder)
        self._separator: Separator | None = self._optional("separator", self._open_separator)
        # Loaded now: the folder of weights is there for as long as parts are being loaded only.
        plain = self._faces is None and self.folder is not None and self.config.detector is not None
        self._detector = torch_finder(self.ready("detector").cpu()) if plain else None

    @torch.inference_mode()
    def conditioning(self, portrait: np.ndarray, base_size: int, hints: Hints) -> tuple[Arrays, list[str]]:
        """Portrait uint8 [H, W, 3] → the crop, its latents, boxes, masks and identity, as the chain takes them."""
        sizes = PortraitSizes(
            size=base_size,
            mask_side=base_size // (self.config.vae.factor * self.config.chain.unet.patch),
            mask_levels=len(self.config.chain.unet.channels),
            embedding=self.config.chain.image_projection.embedding_width,
        )
        given = PortraitHints(
            _corners(hints.face_box),
            _corners(hints.lip_box),
            hints.face_embedding,
            several="largest" if hints.compat == "published" else "refuse",
        )
        arrays, notes = prepare_portrait(portrait, sizes, given, self._finder(hints), self._mesh)
        pixels = torch.from_numpy(arrays["portrait"])[None].to(self.device)
        latents = self._vae.encode(pixels)[0]
        arrays["reference"] = latents.cpu().numpy()
        notes = [*notes, *self._domain(arrays, latents)]
        if self.config.identity == "pooled_latents":
            pooled = torch.nn.functional.adaptive_avg_pool2d(latents, CELLS)
            arrays["face_embedding"] = pooled.flatten().cpu().numpy()
            notes = [note for note in notes if "embedding" not in note]
        return arrays, self._notes + notes

    @torch.inference_mode()
    def features(
        self, speech: np.ndarray, left: int, frames: int, right: int, silence: int, level: float
    ) -> np.ndarray:
        """→ [frames + silence, layers, width]: of the speech network, or spectra and those before [7, 80].

        The speech network hears the block at its own loudness, whatever its neighbours'; silence is added after.
        Spectra are of the title at the level that training had.
        """
        wave = torch.from_numpy(speech)
        if self._speech is None:
            wave = wave * gain_for(level)
            found = heard(torch.nn.functional.pad(wave, (0, silence * SAMPLES_A_FRAME)))
        else:
            own = wave[left * SAMPLES_A_FRAME : (left + frames) * SAMPLES_A_FRAME]
            padded = torch.nn.functional.pad(normalise(wave, own), (0, silence * SAMPLES_A_FRAME))
            found = self._speech(padded.to(self.device), left + frames + right + silence).cpu()
        return found[left : left + frames + silence].contiguous().numpy()

    def voices(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Sound [s, 2] at 44.1 kHz in blocks of any lengths → what voices say in it, as many samples."""
        if self._separator is None:
            reasons = "; ".join(self._notes) or "the weights have no separator"
            raise SeparatorProblem(f"value separate: {reasons}; expected as_is, or weights with the separator")
        return self._separator(blocks)

    def _domain(self, arrays: Arrays, latents: Tensor) -> list[str]:
        """A warning, where trained weights give too little of the portrait back. Smaller sizes are for trying out."""
        least = self.family.reproduces
        if least is None or self.folder is None or arrays["portrait"].shape[-1] != self.family.base_sizes[0]:
            return []
        shown = self._vae.decode(latents[None])[0].cpu().numpy()
        found = reproduction(arrays["portrait"] / 2 + 0.5, shown, arrays["face_box"], arrays["lip_box"])
        return [warning(found, least)] if found.below(least) else []

    def _open_separator(self, network: Path) -> Separator:
        table = self.file("separator_table")
        assert table is not None
        return Separator(open_onnx(network), sizes_of(network, table[1]))

    def _onnx_faces(self, detector: Path) -> Finder:
        embedder = self.file("face_embedder")
        return OnnxFaces(open_onnx(detector), open_onnx(embedder[1]) if embedder else None)

    def _optional(self, network: str, make: Callable[[Path], Any]) -> Any:
        """What an optional file gives; None, and a note, where the package that reads it is not installed."""
        found = self.file(network)
        if found is None:
            return None
        try:
            return make(found[1])
        except (RuntimeError, SeparatorProblem) as error:
            self._notes.append(str(error))
            return None

    def faces(self, picture: np.ndarray) -> list[FoundFace]:
        """Faces in a picture uint8 [H, W, 3], largest first. Raises FileNotFoundError where no file can find any."""
        finder = self._finder(Hints())
        if finder is None:
            raise FileNotFoundError(
                f"family {self.family.name}: the folder of weights holds nothing that finds faces: "
                + ("; ".join(self._notes) or "give boxes in files beside the videos")
            )
        return sorted(finder(picture), key=lambda face: -face.box.width * face.box.height)

    def _finder(self, hints: Hints) -> Finder | None:
        """What looks for faces in the portrait: the published finder, else the restorer's where no box is given."""
        return self._faces or (None if hints.face_box else self._detector)


class Chain(Part):
    def __init__(self, family: Family, weights: str | None, device: str) -> None:
        super().__init__(family, weights, device)
        config = self.config
        self._networks = self.ready("chain")
        self._stepping = Stepping(self._networks.denoising_unet, self.device)
        self._text, self._prompts = self._text_branch()
        self._vae = self.ready("vae") if config.carry == "pixels" else None
        self._published: dict[int, PublishedNoise] = {}

    def arithmetic(self, options: ClipOptions, lanes: int) -> dict[str, Any]:
        return self._stepping.settle(options, lanes, lambda: self.next_clip([self.sample(0, options)] * lanes))

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
        places = [place for place, lane in enumerate(lanes) if lane is not None]

        def options(place: int) -> tuple[float | str, ...]:
            lane = lanes[place]
            assert lane is not None
            return astuple(lane.options)

        for _, group in groupby(sorted(places, key=options), key=options):
            mine = list(group)
            batch = [lane for place in mine if (lane := lanes[place]) is not None]
            made = self._sample(batch + [batch[0]] * (len(lanes) - len(batch)), batch[0].options)
            for place, result in zip(mine, made, strict=False):
                results[place] = result
        return results

    def _sample(self, lanes: list[Lane], options: ClipOptions) -> list[tuple[np.ndarray, Arrays]]:
        draws = [self._draw(lane) for lane in lanes]
        clip = Clip(
            reference=self._stack(lanes, "reference"),
            motion=torch.stack([self._motion(lane, uniform) for lane, (uniform, _) in zip(lanes, draws, strict=True)]),
            face_embedding=self._stack(lanes, "face_embedding"),
            audio=torch.stack([self._audio(lane) for lane in lanes]).to(self.device),
            region=self._stack(lanes, "region_mask"),
            masks=self._masks(lanes),
            last=self._last(lanes),
            **self._embedded(lanes),
        )
        noise = torch.stack([latents for _, latents in draws]).to(self.device)
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
        if lane.options.compat == "published":
            if size not in self._published:
                vae = self.config.vae
                self._published[size] = PublishedNoise(size, vae.latent_channels, vae.factor, frames)
            return self._published[size](lane.clip)
        edge = size if self.config.carry == "pixels" else size // self.config.vae.factor
        uniform = keyed_patches((edge, edge), self.config.patch, lane.seed, lane.clip)
        return uniform, keyed_normal((frames, *self.family.latent_shape(size)), lane.seed, "latents", lane.clip)

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

    def _embedded(self, lanes: list[Lane]) -> dict[str, Tensor]:
        if self._prompts is None:
            if any(lane.text for lane in lanes):
                raise PromptProblem("a prompt was given, and the folder of weights has no text branch")
            return {}
        present = torch.tensor([lane.text is not None for lane in lanes], device=self.device)
        return {"prompt": self._prompts([lane.text or "" for lane in lanes]).to(self.device), "prompted": present}

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
        frames = patch_drop(frames, uniform, config.drop_rate, protect, instead).to(self.device)
        latents = self._vae.encode(frames) if self._vae is not None else frames
        if config.motion_noise == 0:
            return latents
        noise = keyed_normal(tuple(latents.shape), lane.seed, "motion", lane.clip)
        return add_motion_noise(latents, noise.to(self.device), config.motion_noise)

    def _last(self, lanes: list[Lane]) -> Tensor | None:
        """Latents [lanes, c, h, w] of the last frame carried over, for networks that copy it."""
        if not self.config.chain.unet.corrects:
            return None
        return torch.from_numpy(np.stack([lane.state["motion"][-1] for lane in lanes])).to(self.device)

    def _state(self, latents: Tensor) -> Arrays:
        last = latents[-self.config.chain.motion_frames :]
        if self._vae is not None:
            last = self._vae.decode(last) * 2 - 1
        return {"motion": last.cpu().numpy()}


class BaseFrame(NamedTuple):
    picture: Tensor  # [3, S, S], 0..1
    landmarks: Tensor  # [k, 5, 2] of the faces in it, found once


class Upscale(Part):
    def __init__(self, family: Family, weights: str | None, device: str) -> None:
        super().__init__(family, weights, device)
        config = self.config
        self._vae = self.ready("vae")
        networks = (
            self.ready("restorer"),
            self.ready("enlarger"),
            self.ready("detector") if config.detector else None,
            self.ready("parser") if config.parser else None,
        )
        published = replace(config.upscale, face_choice="published")
        self._upscalers = {"none": Upscaler(config.upscale, *networks), "published": Upscaler(published, *networks)}
        own = Pieces(config.upscale.group, config.upscale.tile)
        self._fitted = Fitted(own, family.footprint, family.decode_group, config.upscale.tile_pad)
        self._plate: tuple[object, tuple[Tensor, Tensor]] | None = None  # with what it was made of

    def numerics(self) -> dict[str, Any]:
        return super().numerics() | self._fitted.told()

    def fit(self, options: PictureOptions, begun: Mapping[str, Any] | None) -> None:
        free = torch.cuda.mem_get_info(self.device)[0] if self.device.type == "cuda" else None
        self._fitted.choose(options.base_size, options.resolution, free, begun)
        self._take_pieces()

    def shrink(self) -> bool:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        shrunk = self._fitted.shrink()
        self._take_pieces()
        return shrunk

    def _take_pieces(self) -> None:
        for one in self._upscalers.values():
            one.pieces = self._fitted.now

    @torch.inference_mode()
    def decode(self, latents: np.ndarray, options: PictureOptions) -> list[BaseFrame]:
        """[n, C, h, w] → n base frames, decoded in one group of n."""
        group = torch.from_numpy(latents).float().to(self.device)
        pictures = self._vae.decode(group, group=len(group))
        found = self._upscalers[options.compat].find_faces(pictures)
        return [BaseFrame(picture, landmarks) for picture, landmarks in zip(pictures, found, strict=True)]

    @torch.inference_mode()
    def still(self, frames: list[BaseFrame], conditioning: Arrays, options: PictureOptions) -> bool:
        portrait, _ = self._plate_of(conditioning, options)
        return stands_still(torch.stack([frame.picture for frame in frames]), portrait, _face_of(conditioning))

    def _plate_of(self, conditioning: Arrays, options: PictureOptions) -> tuple[Tensor, Tensor]:
        """The portrait as a base frame and as a plate; made at a title's first GOP, and kept for the others."""
        key = (conditioning["reference"].tobytes(), options, self._fitted.now)
        if self._plate is None or self._plate[0] != key:
            group = np.repeat(conditioning["reference"][None], self.family.decode_group, 0)
            portrait = self.decode(group, options)[0].picture
            upscaler, method = self._upscalers[options.compat], options.background
            plate = upscaler.plate(portrait, options.resolution, options.fidelity, method)  # type: ignore[arg-type]
            self._plate = key, (portrait, plate)
        return self._plate[1]

    @torch.inference_mode()
    def restore(
        self, window: list[BaseFrame], places: range, conditioning: Arrays, options: PictureOptions
    ) -> Iterator[UpscaledFrame]:
        """16 base frames → those at `places`, [3, R, R], 0..1."""
        yield from self._upscalers[options.compat].frames(
            torch.stack([frame.picture for frame in window]),
            options.resolution,
            options.fidelity,
            options.background,  # type: ignore[arg-type]
            _face_of(conditioning),
            keep=slice(places.start, places.stop),
            found=[frame.landmarks for frame in window],
            plate=self._plate_of(conditioning, options)[1] if options.plate == "on" else None,
        )

    def face_found(self, frame: UpscaledFrame) -> bool:
        return frame.face_found

    def planes(self, frame: UpscaledFrame) -> np.ndarray:
        return yuv420p(frame.picture).cpu().numpy()


def _face_of(conditioning: Arrays) -> Box:
    return Box(*(float(edge) for edge in conditioning["face_box"]))


def _corners(box: tuple[int, int, int, int] | None) -> Box | None:
    """[x, y, width, height], as manifests have it, to corners."""
    return Box(box[0], box[1], box[0] + box[2], box[1] + box[3]) if box else None


PARTS = {"prepare": Prepare, "chain": Chain, "upscale": Upscale}
