"""The chain worker: several titles a batch, each strictly clip after clip; commits latents and state every GOP."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from actors.arrays import pack
from actors.titles import TitleReader
from actors.worker import Worker, failure_of
from models.families import Arrays, Lane
from pipeline.errors import DamagedObject
from pipeline.records import Record, new_attempt, seed_state_hash, sha256
from pipeline.timeline import CLIP, GOP, gop_clips, gop_range
from pipeline.titles import TitlePlan
from pipeline.work import Done, Failure, Job, Outcome, Work


@dataclass
class _Chain:
    """A title on board: the state that its next GOP starts from."""

    reader: TitleReader
    gop: int
    state: Arrays
    state_hash: str
    visit: int


@dataclass
class _Run:
    """One lane of one call: the GOP it makes."""

    job: Job
    plan: TitlePlan
    chain: _Chain
    conditioning: Arrays
    numerics: dict[str, object]
    started: float
    state: Arrays
    latents: list[np.ndarray] = field(default_factory=list)
    used: dict[str, str] = field(default_factory=dict)


class ChainWorker(Worker):
    role = "chain"

    def __init__(self, output: str, device: str = "cpu", run: str = "local"):
        super().__init__(output, device, run)
        self._chains: dict[str, _Chain] = {}

    def run(self, work: Work, plans: dict[str, TitlePlan]) -> tuple[Outcome, ...]:
        """Advance every job's title by one GOP, in one batch. Titles not in the batch leave the worker's memory."""
        self._chains = {job.title: self._chains[job.title] for job in work.jobs if job.title in self._chains}
        outcomes: dict[str, Outcome] = {}
        runs: list[_Run] = []
        for job in work.jobs:
            try:
                self.alive()
                self.check_stop()
                run = self._begin(job, plans[job.title])
                if self._is_there(run):
                    outcomes[job.title] = Outcome(job, (self._passed(run),))
                else:
                    runs.append(run)
            except Exception as error:  # noqa: BLE001 - the scheduler judges it
                outcomes[job.title] = self._failed(job, failure_of(error, job))
        if runs:
            try:
                self._clips(runs)
            except Exception as error:  # noqa: BLE001
                outcomes |= {run.job.title: self._failed(run.job, failure_of(error, run.job)) for run in runs}
                runs = []
        # Side by side: the device waits meanwhile, and a commit is mostly waiting for the store.
        with ThreadPoolExecutor(max(1, len(runs))) as pool:
            outcomes |= {outcome.job.title: outcome for outcome in pool.map(self._committed, runs)}
        return tuple(outcomes[job.title] for job in work.jobs)

    def _committed(self, run: _Run) -> Outcome:
        try:
            return Outcome(run.job, (self._commit(run),))
        except Exception as error:  # noqa: BLE001 - the scheduler judges it
            return self._failed(run.job, failure_of(error, run.job))

    def _failed(self, job: Job, failure: Failure) -> Outcome:
        self._chains.pop(job.title, None)
        return Outcome(job, (), failure)

    def _begin(self, job: Job, plan: TitlePlan) -> _Run:
        started = time.monotonic()
        numerics = self.numerics(plan, "chain", self.part(plan, "chain"))
        chain = self._chains.get(plan.id)
        if chain is None or (chain.gop, chain.visit, chain.reader.plan) != (job.first, job.visit, plan):
            chain = self._chains[plan.id] = self._resume(plan, job.first, job.visit)
        conditioning = chain.reader.conditioning()[1]
        return _Run(job, plan, chain, conditioning, numerics, started, chain.state)

    def _is_there(self, run: _Run) -> bool:
        """Whether the GOP is committed already, by another writer or before something older was damaged and remade.

        It counts if it goes on from this very state and was made of the inputs that are there now; else it is voided.
        """
        first, _ = gop_range(run.job.first, run.plan.frames)
        there = run.chain.reader.chain_ledger.read(first, mend=True)
        if there is None:
            return False
        if not self._follows(there, run.chain, run):
            run.chain = self._chains[run.plan.id] = self._resume(run.plan, run.job.first, run.job.visit)
            run.state = run.chain.state
            if not self._follows(there, run.chain, run):  # nor from what the store holds: it is not what I remembered
                run.chain.reader.chain_ledger.void(
                    there, "made from another state or of other inputs than are there now"
                )
                return False
        return True

    def _follows(self, record: Record, chain: _Chain, run: _Run) -> bool:
        reach = run.plan.constants.feature_reach
        clips = gop_clips(run.job.first, run.plan.frames)
        used = chain.reader.features(clips.start * CLIP - reach, clips.stop * CLIP + reach)[1]
        used["conditioning"] = chain.reader.conditioning()[0].objects["arrays"].sha256
        return record.parent == chain.state_hash and record.uses == used

    def _passed(self, run: _Run) -> Done:
        """The GOP is another's: go on from the state that it left."""
        if run.job.first + 1 < run.plan.gops:
            self._chains[run.plan.id] = self._resume(run.plan, run.job.first + 1, run.job.visit)
        return self.committed(Done(run.plan.id, "chain", run.job.first, won=False))

    def _resume(self, plan: TitlePlan, gop: int, visit: int) -> _Chain:
        """The chain before GOP `gop`, from the store: as if it had never stopped."""
        reader = TitleReader(self.store, plan)
        if gop == 0:
            record, conditioning = reader.conditioning()
            state = self.part(plan, "chain").start(conditioning, plan.seed, plan.options.base_size)
            return _Chain(reader, 0, state, seed_state_hash(record.objects["arrays"].sha256, plan.seed), visit)
        record, _ = reader.latents(gop - 1)
        state = reader.load(reader.chain_ledger, record, "state")
        return _Chain(reader, gop, state, record.objects["state"].sha256, visit)

    def _clips(self, runs: list[_Run]) -> None:
        """Sample the clips of the lanes' GOPs side by side; a lane whose title ends earlier stays empty."""
        part = self.part(runs[0].plan, "chain")
        size = runs[0].plan.constants.lanes
        clips = [list(gop_clips(run.job.first, run.plan.frames)) for run in runs]
        for step in range(max(map(len, clips))):
            lanes = [
                self._lane(run, mine[step]) if step < len(mine) else None for run, mine in zip(runs, clips, strict=True)
            ]
            results = part.next_clip(lanes + [None] * (size - len(lanes)))
            for run, result in zip(runs, results[: len(runs)], strict=True):
                if result is not None:
                    latents, run.state = result
                    run.latents.append(latents)
            self.alive()

    def _lane(self, run: _Run, clip: int) -> Lane:
        reach = run.plan.constants.feature_reach
        features, used = run.chain.reader.features(clip * CLIP - reach, clip * CLIP + CLIP + reach)
        run.used |= used
        return Lane(
            seed=run.plan.seed,
            clip=clip,
            conditioning=run.conditioning,
            state=run.state,
            features=features,
            text=run.plan.text_of(clip),
            options=run.plan.clip_options,
        )

    def _commit(self, run: _Run) -> Done:
        """Commit the GOP; where another writer was first, go on from the winner's state."""
        plan, chain, gop = run.plan, run.chain, run.job.first
        first, stop = gop_range(gop, plan.frames)
        ledger, attempt = chain.reader.chain_ledger, new_attempt()
        latents = np.concatenate(run.latents)[: stop - first]
        state = pack(run.state)
        record = Record(
            stage="chain",
            title=plan.id,
            plan=plan.hashes.chain,
            first=first,
            frames=stop - first,
            attempt=attempt,
            objects=ledger.stage_objects(first, attempt, {"latents": pack({"latents": latents}), "state": state}),
            parent=chain.state_hash,
            state=sha256(state),
            uses={"conditioning": chain.reader.conditioning()[0].objects["arrays"].sha256, **run.used},
            numerics=run.numerics,
            made=self.made(run.started),
        )
        commit = ledger.commit(record)
        if not commit.won:
            if (commit.record.parent, commit.record.uses) != (record.parent, record.uses):
                raise DamagedObject(f"title {plan.id}: GOP {gop} was chained elsewhere from another state")
            return self._passed(run)
        chain.gop, chain.state, chain.state_hash = gop + 1, run.state, sha256(state)
        return self.committed(Done(plan.id, "chain", gop, True, record.made["seconds"]))


assert GOP % CLIP == 0
