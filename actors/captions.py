"""The captions of a title as people find them: in HLS, and as files beside the video."""

from __future__ import annotations

from itertools import accumulate

from actors.compositing import read_cues
from pipeline.sources.captions import Cue, segments, srt, vtt
from pipeline.store.digests import sha256
from pipeline.store.store import Store
from pipeline.titles.title_plan import TitlePlan

Ranges = list[tuple[int, int]]
SIDECARS = ("captions.vtt", "captions.srt")


class Captions:
    """Of the title in hand: read once for all of its playlists."""

    def __init__(self, store: Store):
        self._store = store
        self._held: tuple[tuple[str, str], tuple[str, Ranges] | None] | None = None

    def listed(self, plan: TitlePlan) -> tuple[str, Ranges] | None:
        """The object that holds the WebVTT segments of all GOPs, and (offset, size) of each; None without captions."""
        name = (plan.id, plan.hashes.file)
        if self._held is None or self._held[0] != name:
            cues = read_cues(self._store, plan)
            self._held = name, self._put(plan, cues) if cues else None
        return self._held[1]

    def _put(self, plan: TitlePlan, cues: tuple[Cue, ...]) -> tuple[str, Ranges]:
        parts = segments(cues, plan.frames)
        whole, sizes = b"".join(parts), [len(part) for part in parts]
        key = f"{_folder(plan)}/captions-{sha256(whole)[:12]}.vtt"
        if not self._store.exists(key):
            self._store.put(key, whole)
        return key, list(zip(accumulate(sizes, initial=0), sizes, strict=False))

    def settle(self, plan: TitlePlan) -> tuple[Cue, ...]:
        """Write the files beside the video, and remove what is of other captions. Returns the captions."""
        cues, listed = read_cues(self._store, plan), self.listed(plan)
        for name, write in zip(SIDECARS, (vtt, srt), strict=True):
            key = f"{plan.id}/{name}"
            if cues:
                self._store.put(key, write(cues).encode())
            elif self._store.exists(key):
                self._store.delete(key)
        for key in self._store.list(_folder(plan)):
            of_captions = key.rpartition("/")[2].startswith("captions")
            if of_captions and (listed is None or (key.endswith(".vtt") and key != listed[0])):
                self._store.delete(key)
        return cues


def _folder(plan: TitlePlan) -> str:
    return f"{plan.id}/hls/{plan.hashes.stream[:16]}"
