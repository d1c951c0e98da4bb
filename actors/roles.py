"""Which class works in which role."""

from __future__ import annotations

from actors.chain import ChainWorker
from actors.prepare import PrepareWorker
from actors.publish import PublishWorker
from actors.upscale import UpscaleWorker
from actors.worker import Worker
from pipeline.scheduler.work import Role

WORKERS: dict[Role, type[Worker]] = {
    "prepare": PrepareWorker,
    "chain": ChainWorker,
    "upscale": UpscaleWorker,
    "publish": PublishWorker,
}
