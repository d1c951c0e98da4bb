"""Sound of every container and decoder that is read: taken with its exact length, or refused with name and remedy."""

from __future__ import annotations

import pytest

from benchmarks.inputs import FORMS, row_of
from pipeline.media import ffmpeg

# Demuxers of the list whose files nothing at hand can encode; they are read all the same.
NOT_MADE = {"amrwb", "ape", "mpc", "mpc8"}
READ_BY = {
    "WAV": "wav", "RF64": "rf64", "Wave64": "w64", "AIFF": "aiff", "CAF": "caf", "AU": "au", "FLAC": "flac",
    "MP3": "mp3", "AAC": "aac", "Ogg": "ogg", "M4A": "m4a mj2", "MP4": "mp4", "MOV": "mov", "3GP": "3gp", "3G2": "3g2",
    "AMR": "amr amrnb", "Matroska": "matroska", "WebM": "webm", "ASF": "asf",
    "AC-3": "ac3", "E-AC-3": "eac3", "WavPack": "wv", "TTA": "tta", "DSF": "dsf", "AVI": "avi", "MPEG-TS": "mpegts",
    "MPEG-PS": "mpeg", "FLV": "flv",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_every_form_is_taken_exactly_or_refused_in_words(form) -> None:  # type: ignore[no-untyped-def]
    row = row_of(form)
    assert row.wrong == []
    assert row.made > 7
    assert row.outcomes["cut to 60 %"] in (("part", "refused") if form.open else ("refused",))


def test_every_demuxer_of_the_list_has_its_form() -> None:
    named = {form.name.split(",")[0] for form in FORMS} | {form.name for form in FORMS}
    made = {name for key, names in READ_BY.items() if key in named for name in names.split()}
    assert set(ffmpeg.SOUND_FORMATS.split(",")) - made == NOT_MADE
