"""The temporal codebook restorer (paper §4.2, equations 9-13; published file `net_g.pth`).

A transformer reads the features of a window of frames and predicts, for every position of every frame, one
row of the codebook; the generator draws the picture from the rows. Each transformer layer attends inside a
frame first and then, at each position, over the frames of the window. `fidelity` w lets the encoder's
feature maps modulate the generator: 0 trusts the codebook alone, 1 follows the input most closely. A small
network may have a skip beside or in place of that (`models.restoration.temporal_skip`), which w mixes in likewise.

Shapes: b windows, f frames, c channels, `side` pixels, p = grid * grid code positions, d transformer width.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from models.families.upscale_config import RestorerConfig
from models.image.wider import widened
from models.restoration.codebook import Encoder, Generator, ResBlock, VectorQuantiser
from models.restoration.fixed_batches import fixed_groups
from models.restoration.temporal_skip import TemporalSkip

ADAIN_EPS = 1e-5


class Restored(NamedTuple):
    frames: Tensor  # [b, f, 3, side, side], about [-1, 1], not clamped
    logits: Tensor  # [b, f, p, codes]
    codes: Tensor  # [b, f, p] int64
    features: Tensor  # [b, f, code_width, grid, grid]: what the encoder saw


class TemporalLayer(nn.Module):
    """Pre-norm attention over positions and feed-forward, then the same over the frames of the window.

    Without `spatial` only the second half is there.
    """

    def __init__(self, dim: int, heads: int, spatial: bool = True) -> None:
        super().__init__()
        self.spatial = spatial
        if spatial:
            self.self_attn = nn.MultiheadAttention(dim, heads, batch_first=True)
            self.linear1 = nn.Linear(dim, 2 * dim)
            self.linear2 = nn.Linear(2 * dim, dim)
            self.norm1 = nn.LayerNorm(dim)
            self.norm2 = nn.LayerNorm(dim)
        self.temp_norm = nn.LayerNorm(dim)
        self.temp_attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.temp_ffn_norm = nn.LayerNorm(dim)
        self.temp_linear1 = nn.Linear(dim, 2 * dim)
        self.temp_linear2 = nn.Linear(2 * dim, dim)

    def forward(self, x: Tensor, position: Tensor | None, frames: int) -> Tensor:
        """x [(b f), p, d], position [p, d] -> the same shape as x."""
        if self.spatial:
            h = self.norm1(x)
            place = h + position
            x = x + self.self_attn(place, place, h, need_weights=False)[0]
            x = x + self.linear2(F.gelu(self.linear1(self.norm2(x))))

        x = rearrange(x, "(b f) p d -> b f p d", f=frames)
        h = self.temp_norm(x)
        # The position table is the spatial one: the order of the frames is not told to the network.
        place = rearrange(h if position is None else h + position, "b f p d -> (b p) f d")
        h = rearrange(h, "b f p d -> (b p) f d")
        h = self.temp_attn(place, place, h, need_weights=False)[0]
        x = x + rearrange(h, "(b p) f d -> b f p d", b=x.shape[0])
        x = x + self.temp_linear2(F.gelu(self.temp_linear1(self.temp_ffn_norm(x))))
        return rearrange(x, "b f p d -> (b f) p d")


class FeatureFusion(nn.Module):
    """Spatial feature transform: the encoder's map scales and shifts the generator's."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.encode_enc = ResBlock(2 * channels, channels, groups)
        self.scale = self._branch(channels)
        self.shift = self._branch(channels)

    @staticmethod
    def _branch(channels: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, encoded: Tensor, generated: Tensor, fidelity: float) -> Tensor:
        both = self.encode_enc(torch.cat([encoded, generated], dim=1))
        return generated + fidelity * (generated * self.scale(both) + self.shift(both))


def adaptive_instance_norm(content: Tensor, style: Tensor) -> Tensor:
    """Content [n, c, h, w] given the mean and spread of style, channel by channel (AdaIN)."""

    def moments(x: Tensor) -> tuple[Tensor, Tensor]:
        variance, mean = torch.var_mean(x, dim=(2, 3), keepdim=True, correction=1)
        return mean, (variance + ADAIN_EPS).sqrt()

    # In float32: float16 has no number near the smallest variance, and few where its root is steep.
    content, style = content.float(), style.float()
    content_mean, content_spread = moments(content)
    style_mean, style_spread = moments(style)
    return (content - content_mean) / content_spread * style_spread + style_mean


class TemporalRestorer(nn.Module):
    """Window of low-quality frames (or of latents) -> window of sharp frames."""

    def __init__(self, config: RestorerConfig) -> None:
        super().__init__()
        self.config = config
        book = config.codebook
        self.position_emb = nn.Parameter(torch.zeros(book.grid**2, config.dim)) if config.spatial else None
        if config.input == "latents":
            self.encoder = Encoder(book, config.latent_channels, book.sizes.index(config.latent_side))
        else:
            self.encoder = Encoder(book)
        self.quantize = VectorQuantiser(book.codes, book.code_width)
        self.generator = Generator(book)
        self.feat_emb = nn.Linear(book.code_width, config.dim)
        self.ft_layers = nn.ModuleList(
            TemporalLayer(config.dim, config.heads, config.spatial) for _ in range(config.layers)
        )
        self.idx_pred_layer = nn.Sequential(nn.LayerNorm(config.dim), nn.Linear(config.dim, book.codes, bias=False))
        self.fuse_convs_dict = nn.ModuleDict(
            {str(size): FeatureFusion(book.channels_at(size), book.groups) for size in config.fused_sizes}
        )
        self.skip = TemporalSkip(config.skip) if config.skip is not None else None

    @property
    def dtype(self) -> torch.dtype:
        """In what encoder and generator are held and compute."""
        first: nn.Conv2d = self.encoder.blocks[0]  # type: ignore[assignment]
        return first.weight.dtype

    def encode(self, window: Tensor, tap_at: tuple[int, ...] = ()) -> tuple[Tensor, dict[int, Tensor]]:
        """Frames [n, 3, side, side] in [-1, 1], or latents, -> features [n, code_width, grid, grid], taps."""
        folded = window if self.config.input == "latents" else self._fold(window)
        return self.encoder(folded, tap_at)

    def predict(self, features: Tensor, frames: int) -> Tensor:
        """Features [(b f), code_width, grid, grid] -> logits [(b f), p, codes]."""
        x = self.feat_emb(rearrange(features.to(self.feat_emb.weight.dtype), "n c h w -> n (h w) c"))
        for layer in self.ft_layers:
            x = layer(x, self.position_emb, frames)
        return self.idx_pred_layer(x)

    def draw(self, rows: Tensor, taps: dict[int, Tensor], fidelity: float) -> Tensor:
        """Rows [n, code_width, grid, grid] and encoder maps by size -> frames [n, 3, side, side]."""
        fuse_after = {self.generator.fuse_after[size]: size for size in taps}
        x = rows.to(self.dtype)
        for index, block in enumerate(self.generator.blocks):
            x = block(x)
            if fidelity > 0 and index in fuse_after:
                size = fuse_after[index]
                x = self.fuse_convs_dict[str(size)](taps[size], x, fidelity)
        return F.pixel_shuffle(x, self.config.codebook.unshuffle)

    def forward(
        self, window: Tensor, fidelity: float = 1.0, adain: bool = True, codes: Tensor | None = None
    ) -> Restored:
        """window [b, f, 3, side, side] in [-1, 1], or latents [b, f, c, h, w].

        `codes` [b, f, p] overrides the predicted ones (for tests and for teacher forcing).
        """
        b, f = window.shape[:2]
        tap_at = self.config.fused_sizes if fidelity > 0 else ()
        features, taps = self.encode(rearrange(window, "b f c h w -> (b f) c h w"), tap_at)
        logits = self.predict(features, f)
        chosen = logits.argmax(-1) if codes is None else rearrange(codes, "b f p -> (b f) p")
        rows = self.rows(chosen, features, adain)
        frames = self.draw(rows, taps, fidelity)
        if self.skip is not None and fidelity > 0:
            aligned = self.skip.align(window)
            frames = self.skip.finish(window.flatten(0, 1), aligned.flatten(0, 1), frames, fidelity)

        def unfold(x: Tensor) -> Tensor:
            return x.unflatten(0, (b, f))

        return Restored(unfold(frames), unfold(logits), unfold(chosen), unfold(features))

    def rows(self, codes: Tensor, features: Tensor, adain: bool) -> Tensor:
        """Codes [n, p] -> rows [n, code_width, grid, grid], in the spread of the features where asked."""
        rows = self.quantize.rows(codes, features.shape[-2])
        return adaptive_instance_norm(rows, features) if adain else rows

    @torch.inference_mode()
    def restore(
        self, window: Tensor, fidelity: float, adain: bool = True, keep: slice = slice(None), group: int = 1
    ) -> Iterator[Tensor]:
        """One window [f, 3, side, side] (or latents) -> the frames of `keep`, one at a time.

        Only the transformer and the skip's alignment look at several frames. Encoder and generator always run
        on `group` frames (the last group repeats its last frame), so what they compute for a frame does not
        depend on the window, and at most `group` of the generator's large maps live at a time. The work is done in
        the network's own type (codes are chosen and spread in float32), the frames come back in that of the window.
        """
        given = window.dtype
        window = window.to(self.dtype)
        kept = range(window.shape[0])[keep]
        features: list[Tensor] = []
        taps: list[dict[int, Tensor]] = []
        for part, real in fixed_groups(window, group):
            found, tapped = self.encode(part, self.config.fused_sizes if fidelity > 0 else ())
            for i in range(real):
                taps.append({s: t[i].clone() for s, t in tapped.items()} if len(features) in kept else {})
                features.append(found[i])
        codes = self.predict(torch.stack(features), len(features)).argmax(-1)
        skip = self.skip if fidelity > 0 else None
        aligned = window if skip is None else skip.align(window[None])[0]
        for first in range(kept.start, kept.stop, group):
            picked = [min(number, kept.stop - 1) for number in range(first, first + group)]
            real = min(group, kept.stop - first)
            # The same numbers where the frames are: a list would be copied to an accelerator each time.
            there = torch.arange(first, first + group, device=window.device).clamp(max=kept.stop - 1)
            rows = self.rows(codes[there], torch.stack([features[i] for i in picked]), adain)
            maps = {s: torch.stack([taps[i][s] for i in picked]) for s in taps[picked[0]]}
            frames = self.draw(rows, maps, fidelity)
            if skip is not None:
                frames = skip.finish(window[there], aligned[there], frames, fidelity)
            yield from widened(frames[:real], given)

    def _fold(self, frames: Tensor) -> Tensor:
        side = self.config.codebook.side
        if frames.shape[-2:] != (side, side) and not self.config.local:
            raise ValueError(
                f"restorer frames are {tuple(frames.shape[-2:])}, expected {side} x {side}: crop them first"
            )
        return F.pixel_unshuffle(frames, self.config.codebook.unshuffle)
