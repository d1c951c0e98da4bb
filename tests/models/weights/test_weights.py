"""Files of weights: strict, before anything is rendered, with messages that name file and tensor."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.families.hallo2 import HALLO2
from models.families.published_tree import plain_tree
from models.families.weight_files import WeightFile
from models.weights.loading import WeightsProblem, inspect, load, make, read
from models.weights.recipes import RECIPES
from models.weights.synthetic import synthetic_tensor
from models.weights.synthetic_tree import synthetic_tensors, write_tree
from pipeline.core.command import run_command
from pipeline.main import group
from tests.conftest import render_inline, write_manifest
from tests.golden.cases import FOLDER, entries
from tests.support.tiny_hallo2 import TINY, TINY_FAMILY

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published files at tiny width, text branch included. Tests must not write to it."""
    folder = tmp_path_factory.mktemp("weights")
    write_tree(folder, TINY_FAMILY, text=True)
    return folder


@pytest.fixture
def copy(tree: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(tree, tmp_path / "weights"))


def of(network: str) -> WeightFile:
    return next(file for file in TINY_FAMILY.tree if file.network == network)


def longtake(*argv: str) -> int:
    return run_command(group, list(argv))


# The published names ---------------------------------------------------------------------------------------------


OF_PHOTO = ("encoder", "movement", "face_points")
OF_HALLO2 = [name for name in RECIPES if name not in OF_PHOTO]
PUBLISHED = {
    "chain": ("names_net", ""),
    "restorer": ("names_net_g", ""),
    "enlarger": ("names_rrdbnet_x2", ""),
    "detector": ("names_retinaface_resnet50", "module."),
    "parser": ("names_parsenet", ""),
    "speech": ("names_wav2vec", ""),
}


@pytest.mark.parametrize("network", PUBLISHED)
def test_every_published_name_is_expected(network: str) -> None:
    """Names and shapes of the published file, under its own names, are just those that loading asks for."""
    names, prefix = PUBLISHED[network]
    recipe = RECIPES[network]
    holder = recipe.holder(make(network, HALLO2))
    given = {prefix + name: torch.empty(shape, device="meta") for name, shape in entries(names)}
    found = {name: tuple(value.shape) for name, value in recipe.from_file(given).items()}
    assert found == {name: tuple(value.shape) for name, value in holder.state_dict().items()}


def test_what_inference_never_reads_is_what_was_recorded() -> None:
    recorded = set(json.loads((FOLDER / "unused_in_inference.json").read_text())["layers"])
    unused = list(RECIPES["chain"].unused(HALLO2, make("chain", HALLO2)))
    # The recorded layers hold parameters; beside them lie the tables of positions.
    assert {name.rpartition(".")[0] for name in unused if not name.endswith(".pe")} == recorded


def test_all_networks_have_files_and_all_files_networks() -> None:
    opaque = {"face_finder", "face_embedder", "face_mesh", "separator", "separator_table"}
    for listed in (TINY_FAMILY.tree, plain_tree(TINY)):
        networks = {file.network for file in listed}
        assert networks - opaque == set(OF_HALLO2)
        paths = [path for file in listed for path in file.paths]
        assert len(paths) == len(set(paths))
        assert all(file.licence for file in listed)


# Loading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", OF_HALLO2)
def test_a_file_gives_its_values(tree: Path, network: str) -> None:
    file = of(network)
    recipe = RECIPES[network]
    loaded = load(tree / file.path, file, TINY)
    expected = recipe.from_file(synthetic_tensors(file, TINY))
    unused = set(recipe.unused(TINY, make(network, TINY)))
    found = recipe.holder(loaded).state_dict()
    for name, value in expected.items():
        if name not in unused:
            assert torch.equal(found[name], value), name
        elif not name.endswith(".pe"):
            assert found[name].is_meta, name
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_values_follow_the_rule_under_the_published_names(tree: Path) -> None:
    net = read(tree / "hallo2/net.pth", of("chain"))
    name = "denoising_unet.mid_block.audio_modules.0.transformer_blocks.0.attn2_1.to_k.weight"
    assert torch.equal(net[name], synthetic_tensor(name, net[name].shape))
    speech = load_file(tree / of("speech").path)
    name = "wav2vec2.encoder.pos_conv_embed.conv.weight_v"
    assert torch.equal(speech[name], synthetic_tensor(name, speech[name].shape))


@pytest.mark.parametrize("network", ["chain", "vae", "detector"])
def test_half_precision_is_read_as_float32(tmp_path: Path, network: str) -> None:
    write_tree(tmp_path, TINY_FAMILY, half=True)
    file = of(network)
    found = inspect(tmp_path / file.path, file, TINY)
    assert "float16" in found.types
    loaded = load(tmp_path / file.path, file, TINY)
    kept = [value for value in loaded.state_dict().values() if not value.is_meta]
    assert {value.dtype for value in kept if value.is_floating_point()} == {torch.float32}
    exact = RECIPES[network].from_file(synthetic_tensors(file, TINY))
    held = RECIPES[network].holder(loaded).state_dict()
    unused = set(RECIPES[network].unused(TINY, loaded))
    for name, value in exact.items():
        if value.is_floating_point() and name not in unused:
            assert torch.equal(held[name], value.half().float()), name


def test_files_older_than_archives_are_read(tmp_path: Path) -> None:
    file = of("detector")
    tensors = synthetic_tensors(file, TINY)
    torch.save(tensors, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    loaded = load(tmp_path / "old.pth", file, TINY)
    assert torch.equal(loaded.body.conv1.weight, tensors["module.body.conv1.weight"])


def test_a_network_outlives_its_file(copy: Path) -> None:
    file = of("vae")
    loaded = load(copy / file.path, file, TINY)
    (copy / file.path).unlink()
    expected = RECIPES["vae"].from_file(synthetic_tensors(file, TINY))
    assert torch.equal(loaded.model.state_dict()["decoder.conv_out.weight"], expected["decoder.conv_out.weight"])


def test_either_format_of_a_file_counts(tmp_path: Path) -> None:
    file = of("speech")
    torch.save(synthetic_tensors(file, TINY), tmp_path / "pytorch_model.bin")
    assert inspect(tmp_path / "pytorch_model.bin", file, TINY).types == ("float32",)
    head = {"lm_head.weight": torch.zeros(3, 16), "wav2vec2.masked_spec_embed": torch.zeros(16)}
    save_file(synthetic_tensors(file, TINY) | head, tmp_path / "model.safetensors")
    assert inspect(tmp_path / "model.safetensors", file, TINY).unused == ("masked_spec_embed",)


def test_families_of_ours_have_a_file_for_each_network(tmp_path: Path) -> None:
    for file in plain_tree(TINY):
        if file.holds_tensors:
            path = tmp_path / Path(file.path).name
            save_file(RECIPES[file.network].holder(RECIPES[file.network].make(TINY)).state_dict(), path)
            assert inspect(path, file, TINY).tensors > 0


# Refusals --------------------------------------------------------------------------------------------------------


class Malice:
    """Unpickled, it would leave a file behind."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.mark),)


@dataclass(frozen=True)
class Damage:
    name: str
    file: str
    do: Callable[[Path], None]
    needles: tuple[str, ...]


def changed(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """Rewrite a file of tensors with `change` made to them."""

    def do(path: Path) -> None:
        if path.suffix == ".safetensors":
            tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
            change(tensors)
            save_file(tensors, path)
        else:
            found = torch.load(path, weights_only=True)
            change(found)
            torch.save(found, path)

    return do


def shape(tensors: dict[str, Any], name: str, *size: int) -> None:
    tensors[name] = torch.zeros(*size)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


NET, NET_G = "hallo2/net.pth", "hallo2/net_g.pth"
VAE, SPEECH = "sd-vae-ft-mse/diffusion_pytorch_model.safetensors", "wav2vec/wav2vec2-base-960h/model.safetensors"
DAMAGES = [
    Damage("a tensor dropped", NET, changed(lambda t: t.pop("imageproj.norm.bias")), ("imageproj.norm.bias missing",)),
    Damage("one added", NET, changed(lambda t: shape(t, "extra.weight", 2, 3)), ("extra.weight not known", "2x3")),
    Damage(
        "a shape changed",
        NET,
        changed(lambda t: shape(t, "audioproj.proj1.bias", 7)),
        ("audioproj.proj1.bias has the shape 7, expected 16",),
    ),
    Damage(
        "numbers that are none",
        NET,
        changed(lambda t: t.update({"imageproj.norm.bias": torch.zeros(16, dtype=torch.int64)})),
        ("imageproj.norm.bias is of type int64", "floating-point"),
    ),
    Damage("cut short", NET, cut, ("cannot be read", "cut short")),
    Damage("empty", NET, lambda path: path.write_bytes(b"") and None, ("0 bytes",)),
    Damage("text", NET, lambda path: path.write_text("<html>") and None, (NET,)),
    Damage("another file", NET, lambda path: shutil.copy(path.with_name("net_g.pth"), path) and None, ("params_ema",)),
    Damage("without its key", NET_G, changed(lambda t: t.update(other=t.pop("params_ema"))), ("'params_ema'", "other")),
    Damage("a list", NET_G, lambda path: torch.save([1, 2], path), ("holds list",)),
    Damage(
        "a safetensors tensor dropped",
        VAE,
        changed(lambda t: t.pop("decoder.conv_out.bias")),
        ("decoder.conv_out.bias",),
    ),
    Damage("safetensors cut short", SPEECH, cut, ("cannot be read",)),
    Damage("missing", VAE, lambda path: path.unlink(), ("is missing", "pixels to latents")),
]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny family under a name of its own."""
    from models.families.registry import FAMILIES

    monkeypatch.setitem(FAMILIES, "tiny", TINY_FAMILY)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
def test_refused_before_anything_is_rendered(copy: Path, capsys: pytest.CaptureFixture[str], damage: Damage) -> None:
    damage.do(copy / damage.file)
    manifest = write_manifest(copy.parent, [4], family="tiny", weights=str(copy))
    assert render_inline(manifest) == 2
    told = capsys.readouterr().err
    for needle in (damage.file, *damage.needles):
        assert needle in told
    assert "Traceback" not in told
    output = copy.parent / "out"
    found = [path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()]
    assert [path for path in found if path.startswith("title-0/")] in ([], ["title-0/inputs.json"])


def test_a_malicious_pickle_runs_nothing(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mark = copy.parent / "mark"
    tensors = torch.load(copy / NET, weights_only=True)
    torch.save(tensors | {"imageproj.norm.bias": Malice(mark)}, copy / NET)
    manifest = write_manifest(copy.parent, [4], family="tiny", weights=str(copy))
    assert render_inline(manifest) == 2
    assert "refused" in (told := capsys.readouterr().err)
    assert NET in told
    assert not mark.exists()
    torch.load(copy / NET, weights_only=False)
    assert mark.exists()  # it would have


def test_everything_wrong_is_said_at_once(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed(lambda t: t.pop("imageproj.norm.bias"))(copy / NET)
    cut(copy / SPEECH)
    assert render_inline(write_manifest(copy.parent, [4], family="tiny", weights=str(copy))) == 2
    told = capsys.readouterr().err
    assert NET in told
    assert SPEECH in told


def test_weights_are_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert render_inline(write_manifest(tmp_path, [4], family="tiny")) == 2
    assert "add `weights: PATH`" in capsys.readouterr().err
    assert render_inline(write_manifest(tmp_path, [4], family="tiny", weights="nowhere")) == 2
    assert "hallo2/net.pth is missing" in capsys.readouterr().err
    assert render_inline(write_manifest(tmp_path, [4], family="fake", weights="nowhere")) == 2
    assert "remove the key `weights`" in capsys.readouterr().err


def test_prompts_need_a_text_branch(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompted = {"frames": 4, "prompts": [{"at": 0, "text": "smile"}]}
    (copy / "hallo2/text.safetensors").unlink()
    assert render_inline(write_manifest(copy.parent, [prompted], family="tiny", weights=str(copy))) == 2
    told = capsys.readouterr().err
    assert "manifest.yaml:" in told
    assert "titles[0].prompts" in told
    assert "no hallo2/text.safetensors" in told


def test_a_text_branch_needs_its_text_model(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "clip/vocab.json").unlink()
    assert render_inline(write_manifest(copy.parent, [4], family="tiny", weights=str(copy))) == 2
    assert "clip/vocab.json is missing" in capsys.readouterr().err


def test_no_separator_is_no_silent_promise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert render_inline(write_manifest(tmp_path, [4], vocals="separate")) == 2
    told = capsys.readouterr().err
    assert "titles[0].vocals" in told
    assert "family fake has no separator" in told
    assert "as_is" in told


# The commands ----------------------------------------------------------------------------------------------------


def test_check_says_what_is_there(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert longtake("weights", "check", str(tree), "--family", "tiny", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["usable"] is True
    files = {entry["file"]: entry for entry in report["files"]}
    assert set(files) == {file.path for file in TINY_FAMILY.tree}
    net = files[NET]
    assert (net["state"], net["commercial"], net["types"]) == ("right", "yes", ["float32"])
    assert len(net["unused"]) == len(list(RECIPES["chain"].unused(TINY, make("chain", TINY))))
    assert files[NET_G]["commercial"] == "no"
    assert "S-Lab" in files[NET_G]["licence"]
    assert files[VAE]["published"] is False
    assert net["published"] is None
    assert files["face_analysis/models/glintr100.onnx"]["state"] == "not there"

    assert longtake("weights", "check", str(tree), "--family", "tiny") == 0
    told = capsys.readouterr().out
    assert "This folder can be used." in told
    assert "may not be used commercially" in told
    assert "never read" in told


def test_check_says_what_is_wrong(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed(lambda t: shape(t, "audioproj.proj1.bias", 7))(copy / NET)
    (copy / VAE).unlink()
    assert longtake("weights", "check", str(copy), "--family", "tiny", "--json") == 2
    report = json.loads(capsys.readouterr().out)
    states = {entry["file"]: entry["state"] for entry in report["files"]}
    assert report["usable"] is False
    assert (states[NET], states[VAE], states[SPEECH]) == ("wrong", "missing", "right")
    assert longtake("weights", "check", str(copy), "--family", "tiny") == 2
    assert "audioproj.proj1.bias has the shape 7" in capsys.readouterr().out


def test_fetch_goes_on_where_it_stopped(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("weights", "fetch", str(tree), "--to", str(tmp_path / "got"), "--family", "tiny")
    part = tmp_path / "got" / f"{NET}.part"
    part.parent.mkdir(parents=True)
    whole = (tree / NET).read_bytes()
    part.write_bytes(b"?" + whole[1:1000])  # kept where it belongs to this version of the file
    part.with_name(f"{part.name}.stamp").write_text(str((tree / NET).stat().st_mtime_ns))
    assert longtake(*command) == 2
    assert not part.exists()  # what turned out wrong is not gone on with
    capsys.readouterr()

    part.write_bytes(whole[:1000])
    part.with_name(f"{part.name}.stamp").write_text(str((tree / NET).stat().st_mtime_ns))
    assert longtake(*command) == 0
    for file in tree.rglob("*.*"):
        assert (tmp_path / "got" / file.relative_to(tree)).read_bytes() == file.read_bytes()
    assert not list((tmp_path / "got").rglob("*.part*"))
    assert not list((tmp_path / "got").rglob(".*"))
    capsys.readouterr()
    assert longtake(*command) == 0
    assert capsys.readouterr().out.count("already there") == len([file for file in tree.rglob("*.*") if file.is_file()])


def test_a_part_of_another_version_begins_anew(tree: Path, tmp_path: Path) -> None:
    part = tmp_path / "got" / f"{NET}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"?" * 1000)
    part.with_name(f"{part.name}.stamp").write_text("another")
    assert longtake("weights", "fetch", str(tree), "--to", str(tmp_path / "got"), "--family", "tiny") == 0
    assert (tmp_path / "got" / NET).read_bytes() == (tree / NET).read_bytes()


def test_fetch_refuses_wrong_files_and_folders(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed(lambda t: t.pop("imageproj.norm.bias"))(copy / NET)
    assert longtake("weights", "fetch", str(copy), "--to", str(tmp_path / "got"), "--family", "tiny") == 2
    assert "imageproj.norm.bias" in capsys.readouterr().err
    assert not (tmp_path / "got" / NET).exists()
    (tmp_path / "file").write_text("")
    assert longtake("weights", "fetch", str(copy), "--to", str(tmp_path / "file" / "x"), "--family", "tiny") == 2
    assert "--to" in capsys.readouterr().err


def test_unknown_file_systems_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert longtake("weights", "check", "s4://bucket/weights") == 2
    assert "did you mean s3://" in capsys.readouterr().err


def test_problems_are_of_the_models_own_kind(tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(b"PK\x03\x04")
    with pytest.raises(WeightsProblem, match=r"hallo2/net.pth: cannot be read"):
        inspect(tmp_path / "net.pth", of("chain"), TINY)
