"""Sound in: counting, joining, refusing."""

from __future__ import annotations

import dataclasses
import json
import resource
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.core.errors import InputError, LongtakeError, SetupError
from pipeline.core.timeline import frames_of, gop_packets, gops_of, packets_of, starts_in_join
from pipeline.media import ffmpeg, tags
from pipeline.media.boxes import boxes, payload
from pipeline.media.sound import joined_chapters, read_speech, write_sound
from pipeline.media.sound_in.facts import AudioFacts
from pipeline.media.sound_in.probe import probe
from pipeline.media.tags import Chapter
from tests.support.media_sources import clicks, decoded, noise, peaks, program, sound

FORMATS = [
    ("wav", 44_100, 1), ("wav", 8_000, 2), ("mp3", 22_050, 1), ("mp3", 44_100, 2), ("m4a", 44_100, 1),
    ("m4a", 48_000, 2), ("flac", 44_100, 2), ("ogg", 22_050, 1), ("opus", 48_000, 1), ("mka", 16_000, 1),
]  # fmt: skip


def _frames(facts: list[AudioFacts]) -> int:
    return frames_of([(fact.samples, fact.rate) for fact in facts])


@pytest.mark.parametrize(("kind", "rate", "channels"), FORMATS)
def test_every_format_is_counted_to_the_sample(tmp_path: Path, kind: str, rate: int, channels: int) -> None:
    samples = rate * 2 + 123
    path = sound(tmp_path / f"a.{kind}", noise(samples, channels), rate)
    assert probe(path) == AudioFacts(samples, rate, channels)


def test_five_channels_are_read_and_become_stereo(tmp_path: Path) -> None:
    path = sound(tmp_path / "a.flac", noise(9600, 6), 48_000)
    facts = probe(path)
    assert (facts.samples, facts.channels) == (9600, 6)
    files = write_sound([path], [facts], 5, tmp_path)
    assert files.channels == 2
    assert decoded(files.track, 2).shape == (9600, 2)


def test_cover_art_is_not_a_video_and_tags_and_chapters_are_read(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "cover.png")
    (tmp_path / "notes").write_text(
        tags.write([Chapter(0, 700, "One = 1"), Chapter(700, 2000, "Two; #2")], [("title", "A\\B=C;\nD")])
    )
    for kind in ("mp3", "m4a"):
        path = tmp_path / f"a.{kind}"
        sound(
            path, noise(88_200), 44_100, "-i", tmp_path / "cover.png", "-f", "ffmetadata", "-i", tmp_path / "notes",
            "-map", "0:a", "-map", "1:v", "-map_metadata", 2, "-map_chapters", 2, "-c:v", "copy",
            "-disposition:v", "attached_pic",
        )  # fmt: skip
        facts = probe(path)
        assert facts.samples == 88_200
        assert [chapter.title for chapter in facts.chapters] == ["One = 1", "Two; #2"]
        delay = 26 if kind == "mp3" else 0  # the clock of an MP3 file counts the encoder's delay
        assert [chapter.start for chapter in facts.chapters] == pytest.approx([0, 700], abs=delay)
        assert dict(facts.tags)["title"] == "A\\B=C;\nD"
        assert AudioFacts.from_dict(json.loads(json.dumps(dataclasses.asdict(facts)))) == facts


def test_chapters_of_several_files_are_moved_and_made() -> None:
    facts = [
        AudioFacts(44_100, 44_100, 1, (Chapter(0, 400, "a"), Chapter(400, 1000, "b"))),
        AudioFacts(8_000, 16_000, 1, (), (("title", "Second"),)),
        AudioFacts(8_000, 16_000, 1),
    ]
    assert joined_chapters(["x/1.mp3", "x/2.mp3", "x/3.mp3"], facts) == (
        Chapter(0, 400, "a"), Chapter(400, 1000, "b"), Chapter(1000, 1500, "Second"), Chapter(1500, 2000, "3"),
    )  # fmt: skip
    assert joined_chapters(["x/3.mp3"], facts[2:]) == ()


@given(st.text(max_size=40).filter(lambda t: t.isprintable() and t == t.strip() and t), st.integers(0, 10**8))
def test_metadata_text_goes_round(text: str, start: int) -> None:
    chapter = Chapter(start, start + 7, text)
    assert tags.read(tags.write([chapter], [("artist", text)])) == ((chapter,), (("artist", text),))


def test_a_click_keeps_its_place_in_track_hls_and_speech(tmp_path: Path) -> None:
    seconds = [Fraction(1, 4), Fraction(39, 20), Fraction(3)]
    rate = 44_100
    path = sound(tmp_path / "a.wav", clicks(rate * 4, [int(s * rate) for s in seconds], width=8), rate)
    files = write_sound([path], [probe(path)], 100, tmp_path)
    middle = Fraction(7, 2) / rate  # of a click of 8 samples
    expected = [float((s + middle) * 48_000) for s in seconds]
    track = peaks(decoded(files.track)[:, 0])
    assert track == pytest.approx(expected, abs=6)
    # the same through the bare decoder of browsers' kind, which knows nothing of edit lists: 1024 would be 21 ms
    assert peaks(_plain_decode(files.hls)) == pytest.approx(expected, abs=6)
    speech = read_speech(files.speech.read_bytes())
    assert peaks(speech) == pytest.approx([place / 3 for place in expected], abs=2)
    assert len(speech) == 640 * 100


def _plain_decode(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        assert container.streams.audio[0].start_time == 0
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def test_files_of_all_rates_are_joined_at_their_exact_places(tmp_path: Path) -> None:
    made = [("wav", 44_100), ("mp3", 22_050), ("flac", 8_000), ("m4a", 48_000), ("opus", 48_000), ("wav", 11_025)]
    paths = []
    for index, (kind, rate) in enumerate(made):
        wave = clicks(rate + 17 * index, [rate // 2], channels=1 + index % 2, width=max(2, rate // 2000))
        paths.append(sound(tmp_path / f"{index}.{kind}", wave, rate))
    facts = [probe(path) for path in paths]
    starts = starts_in_join([(fact.samples, fact.rate) for fact in facts])
    frames = _frames(facts)
    files = write_sound(paths, facts, frames, tmp_path)
    assert files.channels == 2
    found = peaks(decoded(files.track, 2).mean(axis=1))
    assert found == pytest.approx([start + 24_000 + 12 for start in starts[:-1]], abs=30)
    assert probe(files.track).samples == 1920 * frames


@pytest.mark.parametrize("frames", [1, 7, 8, 47, 48, 49, 97, 144])
def test_fragments_hold_the_packets_of_their_gop(tmp_path: Path, frames: int) -> None:
    path = sound(tmp_path / "a.wav", noise(640 * frames - 5), 16_000)
    files = write_sound([path], [probe(path)], frames, tmp_path)
    assert probe(files.track).samples == 1920 * frames
    assert files.speech.stat().st_size == 2 * 640 * frames
    with av.open(str(files.track)) as container:
        packets = [bytes(packet) for packet in container.demux() if packet.size]
    assert len(packets) == 1 + packets_of(frames)
    data, fragments = files.hls.read_bytes(), files.fragments
    assert [box.kind for box in boxes(data[: fragments.init_bytes])] == ["ftyp", "moov"]
    assert len(fragments.ranges) == gops_of(frames)
    assert sum(size for _, size in fragments.ranges) + fragments.init_bytes == len(data)
    for gop, (offset, size) in enumerate(fragments.ranges):
        fragment = data[offset : offset + size]
        kinds = [box.kind for box in boxes(fragment)]
        assert kinds.count("moof") == 1
        assert kinds[-1] == "mdat"
        expected = b"".join(packets[i] for i in gop_packets(gop, frames))
        assert payload(fragment, "mdat") == expected
        assert int.from_bytes(payload(fragment, "moof", "traf", "tfdt")[4:], "big") == 92_160 * gop
    moov = payload(data[: fragments.init_bytes], "moov", "trak")
    assert "edts" not in [box.kind for box in boxes(moov)]


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    path = sound(tmp_path / "a.mp3", noise(30_000, 2), 22_050)
    facts = [probe(path)]
    results = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        files = write_sound([path], facts, _frames(facts), tmp_path / name)
        results.append([f.read_bytes() for f in (files.track, files.hls, files.speech)])
    assert results[0] == results[1]


def test_mono_is_not_made_louder_or_softer_beside_stereo(tmp_path: Path) -> None:
    tone = (0.5 * np.sin(np.arange(48_000) * 2 * np.pi * 400 / 48_000)).astype(np.float32)[:, None]
    mono = sound(tmp_path / "a.wav", tone, 48_000)
    stereo = sound(tmp_path / "b.wav", np.repeat(tone, 2, axis=1), 48_000)
    facts = [probe(mono), probe(stereo)]
    files = write_sound([mono, stereo], facts, 50, tmp_path)
    speech = read_speech(files.speech.read_bytes())
    first, second = (float(np.abs(half[2000:14_000]).max()) for half in np.split(speech, 2))
    assert first == pytest.approx(0.5, abs=0.01)
    assert second == pytest.approx(0.5, abs=0.01)


def _cut(path: Path, keep: float = 0.5) -> Path:
    data = path.read_bytes()
    cut = path.with_stem("cut")
    cut.write_bytes(data[: int(len(data) * keep)])
    return cut


def _spoil(path: Path) -> Path:
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 300] = np.random.default_rng(1).bytes(300)
    spoilt = path.with_stem("spoilt")
    spoilt.write_bytes(data)
    return spoilt


def test_damage_anywhere_is_bad_input(tmp_path: Path) -> None:
    for kind in ("mp3", "m4a", "flac", "ogg", "opus"):
        path = sound(tmp_path / f"a.{kind}", noise(96_000), 48_000)
        with pytest.raises(InputError, match=rf"spoilt\.{kind}: .*export it again"):
            probe(_spoil(path))
    for kind in ("wav", "m4a", "flac"):
        path = sound(tmp_path / f"b.{kind}", noise(96_000), 48_000)
        with pytest.raises(InputError, match=rf"cut\.{kind}: .*export it again"):
            probe(_cut(path))


def test_what_is_not_sound_is_named(tmp_path: Path) -> None:
    cases = {"text.mp3": "cannot be decoded", "zero.wav": "0 bytes", "none.wav": "no such file", "image.png": "sound"}
    (tmp_path / "text.mp3").write_text("hello " * 1000)
    (tmp_path / "zero.wav").write_bytes(b"")
    Image.new("RGB", (64, 64)).save(tmp_path / "image.png")
    sound(tmp_path / "nosamples.wav", noise(0), 48_000)
    cases["nosamples.wav"] = "zero length"
    program("-f", "lavfi", "-i", "testsrc=size=64x64:rate=25:duration=1", "-c:v", "libx264", tmp_path / "silent.mp4")
    cases["silent.mp4"] = "holds no sound"
    cases["."] = "no such file"
    for name, text in cases.items():
        with pytest.raises(InputError, match=text) as caught:
            probe(tmp_path / name)
        assert str(tmp_path) not in str(caught.value)


def test_references_to_other_files_are_not_followed(tmp_path: Path) -> None:
    secret = sound(tmp_path / "secret.wav", noise(48_000), 48_000)
    (tmp_path / "list.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n"
    )
    (tmp_path / "list.wav").write_text(f"ffconcat version 1.0\nfile '{secret}'\n")
    (tmp_path / "list.sdp").write_text("v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\nc=IN IP4 127.0.0.1\n")
    (tmp_path / "list.mpd").write_text(
        '<?xml version="1.0"?><MPD type="static"><Period><AdaptationSet mimeType="audio/wav"><Representation id="1">'
        f"<BaseURL>file://{secret}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    )
    for name in ("list.m3u8", "list.wav", "list.sdp", "list.mpd"):
        with pytest.raises(InputError):
            probe(tmp_path / name)
    # a movie whose sound lies in another file, by a data reference
    movie = sound(tmp_path / "a.mov", noise(48_000), 48_000, "-c:a", "pcm_s16le")
    data = movie.read_bytes()
    own = b"\0\0\0\x0curl \0\0\0\x01"
    assert data.count(own) == 1
    (tmp_path / "ref.mov").write_bytes(data.replace(own, b"\0\0\0\x0curl \0\0\0\0"))
    facts = probe(tmp_path / "ref.mov") if _decodes(tmp_path / "ref.mov") else None
    assert facts is None or facts.samples == 48_000


def _decodes(path: Path) -> bool:
    try:
        probe(path)
    except InputError:
        return False
    return True


def test_names_that_look_like_options_or_protocols_are_only_names(tmp_path: Path) -> None:
    for name in ("-i.wav", "http:a.wav", "concat:a|b.wav", "a b'\"$.wav"):
        path = sound(tmp_path / name, noise(4800), 48_000, "-f", "wav")
        assert probe(path).samples == 4800


def test_a_file_that_changed_after_counting_is_refused(tmp_path: Path) -> None:
    path = sound(tmp_path / "a.wav", noise(48_000), 48_000)
    facts = probe(path)
    sound(path, noise(40_000), 48_000)
    with pytest.raises(InputError, match="changed"):
        write_sound([path], [facts], 25, tmp_path)
    with pytest.raises(ValueError, match="26 frames"):
        write_sound([path], [facts], 26, tmp_path)


def test_a_missing_or_old_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "old"
    old.write_text("#!/bin/sh\necho ffmpeg version 5.1.9-0+deb12u1 Copyright\n")
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho hello\n")
    for program_, text in ((old, "5.1.9"), (other, "another program"), (tmp_path / "none", "does not run")):
        if program_.exists():
            program_.chmod(0o755)
        monkeypatch.setenv("LONGTAKE_FFMPEG", str(program_))
        with pytest.raises(SetupError, match=text) as caught:
            ffmpeg.version()
        assert "LONGTAKE_FFMPEG" in str(caught.value)


def test_a_program_that_takes_too_long_is_stopped() -> None:
    endless = ffmpeg.graph.input("anullsrc", format="lavfi", re=None).output("pipe:1", format="null")
    with pytest.raises(ffmpeg.FfmpegFailed, match="stopped after") as caught, ffmpeg.running(endless, limit=0.5):
        pass
    assert caught.value.late
    assert isinstance(caught.value, LongtakeError)


@pytest.mark.slow
def test_an_hour_is_joined_in_bounded_memory(tmp_path: Path) -> None:
    rate, hour = 8_000, 3600
    path = tmp_path / "hour.flac"
    program("-f", "lavfi", "-i", f"anoisesrc=r={rate}:d={hour}:a=0.01:s=1", "-c:a", "flac", path)
    facts = [probe(path)]
    assert facts[0].samples == rate * hour
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    files = write_sound([path], facts, 25 * hour, tmp_path)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 60, f"{grown:.0f} MiB more"  # the hour alone is 660 MiB as float at 48 kHz
    assert files.speech.stat().st_size == 2 * 16_000 * hour
    assert probe(files.track).samples == 48_000 * hour
    assert len(files.fragments.ranges) == gops_of(25 * hour)


@pytest.mark.parametrize(("place", "channels"), [(0, 1), (70_001, 2), (95_999, 1)])
def test_samples_that_are_no_numbers_are_refused_with_their_time(tmp_path: Path, place: int, channels: int) -> None:
    wave = noise(96_000, channels)
    wave[place, channels - 1] = np.nan
    path = sound(tmp_path / "a.wav", wave, 48_000, "-c:a", "pcm_f32le")
    with pytest.raises(
        InputError, match=rf"a\.wav: samples are not numbers \(NaN\), 1 of them from {place / 48000:.3f} s"
    ):
        probe(path)


def test_samples_beyond_all_measure_are_no_fault(tmp_path: Path) -> None:
    wave = noise(9_600)
    wave[10] = np.inf
    assert probe(sound(tmp_path / "a.wav", wave, 48_000, "-c:a", "pcm_f32le")).samples == 9_600
