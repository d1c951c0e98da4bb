"""`python -m models.weights.synthetic_tree DIR [--half]`: a folder of weights with published names, by rule.

Every torch file of the published folder at full width, filled by `models.weights.synthetic`: what networks, tools and
tests need of a checkpoint, except that the video shows nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
import torch
from safetensors.torch import save_file
from torch import Tensor

from models.families.network_config import NetworkConfig
from models.families.protocol import Family
from models.families.registry import FAMILIES
from models.families.weight_files import WeightFile
from models.weights.loading import make
from models.weights.recipes import RECIPES, Tensors
from models.weights.synthetic import follows_rule, synthetic_tensor

Names = Callable[[str], str]


def write_tree(
    folder: Path, family: Family, *, half: bool = False, text: bool = False, zero_text: bool = False
) -> list[Path]:
    """Write every file of tensors of a family's tree and return their paths.

    `half` stores in float16. `text` adds the text branch and a CLIP text model with a vocabulary of single letters;
    `zero_text` leaves the branch's last layers at zero, as training starts.
    """
    assert family.networks is not None
    written = []
    for file in family.tree:
        if not file.holds_tensors or (file.optional and not text):
            continue
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = synthetic_tensors(file, family.networks, torch.float16 if half else torch.float32)
        if file.network == "text" and zero_text:
            tensors = {name: tensor * 0 if ".2." in name else tensor for name, tensor in tensors.items()}
        if file.network == "clip":
            written += _write_vocabulary(path.parent, family.networks)
        save(path, file, tensors)
        written.append(path)
    return written


def synthetic_tensors(file: WeightFile, config: NetworkConfig, dtype: torch.dtype = torch.float32) -> Tensors:
    """A file's tensors under its published names, with the values that the rule gives them."""
    network = make(file.network, config)
    recipe = RECIPES[file.network]
    published = _PUBLISHED_NAMES.get(file.network, lambda name: name)
    tensors: Tensors = {}
    for name, value in recipe.holder(network).state_dict().items():
        if name in recipe.may_lack:
            continue
        told = published(name)
        tensors[told] = _value(told, value, dtype)
    return tensors


def _value(name: str, value: Tensor, dtype: torch.dtype) -> Tensor:
    if follows_rule(name, value):
        return synthetic_tensor(name.removeprefix("module."), value.shape).to(dtype)
    if value.is_meta:
        return torch.zeros(value.shape, dtype=value.dtype)
    return value.to(dtype) if value.is_floating_point() else value.clone()


def save(path: Path, file: WeightFile, tensors: Tensors) -> None:
    """As the published file is: safetensors, or a pickle with the tensors under its key."""
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save({file.key: tensors} if file.key else tensors, path)


def _speech_name(name: str) -> str:
    for new, old in (
        ("parametrizations.weight.original0", "weight_g"),
        ("parametrizations.weight.original1", "weight_v"),
    ):
        name = name.replace(new, old)
    return f"wav2vec2.{name}"


def _vae_name(name: str) -> str:
    """The published file was written before diffusers renamed its attention."""
    if ".attentions." in name:
        for new, old in (
            (".to_q.", ".query."),
            (".to_k.", ".key."),
            (".to_v.", ".value."),
            (".to_out.0.", ".proj_attn."),
        ):
            name = name.replace(new, old)
    return name


_PUBLISHED_NAMES: dict[str, Names] = {
    "speech": _speech_name,
    "vae": _vae_name,
    "detector": lambda name: f"module.{name}",
    "clip": lambda name: f"text_model.{name}",
}


def _write_vocabulary(folder: Path, config: NetworkConfig) -> list[Path]:
    """Single letters as CLIP's tokenizer spells them, alone and at the end of a word; the last two begin and end."""
    assert config.text is not None
    assert config.text.clip is not None
    size = config.text.clip.vocabulary
    letters = [chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 512))][:256]
    words = (letters + [f"{letter}</w>" for letter in letters])[: size - 2]
    words += [f"unused-{number}" for number in range(size - 2 - len(words))]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    vocabulary.write_text(json.dumps({word: number for number, word in enumerate(words)}))
    merges.write_text("#version: 0.2\n")
    return [vocabulary, merges]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--family", type=click.Choice([n for n, f in FAMILIES.items() if f.tree]), default="hallo2", show_default=True
)
@click.option("--half", is_flag=True, help="Store in half precision.")
@click.option("--text", is_flag=True, help="With the text branch and a CLIP text model.")
def main(folder: Path, family: str, half: bool, text: bool) -> None:
    """Write a synthetic folder of weights to FOLDER."""
    for path in write_tree(folder, FAMILIES[family], half=half, text=text):
        click.echo(f"{path} ({path.stat().st_size:,} bytes)")


if __name__ == "__main__":
    main()
