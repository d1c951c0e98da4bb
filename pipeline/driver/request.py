"""What a run was asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """The options of `render`, by the names that its command line has; `pipeline.api.render` says what each means."""

    preview: float | None = None
    accept_crop: bool = False
    skip_invalid: bool = False
    skip_done: bool = False
    retry_failed: bool = False
    renew: tuple[str, ...] = ()
    fail_fast: bool = False
    executor: str = "ray"
    address: str | None = None
    chains: int | None = None
    upscalers: int | None = None
    min_upscalers: int = 0
    gpus: int | None = None
    cores: int | None = None
    scratch: int | None = None
    lanes: int | None = None
    grace: float = 20.0
