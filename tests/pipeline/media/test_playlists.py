"""HLS playlists: their text, and that every prefix plays."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pipeline.media.boxes import codec_string
from pipeline.media.playlists import bit_rates, index_playlist, sound_playlist, video_playlist
from pipeline.media.sound import write_sound
from pipeline.media.sound_in.probe import probe
from tests.pipeline.media.test_encode import gops, number_of
from tests.support.media_sources import clicks, peaks, program, sound

FRAMES = [48, 48, 1]


def test_video_playlist() -> None:
    text = video_playlist("../s/init.mp4", [("../s/0 a.m4s", 48), ("../s/b:48.m4s", 1)], True)
    assert text == (
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:EVENT\n"
        '#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI="../s/init.mp4"\n'
        "#EXT-X-PROGRAM-DATE-TIME:2000-01-01T00:00:00.000Z\n"
        "#EXTINF:1.92,\n../s/0%20a.m4s\n#EXTINF:0.04,\n../s/b%3A48.m4s\n#EXT-X-ENDLIST\n"
    )


def test_sound_playlist() -> None:
    text = sound_playlist("a.mp4", 700, [(700, 90), (790, 80), (870, 5)], [48, 48], False)
    assert text.splitlines()[6:] == [
        '#EXT-X-MAP:URI="a.mp4",BYTERANGE="700@0"',
        "#EXT-X-PROGRAM-DATE-TIME:2000-01-01T00:00:00.000Z",
        "#EXTINF:1.92,", "#EXT-X-BYTERANGE:90@700", "a.mp4",
        "#EXTINF:1.92,", "#EXT-X-BYTERANGE:80@790", "a.mp4",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="sound of 1 GOPs for 2"):
        sound_playlist("a.mp4", 700, [(700, 90)], [48, 48], False)


def test_index_playlist() -> None:
    text = index_playlist(
        "h/video.m3u8", "h/sound.m3u8", codec="avc1.640028", width=1024, height=1024, channels=1,
        video_bits=(2_000_000, 900_000), sound_bits=(100_000, 96_000),
    )  # fmt: skip
    assert 'CODECS="avc1.640028,mp4a.40.2",RESOLUTION=1024x1024,FRAME-RATE=25.000,AUDIO="sound"\nh/video.m3u8' in text
    assert "BANDWIDTH=2100000,AVERAGE-BANDWIDTH=996000," in text
    assert 'GROUP-ID="sound",NAME="Speech",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="1",URI="h/sound.m3u8"' in text


def test_only_relative_paths_are_pointed_at() -> None:
    for path in ("/abs/init.mp4", "https://host/init.mp4"):
        with pytest.raises(ValueError, match="relative"):
            video_playlist(path, [], False)


def test_a_longer_playlist_only_adds_lines() -> None:
    fragments = [(f"{k}.m4s", count) for k, count in enumerate(FRAMES)]
    texts = [video_playlist("init.mp4", fragments[:k], finished=k == 3) for k in range(4)]
    for shorter, longer in pairwise(texts):
        assert longer.startswith(shorter)


def test_bit_rates() -> None:
    assert bit_rates([48_000, 96_000, 4_000], FRAMES) == (400_000, -(-148_000 * 8 * 25 // 97))
    assert bit_rates([5_000], [1]) == (-(-5_000 * 8 * 25 // 48), -(-5_000 * 8 * 25 // 48))
    assert bit_rates([], []) == (1, 1)


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_every_prefix_plays_with_its_sound(tmp_path: Path, codec: str) -> None:
    fragments = gops(97, codec)
    places = [5_000, 92_160 + 40_000, 92_160 * 2 + 900]
    wave = sound(tmp_path / "a.wav", clicks(1920 * 97, places, width=8), 48_000)
    files = write_sound([wave], [probe(wave)], 97, tmp_path)
    (tmp_path / "init.mp4").write_bytes(fragments[0].init)
    for index, fragment in enumerate(fragments):
        (tmp_path / f"{index}.m4s").write_bytes(fragment.data)
    for count in (1, 2, 3):
        listed = [(f"{index}.m4s", f.frames) for index, f in enumerate(fragments[:count])]
        (tmp_path / "video.m3u8").write_text(video_playlist("init.mp4", listed, finished=True))
        (tmp_path / "sound.m3u8").write_text(
            sound_playlist("hls.mp4", files.fragments.init_bytes, files.fragments.ranges, FRAMES[:count], True)
        )
        (tmp_path / "index.m3u8").write_text(
            index_playlist(
                "video.m3u8", "sound.m3u8", codec=codec_string(fragments[0].init), width=64, height=64, channels=1,
                video_bits=bit_rates([len(f.data) for f in fragments[:count]], FRAMES[:count]),
                sound_bits=bit_rates([s for _, s in files.fragments.ranges[:count]], FRAMES[:count]),
            )
        )  # fmt: skip
        frames = sum(FRAMES[:count])
        raw = program(
            "-allowed_extensions", "ALL", "-extension_picky", 0, "-i", tmp_path / "index.m3u8", "-map", "0:v",
            "-fps_mode", "passthrough", "-pix_fmt", "yuv420p", "-f", "rawvideo", "-",
        )  # fmt: skip
        assert [number_of(p) for p in np.frombuffer(raw, np.uint8).reshape(-1, 96, 64)] == list(range(frames))
        heard = np.frombuffer(
            program("-allowed_extensions", "ALL", "-i", tmp_path / "sound.m3u8", "-f", "f32le", "-"), "<f4"
        )
        assert peaks(heard) == pytest.approx([p + 3.5 for p in places if p < 1920 * frames], abs=5)
        durations = [float(d) for d in re.findall(r"#EXTINF:([\d.]+)", (tmp_path / "sound.m3u8").read_text())]
        assert sum(durations) == pytest.approx(frames / 25, abs=1e-9)
