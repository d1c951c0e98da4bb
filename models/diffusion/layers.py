"""torch's lists of layers, whose kind the type checker knows: to torch they are the lists that they always were.

`LayerList[Level]` is an `nn.ModuleList` of levels, `LayerSequence[nn.Linear]` an `nn.Sequential` of linear layers.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from torch import nn

Layer = TypeVar("Layer", bound=nn.Module)

if TYPE_CHECKING:

    class LayerList(nn.ModuleList, Generic[Layer]):
        def __getitem__(self, idx: int) -> Layer: ...  # type: ignore[override]

        def __iter__(self) -> Iterator[Layer]: ...

    class LayerSequence(nn.Sequential, Generic[Layer]):
        def __getitem__(self, idx: int) -> Layer: ...  # type: ignore[override]

        def __iter__(self) -> Iterator[Layer]: ...

else:
    LayerList, LayerSequence = nn.ModuleList, nn.Sequential
