"""The result: fragments and the encoded track joined by stream copy into one file that says how it was made."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

import ffmpeg as graph

from pipeline.core.errors import DamagedObject, LongtakeError
from pipeline.core.timeline import FPS
from pipeline.media import ffmpeg, tags
from pipeline.media.boxes import top_boxes, uuid_box
from pipeline.media.inspect_media import count_frames
from pipeline.media.languages import three_letters
from pipeline.media.stills import first_picture
from pipeline.media.tags import Chapter
from pipeline.sources import captions
from pipeline.sources.captions import Cue
from pipeline.sources.portrait import jpeg

NOTICE = "AI-generated video: a synthetic talking portrait, made with Longtake"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
XMP_BOX = bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC")  # identity of the XMP box in ISO media files
_SPACES = {
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "longtake": "urn:longtake:provenance:1#",
}


def provenance_xmp(plan_hash: str, software: str) -> bytes:
    """An XMP packet: made by a trained algorithm (IPTC), with the hash of the plan and the software's name."""
    spaces = " ".join(f'xmlns:{name}="{url}"' for name, url in _SPACES.items())
    facts = {
        "Iptc4xmpExt:DigitalSourceType": SOURCE_TYPE,
        "xmp:CreatorTool": software,
        "longtake:PlanHash": plan_hash,
    }
    described = " ".join(f"{name}={quoteattr(value)}" for name, value in facts.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        f'<rdf:Description rdf:about="" {spaces} {described}/>\n'
        '</rdf:RDF></x:xmpmeta>\n<?xpacket end="r"?>'
    ).encode()


def read_xmp(path: Path) -> bytes | None:
    """The XMP packet of a finished file, None if it has none."""
    with path.open("rb") as stream:
        for box in top_boxes(stream):
            stream.seek(box.offset + box.header)
            if box.kind == "uuid" and stream.read(16) == XMP_BOX:
                return stream.read(box.size - box.header - 16)
    return None


def _with_notice(found: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    given = dict(found)
    own = given.pop("comment", "")
    return [*given.items(), ("comment", f"{NOTICE}. {own}" if own else NOTICE)]


def write_final(
    init: bytes,
    fragments: Iterable[bytes],
    track: str | Path,
    out: str | Path,
    *,
    frames: int,
    chapters: Sequence[Chapter] = (),
    tags_found: Iterable[tuple[str, str]] = (),
    cover: bytes = b"",
    cues: Sequence[Cue] = (),
    language: str = "und",
    xmp: bytes = b"",
    alive: Callable[[], None] = lambda: None,
) -> None:
    """Joins the first `frames` frames of a title with its sound into `out`, nothing being encoded again.

    `fragments` are those of the frames in order, from GOP 0 on; they are read one at a time. The sound is cut by
    packets: a prefix of whole GOPs ends on a packet. The file starts fast (index first), keeps the sound's edit list,
    chapters, tags, `cover` (a JPEG) and `cues` as a text track, and ends with `xmp`. `alive` is called with every
    fragment and while the file is put in order.
    Raises DamagedObject if the parts do not make up these frames; `out` is then removed.
    """
    track, out = Path(track), Path(out)
    seconds = frames / FPS
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder, "notes")
        kept = tags.cut(chapters, frames * 1000 // FPS)
        notes.write_text(tags.write(kept, _with_notice(tags_found)), "utf-8")
        image = Path(folder, "cover.jpg") if cover else None
        if image:
            image.write_bytes(cover)
        said = captions.cut(cues, frames * 1000 // FPS)
        words = Path(folder, "captions.vtt") if said else None
        if words:
            words.write_text(captions.vtt(said), "utf-8")
        flags = "+faststart" if len(kept) <= tags.LONGEST_NERO_LIST else "+faststart+disable_chpl"
        command = _copy(track, notes, out, seconds, image, words, three_letters(language), flags)
        try:
            with ffmpeg.running(command, stdin=subprocess.PIPE, alive=alive, makes=(out,)) as run:
                run.feed(init)
                for fragment in fragments:
                    run.feed(fragment)
            found = _frames_in(out)
            if found != frames:
                raise DamagedObject(f"{out.name}: {found} frames were joined, {frames} were expected; verify the title")
            with out.open("ab") as end:
                if xmp:
                    end.write(uuid_box(XMP_BOX, xmp))
                end.flush()
                os.fsync(end.fileno())
        except ffmpeg.FfmpegFailed as error:
            out.unlink(missing_ok=True)
            if isinstance(error, ffmpeg.FfmpegKilled):
                raise
            raise DamagedObject(
                f"{out.name}: the fragments cannot be joined ({error.said}); verify the title"
            ) from None
        except BaseException:
            out.unlink(missing_ok=True)
            raise


def _frames_in(path: Path) -> int:
    try:
        return count_frames(path)
    except LongtakeError:
        return 0  # not even a video: the caller says what was expected


def _copy(
    track: Path,
    notes: Path,
    out: Path,
    seconds: float,
    cover: Path | None,
    said: Path | None,
    language: str,
    flags: str,
) -> object:
    pictures = graph.input("pipe:0", format="mp4")
    sound = graph.input(ffmpeg.to_file(track), format="mp4", t=f"{seconds:.2f}")
    words = graph.input(ffmpeg.to_file(notes), format="ffmetadata")
    streams = [pictures["v:0"], sound["a:0"], words["d?"]]  # words: no streams, but an input must be mapped to be read
    options: dict[str, object] = {"metadata:s:a:0": f"language={language}"}
    if said:
        streams.append(graph.input(ffmpeg.to_file(said), format="webvtt")["s:0"])
        options |= {"c:s": "mov_text", "metadata:s:s:0": f"language={language}"}
    if cover:
        streams.append(graph.input(ffmpeg.to_file(cover), format="image2", pattern_type="none")["v:0"])
        options["disposition:v:1"] = "attached_pic"
    return graph.output(
        *streams,
        ffmpeg.to_file(out),
        format="mp4",
        c="copy",
        movflags=flags,
        map_metadata=2,
        map_chapters=2,
        fflags="+bitexact",
        **options,
    )


def poster(init: bytes, first_fragment: bytes, xmp: bytes = b"") -> bytes:
    """The first picture as JPEG, marked like the video. Raises DamagedObject."""
    return jpeg(first_picture(init, first_fragment), xmp)
