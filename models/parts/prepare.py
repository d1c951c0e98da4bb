"""The part that looks at a title once: its portrait becomes conditioning, its speech features."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.faces.face_finding import Finder, FoundFace, OnnxFaces, mesh_finder, open_onnx, torch_finder
from models.faces.portrait import NO_EMBEDDING, MeshFinder, PortraitHints, PortraitSizes, prepare_portrait
from models.families.protocol import Arrays, Family, Hints
from models.families.reproduction import reproduction, warning
from models.image.masks import Box
from models.parts.part import Part
from models.speech.separator import Separator, SeparatorProblem, sizes_of
from models.speech.spectrum import SAMPLES_A_FRAME, heard
from models.speech.speech_level import gain_for
from models.speech.wav2vec import normalise

CELLS = 4  # a side: the portrait's latents are pooled to 4 x 4 where they stand in for a face embedding


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
            notes = [note for note in notes if note != NO_EMBEDDING]
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


def _corners(box: tuple[int, int, int, int] | None) -> Box | None:
    """[x, y, width, height], as manifests have it, to corners."""
    return Box(box[0], box[1], box[0] + box[2], box[1] + box[3]) if box else None
