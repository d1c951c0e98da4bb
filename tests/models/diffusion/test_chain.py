"""One clip through small networks: lanes, text, guidance, odd sizes, and the shortcuts against the plain sums."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.diffusion.attention import Attention
from models.diffusion.audio_attention import AudioContext, AudioModule
from models.diffusion.clip import ChainNetworks, Clip, clip_context, clip_steps, run_clip
from models.diffusion.folded_attention import fold, side_by_side
from models.diffusion.temporal import MotionModule
from models.diffusion.text_modulation import Modulation, TextBranch, modulate
from models.families.config import (
    AudioProjectionConfig,
    ChainConfig,
    FaceLocatorConfig,
    ImageProjectionConfig,
    Sampling,
    TextConfig,
    UNetConfig,
)
from models.prompts.clip_text import ClipTextEncoder
from models.weights.synthetic import fill

torch.set_num_threads(1)  # these tensors are so small that threads only wait for each other

TINY = ChainConfig(
    unet=UNetConfig(
        latent_channels=8,
        channels=(32, 64),
        attention=(True, True),
        layers=1,
        heads=4,
        groups=8,
        image_token_width=24,
        audio_token_width=24,
        positions=10,
    ),
    face_locator=FaceLocatorConfig(channels=(4, 8, 8)),
    image_projection=ImageProjectionConfig(embedding_width=12, tokens=2),
    audio_projection=AudioProjectionConfig(window=3, layers=2, feature_width=6, hidden_width=16, tokens=4),
    clip_frames=8,
    motion_frames=2,
)
GUIDED = Sampling(steps=2, guidance_scale=2.0)
TEXT = TextConfig(embedding_width=10, hidden_width=12)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def make_clip(config: ChainConfig, seeds: tuple[int, ...], size: tuple[int, int] = (8, 8), frames: int = 8) -> Clip:
    """A clip with one lane for each seed; a lane depends on its seed alone."""
    height, width = size
    levels = [(height, width)]
    for _ in config.unet.channels[1:]:
        levels.append(((levels[-1][0] + 1) // 2, (levels[-1][1] + 1) // 2))
    audio, factor = config.audio_projection, 2 ** (len(config.face_locator.channels) - 1)

    def lanes(*shape: int, part: int) -> Tensor:
        return torch.stack([draw(*shape, seed=100 * seed + part) for seed in seeds])

    return Clip(
        reference=lanes(config.unet.latent_channels, height, width, part=1),
        motion=lanes(config.motion_frames, config.unet.latent_channels, height, width, part=2),
        face_embedding=lanes(config.image_projection.embedding_width, part=3),
        audio=lanes(frames, audio.window, audio.layers, audio.feature_width, part=4),
        region=lanes(3, height * factor, width * factor, part=5).sigmoid(),
        masks=tuple(tuple(lanes(h * w, part=6 + region).sigmoid() for h, w in levels) for region in range(3)),
    )


def noise(config: ChainConfig, seeds: tuple[int, ...], size: tuple[int, int] = (8, 8), frames: int = 8) -> Tensor:
    return torch.stack([draw(frames, config.unet.latent_channels, *size, seed=100 * seed) for seed in seeds])


def synthetic(build: type[nn.Module], *settings: Any) -> Any:
    with torch.device("meta"):
        network = build(*settings)
    return fill(network).eval()


@pytest.fixture(scope="module")
def networks() -> ChainNetworks:
    return synthetic(ChainNetworks, TINY)


# Lanes ----------------------------------------------------------------------------------------------------------------


def test_a_lane_is_the_same_bits_whoever_its_neighbours_are(networks: ChainNetworks) -> None:
    for neighbours in ((2, 3), (7, 9)):
        seeds = (neighbours[0], 1, neighbours[1])
        found = run_clip(networks, make_clip(TINY, seeds), noise(TINY, seeds), GUIDED)
        if neighbours == (2, 3):
            first = found
    assert torch.equal(found[1], first[1])
    assert not torch.equal(found[0], first[0])


def test_a_lane_is_what_it_is_alone(networks: ChainNetworks) -> None:
    together = run_clip(networks, make_clip(TINY, (1, 2)), noise(TINY, (1, 2)), GUIDED)
    for lane in range(2):
        alone = run_clip(networks, make_clip(TINY, (lane + 1,)), noise(TINY, (lane + 1,)), GUIDED)
        torch.testing.assert_close(together[lane : lane + 1], alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("field", ["reference", "motion", "face_embedding", "audio", "region", "masks"])
def test_every_condition_of_a_lane_reaches_it(networks: ChainNetworks, field: str) -> None:
    clip, other = make_clip(TINY, (1,)), make_clip(TINY, (2,))
    changed = dataclasses.replace(clip, **{field: getattr(other, field)})
    found = [run_clip(networks, given, noise(TINY, (1,)), GUIDED) for given in (clip, changed)]
    assert (found[0] - found[1]).abs().max() > 1e-3


def test_lanes_of_published_quirks_do_not_meet_either() -> None:
    config = dataclasses.replace(
        TINY,
        unet=dataclasses.replace(TINY.unet, narrow_audio=True),
        half_banks=True,
        interleaved_portraits=True,
        interleaved_image_tokens=True,
    )
    networks = synthetic(ChainNetworks, config)
    together = run_clip(networks, make_clip(config, (1, 2)), noise(config, (1, 2)), GUIDED)
    alone = run_clip(networks, make_clip(config, (2,)), noise(config, (2,)), GUIDED)
    torch.testing.assert_close(together[1:], alone, atol=2e-3, rtol=1e-3)


def test_counts_that_do_not_fit_are_named(networks: ChainNetworks) -> None:
    clip = make_clip(TINY, (1,))
    with pytest.raises(ValueError, match=r"2 lanes.*'reference': 1"):
        run_clip(networks, clip, noise(TINY, (1, 2)), GUIDED)
    lone = dataclasses.replace(make_clip(TINY, (1, 2)), masks=clip.masks)
    with pytest.raises(ValueError, match=r"2 lanes, but {'masks': 1}"):
        run_clip(networks, lone, noise(TINY, (1, 2)), GUIDED)
    with pytest.raises(ValueError, match="5 frames and the audio 8"):
        run_clip(networks, clip, noise(TINY, (1,), frames=5), GUIDED)
    wrong = dataclasses.replace(clip, masks=tuple((finest, finest) for finest, _ in clip.masks))
    with pytest.raises(ValueError, match=r"have \[64, 64\] pixels a level; these latents need \[64, 16\]"):
        run_clip(networks, wrong, noise(TINY, (1,)), GUIDED)
    with pytest.raises(ValueError, match=r"guidance_scale is 0\.5"):
        Sampling(guidance_scale=0.5)
    with pytest.raises(ValueError, match="steps is 0"):
        run_clip(networks, clip, noise(TINY, (1,)), Sampling(steps=0))


# Text -----------------------------------------------------------------------------------------------------------------


def test_an_untrained_text_branch_changes_no_bit(networks: ChainNetworks) -> None:
    text = TextBranch(TEXT, TINY.unet)
    clip = make_clip(TINY, (1, 2))
    plain = run_clip(networks, clip, noise(TINY, (1, 2)), GUIDED)
    prompted = dataclasses.replace(clip, prompt=draw(2, TEXT.embedding_width))
    assert torch.equal(run_clip(networks, prompted, noise(TINY, (1, 2)), GUIDED, text), plain)


def test_a_trained_text_branch_hears_its_own_lanes_prompt(networks: ChainNetworks) -> None:
    text = synthetic(TextBranch, TEXT, TINY.unet)
    clip, prompts = make_clip(TINY, (1, 2)), draw(2, TEXT.embedding_width)

    def run(**changes: Any) -> Tensor:
        return run_clip(networks, dataclasses.replace(clip, **changes), noise(TINY, (1, 2)), GUIDED, text)

    both = run(prompt=prompts)
    second_only = run(prompt=prompts, prompted=torch.tensor([False, True]))
    assert not torch.equal(both[0], second_only[0])
    assert torch.equal(both[1], second_only[1])
    # A lane without a prompt hears the null embedding, whatever stands in its place.
    other = run(prompt=torch.cat([prompts[1:], prompts[1:]]), prompted=torch.tensor([False, True]))
    assert torch.equal(other, second_only)
    assert torch.equal(run(), run(prompt=prompts, prompted=torch.tensor([False, False])))


def test_a_prompt_without_text_weights_is_an_error(networks: ChainNetworks) -> None:
    clip = dataclasses.replace(make_clip(TINY, (1,)), prompt=draw(1, TEXT.embedding_width))
    with pytest.raises(ValueError, match="no text weights"):
        run_clip(networks, clip, noise(TINY, (1,)), GUIDED)


def test_text_weights_are_apart_from_the_networks(networks: ChainNetworks) -> None:
    text = TextBranch(TEXT, TINY.unet)
    assert not any("text" in name for name in networks.state_dict())
    assert {name.split(".")[0] for name in text.state_dict()} == {"null_embedding", "sites"}
    assert len(text.sites) == len(list(networks.denoising_unet.sites()))


def test_modulation_is_the_papers_formula() -> None:
    x = draw(4, 6, 3, 5)  # two rows of two frames
    scale, shift = draw(2, 6, seed=1), draw(2, 6, seed=2)
    normed = (x - x.mean(1, keepdim=True)) / torch.sqrt(x.var(1, unbiased=False, keepdim=True) + 1e-5)
    rows = [0, 0, 1, 1]
    want = x + scale[rows][:, :, None, None] * normed + shift[rows][:, :, None, None]
    torch.testing.assert_close(modulate(x, Modulation(scale, shift)), want)


class _Tokenizer:
    model_max_length = 6

    def __call__(self, prompts: list[str], **padding: Any) -> dict[str, Any]:
        ids = [[0, *(ord(letter) for letter in prompt), 1] for prompt in prompts]
        if not padding:
            return {"input_ids": ids}
        return {"input_ids": torch.tensor([row + [1] * (padding["max_length"] - len(row)) for row in ids])}


def test_prompts_are_encoded_by_clip_and_never_cut() -> None:
    from transformers import CLIPTextConfig, CLIPTextModel

    settings = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPTextConfig(
        vocab_size=128, max_position_embeddings=6, eos_token_id=1, bos_token_id=0, pad_token_id=1, **settings
    )
    encode = ClipTextEncoder(CLIPTextModel(config).eval(), _Tokenizer())
    found = encode(["ab", "abcd"])
    assert found.shape == (2, 8)
    torch.testing.assert_close(encode(["ab"])[0], found[0])
    with pytest.raises(ValueError, match="'abcde' has 7 tokens, the text encoder reads 6"):
        encode(["abcde"])


# Guidance -------------------------------------------------------------------------------------------------------------


def test_guidance_of_one_is_the_conditional_half(networks: ChainNetworks) -> None:
    clip, start = make_clip(TINY, (1,)), noise(TINY, (1,))
    alone = run_clip(networks, clip, start, Sampling(steps=2, guidance_scale=1.0))
    nearly = run_clip(networks, clip, start, Sampling(steps=2, guidance_scale=1.0 + 1e-7))
    torch.testing.assert_close(alone, nearly, atol=1e-4, rtol=1e-4)


def test_steps_without_guidance_are_the_conditional_half(networks: ChainNetworks) -> None:
    """With text, lanes and a network whose halves differ: none of its steps guided is guidance of one."""
    text = synthetic(TextBranch, TEXT, TINY.unet)
    clip = dataclasses.replace(make_clip(TINY, (1, 2)), prompt=draw(2, TEXT.embedding_width))

    def run(**settings: Any) -> Tensor:
        return run_clip(networks, clip, noise(TINY, (1, 2)), Sampling(**{"steps": 4} | settings), text)

    alone, whole = run(guidance_scale=1.0), run(guidance_scale=3.0)
    assert torch.equal(run(guidance_scale=3.0, guided_share=0.0), alone)
    first = [
        next(clip_steps(networks, clip, noise(TINY, (1, 2)), Sampling(4, 3.0, guided_share=s), text)) for s in (1, 0.5)
    ]
    torch.testing.assert_close(first[0], first[1])
    half = run(guidance_scale=3.0, guided_share=0.5)
    assert (half - whole).abs().max() > 1e-3
    assert (half - alone).abs().max() > 1e-3


def test_deep_features_are_used_again_between_their_steps(networks: ChainNetworks) -> None:
    seen: list[int] = []
    deepest = networks.denoising_unet.mid_block.resnets[0].register_forward_pre_hook(
        lambda _layer, given: seen.append(len(given[0]))
    )
    clip, start = make_clip(TINY, (1,)), noise(TINY, (1,))
    whole = run_clip(networks, clip, start, Sampling(4, 2.0))
    assert seen == [16] * 4
    seen.clear()
    again = run_clip(networks, clip, start, Sampling(4, 2.0, guided_share=0.25, deep_every=3))
    deepest.remove()
    assert seen == [16, 8]  # both halves at the first step, the conditional one at the fourth
    assert (again - whole).abs().max() > 1e-3
    assert torch.isfinite(again).all()
    with pytest.raises(ValueError, match="deep_every 0"):
        Sampling(deep_every=0)


@torch.no_grad()
def test_the_unconditional_half_sees_motion_frames_only(networks: ChainNetworks) -> None:
    """Its prediction does not move with portrait, audio, region or face, but does with the motion frames."""

    def unconditional(clip: Clip) -> Tensor:
        context = clip_context(networks, clip, guided=True)
        return networks.denoising_unet(noise(TINY, (1,)).repeat(2, 1, 1, 1, 1), torch.tensor([500, 500]), context)[0]

    clip, other = make_clip(TINY, (1,)), make_clip(TINY, (2,))
    plain = unconditional(clip)
    for field in ("reference", "audio", "region", "face_embedding"):
        assert torch.equal(unconditional(dataclasses.replace(clip, **{field: getattr(other, field)})), plain), field
    assert not torch.equal(unconditional(dataclasses.replace(clip, motion=other.motion)), plain)


@torch.no_grad()
def test_silent_rows_are_what_attention_to_zero_tokens_gives() -> None:
    module = synthetic(AudioModule, TINY.unet, 32, 32)
    x, tokens = draw(6, 32, 4, 4), draw(1, 3, 4, 24, seed=1)
    masks = tuple(draw(2, 16, seed=2 + region).sigmoid() for region in range(3))

    def run(heard: Tensor) -> Tensor:
        context: AudioContext = module.context(heard, masks, (1.0, 0.5, 2.0))
        return module(x, context)

    torch.testing.assert_close(run(tokens), run(torch.cat([torch.zeros_like(tokens), tokens])), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_motion_frames_are_seen_as_if_they_were_answered_too() -> None:
    module = synthetic(MotionModule, TINY.unet, 32)
    features, x = draw(2, 3, 16, 32), draw(8, 32, 4, 4, seed=1)  # two rows: three motion frames, four of the clip
    short = module(x, module.context(features, (4, 4)))
    grid = features.transpose(2, 3).unflatten(3, (4, 4))
    together = torch.cat([grid, x.unflatten(0, (2, 4))], dim=1).flatten(0, 1)
    whole = module(together, features.new_zeros(2, 0, 16, 32)).unflatten(0, (2, 7))[:, 3:].flatten(0, 1)
    torch.testing.assert_close(short, whole, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_folded_attention_is_attention_to_the_same_tokens() -> None:
    layers = [synthetic(Attention, 12, 3, 5), synthetic(Attention, 12, 3, 5)]
    x, tokens, shares, after = draw(2, 7, 12), draw(2, 4, 5, seed=1), draw(2, 7, 2, seed=2), draw(12, 12, seed=3)
    bias = [layer.to_out[0].bias for layer in layers]
    want = [layer(x, layer.keys(tokens)) - layer.to_out[0].bias for layer in layers]
    torch.testing.assert_close(fold(layers[0], tokens)(x) + bias[0], want[0] + bias[0], atol=1e-5, rtol=1e-5)
    both = side_by_side([fold(layers[0], tokens, after), fold(layers[1], tokens)])
    together = shares[..., :1] * (want[0] @ after.T) + shares[..., 1:] * want[1]
    torch.testing.assert_close(both(x, shares), together, atol=1e-4, rtol=1e-4)


# Widths and sizes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(7, 7), (6, 10)])
@pytest.mark.parametrize("motion_frames", [1, 3])
def test_odd_widths_sizes_and_motion_frames(size: tuple[int, int], motion_frames: int) -> None:
    unet = dataclasses.replace(
        TINY.unet, channels=(36, 60, 84), attention=(False, True, True), layers=2, heads=3, groups=6, positions=11
    )
    config = dataclasses.replace(TINY, unet=unet, motion_frames=motion_frames)
    networks = synthetic(ChainNetworks, config)
    found = run_clip(networks, make_clip(config, (1, 2), size), noise(config, (1, 2), size), GUIDED)
    assert found.shape == (2, 8, 8, *size)
    assert torch.isfinite(found).all()


def test_settings_that_cannot_be_are_named() -> None:
    with pytest.raises(ValueError, match="width 50"):
        UNetConfig(channels=(50, 64), attention=(True, True))
    with pytest.raises(ValueError, match="attention has 4 entries and channels has 2"):
        UNetConfig(channels=(64, 128))
    with pytest.raises(ValueError, match="motion_frames 20 and clip_frames 16 make 36 frames"):
        ChainConfig(motion_frames=20)
    with pytest.raises(ValueError, match="window is 4"):
        AudioProjectionConfig(window=4)


def test_state_loads_strictly(networks: ChainNetworks) -> None:
    state = networks.state_dict()
    with torch.device("meta"):
        empty = ChainNetworks(TINY)
    empty.load_state_dict(state, strict=True, assign=True)
    found = run_clip(empty.eval(), make_clip(TINY, (1,)), noise(TINY, (1,)), GUIDED)
    assert torch.equal(found, run_clip(networks, make_clip(TINY, (1,)), noise(TINY, (1,)), GUIDED))
    name = "denoising_unet.mid_block.audio_modules.0.proj_in.weight"
    with pytest.raises(RuntimeError, match=name):
        empty.load_state_dict({key: value for key, value in state.items() if key != name}, strict=True)


def test_a_clip_can_be_trained_through(networks: ChainNetworks) -> None:
    """Rows without conditions lead, however many; gradients reach every network."""
    fresh = synthetic(ChainNetworks, TINY)
    context = clip_context(fresh, make_clip(TINY, (1, 2)), guided=False)
    fresh.denoising_unet(noise(TINY, (1, 2)), torch.tensor([10, 900]), context).square().mean().backward()
    without = {name for name, p in fresh.named_parameters() if p.grad is None}
    # ReferenceNet's last site gives its bank before the rest of the site runs.
    assert all(name.startswith("reference_unet.up_blocks.1.attentions.1.") for name in without)


def test_a_clip_keeps_the_networks_precision() -> None:
    networks = synthetic(ChainNetworks, TINY)
    exact = run_clip(networks, make_clip(TINY, (1,)), noise(TINY, (1,)), GUIDED)
    clip = make_clip(TINY, (1,))
    values = {field.name: getattr(clip, field.name) for field in dataclasses.fields(clip)}
    short = {name: value.bfloat16() for name, value in values.items() if isinstance(value, Tensor)}
    short["masks"] = tuple(tuple(level.bfloat16() for level in region) for region in clip.masks)
    found = run_clip(networks.bfloat16(), Clip(**short), noise(TINY, (1,)).bfloat16(), GUIDED)
    assert found.dtype == torch.bfloat16
    assert (found.float() - exact).abs().mean() < 0.05 * exact.std()
