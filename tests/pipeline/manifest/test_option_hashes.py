"""What every option makes of a title's hashes, as recorded in option_hashes.json: another list of options keeps them.

An option that is new needs no entry: what is recorded holds without it. For a change that is meant,
`python -m tests.pipeline.manifest.test_option_hashes` writes the record anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from models.families.registry import FAMILIES
from pipeline.manifest.film_shape import film_size
from pipeline.manifest.options import complete
from pipeline.media import encode, ffmpeg
from pipeline.store.record import Stored
from pipeline.titles import title_hashes
from pipeline.titles.metadata import Metadata

RECORDED = Path(__file__).with_name("option_hashes.json")
GIVEN: dict[str, dict[str, Any]] = {
    "nothing": {},
    "resolution": {"resolution": 2160},
    "resolution at which av1 is usual": {"resolution": 4096},
    "frame": {"frame": "square"},
    "canvas": {"canvas": "1920x1080"},
    "canvas_place": {"canvas": "1920x1080", "canvas_place": "left"},
    "canvas_place without a canvas": {"canvas_place": "left"},
    "canvas_fill": {"canvas": "1080x1920", "canvas_fill": "#A0B0C0"},
    "codec": {"codec": "hevc"},
    "crf": {"crf": 31},
    "preset": {"preset": "draft"},
    "steps": {"steps": 11},
    "guidance_scale": {"guidance_scale": 2},
    "no guidance": {"guidance_scale": 1, "guided_share": 0.5, "guidance_devices": 2},
    "guided_share": {"guided_share": 0.25},
    "deep_every": {"deep_every": 2},
    "solver": {"solver": "dpm++"},
    "linears": {"linears": "int8", "compile": "on"},
    "fidelity": {"fidelity": 1},
    "background": {"background": "lanczos", "enlarge": "published"},
    "enlarge": {"enlarge": "published"},
    "plate": {"plate": "on"},
    "base_size": {"base_size": 512},
    "face_box": {"face_box": [1, 2, 30, 40]},
    "lip_box": {"lip_box": [5, 6, 7, 8]},
    "face_embedding": {"face_embedding": "/a.npy"},
    "vocals": {"vocals": "separate"},
    "audio_context": {"audio_context": "published"},
    "compat": {"compat": "published"},
    "scenes": {"scenes": "chapters"},
    "scenes of minutes": {"scenes": 10},
    "pad_joins": {"pad_joins": "off"},
    "join": {"join": "cut"},
    "join of scenes": {"scenes": 10, "join": "cut"},
    "segment_frames": {"segment_frames": 96},
    "keep": {"keep": "final"},
    "allow_mixed": {"allow_mixed": True},
    "compile": {"compile": "on"},
    "guidance_devices": {"guidance_devices": 2},
    "marks": {"marks": "off"},
    "badge": {"badge": True},
    "subject": {"subject": "artwork"},
    "consent": {"consent": True},
    "author": {"author": "Somebody"},
    "cover": {"cover": "/cover.png"},
    "language": {"language": "pt-BR"},
    "loudness": {"loudness": -16},
    "loudness of the source": {"loudness": "source"},
    "renditions": {"renditions": [256, 512, 256]},
    "accept_short": {"accept_short": True},
    "burn_captions": {"burn_captions": True},
    "owner": {"owner": "studio b"},
    "share": {"share": 3},
    "due": {"due": "2027-03-01T18:00:00Z"},
}


def hashes(family_name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What is recorded of options: those completed that are not as without any, and the hashes of a title with them."""
    family = FAMILIES[family_name]
    options, usual = complete(given, family), complete({}, family).values()
    portrait = Stored("_inputs/a", "a" * 64, 1)
    found = title_hashes.title_hashes(
        family=family,
        weights="w",
        seed=1,
        frames=100,
        prompts=(),
        options=options.changed(film=film_size(options, (600, 800))),
        portrait=portrait,
        audio=(portrait,),
        metadata=Metadata(),
        title="one",
    )
    changed = {name: value for name, value in options.values().items() if usual[name] != value}
    hashed = {name: value[:16] for name, value in asdict(found).items()}
    recorded: dict[str, Any] = json.loads(json.dumps({"options": changed, "hashes": hashed}))
    return recorded


def record() -> dict[str, Any]:
    return {family: {name: hashes(family, given) for name, given in GIVEN.items()} for family in ("mini", "hallo2")}


@pytest.mark.parametrize("family", ["mini", "hallo2"])
def test_every_option_enters_the_hash_that_it_entered(monkeypatch: pytest.MonkeyPatch, family: str) -> None:
    monkeypatch.setattr(ffmpeg, "version", lambda: "a program")
    monkeypatch.setattr(encode, "_build", lambda codec: codec)
    expected = json.loads(RECORDED.read_text())[family]
    assert {name: hashes(family, given) for name, given in GIVEN.items()} == expected


if __name__ == "__main__":
    ffmpeg.version = lambda: "a program"
    encode._build = lambda codec: codec
    RECORDED.write_text(json.dumps(record(), indent=1, sort_keys=True) + "\n")
