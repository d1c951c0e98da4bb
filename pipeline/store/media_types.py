"""What an object is, by its name: the one list for stores that keep types and for the server that sends them."""

from __future__ import annotations

_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "jpg": "image/jpeg",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "m3u8": "application/vnd.apple.mpegurl",
    "m4a": "audio/mp4",
    "m4s": "video/iso.segment",
    "mp4": "video/mp4",
    "png": "image/png",
    "srt": "text/plain; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}


def media_type(key: str) -> str:
    """The media type of an object; bytes where the name does not tell, inputs among them."""
    return _TYPES.get(key.rpartition("/")[2].rpartition(".")[2].lower(), "application/octet-stream")
