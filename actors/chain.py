"""The chain worker: several titles a batch, each strictly clip after clip; commits latents and state every GOP.

Where a title's plan has a gate (`models.families.gate`), a GOP is looked at before it is committed. One that is refused
is sampled again in its lane, clip after clip in batches of the same shape as ever, so the other lanes do not notice.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np

from actors.calibration import calibrated
from actors.titles import TitleReader
from actors.worker import Worker, failure_of, log
from models.families.finite import AGAIN, finite
from models.families.gate import Trial, not_finite
from models.families.protocol import Arrays, Lane, Made
from models.parts.lanes import independent
from pipeline.core.errors import DamagedObject, LongtakeError
from pipeline.core.timeline import CLIP, GOP, gop_clips, gop_range
from pipeline.scheduler.work import Done, Failure, Job, Outcome, Ready, Work
from pipeline.store.arrays import pack
from pipeline.store.digests import sha256
from pipeline.store.ledger import new_attempt
from pipeline.store.record import Record, seed_state_hash
from pipeline.store.stage_view import StageView
from pipeline.titles.gate_facts import facts_of, follows, is_helpless
from pipeline.titles.numerics import NumericsDiffer, in_lanes
from pipeline.titles.title_plan import TitlePlan


@dataclass
class _Chain:
    """A title on board: the state that its next GOP starts from.

    `there`: GOPs from that one on that were committed when it came on board. One that another writer commits meanwhile
    is found when ours is to be. `seed_hash`: what a GOP has for a parent that begins from the portrait; `helpless`: the
    GOP before was committed outside of the gate's limits.
    """

    reader: TitleReader
    there: StageView
    gop: int
    state: Arrays
    state_hash: str
    seed_hash: str
    visit: int
    helpless: bool = False


@dataclass
class _Run:
    """One lane: the GOP that it makes, clip after clip."""

    job: Job
    plan: TitlePlan
    chain: _Chain
    conditioning: Arrays
    numerics: dict[str, object]
    lanes: int
    started: float
    state: Arrays
    clips: list[int]  # still to be made
    latents: list[np.ndarray] = field(default_factory=list)
    remade: list[int] = field(default_factory=list)  # clips that were not finite, and were made again
    used: dict[str, str] = field(default_factory=dict)
    trial: Trial | None = None  # where the title's plan has a gate
    gate_seconds: float = 0.0


class ChainWorker(Worker):
    role = "chain"

    def __init__(self, output: str, device: str = "cpu", run: str = "local"):
        super().__init__(output, device, run)
        self._chains: dict[str, _Chain] = {}
        self._begun: dict[str, _Run] = {}  # GOPs that were not finished when a call ended
        self._tested: dict[tuple[object, ...], bool] = {}  # by networks and lanes

    def ready(self, plan: TitlePlan | None = None, lanes: int | None = None) -> Ready:
        """Load the networks and settle the shape of the batch: `lanes`, or 0 to find out what is best here."""
        if plan is None:
            return Ready()
        try:
            part = self.part(plan, "chain")
            device = str(part.numerics().get("device", ""))
            if lanes is None:
                lanes = plan.constants.lanes if self.device == "cpu" else 0
            count = lanes or calibrated(self.store, plan, part)
            part.arithmetic(plan.clip_options, count)  # compiling, where asked for, takes minutes
            return Ready(device, count if self._independent(plan, count) else 1)
        except Exception as error:  # noqa: BLE001 - the first title's job meets it again and says so
            self.leave_if_dead(error)
            log.exception("the chain worker is not ready")
            return Ready()

    def run(self, work: Work, plans: Mapping[str, TitlePlan]) -> tuple[Outcome, ...]:
        """Advance the titles by one GOP each, in one batch. Titles without a job here leave the worker's memory.

        A lane whose GOP is finished before the call is goes on with the title's next GOP, or with a spare title.
        """
        self._known, titles = work.known, {job.title for job in work.jobs}
        self._chains = {title: chain for title, chain in self._chains.items() if title in titles}
        self._begun = {title: run for title, run in self._begun.items() if title in titles}
        lanes = work.lanes or plans[work.jobs[0].title].constants.lanes
        outcomes: dict[str, Outcome] = {}
        waiting = deque(work.jobs)
        seats: list[_Run | None] = [None] * lanes
        for step in range(GOP // CLIP):
            for seat in range(lanes):
                while seats[seat] is None and waiting:
                    seats[seat] = self._board(waiting.popleft(), plans, lanes, outcomes)
            runs = [run for run in seats if run is not None]
            if not runs:
                break
            try:
                self._clip(seats)
            except Exception as error:  # noqa: BLE001 - the scheduler judges it
                self.leave_if_dead(error)
                for run in runs:
                    failed = self._failed(run.job, failure_of(error, run.job))
                    outcomes.setdefault(run.job.title, failed)
                break
            for seat, seated in enumerate(seats):
                if seated is not None and (failure := self._judged(seated)):
                    outcomes[seated.job.title] = self._failed(seated.job, failure)
                    seats[seat] = None
            made = {seat: run for seat, run in enumerate(seats) if run is not None and not run.clips}
            for seat, outcome in zip(made, self._commit_all(list(made.values())), strict=True):
                outcomes[outcome.job.title] = outcome
                last = step == GOP // CLIP - 1 or outcome.failure is not None
                seats[seat] = None if last else self._go_on(made[seat])
        else:
            self._begun |= {run.job.title: run for run in seats if run is not None}
        return tuple(self._with_ahead(outcomes.get(job.title) or Outcome(job)) for job in work.jobs)

    def _with_ahead(self, outcome: Outcome) -> Outcome:
        begun = self._begun.get(outcome.job.title)
        return replace(outcome, ahead=len(begun.latents)) if begun else outcome

    def _board(self, job: Job, plans: Mapping[str, TitlePlan], lanes: int, outcomes: dict[str, Outcome]) -> _Run | None:
        """The run of a job; None where its outcome is known already."""
        begun = self._begun.pop(job.title, None)
        try:
            self.alive()
            self.check_stop()
            if begun and (begun.job, begun.plan, begun.lanes) == (job, plans[job.title], lanes):
                return begun
            run = self._begin(job, plans[job.title], lanes)
            if not self._is_there(run):
                return run
            outcomes[job.title] = Outcome(job, (self._passed(run),))
        except Exception as error:  # noqa: BLE001
            outcomes[job.title] = self._failed(job, failure_of(error, job))
        return None

    def _go_on(self, run: _Run) -> _Run | None:
        """The title's next GOP, where a lane would stand empty till the call ends; nothing if it cannot begin yet."""
        job = replace(run.job, first=run.job.first + 1)
        if job.first >= run.plan.gops or self._stop.is_set():
            return None
        try:
            after = self._begin(job, run.plan, run.lanes)
            after.chain.reader.features(after.clips[0] * CLIP, (after.clips[-1] + 1) * CLIP)
            return None if self._is_there(after) else after
        except LongtakeError:
            return None  # its own call will say what is wrong

    def _commit_all(self, runs: list[_Run]) -> list[Outcome]:
        """Side by side: the device waits meanwhile, and a commit is mostly waiting for the store."""
        with ThreadPoolExecutor(max(1, len(runs))) as pool:
            return list(pool.map(self._committed, runs))

    def _committed(self, run: _Run) -> Outcome:
        try:
            return Outcome(run.job, (self._commit(run),))
        except Exception as error:  # noqa: BLE001 - the scheduler judges it
            return self._failed(run.job, failure_of(error, run.job))

    def _failed(self, job: Job, failure: Failure) -> Outcome:
        self._chains.pop(job.title, None)
        return Outcome(job, (), failure)

    def _independent(self, plan: TitlePlan, lanes: int) -> bool:
        """Whether lanes do not see each other in batches of this shape, on this device: tried once."""
        options = replace(plan.clip_options, steps=1)
        key = (plan.weights_hash, options.compiled, options.devices, lanes)
        if key not in self._tested:
            self.alive()
            self._tested[key] = lanes == 1 or independent(self.part(plan, "chain"), options, lanes)
        return self._tested[key]

    def _begin(self, job: Job, plan: TitlePlan, lanes: int) -> _Run:
        started = time.monotonic()
        part = self.part(plan, "chain")
        with self.long_task():  # of options that no title had before on this worker
            arithmetic = part.arithmetic(plan.clip_options, lanes)
            independent = self._independent(plan, lanes)
        if not independent:
            raise NumericsDiffer(
                f"title {plan.id}: begun in batches of {lanes} lanes, which are not independent of each other on this "
                "device; continue it on the class of machine that it was begun on"
            )
        numerics = self.numerics(plan, "chain", part, in_lanes(lanes) | arithmetic)
        chain = self._chains.get(plan.name)
        if chain is None or (chain.gop, chain.visit, chain.reader.plan) != (job.first, job.visit, plan):
            chain = self._chains[plan.name] = self._resume(plan, job.first, job.visit)
        conditioning = chain.reader.conditioning()[1]
        clips = list(gop_clips(job.first, plan.frames))
        run = _Run(job, plan, chain, conditioning, numerics, lanes, started, chain.state, clips)
        if plan.gate and plan.constants.gate:
            run.trial = Trial(plan.constants.gate, first=job.first == 0, helpless=chain.helpless)
        return run

    def _is_there(self, run: _Run) -> bool:
        """Whether the GOP is committed already, by another writer or before something older was damaged and remade.

        It counts if it goes on from this very state and was made of the inputs that are there now; else it is voided.
        """
        first, _ = gop_range(run.job.first, run.plan.frames)
        there = run.chain.there.read(first)
        if there is None:
            return False
        if not self._follows(there, run.chain, run):
            run.chain = self._chains[run.plan.name] = self._resume(run.plan, run.job.first, run.job.visit)
            run.state = run.chain.state
            if not self._follows(there, run.chain, run):  # nor from what the store holds: it is not what I remembered
                run.chain.there.void(there, "made from another state or of other inputs than are there now")
                return False
        return True

    def _follows(self, record: Record, chain: _Chain, run: _Run) -> bool:
        reach = run.plan.constants.feature_reach
        clips = gop_clips(run.job.first, run.plan.frames)
        used = chain.reader.features(clips.start * CLIP - reach, clips.stop * CLIP + reach)[1]
        used["conditioning"] = chain.reader.conditioning()[0].objects["arrays"].sha256
        return follows(record, chain.state_hash, chain.seed_hash) and record.uses == used

    def _passed(self, run: _Run) -> Done:
        """The GOP is another's: go on from the state that it left."""
        if run.job.first + 1 < run.plan.gops:
            self._chains[run.plan.name] = self._resume(run.plan, run.job.first + 1, run.job.visit)
        return self.committed(Done(run.plan.name, "chain", run.job.first, won=False))

    def _resume(self, plan: TitlePlan, gop: int, visit: int) -> _Chain:
        """The chain before GOP `gop`, from the store: as if it had never stopped."""
        reader = TitleReader(self.store, plan)
        there = StageView(self.store, plan.prefix("chain"), mend=True).refresh(gop * GOP)
        seed = seed_state_hash(reader.conditioning()[0].objects["arrays"].sha256, plan.seed)
        if gop == 0:
            return _Chain(reader, there, 0, self._seed_state(reader), seed, seed, visit)
        record, _ = reader.latents(gop - 1)
        state = reader.load(reader.chain_ledger, record, "state")
        return _Chain(reader, there, gop, state, record.objects["state"].sha256, seed, visit, is_helpless(record))

    def _seed_state(self, reader: TitleReader) -> Arrays:
        """The state that the portrait gives."""
        plan = reader.plan
        state: Arrays = self.part(plan, "chain").start(reader.conditioning()[1], plan.seed, plan.options.base_size)
        return state

    def _clip(self, seats: list[_Run | None]) -> None:
        """Sample the next clip of every lane side by side."""
        plan = next(run.plan for run in seats if run is not None)
        lanes = [None if run is None else self._lane(run, run.clips[0]) for run in seats]
        part = self.part(plan, "chain")
        results = part.next_clip(lanes)
        for seat, (run, result) in enumerate(zip(seats, results, strict=True)):
            if run is not None:
                latents, run.state = result
                run.latents.append(latents)
                clip = run.clips.pop(0)
                if seat in part.remade:
                    run.remade.append(clip)
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
            attempt=run.trial.attempt if run.trial else 0,
        )

    def _judged(self, run: _Run) -> Failure | None:
        """Why the run cannot go on. Where the gate refuses what was made, it begins its GOP again."""
        why = _not_finite(run)
        if run.trial is None:
            return Failure("user", why) if why else None
        if run.clips and not why:
            return None
        began = time.monotonic()
        try:
            verdict = run.trial.judge(not_finite() if why else self._look(run))
        except Exception as error:  # noqa: BLE001 - the scheduler judges it
            self.leave_if_dead(error)
            return failure_of(error, run.job)
        run.gate_seconds += time.monotonic() - began
        if verdict == "commit":
            return Failure("user", why) if why else None
        refused = run.trial.refused[-1]
        log.info("title %s: GOP %d: %s: %s", run.plan.id, run.job.first, verdict, refused)
        run.state = self._seed_state(run.chain.reader) if run.trial.new_start else run.chain.state
        run.clips, run.latents, run.remade = list(gop_clips(run.job.first, run.plan.frames)), [], []
        return None

    def _look(self, run: _Run) -> dict[str, float]:
        """What the family's part measures of a GOP whose clips are all there."""
        first, stop = gop_range(run.job.first, run.plan.frames)
        features, _ = run.chain.reader.features(first, stop)
        latents = np.concatenate(run.latents)[: stop - first]
        anew = run.trial is not None and run.trial.new_start
        before = self._seed_state(run.chain.reader) if anew else run.chain.state
        made = Made(latents, features, before, run.conditioning, run.plan.clip_options)
        looked: dict[str, float] = self.part(run.plan, "chain").look(made)
        self.alive()
        return looked

    def _commit(self, run: _Run) -> Done:
        """Commit the GOP; where another writer was first, go on from the winner's state."""
        plan, chain, gop = run.plan, run.chain, run.job.first
        first, stop = gop_range(gop, plan.frames)
        ledger, attempt = chain.reader.chain_ledger, new_attempt()
        latents = np.concatenate(run.latents)[: stop - first]
        facts: dict[str, object] = {"remade": {str(clip): AGAIN for clip in run.remade}} if run.remade else {}
        if run.trial:
            facts["gate"] = facts_of(run.trial, chain.state_hash)
        if anew := run.trial is not None and run.trial.new_start:
            latents = self.part(plan, "chain").joined(chain.state, latents)
        state = pack(run.state)
        record = Record(
            stage="chain",
            title=plan.id,
            plan=plan.hashes.chain,
            first=first,
            frames=stop - first,
            attempt=attempt,
            objects=ledger.stage_objects(first, attempt, {"latents": pack({"latents": latents}), "state": state}),
            parent=chain.seed_hash if anew else chain.state_hash,
            state=sha256(state),
            uses={"conditioning": chain.reader.conditioning()[0].objects["arrays"].sha256, **run.used},
            numerics=run.numerics,
            facts=facts,
            made=self.made(run.started) | ({"gate_seconds": round(run.gate_seconds, 5)} if run.trial else {}),
        )
        commit = ledger.commit(record)
        if not commit.won:
            if (commit.record.parent, commit.record.uses) != (record.parent, record.uses):
                raise DamagedObject(f"title {plan.id}: GOP {gop} was chained elsewhere from another state")
            return self._passed(run)
        chain.gop, chain.state, chain.state_hash = gop + 1, run.state, sha256(state)
        chain.helpless = is_helpless(record)
        return self.committed(Done(plan.name, "chain", gop, True, record.made["seconds"], commit.record.to_json()))


def _not_finite(run: _Run) -> str | None:
    """Why a GOP cannot go on: what the networks gave for its last clip, in any type, is no number."""
    if finite([run.latents[-1], *run.state.values()]):
        return None
    clip = gop_clips(run.job.first, run.plan.frames)[len(run.latents) - 1]
    again = f", in {AGAIN} either" if "not_finite" in run.numerics else ""
    return (
        f"title {run.plan.id}: GOP {run.job.first}, frames {clip * CLIP} to {clip * CLIP + CLIP - 1}: the chain's "
        f"networks gave NaN or infinite numbers{again}, expected finite ones; nothing of it was kept: check the "
        "weights (`longtake weights check`), portrait and sound, or render with another seed"
    )


assert GOP % CLIP == 0
