"""What a run was asked for on the command line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """The options of `render`, by the names that its command line has."""

    manifest: str
    output: str | None
    allow_host: tuple[str, ...]
    only: tuple[str, ...]
    preview: float | None
    dry_run: bool
    skip_invalid: bool
    skip_done: bool
    retry_failed: bool
    renew: tuple[str, ...]
    fail_fast: bool
    executor: str
    address: str | None
    chains: int | None
    upscalers: int | None
    min_upscalers: int
    gpus: int | None
    cores: int | None
    scratch: int | None
    lanes: int | None
    grace: float
    json_log: bool
    accept_crop: bool
