"""Manifests: expansion, depth, size, numbers, spellings and addresses that lead elsewhere."""

from __future__ import annotations

import json

from benchmarks.hostile.case import CATALOG, TITLE, Build, Room, case, cases_in


@case("billion laughs", "refused", "alias *a0 is not accepted")
def laughs(room: Room) -> list[str]:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return room.manifest("\n".join(lines))


@case("quadratic blow-up", "refused", "anchor &a is not accepted")
def quadratic(room: Room) -> list[str]:
    return room.manifest(f"a: &a {'x' * 1_000_000}\nb: [{', '.join(['*a'] * 50_000)}]")


@case("merge keys", "refused", "merge key << is not accepted")
def merge(room: Room) -> list[str]:
    return room.manifest("version: 1\n<<: {output: /tmp}\n")


@case("100,000 open brackets", "refused", "nested more than 20 deep")
def brackets(room: Room) -> list[str]:
    return room.manifest("a: " + "[" * 100_000)


@case("100,000 nested blocks", "refused", "nested more than 20 deep")
def blocks(room: Room) -> list[str]:
    return room.manifest("- " * 100_000 + "x")


@case("16 MiB and a byte", "refused", "larger than 16 MiB")
def large(room: Room) -> list[str]:
    return room.manifest("#" * ((16 << 20) + 1))


@case("20,000 unknown keys", "refused", "unknown key", "more problems")
def unknown_keys(room: Room) -> list[str]:
    return room.manifest("\n".join(f"titel{n}: x" for n in range(20_000)))


@case("20,000 titles that are text", "refused", "expected a mapping", "more problems")
def text_titles(room: Room) -> list[str]:
    return room.catalog(titles=["x"] * 20_000)


@case("20,000 prompts", "refused", "titles[0].prompts")
def many_prompts(room: Room) -> list[str]:
    return room.title(prompts=[{"at": n, "text": "a"} for n in range(20_000)])


@case("100,000 audio files", "refused", "titles[0].audio")
def many_files(room: Room) -> list[str]:
    return room.title(audio=["voice.wav"] * 100_000)


@case("number of a million digits", "refused", "seed")
def digits(room: Room) -> list[str]:
    return room.manifest(json.dumps(CATALOG)[:-3].replace('"id"', f'"seed": {"9" * 1_000_000}, "id"') + "}]}")


@case("fraction of a million digits", "refused", "prompts[0].at")
def fraction(room: Room) -> list[str]:
    text = json.dumps(CATALOG | {"titles": [TITLE | {"prompts": [{"at": 0, "text": "a"}]}]})
    return room.manifest(text.replace('"at": 0', f'"at": {"9" * 1_000_000}.5'))


@case("1e400 and .inf", "refused", "guidance_scale", "fidelity")
def infinite(room: Room) -> list[str]:
    text = json.dumps(CATALOG | {"defaults": {"guidance_scale": 1, "fidelity": 0.5}})
    return room.manifest(text.replace('"guidance_scale": 1', '"guidance_scale": 1e400').replace("0.5", ".inf"))


@case("moment 9999:59:59", "refused", "titles[0]")
def late(room: Room) -> list[str]:
    return room.catalog(family="mini", titles=[TITLE | {"prompts": [{"at": "999:59:59", "text": "a"}]}])


@case("python tag", "refused", "is not accepted")
def tag(room: Room) -> list[str]:
    return room.manifest(f"a: !!python/object/apply:os.mkdir [{room.outside}/made]\n")


@case("binary and custom tags", "refused", "is not accepted")
def tags(room: Room) -> list[str]:
    return room.manifest("%TAG ! tag:evil,2000:\n---\nversion: !!binary AQ==\noutput: !x y\n")


@case("duplicate keys", "refused", "given twice")
def duplicate(room: Room) -> list[str]:
    return room.manifest(json.dumps(CATALOG)[:-1] + ', "output": "/etc"}')


@case("second document", "refused", "a second document begins")
def second(room: Room) -> list[str]:
    return room.manifest(json.dumps(CATALOG) + "\n---\noutput: /etc\n")


@case("NUL and escape bytes", "refused", "not valid YAML")
def control(room: Room) -> list[str]:
    return room.manifest(b"version: 1\noutput: \x1b]0;owned\x07\x00\n")


@case("UTF-16", "refused")
def wide(room: Room) -> list[str]:
    return room.manifest(json.dumps(CATALOG).encode("utf-16"))


@case("halves of characters", "refused", "not valid YAML")
def halves(room: Room) -> list[str]:
    return room.manifest(json.dumps(CATALOG).replace("face.png", "\\ud800.png"))


@case("key with terminal codes", "refused", "unknown key")
def key_codes(room: Room) -> list[str]:
    return room.manifest('version: 1\n"\\e[2J\\nroot: ok": 1\n')


@case("family of a megabyte", "refused", "family")
def long_family(room: Room) -> list[str]:
    return room.catalog(family="f" * 1_000_000)


IDS = {
    "../x": "../x",
    "absolute": "/etc/cron.d/x",
    "hidden": ".ssh",
    "with a slash": "a/b",
    "with a backslash": "a\\..\\b",
    "with a newline": "a\nb",
    "with NUL": "a\0b",
    "of terminal codes": "\x1b[31mred",
    "right to left": "a\u202egnp.exe",
    "of full width": "\uff0e\uff0e\uff0fx",
    "in Cyrillic": "\u0430bc",
    "of the store's own": "_inputs",
    "of a device": "con.txt",
    "of 5,000 letters": "a" * 5000,
    "with a dot at its end": "a.",
}


def _with_id(text: str) -> Build:
    return lambda room: room.title(id=text)


@case("portrait with a newline", "refused", "titles[0].portrait", "control characters")
def portrait_newline(room: Room) -> list[str]:
    return room.title(portrait="face\n.png")


@case("audio path of 4,000 letters", "refused", "titles[0].audio")
def long_path(room: Room) -> list[str]:
    return room.title(audio="a" * 4000)


@case("portrait ../../../etc/passwd", "refused", "not a PNG, JPEG or WebP")
def passwd(room: Room) -> list[str]:
    return room.title(portrait="../" * 30 + "etc/passwd")


@case("portrait is a text outside", "refused", "not a PNG, JPEG or WebP")
def secret_portrait(room: Room) -> list[str]:
    return room.title(portrait=str(room.outside / "secret.txt"))


@case("audio is a text outside", "refused", "cannot be decoded as sound")
def secret_audio(room: Room) -> list[str]:
    return room.title(audio=str(room.outside / "secret.txt"))


@case("chained and layered protocols", "refused", "chained addresses", "protocol simplecache:// is not accepted")
def layered(room: Room) -> list[str]:
    return room.title(portrait=f"simplecache://{room.outside}/x", audio=f"zip://a.wav::{room.trap_url}")


@case("reference file system", "refused", "protocol reference:// is not accepted")
def reference(room: Room) -> list[str]:
    return room.title(audio="reference://x")


@case("ffmpeg protocols as paths", "refused", "no such file")
def protocols(room: Room) -> list[str]:
    secret = room.outside / "secret.txt"
    tricks = [f"concat:{secret}|{secret}", f"subfile,,start,0,end,9,,:{secret}", "pipe:0", "-i", "crypto:x", "tee:x"]
    return room.title(audio=tricks)


@case("output below a file", "refused", "cannot write")
def output_below(room: Room) -> list[str]:
    return room.catalog(output="voice.wav/x")


@case("face_box of huge numbers", "refused", "face_box")
def box(room: Room) -> list[str]:
    return room.title(face_box=[0, 0, 10**18, 10**18])


@case("resolution 10^12", "refused", "resolution")
def resolution(room: Room) -> list[str]:
    return room.title(resolution=16 * 10**12)


CASES = [
    *cases_in(globals()),
    *(case(f"id {name}", "refused", "titles[0].id")(_with_id(text)) for name, text in IDS.items()),
]
