"""Networks by name: how each is made from a family's configuration, and what its tensors are called in a file.

A file's tensors are those of a *holder*: the network itself, or the library's model that it wraps. Where a published
file calls them otherwise, its names are converted here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from models.autoencoder import vae
from models.autoencoder.encoder import LatentEncoder
from models.diffusion.clip import ChainNetworks
from models.diffusion.movement import MovementNet
from models.diffusion.text_modulation import TextBranch
from models.diffusion.unet import UNet
from models.faces.face_points import FacePoints
from models.faces.parsenet import FaceParser
from models.faces.retinaface import FaceDetector
from models.families.network_config import NetworkConfig
from models.restoration.folded_enlarger import make_enlarger
from models.restoration.restorer import TemporalRestorer
from models.speech import wav2vec

Tensors = dict[str, Tensor]


def _same(tensors: Tensors) -> Tensors:
    return tensors


def _nothing(config: NetworkConfig, network: Any) -> Iterator[str]:
    return iter(())


@dataclass(frozen=True)
class Recipe:
    make: Callable[[NetworkConfig], nn.Module]
    holder: Callable[[Any], nn.Module] = field(default=lambda network: network)
    from_file: Callable[[Tensors], Tensors] = _same
    """Tensors under the file's names → under the holder's."""
    unused: Callable[[NetworkConfig, Any], Iterator[str]] = _nothing
    """Tensors that a file may hold and inference never reads."""
    may_lack: tuple[str, ...] = ()
    """Tensors that inference never reads and not every published file holds."""
    finish: Callable[[Any], None] = lambda network: None
    """Gives values to what no file holds, once the tensors are in place."""


def idle_tensors(config: NetworkConfig, network: ChainNetworks) -> Iterator[str]:
    """Of the motion modules at levels without attention, which the published file holds and nothing runs."""
    unet: UNet = network.denoising_unet
    for way in ("down_blocks", "up_blocks"):
        for number, level in enumerate(getattr(unet, way)):
            if len(level.attentions) == 0:
                prefix = f"denoising_unet.{way}.{number}.motion_modules."
                yield from (prefix + name for name in level.motion_modules.state_dict())


def _clip_text_model(config: NetworkConfig) -> nn.Module:
    from transformers import CLIPTextConfig, CLIPTextModel  # slow to import, and not every family has one

    text = _required(config.text and config.text.clip)
    settings = CLIPTextConfig(  # type: ignore[call-arg]
        hidden_size=text.width,
        num_hidden_layers=text.layers,
        num_attention_heads=text.heads,
        intermediate_size=text.feed_forward,
        vocab_size=text.vocabulary,
        max_position_embeddings=text.positions,
        bos_token_id=text.vocabulary - 2,
        eos_token_id=text.vocabulary - 1,
        pad_token_id=text.vocabulary - 1,
        attn_implementation="eager",
    )
    return CLIPTextModel(settings)


def _clip_text_names(tensors: Tensors) -> Tensors:
    """The text half of a CLIP file under the names of today's text model."""
    halves = ("vision_model.", "visual_projection.", "text_projection.", "logit_scale")
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(halves)}
    names = {name: name.removeprefix("text_model.") for name in kept}
    return {names[name]: tensor for name, tensor in kept.items() if not name.endswith("position_ids")}


def _number_positions(network: Any) -> None:
    positions = torch.arange(network.config.max_position_embeddings)[None]
    network.embeddings.register_buffer("position_ids", positions, persistent=False)


def _encoder_alone(tensors: Tensors) -> Tensors:
    """Of an autoencoder's file what makes latents."""
    return {name: tensor for name, tensor in tensors.items() if name.startswith(("encoder.", "quant_conv."))}


def _without_module(tensors: Tensors) -> Tensors:
    """The detector was saved from a parallel wrapper, which put `module.` in front of every name."""
    return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}


RECIPES: dict[str, Recipe] = {
    "chain": Recipe(lambda config: ChainNetworks(config.chain), unused=idle_tensors),
    "vae": Recipe(lambda config: vae.Vae(config.vae), lambda net: net.model, vae.published_names),
    "encoder": Recipe(lambda config: LatentEncoder(config.vae), from_file=_encoder_alone),
    "speech": Recipe(
        lambda config: wav2vec.SpeechFeatures(config.speech),
        lambda net: net.model,
        wav2vec.published_names,
        unused=lambda config, net: iter(("masked_spec_embed",)),
        may_lack=("masked_spec_embed",),
    ),
    "restorer": Recipe(lambda config: TemporalRestorer(config.restorer)),
    "enlarger": Recipe(lambda config: make_enlarger(config.enlarger)),
    "detector": Recipe(lambda config: FaceDetector(config.detector), from_file=_without_module),
    "parser": Recipe(
        lambda config: FaceParser(config.parser),
        unused=lambda config, net: (f"out_img_conv.{name}" for name in net.out_img_conv.state_dict()),
    ),
    "text": Recipe(lambda config: TextBranch(_required(config.text), config.chain.unet)),
    "movement": Recipe(lambda config: MovementNet(_required(config.movement))),
    "face_points": Recipe(lambda config: FacePoints()),
    "clip": Recipe(_clip_text_model, from_file=_clip_text_names, finish=_number_positions),
}


def _required(config: Any) -> Any:
    if config is None:
        raise ValueError("this family's configuration has no such network")
    return config
