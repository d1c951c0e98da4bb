"""Where a text branch begins: its first layers know which words ask for the same.

Hashed n-grams know no synonyms, so "happy" and "cheerful" would each have to be learned from pictures. What a prompt
asks for, one number an expression and a turn of the head, is linear in its embedding up to little (ridge regression on
all prompts that training uses); the first layers begin as that, spread over their width by chance.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from models.diffusion.text_modulation import TextBranch
from models.drawn.expressions import EXPRESSIONS, HEAD_POSES, every_prompt
from models.families.noise_keys import noise_key
from models.prompts.ngrams import embed

RIDGE = 1e-3  # of the embeddings' mean square, which keeps one word from meaning everything
SPREAD = 2.0  # standard deviation of what one word more or less changes before the nonlinearity


@torch.no_grad()
def begin(branch: TextBranch, seed: int) -> None:
    """First layers anew, last ones zero: what `branch` says without a prompt, it now says to every prompt."""
    generator = Generator().manual_seed(noise_key(seed, "words", 0))
    meaning, mean = fitted(len(branch.null_embedding))
    said = branch(branch.null_embedding[None])
    for name, mlp in branch.sites.items():
        assert isinstance(mlp, nn.Sequential)
        first, last = mlp[0], mlp[-1]
        assert isinstance(first, nn.Linear)
        assert isinstance(last, nn.Linear)
        spread = SPREAD * torch.randn(first.out_features, len(meaning), generator=generator).to(first.weight)
        by_chance = torch.randn(first.out_features, generator=generator).to(first.weight)
        first.weight.copy_(spread @ meaning.to(first.weight))
        first.bias.copy_(spread @ mean.to(first.weight) + by_chance)
        modulation = said[name.replace("/", ".")]
        last.bias.copy_(torch.cat([modulation.scale[0], modulation.shift[0]]))
        last.weight.zero_()
    branch.null_embedding.zero_()


def fitted(width: int) -> tuple[Tensor, Tensor]:
    """-> [k e], [k]: an embedding [e = `width`] times the first, plus the second, is one number a name or a turn."""
    given = every_prompt()
    names = [*EXPRESSIONS, *HEAD_POSES]
    wanted = torch.zeros(len(given), len(names), dtype=torch.float64)
    for row, (_, expression, turn) in enumerate(given):
        wanted[row, names.index(expression)] = 1
        if turn:
            wanted[row, names.index(turn)] = 1
    rows = embed([text for text, _, _ in given], width).double()
    inside = torch.cat([rows, torch.ones(len(rows), 1).double()], dim=1)
    squares = inside.T @ inside
    squares += RIDGE * squares.diagonal().mean() * torch.eye(len(squares)).double()
    found = torch.linalg.solve(squares, inside.T @ wanted).T
    return found[:, :-1].float(), found[:, -1].float()
