"""The chain's networks against numbers recorded from the published implementation with synthetic weights."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from einops import rearrange
from torch import Tensor, nn

from benchmarks.networks.plain_chain import plain_steps
from models.diffusion.audio_attention import REGIONS, AudioProjection
from models.diffusion.clip import ChainNetworks, Clip, clip_context, clip_steps
from models.diffusion.conditioning import FaceLocator, ImageProjection
from models.diffusion.denoiser import ClipContext
from models.diffusion.reference import reference_banks, token_half
from models.diffusion.sampler import scheduler
from models.families.config import (
    HALLO2,
    AudioProjectionConfig,
    ChainConfig,
    FaceLocatorConfig,
    ImageProjectionConfig,
    SamplerConfig,
    Sampling,
)
from models.speech.wav2vec import (
    SAMPLES_A_FRAME,
    SpeechFeatures,
    audio_windows,
    frame_count,
    interpolate_time,
    normalise,
    published_names,
    published_padding,
)
from models.weights.synthetic import fill, synthetic_tensor
from tests.golden.cases import CASES, FOLDER, arrays, entries, error, given, state
from tests.golden.tolerances import CHAIN, MUST_DIFFER


def synthetic(build: type[nn.Module], *settings: Any, prefix: str = "") -> Any:
    with torch.device("meta"):
        network = build(*settings)
    return fill(network, prefix).eval()


def mask(case: str, name: str, shape: tuple[int, ...]) -> Tensor:
    return (0.5 + 0.5 * given(case, name, shape)).clamp(0, 1)


def masks(case: str, side: int) -> tuple[tuple[Tensor, ...], ...]:
    return tuple(
        tuple(mask(case, f"{region}_mask_{level}", (1, (side >> level) ** 2)) for level in range(4))
        for region in REGIONS
    )


def probe_error(found: Tensor, recorded: dict[str, np.ndarray], key: str) -> float:
    """Against the 64 first and 64 spread-out values of a tensor."""
    flat = found.flatten()
    spread = flat[np.rint(np.linspace(0, flat.numel() - 1, 64)).astype(int)]
    return max(error(flat[:64], recorded[f"{key}_first"]), error(spread, recorded[f"{key}_strided"]))


# Names --------------------------------------------------------------------------------------------------------------


def test_golden_names_of_the_chain_in_their_order() -> None:
    with torch.device("meta"):
        networks = ChainNetworks(HALLO2)
    assert state(networks) == entries("names_net")


def test_golden_parameter_counts() -> None:
    counts = json.loads((FOLDER / "names_net.json").read_text())["parameter_counts"]
    with torch.device("meta"):
        networks = ChainNetworks(HALLO2)
    found = {name: sum(p.numel() for p in part.parameters()) for name, part in networks.named_children()}
    assert found == {name: counts[name] for name in found}


def test_golden_wav2vec_names() -> None:
    with torch.device("meta"):
        ours = dict(state(SpeechFeatures().model))
        theirs = {name: torch.empty(shape) for name, shape in entries("names_wav2vec")}
    assert {name: tuple(tensor.shape) for name, tensor in published_names(theirs).items()} == ours


def test_golden_bank_pairs() -> None:
    pairs = json.loads((FOLDER / "bank_pairs.json").read_text())["pairs_reader_writer"]
    with torch.device("meta"):
        networks = ChainNetworks(HALLO2)
    for number, unet in enumerate(("denoising_unet", "reference_unet")):
        sites = {site.name for site in networks.get_submodule(unet).sites()}
        assert {f"{unet}.{site}.transformer_blocks.0" for site in sites} == {pair[number] for pair in pairs}
    # A denoiser's site reads the site of the same name.
    assert all(reader.partition(".")[2] == writer.partition(".")[2] for reader, writer in pairs)


def test_golden_unused_in_inference() -> None:
    """The layers that no gradient reaches in a narrow copy of the published network."""
    recorded = json.loads((FOLDER / "unused_in_inference.json").read_text())
    unet = dataclasses.replace(HALLO2.unet, channels=(32, 32, 64, 64), image_token_width=16, audio_token_width=16)
    audio = AudioProjectionConfig(layers=2, feature_width=4, hidden_width=8, tokens=2)
    networks = synthetic(ChainNetworks, dataclasses.replace(HALLO2, unet=unet, audio_projection=audio))
    clip = Clip(
        reference=torch.randn(1, 4, 16, 16),
        motion=torch.randn(1, 2, 4, 16, 16),
        face_embedding=torch.randn(1, 512),
        audio=torch.randn(1, 2, 5, 2, 4),
        region=torch.ones(1, 3, 128, 128),
        masks=masks("denoise_f4", 16),
    )
    context = clip_context(networks, clip, guided=True)
    networks.denoising_unet(torch.randn(2, 2, 4, 16, 16), torch.tensor([9, 9]), context).sum().backward()
    untouched = {
        name.rpartition(".")[0] for name, p in networks.named_parameters() if p.grad is None and "denoising" in name
    }
    assert untouched == set(recorded["layers"])


# Small parts --------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_golden_audioproj() -> None:
    network = synthetic(AudioProjection, AudioProjectionConfig(), 768, prefix="audioproj.")
    found = network(given("audioproj", "audio", (1, 16, 5, 12, 768)))
    stored = CASES["audioproj"]["meta"]["frames_stored"]
    assert error(found[:, stored], arrays("audioproj")["output_frames"]) <= CHAIN["audioproj"]


@torch.no_grad()
def test_golden_imageproj() -> None:
    network = synthetic(ImageProjection, ImageProjectionConfig(), 768, prefix="imageproj.")
    recorded = arrays("imageproj")
    assert error(network(given("imageproj", "face_emb", (2, 512))), recorded["output"]) <= CHAIN["imageproj"]
    assert error(network(torch.zeros(1, 512)), recorded["output_of_zeros"]) <= CHAIN["imageproj"]


@torch.no_grad()
def test_golden_face_locator() -> None:
    network = synthetic(FaceLocator, FaceLocatorConfig(), 320, prefix="face_locator.")
    region = mask("face_locator", "mask", (1, 3, 2, 128, 128))
    found = network(rearrange(region, "r c f h w -> (r f) c h w"))
    found = rearrange(found, "(r f) c h w -> r c f h w", r=1)
    assert error(found, arrays("face_locator")["output"]) <= CHAIN["face_locator"]


def test_golden_audio_window() -> None:
    features = given("audio_window", "emb", (7, 2, 3))
    found = audio_windows(features, 0, 7, radius=2)
    assert error(found, arrays("audio_window")["output"]) <= CHAIN["audio_window"]


@pytest.mark.parametrize(("before", "after"), [(12, 30), (24, 13), (49, 25), (99, 50)])
def test_golden_audio_interpolation(before: int, after: int) -> None:
    features = given("audio_interpolation", f"feat_{before}", (1, before, 8))
    found = interpolate_time(features, after)
    assert error(found, arrays("audio_interpolation")[f"out_{before}_{after}"]) <= CHAIN["audio_interpolation"]


def test_golden_scheduler_tables() -> None:
    recorded, schedule = arrays("scheduler"), scheduler(SamplerConfig())
    assert error(schedule.alphas_cumprod, recorded["alphas_cumprod"]) <= CHAIN["scheduler"]
    assert error(schedule.betas, recorded["betas"]) <= CHAIN["scheduler"]


@pytest.mark.parametrize("steps", [40, 10, 3])
def test_golden_scheduler_steps(steps: int) -> None:
    recorded, schedule = arrays("scheduler"), scheduler(SamplerConfig())
    schedule.set_timesteps(steps)
    assert schedule.timesteps.tolist() == recorded[f"timesteps_{steps}"].tolist()
    sample, velocity = (given("scheduler", name, (1, 4, 2, 8, 8)) for name in ("sample", "v"))
    places = [int(key.rpartition("_")[2]) for key in recorded if key.startswith(f"step_{steps}_")]
    assert len(places) == 3
    for place in places:
        found = schedule.step(velocity, schedule.timesteps[place], sample, eta=0.0).prev_sample
        assert error(found, recorded[f"step_{steps}_{place}"]) <= CHAIN["scheduler"]


@torch.no_grad()
def test_golden_wav2vec() -> None:
    with torch.device("meta"):
        network = SpeechFeatures().eval()
    tensors = {name: synthetic_tensor(name, shape) for name, shape in entries("names_wav2vec")}
    network.model.load_state_dict(published_names(tensors), strict=True, assign=True)
    recorded, runs = arrays("wav2vec"), CASES["wav2vec"]["meta"]["runs"]
    for run in runs:
        wave = normalise(0.1 * given("wav2vec", f"wave_{run['tag']}", (run["samples"],)))
        frames = frame_count(run["samples"])
        assert frames == run["returned_length"]
        silence = published_padding(frames, run["processed_length"], run["clip_length"]) if run["padding"] else 0
        wave = torch.cat([wave, torch.zeros(silence * SAMPLES_A_FRAME)])
        found = network(wave, frames + silence)
        assert list(found.shape) == run["emb_shape"]
        key = f"emb_{run['tag']}"
        if key in recorded:
            assert error(found, recorded[key]) <= CHAIN["wav2vec"]
        else:
            assert error(found[..., ::24], recorded[f"{key}_ch24"]) <= CHAIN["wav2vec"]


# Full width: about 10 GB in float32, made once -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def networks() -> Iterator[ChainNetworks]:
    with torch.no_grad():
        yield synthetic(ChainNetworks, HALLO2)


def denoiser_inputs(networks: ChainNetworks, case: str, config: ChainConfig = HALLO2) -> tuple[Tensor, ClipContext]:
    """Latents [2 f c h w] and the conditions of a denoiser case, in the networks' type and on their device."""
    weight = networks.denoising_unet.conv_in.weight
    meta, seeded = CASES[case]["meta"], CASES[case]["meta"]["seeded_under_case"]
    side, frames = CASES[seeded]["meta"]["latent_side"], CASES[seeded]["meta"]["frames"]
    pictures = given(seeded, "ref_latents", (3, 4, side, side)).to(weight)
    tokens = given(seeded, "encoder", (2, 4, 768)).to(weight)
    banks = reference_banks(networks.reference_unet, pictures[:1], pictures[None, 1:], tokens[:, None], config)
    region = mask(seeded, "region_mask", (1, 3, 1, 8 * side, 8 * side)).to(weight)
    context = networks.denoising_unet.prepare_clip(
        banks=banks,
        image_tokens=tokens,
        audio_tokens=given(seeded, "audio_tokens", (1, frames, 32, 768)).to(weight),
        masks=[[level.to(weight).repeat(2, 1) for level in region] for region in masks(seeded, side)],
        pose=networks.face_locator(region[:, :, 0]),
        motion_scale=meta.get("motion_scale", (1.0, 1.0, 1.0)),
    )
    latents = rearrange(given(seeded, "latents", (1, 4, frames, side, side)), "r c f h w -> r f c h w")
    return latents.to(weight).repeat(2, 1, 1, 1, 1), context


def denoised(networks: ChainNetworks, case: str, config: ChainConfig = HALLO2) -> Tensor:
    latents, context = denoiser_inputs(networks, case, config)
    timestep = CASES[CASES[case]["meta"]["seeded_under_case"]]["meta"]["timestep"]
    found = networks.denoising_unet(latents, torch.tensor([timestep, timestep], device=latents.device), context)
    return rearrange(found, "r f c h w -> r c f h w")


def check_banks(case: str, banks: dict[str, Tensor]) -> None:
    recorded = arrays(case)
    listed = CASES[case]["meta"]["banks"]
    assert len(listed) == len(banks) == 16
    for entry in listed:
        name = entry["module"].removeprefix("reference_unet.").removesuffix(".transformer_blocks.0")
        assert list(banks[name].shape) == entry["shape"]
        assert probe_error(banks[name], recorded, f"bank{entry['index']:02d}") <= CHAIN[case], name


@pytest.mark.slow
@torch.no_grad()
def test_golden_banks_plain(networks: ChainNetworks) -> None:
    last: list[Tensor] = []
    layer = networks.reference_unet.up_blocks[3].attentions[2]
    handle = layer.register_forward_hook(lambda _layer, _given, result: last.append(result[0]))
    latents = given("banks_plain", "ref_latents", (3, 4, 16, 16))
    tokens = given("banks_plain", "encoder", (1, 4, 768))
    banks = networks.reference_unet(latents, tokens.expand(3, -1, -1))
    handle.remove()
    check_banks("banks_plain", banks)
    assert error(last[0], arrays("banks_plain")["unet_return"]) <= CHAIN["banks_plain:unet_return"]


@pytest.mark.slow
@torch.no_grad()
def test_golden_banks_denoise_f4(networks: ChainNetworks) -> None:
    latents = given("denoise_f4", "ref_latents", (3, 4, 16, 16))
    tokens = given("denoise_f4", "encoder", (2, 4, 768))
    rows = [token_half(half, picture, 2, interleaved=True) for half in range(2) for picture in range(3)]
    banks = networks.reference_unet(latents.repeat(2, 1, 1, 1), tokens[rows])
    check_banks("banks_denoise_f4", banks)

    # What the denoiser reads are these, rounded to float16, and in the order of its own frames.
    read = reference_banks(networks.reference_unet, latents[:1], latents[None, 1:], tokens[:, None], HALLO2)
    for name, bank in banks.items():
        halves = bank.half().float().unflatten(0, (2, 3))
        for found, wanted in ((read[name].reference[0], halves[:, 0]), (read[name].motion, halves[:, 1:])):
            assert torch.equal(found, found.half().float())
            torch.testing.assert_close(found, wanted, atol=4e-3, rtol=0)  # one step of float16


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("case", ["denoise_f4", "denoise_f4_scale", "denoise_f16", "denoise_64_f2"])
def test_golden_denoiser(networks: ChainNetworks, case: str) -> None:
    assert error(denoised(networks, case), arrays(case)["output"]) <= CHAIN[case]


@pytest.mark.slow
@torch.no_grad()
def test_golden_denoise_f4_probes(networks: ChainNetworks) -> None:
    """The way through the blocks, so that a difference can be traced to where it starts."""
    unet = networks.denoising_unet
    layers: dict[str, nn.Module] = {
        name: getattr(unet, name) for name in ("conv_in", "time_embedding", "conv_norm_out")
    }
    layers |= {f"down_blocks_{i}": unet.down_blocks[i].downsamplers[0] for i in range(3)}
    layers |= {f"up_blocks_{i}": unet.up_blocks[i].upsamplers[0] for i in range(3)}
    layers |= {
        "down_blocks_3": unet.down_blocks[3].resnets[1],
        "mid_block": unet.mid_block.resnets[1],
        "up_blocks_3": unet.up_blocks[3].motion_modules[2],
    }
    found: dict[str, Tensor] = {}
    handles = [
        layer.register_forward_hook(lambda _layer, _given, result, name=name: found.update({name: result}))
        for name, layer in layers.items()
    ]
    denoised(networks, "denoise_f4")
    for handle in handles:
        handle.remove()
    recorded = arrays("denoise_f4")
    probes = CASES["denoise_f4"]["meta"]["probes"]
    assert len(probes) == len(layers)
    for probe in probes:
        value = found[probe["key"].removeprefix("probe_")]
        if value.dim() == 4:
            value = rearrange(value, "(r f) c h w -> r c f h w", r=2)
        assert list(value.shape) == probe["shape"]
        assert probe_error(value, recorded, probe["key"]) <= CHAIN["denoise_f4:probes"], probe["key"]


@pytest.mark.slow
@torch.no_grad()
def test_golden_denoise_f4_without_rounded_banks(networks: ChainNetworks) -> None:
    found = denoised(networks, "denoise_f4_fp32banks", dataclasses.replace(HALLO2, half_banks=False))
    assert error(found, arrays("denoise_f4_fp32banks")["output"]) <= CHAIN["denoise_f4_fp32banks"]


@pytest.mark.slow
@torch.no_grad()
def test_golden_evaluation_branch_is_another_sum(networks: ChainNetworks) -> None:
    found = denoised(networks, "denoise_f4_scale")
    assert error(found, arrays("denoise_f4_evalmode")["output"]) > MUST_DIFFER


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("quirk", ["interleaved_image_tokens", "interleaved_portraits"])
def test_golden_grouped_rows_are_another_sum(networks: ChainNetworks, quirk: str) -> None:
    found = denoised(networks, "denoise_f4", dataclasses.replace(HALLO2, **{quirk: False}))
    assert error(found, arrays("denoise_f4")["output"]) > MUST_DIFFER


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("steps", [clip_steps, plain_steps])
def test_golden_pipeline(networks: ChainNetworks, steps: Callable[..., Iterator[Tensor]]) -> None:
    """Ours, and the published order of operations that benchmarks compare it with."""
    pictures = given("pipeline", "ref_latents", (3, 4, 16, 16))
    clip = Clip(
        reference=pictures[:1],
        motion=pictures[None, 1:],
        face_embedding=given("pipeline", "face_emb", (1, 512)),
        audio=given("pipeline", "audio", (1, 4, 5, 12, 768)),
        region=mask("pipeline", "region_mask", (1, 3, 128, 128)),
        masks=masks("pipeline", 16),
    )
    noise = given("pipeline", "latents", (1, 4, 4, 16, 16))
    recorded = arrays("pipeline")
    assert error(noise, recorded["initial_latents"]) == 0
    start = rearrange(noise, "r c f h w -> r f c h w")
    for number, latents in enumerate(steps(networks, clip, start, Sampling(steps=3))):
        found = rearrange(latents, "r f c h w -> r c f h w")
        assert error(found, recorded[f"latents_after_step_{number}"]) <= CHAIN["pipeline"], number
    assert number == 2
