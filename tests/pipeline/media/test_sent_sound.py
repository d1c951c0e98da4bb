"""Sound as people send it: cut off, late, with holes, of no known length, with what is no sound between its frames."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import InputError
from pipeline.media.sound import write_sound
from pipeline.media.sound_in.clock import gaps_of, with_silence
from pipeline.media.sound_in.facts import AudioFacts
from pipeline.media.sound_in.probe import probe
from tests.support.media_sources import clicks, decoded, noise, peaks, program, sound

RATE = 48_000
MADE = ["wav", "aiff", "caf", "w64", "au", "flac", "mp3", "ogg", "opus", "mka", "webm", "m4a", "wma", "avi", "wv"]
HOLES = [("mkv", "flac"), ("mp4", "alac"), ("webm", "libopus"), ("mka", "pcm_s16le")]


def made(folder: Path, kind: str, samples: int = 3 * RATE, channels: int = 1) -> Path:
    more = ("-c:a", "libopus") if kind == "webm" else ("-movflags", "+faststart") if kind in ("m4a", "mov") else ()
    return sound(folder / f"a.{kind}", noise(samples, channels), RATE, *more)


def changed(path: Path, data: bytes) -> Path:
    target = path.with_name(f"b{path.suffix}")
    target.write_bytes(data)
    return target


# -- cut off -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.6, 0.97])
@pytest.mark.parametrize("kind", MADE)
def test_what_was_cut_off_is_refused_and_accepted_where_it_is_meant(tmp_path: Path, kind: str, share: float) -> None:
    whole = made(tmp_path, kind)
    data = whole.read_bytes()
    cut = changed(whole, data[: int(share * len(data))])
    with pytest.raises(InputError, match=rf"b\.{kind}: .*export it again"):
        probe(cut)
    facts = probe(cut, accept_short=True)
    assert facts.short
    assert facts.notes[0].startswith(f"b.{kind}: was cut off, and is meant so: ")
    assert share / 2 <= facts.samples / probe(whole).samples < 1.03
    files = write_sound([cut], [facts], -(-facts.samples * 25 // facts.rate), tmp_path)
    assert files.channels == 1


@pytest.mark.parametrize("kind", ["flac", "tta"])
def test_damage_in_the_middle_is_no_end_that_is_meant(tmp_path: Path, kind: str) -> None:
    path = made(tmp_path, kind)
    data = path.read_bytes()
    middle = len(data) // 4
    spoilt = changed(path, data[:middle] + np.random.default_rng(0).bytes(9000) + data[middle + 9000 :])
    for accept_short in (False, True):
        with pytest.raises(InputError, match="cannot be decoded as sound"):
            probe(spoilt, accept_short=accept_short)


def test_a_film_whose_sound_ends_before_its_picture_is_not_cut_off(tmp_path: Path) -> None:
    voice = made(tmp_path, "wav")
    for kind in ("mkv", "mp4"):
        film = tmp_path / f"film.{kind}"
        program("-f", "lavfi", "-i", "color=size=64x64:rate=25:duration=6", "-i", voice, "-c:a", "flac", film)
        assert probe(film).samples == 3 * RATE


def test_a_track_of_a_film_that_says_how_long_it_is_is_held_to_it(tmp_path: Path) -> None:
    film = tmp_path / "film.mkv"
    program(
        "-f", "lavfi", "-i", "color=size=64x64:rate=25:duration=6", "-i", made(tmp_path, "wav"),
        "-c:a", "flac", film,
    )  # fmt: skip
    data = film.read_bytes()
    assert data.count(b"00:00:03.000000000") == 1
    with pytest.raises(InputError, match=r"b\.mkv: was cut off: it states a length of 4\.00 s, 3\.00 s are there"):
        probe(changed(film, data.replace(b"00:00:03.000000000", b"00:00:04.000000000")))


def test_an_mp3_file_of_more_frames_than_its_first_part_states_is_whole(tmp_path: Path) -> None:
    one = made(tmp_path, "mp3")
    assert probe(changed(one, one.read_bytes() * 2)).samples > 5.9 * RATE


def test_a_length_that_is_a_guess_claims_nothing(tmp_path: Path) -> None:
    path = sound(tmp_path / "a.mp3", noise(3 * RATE), RATE, "-write_xing", 0, "-b:a", "128k")
    cut = changed(path, path.read_bytes()[: 384 * 70])
    assert probe(cut).samples == 70 * 1152
    assert probe(changed(path, path.read_bytes()[: 384 * 70 + 9])).notes == (
        "b.mp3: the last frame, at byte 26,540, is not all there",
    )


def test_an_ogg_file_that_lost_a_page_is_refused(tmp_path: Path) -> None:
    path = made(tmp_path, "opus")
    data = path.read_bytes()
    pages = [place for place in range(len(data)) if data[place : place + 4] == b"OggS"]
    with pytest.raises(InputError, match=r"1 of its pages are missing before byte"):
        probe(changed(path, data[: pages[3]] + data[pages[4] :]))


# -- no known length ---------------------------------------------------------------------------------------------------

UNKNOWN = (0xFFFFFFFF, 0, 0x7FFFFFFF, 0xFFFFFFFF - 36, 0x7FFFF000, 0x80000000)


@pytest.mark.parametrize("size", UNKNOWN)
def test_a_wav_file_of_no_known_length_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    path = made(tmp_path, "wav", 3 * RATE + 5, channels=2)
    data = path.read_bytes()
    at = data.index(b"data") + 4
    endless = changed(path, data[:4] + struct.pack("<I", size) + data[8:at] + struct.pack("<I", size) + data[at + 4 :])
    facts = probe(endless)
    assert (facts.samples, facts.channels, facts.short) == (3 * RATE + 5, 2, "")
    files = write_sound([endless], [facts], 76, tmp_path)
    assert np.abs(decoded(files.track, 2)[: 3 * RATE]).max() > 0.005
    odd = changed(endless, endless.read_bytes() + b"\1\2\3")  # three bytes of a sample of four
    assert probe(odd).samples == 3 * RATE + 5


@pytest.mark.parametrize("form", ["wav", "w64", "caf", "aiff", "au", "flac", "matroska", "webm", "rf64"])
def test_what_came_through_a_pipe_is_read_to_its_end(tmp_path: Path, form: str) -> None:
    options = {"webm": ["-c:a", "libopus", "-f", "webm"], "rf64": ["-rf64", "always", "-f", "wav"]}
    how = options.get(form, ["-f", form])
    path = tmp_path / "piped"
    path.write_bytes(program("-i", made(tmp_path, "wav", 3 * RATE + 5), *how, "pipe:1"))
    assert probe(path).samples == 3 * RATE + 5


def test_an_empty_wav_file_with_tags_behind_it_is_empty(tmp_path: Path) -> None:
    head = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16) + b"data\0\0\0\0"
    tag = b"LIST\x0c\0\0\0INFOIART\0\0\0\0"
    path = tmp_path / "empty.wav"
    path.write_bytes(b"RIFF" + struct.pack("<I", len(head) + len(tag)) + head + tag)
    with pytest.raises(InputError, match="zero length"):
        probe(path)


# -- what is no sound --------------------------------------------------------------------------------------------------

ID3 = b"ID3\x03\0\0\0\0\x02\x14" + bytes(250) + b"\xff\xfb\x90\x64\xff\xf1\x50\x80"[:4] + bytes(22)
ID3_V1 = b"TAG" + b"a title".ljust(125, b"\0")
APE = b"APETAGEX" + struct.pack("<IIII", 2000, 32 + 20, 1, 0xA0000000) + bytes(8 + 20)
APE += b"APETAGEX" + struct.pack("<IIII", 2000, 32 + 20, 1, 0x80000000) + bytes(8)
HTML = b"<html><body>504 Gateway Time-out</body></html>\r\n" * 9
ZEROS = bytes(5000)


@pytest.mark.parametrize("junk", [ID3, ID3_V1, APE, HTML, ZEROS, HTML + ZEROS + ID3_V1], ids=range(6))
@pytest.mark.parametrize("kind", ["mp3", "mp2", "aac", "ac3", "eac3"])
def test_tags_zeros_and_text_between_frames_are_no_sound(tmp_path: Path, kind: str, junk: bytes) -> None:
    path = made(tmp_path, kind)
    data, samples = path.read_bytes(), probe(path).samples
    frame = _frame_near(kind, data, len(data) // 2)
    inside = [changed(path, data[:frame] + junk + data[frame:]), frame]
    for where, place in ((inside[0], inside[1]), (changed(path, data + junk), len(data))):
        where = changed(path, data[:place] + junk + data[place:])
        facts = probe(where)
        assert facts.samples == samples, place
        assert facts.mended or (place == len(data) and junk in (ID3_V1, APE))
        assert not facts.mended or "no sound, left out" in facts.notes[0]
    write_sound([where], [facts], -(-samples * 25 // RATE), tmp_path)


def _frame_near(kind: str, data: bytes, place: int) -> int:
    """Where a frame begins."""
    from pipeline.media.sound_in import frames

    length = {"aac": frames.adts_length, "ac3": frames.ac3_length, "eac3": frames.ac3_length}.get(
        kind, frames.mpeg_length
    )
    at = 10 + int(data[9]) if data[:3] == b"ID3" else 0
    while at < place:
        at += length(data[at : at + 64])
    return at


def test_a_tag_in_the_middle_of_a_frame_is_no_sound(tmp_path: Path) -> None:
    path = made(tmp_path, "mp3")
    data = path.read_bytes()
    place = _frame_near("mp3", data, 20_000) + 100
    assert probe(changed(path, data[:place] + ID3 + data[place:])).samples == 3 * RATE


@pytest.mark.parametrize("junk", [ID3_V1, HTML, ZEROS], ids=["tag", "text", "zeros"])
@pytest.mark.parametrize("kind", ["flac", "wv", "au", "wav", "m4a", "ogg", "mka", "amr"])
def test_tags_zeros_and_text_at_the_end_are_no_sound(tmp_path: Path, kind: str, junk: bytes) -> None:
    if kind == "amr":
        path = sound(tmp_path / "a.amr", noise(24_000), 8_000, "-c:a", "libopencore_amrnb")
    else:
        path = made(tmp_path, kind)
    assert probe(changed(path, path.read_bytes() + junk)).samples == probe(path).samples


@pytest.mark.parametrize("kind", ["mp3", "aac", "ac3", "flac"])
def test_random_bytes_inside_are_damage_told_in_words(tmp_path: Path, kind: str) -> None:
    path = made(tmp_path, kind)
    data = path.read_bytes()
    middle = len(data) // 2
    spoilt = np.random.default_rng(5).bytes(900)
    for bad in (data[:middle] + spoilt + data[middle:], data[:middle] + spoilt + data[middle + 900 :]):
        with pytest.raises(InputError, match=r"cannot be decoded as sound \([A-Za-z].*export it again") as caught:
            probe(changed(path, bad))
        assert "ended with code" not in str(caught.value)


# -- time stamps -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "codec"), [("mkv", "flac"), ("mp4", "alac"), ("mov", "pcm_s16le"), ("ts", "mp2")])
def test_sound_that_begins_after_its_picture_has_silence_before_it(tmp_path: Path, kind: str, codec: str) -> None:
    film = tmp_path / f"film.{kind}"
    voice = sound(tmp_path / "a.wav", clicks(2 * RATE, [RATE], width=40), RATE)
    program(
        "-f", "lavfi", "-i", "color=size=64x64:rate=25:duration=4", "-itsoffset", 1.5, "-i", voice,
        "-map", "0:v", "-map", "1:a", "-c:a", codec, "-muxdelay", 0, "-muxpreload", 0, film,
    )  # fmt: skip
    facts = probe(film)
    assert [place for place, _ in facts.gaps] == [0]
    assert facts.gaps[0][1] == pytest.approx(1.5 * RATE, abs=RATE // 25)
    assert "its sound begins late; 1." in facts.notes[0]
    frames = -(-facts.samples * 25 // facts.rate)
    files = write_sound([film], [facts], frames, tmp_path)
    (heard,) = peaks(decoded(files.track)[:, 0])
    assert heard == pytest.approx(facts.gaps[0][1] + RATE + 20, abs=1200 if codec == "mp2" else 30)


@pytest.mark.parametrize(("kind", "codec"), HOLES)
def test_a_hole_in_the_time_stamps_is_silence(tmp_path: Path, kind: str, codec: str) -> None:
    voice = sound(tmp_path / "a.wav", clicks(4 * RATE, [RATE, 3 * RATE], width=40), RATE)
    path = tmp_path / f"hole.{kind}"
    program("-i", voice, "-af", "aselect='not(between(t,1.5,2.5))'", "-c:a", codec, path)
    facts = probe(path)
    assert len(facts.gaps) == 1
    assert facts.gaps[0][1] == pytest.approx(RATE, abs=RATE // 20)
    assert facts.samples == pytest.approx(4 * RATE, abs=RATE // 20)
    files = write_sound([path], [facts], -(-facts.samples * 25 // RATE), tmp_path)
    assert peaks(decoded(files.track)[:, 0]) == pytest.approx([RATE + 20, 3 * RATE + 20], abs=60)


def test_a_clock_that_wanders_or_starts_anew_puts_in_nothing() -> None:
    steady = [(k * 1000, 1000) for k in range(100)]
    assert gaps_of(steady, RATE) == []
    rng = np.random.default_rng(0)
    wandering = [(stamp + int(rng.integers(-900, 900)), count) for stamp, count in steady]
    assert gaps_of(wandering, RATE) == []
    assert gaps_of([*steady, *steady], RATE) == []
    later = [(stamp + 10**6, count) for stamp, count in steady]
    assert gaps_of(later, RATE) == []
    assert gaps_of(later, RATE, begins=10**6) == gaps_of(steady, RATE, begins=10**6) == [(0, 10**6)]
    assert gaps_of([(0, 1000), (9000, 1000), (10_000, 10)], RATE) == [(1000, 8000)]


def test_silence_lies_exactly_where_it_belongs() -> None:
    blocks = [np.full((count, 2), 1.0, np.float32) for count in (5, 1, 7, 3)]
    whole = np.concatenate(list(with_silence(blocks, [(0, 4), (7, 2), (12, 1)])))[:, 1]
    assert whole.tolist() == [0] * 4 + [1] * 3 + [0] * 2 + [1] * 3 + [0] + [1] * 10


def test_a_small_file_does_not_unfold_to_days_of_silence(tmp_path: Path) -> None:
    path = tmp_path / "hole.mka"
    program("-i", made(tmp_path, "wav"), "-af", "asetpts='if(gt(T,1),PTS+6e8,PTS)'", "-c:a", "flac", path)
    with pytest.raises(InputError, match=r"its time stamps leave holes of [0-9,]+ s in 3 s of sound"):
        probe(path)


# -- channels and tracks -----------------------------------------------------------------------------------------------


def _wav(path: Path, wave: np.ndarray, rate: int = 16_000) -> Path:
    """Without a layout of its channels, as recorders of many microphones write it."""
    data, channels = (wave * 32767).astype("<i2").tobytes(), wave.shape[1]
    head = struct.pack("<HHIIHH", 1, channels, rate, rate * 2 * channels, 2 * channels, 16)
    body = b"WAVEfmt " + struct.pack("<I", 16) + head + b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def _tone(channels: int, *sounding: int, rate: int = 16_000) -> np.ndarray:
    wave = np.zeros((rate, channels), np.float32)
    wave[:, list(sounding)] = 0.5 * np.sin(np.arange(rate) * 2 * np.pi * 400 / rate)[:, None]
    return wave


@pytest.mark.parametrize("channels", [3, 4, 5, 6, 8, 9, 16, 32])
def test_every_channel_of_many_is_heard(tmp_path: Path, channels: int) -> None:
    for one in {2, min(3, channels - 1), channels - 1}:
        path = _wav(tmp_path / "a.wav", _tone(channels, one))
        facts = probe(path)
        assert (facts.channels, facts.samples) == (channels, 16_000)
        files = write_sound([path], [facts], 25, tmp_path)
        assert np.abs(decoded(files.track, 2)).max() > 0.2 / channels
    assert (facts.mix == "") == (channels in (4, 5))


def test_the_third_of_three_channels_is_heard_whatever_it_is_called(tmp_path: Path) -> None:
    for kind, layout in (("flac", "3.0"), ("wav", "2.1"), ("mka", "2.1"), ("caf", "3.0")):
        path = tmp_path / f"named.{kind}"
        program("-ch_layout", layout, "-i", _wav(tmp_path / "a.wav", _tone(3, 2)), path)
        files = write_sound([path], [probe(path)], 25, tmp_path)
        assert np.abs(decoded(files.track, 2)).max() > 0.05, (kind, layout)


@pytest.mark.parametrize("sides", [(1, -1), (0.8, -1), (-1, 0.9)])
def test_sound_out_of_phase_drives_the_face_with_one_channel(tmp_path: Path, sides: tuple[float, float]) -> None:
    voice = _tone(1, 0)
    path = _wav(tmp_path / "a.wav", voice * np.array([sides], np.float32))
    facts = probe(path)
    assert facts.face == ("left" if abs(sides[0]) >= abs(sides[1]) else "right")
    files = write_sound([path], [facts], 25, tmp_path)
    speech = np.frombuffer(files.speech.read_bytes(), "<i2") / 32768
    assert np.abs(speech[1000:15_000]).max() == pytest.approx(0.5, abs=0.02)
    heard = decoded(files.track, 2)[4000:44_000]  # the sound that people hear is as it was
    assert np.abs(heard[:, 0] * sides[1] - heard[:, 1] * sides[0]).max() < 0.05


@pytest.mark.parametrize("sides", [(1, 1), (1, 0), (0, 1), (1, -0.4), (0.3, 1)])
def test_other_stereo_is_heard_as_the_mean_as_ever(tmp_path: Path, sides: tuple[float, float]) -> None:
    facts = probe(_wav(tmp_path / "a.wav", _tone(1, 0) * np.array([sides], np.float32)))
    assert (facts.face, facts.treatment()) == ("", {})


def test_channels_out_of_phase_among_many_are_noticed(tmp_path: Path) -> None:
    wave = _tone(4, 0, 1)
    wave[:, 1] *= -1
    assert probe(_wav(tmp_path / "a.wav", wave)).face in ("left", "right")


def test_a_separated_voice_comes_from_the_channel_that_drives_the_face(tmp_path: Path) -> None:
    given: list[np.ndarray] = []

    def voices(blocks):  # type: ignore[no-untyped-def]
        for block in blocks:
            given.append(block)
            yield block

    path = _wav(tmp_path / "a.wav", _tone(1, 0) * np.array([[1, -1]], np.float32))
    files = write_sound([path], [probe(path)], 25, tmp_path, voices)
    heard = np.concatenate(given)
    assert np.abs(heard[:, 0] - heard[:, 1]).max() < 1e-4
    assert np.abs(np.frombuffer(files.speech.read_bytes(), "<i2")).max() > 15_000


@pytest.mark.parametrize("kind", ["mka", "m4a", "mov", "ts"])
def test_of_several_tracks_the_default_one_is_heard(tmp_path: Path, kind: str) -> None:
    one = sound(tmp_path / "one.wav", noise(RATE), RATE)
    two = sound(tmp_path / "two.wav", noise(2 * RATE), RATE)
    path = tmp_path / f"both.{kind}"
    codec = {"mka": "flac", "m4a": "alac", "mov": "pcm_s16le", "ts": "mp2"}[kind]
    program(
        "-i", one, "-i", two, "-map", 0, "-map", 1, "-c:a", codec, "-metadata:s:a:1", "language=fra",
        "-disposition:a:0", 0, "-disposition:a:1", "default", path,
    )  # fmt: skip
    facts = probe(path)
    if kind == "ts":  # has no mark for it: the first
        assert facts.track == 0
        assert "2 tracks of sound; track 1 is heard, the first" in facts.notes[0]
        return
    assert (facts.track, facts.samples) == (1, 2 * RATE)
    assert "2 tracks of sound; track 2 (fra) is heard, the default one" in facts.notes[0]
    files = write_sound([path], [facts], 50, tmp_path)
    assert np.abs(decoded(files.track)[RATE + 5000 :]).max() > 0.003


def test_what_most_files_are_is_treated_as_ever(tmp_path: Path) -> None:
    many: list[Callable[[], Path]] = [lambda kind=kind: made(tmp_path, kind, channels=2) for kind in MADE]  # type: ignore[misc]
    assert all(probe(make()).treatment() == {} for make in many)
    assert AudioFacts(1, 48_000, 2).treatment() == {}


# -- several files, one behind the other -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["wav", "aiff", "caf", "w64", "au", "m4a", "wma", "tta"])
def test_a_second_file_that_players_do_not_reach_is_no_silent_loss(tmp_path: Path, kind: str) -> None:
    data = made(tmp_path, kind).read_bytes()
    with pytest.raises(InputError, match=r"another begins at byte .*; cut them apart and list them under audio"):
        probe(changed(tmp_path / f"a.{kind}", data + data))


@pytest.mark.parametrize("kind", ["flac", "opus", "ogg", "mka", "webm", "wv", "ac3", "amr"])
def test_joined_files_that_players_read_on_are_read_on(tmp_path: Path, kind: str) -> None:
    if kind == "amr":
        path = sound(tmp_path / "a.amr", noise(24_000), 8_000, "-c:a", "libopencore_amrnb")
    else:
        path = made(tmp_path, kind)
    facts, both = probe(path), changed(path, path.read_bytes() * 2)
    joined = probe(both)
    assert joined.samples == pytest.approx(2 * facts.samples, abs=1000)
    files = write_sound([both], [joined], -(-joined.samples * 25 // joined.rate), tmp_path)
    assert files.channels == 1
