"""Sound files: playlists and references in disguise, sizes and rates that lie, bombs, and text in tags."""

from __future__ import annotations

import io
import struct
import subprocess
from pathlib import Path

import numpy as np

from benchmarks.hostile.case import CANARY, Room, case, cases_in
from pipeline.media import ffmpeg

RATE = 16_000


def samples(seconds: float = 1.0) -> bytes:
    count = int(seconds * RATE)
    return np.random.default_rng(0).integers(-3000, 3000, count).astype("<i2").tobytes()


def wav(
    data: bytes | None = None,
    *,
    rate: int = RATE,
    channels: int = 1,
    bits: int = 16,
    code: int = 1,
    riff: int | None = None,
    size: int | None = None,
) -> bytes:
    """A WAV file; `riff` and `size` are what it claims of itself and its samples."""
    data = samples() if data is None else data
    align = channels * bits // 8
    head = struct.pack("<HHIIHH", code, channels, rate, min(rate * align, 2**32 - 1), align & 0xFFFF, bits)
    size = len(data) if size is None else size
    body = b"WAVEfmt " + struct.pack("<I", 16) + head + b"data" + struct.pack("<I", size) + data
    return b"RIFF" + struct.pack("<I", len(body) if riff is None else riff) + body


def encoded(room: Room, name: str, *how: str) -> bytes:
    """The good voice in another format."""
    target = room.scratch / name
    command = [ffmpeg.binary(), "-v", "error", "-y", "-i", str(room.studio / "voice.wav"), *how, str(target)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return target.read_bytes()


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def _playlist(room: Room) -> bytes:
    secret = room.outside / "secret.txt"
    return f"#EXTM3U\n#EXTINF:1,\nfile://{secret}\n#EXTINF:1,\n{room.trap_url}\n#EXT-X-ENDLIST\n".encode()


@case("HLS playlist named wav", "refused", "evil.wav")
def hls(room: Room) -> list[str]:
    return room.audio(_playlist(room))


@case("HLS playlist named m4b", "refused", "evil.m4b")
def hls_m4b(room: Room) -> list[str]:
    return room.audio(_playlist(room), "evil.m4b")


@case("HLS playlist in its own name", "refused", "evil.m3u8")
def hls_own(room: Room) -> list[str]:
    return room.audio(_playlist(room), "evil.m3u8")


@case("concat script", "refused", "evil.m4a")
def concat(room: Room) -> list[str]:
    text = f"ffconcat version 1.0\nfile '{room.outside}/secret.txt'\nfile '{room.trap_url}'\n"
    return room.audio(text.encode(), "evil.m4a")


@case("session description", "refused", "evil.mp3")
def sdp(room: Room) -> list[str]:
    text = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n"
    return room.audio(text.encode(), "evil.mp3")


@case("DASH manifest", "refused", "evil.m4a")
def dash(room: Room) -> list[str]:
    text = f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{room.trap_url}</BaseURL></MPD>'
    return room.audio(text.encode(), "evil.m4a")


@case("script of a frame server", "refused", "evil.avs")
def script(room: Room) -> list[str]:
    return room.audio(f'WAVSource("{room.outside}/secret.txt")'.encode(), "evil.avs")


@case("tracker module", "refused", "evil.mod")
def module(room: Room) -> list[str]:
    return room.audio(b"x" * 1080 + b"M.K." + bytes(4096), "evil.mod")


@case("m4b whose samples lie in another file", "refused", "evil.m4b")
def reference(room: Room) -> list[str]:
    good = encoded(room, "good.m4a", "-c:a", "aac")
    secret = f"file://{room.outside}/secret.txt".encode() + b"\0"
    return room.audio(_with_reference(good, box(b"url ", bytes(4) + secret)), "evil.m4b")


@case("m4b whose samples lie at an address", "refused", "evil.m4b")
def remote_reference(room: Room) -> list[str]:
    good = encoded(room, "good.m4a", "-c:a", "aac")
    return room.audio(_with_reference(good, box(b"url ", bytes(4) + room.trap_url.encode() + b"\0")), "evil.m4b")


@case("m4b with an alias to another file", "refused", "evil.m4b")
def alias(room: Room) -> list[str]:
    good = encoded(room, "good.m4a", "-c:a", "aac")
    path = f"{room.outside}/secret.txt".encode()
    record = struct.pack(">IHH", 0, 150 + 4 + len(path), 2) + bytes(142) + struct.pack(">HH", 2, len(path)) + path
    return room.audio(_with_reference(good, box(b"alis", bytes(4) + record)), "evil.m4b")


def _with_reference(good: bytes, entry: bytes) -> bytes:
    """The file with its data reference replaced, and the samples themselves taken away."""
    at = good.index(b"dref") - 4
    old = int.from_bytes(good[at : at + 4], "big")
    new = box(b"dref", struct.pack(">II", 0, 1) + entry)
    changed = bytearray(good[:at] + new + good[at + old :])
    grown = len(new) - old
    for kind in (b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        place = changed.index(kind) - 4
        size = int.from_bytes(changed[place : place + 4], "big") + grown
        changed[place : place + 4] = struct.pack(">I", size)
    mdat = changed.index(b"mdat") - 4
    size = int.from_bytes(changed[mdat : mdat + 4], "big")
    changed[mdat + 8 : mdat + size] = bytes(size - 8)
    return bytes(changed)


@case("m4a that claims four billion samples", "refused", "evil.m4a")
def sample_count(room: Room) -> list[str]:
    good = bytearray(encoded(room, "good.m4a", "-c:a", "aac"))
    at = good.index(b"stsz") + 8
    good[at : at + 8] = struct.pack(">II", 4, 0xFFFFFFFF)
    return room.audio(bytes(good), "evil.m4a")


@case("m4a whose times run for ever", "refused", "evil.m4a")
def endless_times(room: Room) -> list[str]:
    good = bytearray(encoded(room, "good.m4a", "-c:a", "aac"))
    at = good.index(b"stts") + 8
    good[at : at + 12] = struct.pack(">III", 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    return room.audio(bytes(good), "evil.m4a")


@case("m4a with an edit of sixty years", "harmless")
def edit(room: Room) -> list[str]:
    good = bytearray(encoded(room, "good.m4a", "-c:a", "aac"))
    at = good.index(b"elst") + 12
    good[at : at + 8] = struct.pack(">II", 0x7FFFFFFF, 0)
    return room.audio(bytes(good), "evil.m4a")


@case("m4a without its index", "refused", "evil.m4a")
def no_index(room: Room) -> list[str]:
    good = encoded(room, "good.m4a", "-c:a", "aac")
    return room.audio(good[: good.index(b"moov") - 4], "evil.m4a")


@case("boxes in boxes, 3,000 deep", "refused", "evil.m4a")
def deep_boxes(room: Room) -> list[str]:
    content = b""
    for _ in range(3_000):
        content = box(b"moov", content)
    return room.audio(box(b"ftyp", b"M4A \0\0\0\0") + content, "evil.m4a")


@case("wav of four billion samples claimed", "harmless")
def lying_size(room: Room) -> list[str]:
    return room.audio(wav(size=0xFFFFFFF0, riff=0xFFFFFFFF))


@case("wav of a negative size", "harmless")
def stream_size(room: Room) -> list[str]:
    return room.audio(wav(size=0xFFFFFFFF, riff=0))


@case("wav of 2^63 bytes claimed", "harmless")
def rf64(room: Room) -> list[str]:
    good = wav(size=0xFFFFFFFF, riff=0xFFFFFFFF)
    sizes = b"ds64" + struct.pack("<IQQQI", 28, 2**63 - 1, 2**63 - 1, 2**63 - 1, 0)
    return room.audio(b"RF64" + good[4:12] + sizes + good[12:])


@case("wav at 4 GHz", "refused", "evil.wav")
def rate(room: Room) -> list[str]:
    return room.audio(wav(rate=4_000_000_000))


@case("wav at 2 GHz, within what a decoder takes", "refused", "evil.wav")
def high_rate(room: Room) -> list[str]:
    return room.audio(wav(rate=2_000_000_000))


@case("wav at 1 Hz", "refused", "evil.wav")
def low_rate(room: Room) -> list[str]:
    return room.audio(wav(rate=1))


@case("wav at 0 Hz", "refused", "evil.wav")
def no_rate(room: Room) -> list[str]:
    return room.audio(wav(rate=0))


@case("wav of 65,535 channels", "refused", "evil.wav")
def channels(room: Room) -> list[str]:
    return room.audio(wav(channels=65_535))


@case("wav of no channel", "refused", "evil.wav")
def no_channels(room: Room) -> list[str]:
    return room.audio(wav(channels=0))


@case("wav of 65,535 bits", "refused", "evil.wav")
def bits(room: Room) -> list[str]:
    return room.audio(wav(bits=65_535))


@case("wav without samples", "refused", "no samples")
def empty(room: Room) -> list[str]:
    return room.audio(wav(b""))


@case("head of a wav alone", "refused", "evil.wav")
def head(room: Room) -> list[str]:
    return room.audio(wav()[:30])


@case("wav of an unknown code", "refused", "evil.wav")
def code(room: Room) -> list[str]:
    return room.audio(wav(code=0xBEEF))


@case("wav of samples that are not numbers", "refused", "not numbers")
def not_numbers(room: Room) -> list[str]:
    return room.audio(wav(np.full(RATE, np.nan, "<f4").tobytes(), bits=32, code=3))


@case("wav of infinite samples", "harmless")
def infinite(room: Room) -> list[str]:
    return room.audio(wav(np.full(RATE, np.inf, "<f4").tobytes(), bits=32, code=3))


def _crc(data: bytes, polynomial: int, bits: int) -> int:
    value, top, mask = 0, 1 << (bits - 1), (1 << bits) - 1
    for byte in data:
        value ^= byte << (bits - 8)
        for _ in range(8):
            value = ((value << 1) ^ polynomial if value & top else value << 1) & mask
    return value


def _utf8(number: int) -> bytes:
    return chr(number).encode() if number < 0xD800 else b"\xed\x80\x80"


def flac(frames: int, channels: int = 8, rate: int = 192_000) -> bytes:
    """Silence: each frame of some thirty bytes stands for 65,535 samples a channel."""
    fields = rate << 44 | (channels - 1) << 41 | 15 << 36
    info = struct.pack(">HH", 65_535, 65_535) + bytes(6) + fields.to_bytes(8, "big") + bytes(16)
    out = io.BytesIO()
    out.write(b"fLaC\x80" + len(info).to_bytes(3, "big") + info)
    silence = b"\0\0\0" * channels  # constant subframes of value 0
    for number in range(frames):
        start = b"\xff\xf8" + bytes([0x70 | 3, (channels - 1) << 4 | 8]) + _utf8(number) + struct.pack(">H", 65_534)
        start += bytes([_crc(start, 0x07, 8)])
        out.write(start + silence + struct.pack(">H", _crc(start + silence, 0x8005, 16)))
    return out.getvalue()


@case("flac that unfolds fiftythousandfold", "refused", "evil.flac", "unfolds", seconds=40)
def flac_bomb(room: Room) -> list[str]:
    return room.audio(flac(2_000), "evil.flac")


@case("mp3 whose tag claims 256 MiB", "refused", "evil.mp3")
def tag_size(room: Room) -> list[str]:
    good = encoded(room, "good.mp3", "-c:a", "libmp3lame")
    return room.audio(b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + good, "evil.mp3")


@case("tags of terminal codes, markup and lines", "harmless")
def tag_text(room: Room) -> list[str]:
    text = "\x1b[2J</title><script>alert(1)</script>\n[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=9\ntitle=" + CANARY[:6]
    return room.audio(encoded(room, "good.m4a", "-c:a", "aac", "-metadata", f"title={text}"), "evil.m4a")


@case("12,000 chapters", "harmless", seconds=30)
def chapters(room: Room) -> list[str]:
    notes = [";FFMETADATA1"]
    for number in range(12_000):
        notes += ["[CHAPTER]", "TIMEBASE=1/100000", f"START={number}", f"END={number + 1}", f"title=c{number}"]
    path = Path(room.scratch, "notes")
    path.write_text("\n".join(notes))
    how = ["-i", str(path), "-map_chapters", "1", "-c:a", "libvorbis"]
    return room.audio(encoded(room, "good.mka", *how), "evil.mka")


@case("ogg cut in the middle of a page", "refused", "evil.ogg")
def ogg(room: Room) -> list[str]:
    good = encoded(room, "good.ogg", "-c:a", "libvorbis")
    return room.audio(good[: len(good) * 2 // 3 - 7], "evil.ogg")


@case("500 streams chained in one ogg", "harmless", seconds=40)
def chained(room: Room) -> list[str]:
    good = encoded(room, "good.ogg", "-c:a", "libvorbis", "-t", "0.05")
    return room.audio(good * 500, "evil.ogg")


@case("sound of noise", "refused", "evil.wav")
def noise(room: Room) -> list[str]:
    return room.audio(np.random.default_rng(2).integers(0, 256, 500_000, dtype=np.uint8).tobytes())


@case("picture as sound", "refused", "face.png")
def image(room: Room) -> list[str]:
    return room.title(audio="face.png")


@case("file named like a protocol", "harmless")
def named(room: Room) -> list[str]:
    return room.audio(wav(), "concat:a|-i.wav")


@case("file named like an option", "harmless")
def option(room: Room) -> list[str]:
    return room.audio(wav(), "-filter_complex")


CASES = cases_in(globals())
