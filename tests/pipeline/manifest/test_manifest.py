from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import fsspec
import pytest
import yaml

from pipeline.core.errors import ManifestError
from pipeline.manifest.catalog import Catalog, Prompt, check_moments, load_manifest, load_valid_titles, seed_of
from pipeline.manifest.option_fields import OptionFields
from pipeline.manifest.options import Options
from pipeline.manifest.yaml_text import MAX_BYTES, parse_yaml
from tests.support.manifest_texts import FAMILIES, GIVEN, HEAD, TITLE


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Catalog]:
    def load_text(text: str | bytes, **more: Any) -> Catalog:
        file = tmp_path / "m.yaml"
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return load_manifest(file, families=FAMILIES, **more)

    return load_text


@pytest.fixture
def problems(load: Callable[..., Catalog], tmp_path: Path) -> Callable[..., list[str]]:
    """The problems of a text, as `line: key: text`."""

    def problems_of(text: str | bytes, **more: Any) -> list[str]:
        with pytest.raises(ManifestError) as caught:
            load(text, **more)
        return [re.sub(rf"^{re.escape(str(tmp_path))}/m.yaml:", "", str(one)) for one in caught.value.problems]

    return problems_of


# What is valid


def test_a_short_manifest_gets_every_default(load: Callable[..., Catalog], tmp_path: Path) -> None:
    catalog = load(HEAD + TITLE)
    title = catalog.titles[0]
    assert (catalog.output, catalog.output_given) == (str(tmp_path / "out"), "out")
    assert (catalog.family, catalog.weights, len(catalog.titles)) == ("mini", None, 1)
    assert title.portrait == str(tmp_path / "face.png")
    assert title.audio == (str(tmp_path / "voice.wav"),)
    assert (title.prompts, title.priority, title.seed) == ((), 0, seed_of("one"))
    assert title.options.values() == {
        "resolution": 1024,
        "codec": "h264",
        "crf": 20,
        "steps": 9,
        "guidance_scale": 3.5,
        "guided_share": 1.0,
        "deep_every": 1,
        "solver": "ddim",
        "linears": "full",
        "preset": "exact",
        "effort": "fast",
        "fidelity": 0.7,
        "scenes": "one",
        "pad_joins": "on",
        "join": "dissolve",
        "gate": "on",
        "segment_frames": 480,
        "face_box": None,
        "lip_box": None,
        "face_embedding": None,
        "base_size": 512,
        "keep": "all",
        "vocals": "as_is",
        "audio_context": "overlap",
        "compat": "none",
        "background": "x2",
        "enlarge": "x2",
        "plate": "off",
        "allow_mixed": False,
        "compile": "off",
        "guidance_devices": 1,
        "canvas": "none",
        "canvas_place": "centre",
        "canvas_fill": "blur",
        "marks": "on",
        "badge": False,
        "subject": "undeclared",
        "consent": False,
        "author": None,
        "cover": None,
        "language": "und",
        "burn_captions": False,
        "loudness": None,
        "renditions": (),
        "owner": "",
        "share": 1.0,
        "due": None,
        "frame": "square",
        "accept_short": False,
        "film": None,
    }
    with pytest.raises(dataclasses.FrozenInstanceError):
        title.seed = 3  # type: ignore[misc]


def test_every_option_can_be_set_in_defaults_and_in_a_title(load: Callable[..., Catalog]) -> None:
    told = {"film"}  # by the portrait
    assert set(GIVEN) == set(OptionFields.model_fields) == set(Options.model_fields) - told
    expected = {name: tuple(value) if isinstance(value, list) else value for name, value in GIVEN.items()}
    expected["enlarge"] = "x2"  # has no effect beside `background: lanczos`, and what has none changes no hash
    head = yaml.safe_load(HEAD)
    title = yaml.safe_load(TITLE)["titles"][0]
    for text in (
        json.dumps(head | {"defaults": GIVEN, "titles": [title]}),
        json.dumps(head | {"titles": [title | GIVEN]}),
    ):
        assert load(text).titles[0].options.values() == expected | dict.fromkeys(told)


def test_a_title_wins_over_defaults(load: Callable[..., Catalog]) -> None:
    catalog = load(HEAD + "defaults: {steps: 5, crf: 25}\n" + TITLE + "    steps: 6\n")
    assert (catalog.titles[0].options.steps, catalog.titles[0].options.crf) == (6, 25)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("preset: balanced", {"steps": 5, "guided_share": 0.5, "deep_every": 1}),  # half of 9, rounded up
        ("preset: draft", {"steps": 3, "guided_share": 0.5, "deep_every": 1}),
        ("preset: draft\nsteps: 10", {"steps": 10, "deep_every": 2}),  # enough for features to be kept
        ("preset: draft\nguided_share: 1\ndeep_every: 3", {"guided_share": 1.0, "deep_every": 3}),
        ("preset: draft\nguidance_scale: 1", {"guided_share": 1.0}),  # there is none to share out
        ("guidance_devices: 2\nguidance_scale: 1", {"guidance_devices": 1}),  # nor halves to set apart
        ("compile: on\nsolver: dpm++", {"compile": "on", "solver": "dpm++"}),
        ("preset: draft\nsteps: 8", {"steps": 8}),
        ("codec: av1", {"crf": 28}),
        ("codec: hevc", {"crf": 22}),
        ("effort: good", {"crf": 22}),
        ("effort: best\ncrf: 20", {"crf": 20}),
        ("effort: best\ncodec: av1", {"crf": 30}),
        ("resolution: 4096", {"codec": "av1", "crf": 28}),
        ("resolution: 4096\ncodec: h264", {"codec": "h264", "crf": 20}),
        ("base_size: 128\nresolution: 144", {"resolution": 144}),
        ("guidance_scale: 2", {"guidance_scale": 2.0}),
        ("renditions: [480, 720, 480]", {"renditions": (720, 480)}),
        ("loudness: -16", {"loudness": -16.0}),
        ("loudness: source", {"loudness": None}),
        ("canvas: 1920x1080", {"resolution": 1080, "codec": "h264"}),
        ("canvas: 3840x2160\nresolution: 1024", {"resolution": 1024}),
        ('canvas: 1080x1920\ncanvas_fill: "#AbCdEf"', {"canvas_fill": "#abcdef"}),
        ("canvas_place: left\ncanvas_fill: red.png", {"canvas_place": "centre", "canvas_fill": "blur"}),
    ],
)
def test_defaults_depend_on_family_and_other_options(
    lines: str, expected: dict[str, Any], load: Callable[..., Catalog]
) -> None:
    indented = "".join(f"    {line}\n" for line in lines.splitlines())
    options = load(HEAD + TITLE + indented).titles[0].options
    assert {name: getattr(options, name) for name in expected} == expected


def test_the_fake_family_takes_any_small_resolution(load: Callable[..., Catalog]) -> None:
    text = HEAD.replace("mini", "fake") + TITLE
    options = load(text + "    resolution: 64\n").titles[0].options
    assert (options.resolution, options.base_size) == (64, 64)
    assert load(text + "    resolution: 1040\n    base_size: 512\n").titles[0].options.resolution == 1040


def test_prompts_keep_exact_times(load: Callable[..., Catalog]) -> None:
    text = HEAD + TITLE + "    prompts:\n"
    for at in ("0", "1.28", "0:00:01.281", "0:59:59", "100:00:00.5"):
        text += f"      - {{at: {at}, text: smile at {at}}}\n"
    moments = [Fraction(0), Fraction(32, 25), Fraction(1281, 1000), Fraction(3599), Fraction(720001, 2)]
    prompts = load(text).titles[0].prompts
    assert [prompt.at for prompt in prompts] == moments
    assert prompts[1] == Prompt(Fraction(32, 25), "smile at 1.28")


def test_audio_may_be_a_list(load: Callable[..., Catalog], tmp_path: Path) -> None:
    catalog = load(HEAD + TITLE.replace("voice.wav", "[a.mp3, sub/../b.mp3, /c.mp3, s3://bucket/d.mp3]"))
    assert catalog.titles[0].audio == (f"{tmp_path}/a.mp3", f"{tmp_path}/b.mp3", "/c.mp3", "s3://bucket/d.mp3")


def test_seeds_are_the_titles_own_or_made_from_the_id(load: Callable[..., Catalog]) -> None:
    assert load(HEAD + TITLE + f"    seed: {2**63 - 1}\n    priority: -5\n").titles[0].seed == 2**63 - 1
    assert seed_of("one") == 0x7692C3AD3540BB80 // 2  # the first 63 bits of its SHA-256
    assert 0 <= seed_of("two") < 2**63


def test_words_that_old_yaml_takes_for_something_else_stay_words(load: Callable[..., Catalog]) -> None:
    for name in ("no", "on", "0042", "2024-01-01", "1e3x", "0x1f"):
        assert load(HEAD + TITLE.replace("one", name)).titles[0].id == name


def test_a_manifest_may_lie_in_a_store(tmp_path: Path) -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe_file("/test_manifest/books/m.yaml", (HEAD + TITLE.replace("face.png", "../faces/a.png")).encode())
    catalog = load_manifest("memory://test_manifest/books/m.yaml", families=FAMILIES)
    assert catalog.output == "memory://test_manifest/books/out"
    assert catalog.titles[0].portrait == "memory://test_manifest/faces/a.png"
    assert catalog.titles[0].audio == ("memory://test_manifest/books/voice.wav",)
    local = tmp_path / "m.yaml"
    local.write_text(HEAD + TITLE)
    assert load_manifest(f"file://{local}", families=FAMILIES).titles[0].portrait == str(tmp_path / "face.png")


def test_an_output_given_beside_the_manifest_wins(
    load: Callable[..., Catalog], monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path.parent)
    for text in (HEAD + TITLE, HEAD.replace("output: out\n", "") + TITLE):
        assert load(text, output="there").output == str(tmp_path.parent / "there")
        assert load(text, output="s3://bucket/x").output == "s3://bucket/x"


def test_a_home_folder_may_be_meant(load: Callable[..., Catalog], monkeypatch: Any) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert load(HEAD.replace("out\n", "~/videos\n") + TITLE).output == "/home/me/videos"


def test_a_catalog_of_thousands_of_titles_fits(load: Callable[..., Catalog]) -> None:
    entry = (
        "  - {{id: t{0}, portrait: p/{0}.png, audio: [a/{0}-1.mp3, a/{0}-2.mp3], prompts: [{{at: 1, text: calm}}]}}\n"
    )
    text = HEAD + "titles:\n" + "".join(entry.format(number) for number in range(3_000))
    assert len(text) < MAX_BYTES / 40
    assert len(load(text).titles) == 3_000


def test_places_name_file_line_and_key(load: Callable[..., Catalog], tmp_path: Path) -> None:
    catalog = load(HEAD + TITLE.replace("voice.wav", "\n      - a.wav\n      - b.wav"))
    assert catalog.titles[0].key == "titles[0]"
    assert catalog.place("titles[0].audio[1]") == f"{tmp_path}/m.yaml:9: titles[0].audio[1]"
    assert catalog.place("titles[0].face_box") == f"{tmp_path}/m.yaml:5: titles[0].face_box"


def test_prompts_past_the_end_are_found_when_the_length_is_known(load: Callable[..., Catalog], tmp_path: Path) -> None:
    text = (
        HEAD + TITLE + "    prompts:\n      - {at: 1.96, text: a}\n      - {at: 2, text: b}\n      - {at: 9, text: c}\n"
    )
    catalog = load(text)
    assert check_moments(catalog.titles[0], 226, catalog.place) == []
    found = check_moments(catalog.titles[0], 50, catalog.place)
    assert [problem.place for problem in found] == [
        f"{tmp_path}/m.yaml:10: titles[0].prompts[1].at",
        f"{tmp_path}/m.yaml:11: titles[0].prompts[2].at",
    ]
    assert "value 0:00:02.000: the title ends at 0:00:02.000" in found[0].text


# What is not


def test_every_mistake_is_reported_at_once_in_the_order_of_the_file(problems: Callable[..., list[str]]) -> None:
    text = """version: 2
outptu: out
family: mimi
defaults:
  resolution: 1000
  codec: h265
  seed: 1
titles:
  - id: ../up
    portrait: face.png
    audio: [a.wav, 3]
    steps: "20"
    crf:
  - id: two
    audio: a.wav
    keep: final+hsl
    prompts:
      - {at: 5, text: hi}
      - {at: 4, text: ""}
      - {at: soon}
  - 12
  - {id: two, portrait: p.png, audio: [], face_box: [1, 2, -3, 4]}
  - {id: &x five, id: 5, portrait: !file p.png, audio: *x}
"""
    expected = [
        ("1: version", "value 2: expected 1"),
        ("1: output", "missing"),
        ("2: outptu", "did you mean output?"),
        ("3: family", "did you mean mini?"),
        ("5: defaults.resolution", "value 1000: expected 512, 1024"),
        ("6: defaults.codec", "did you mean hevc?"),
        ("7: defaults.seed", "it belongs in a title"),
        ("9: titles[0].id", "for example up"),
        ("11: titles[0].audio[1]", "value 3: expected the path or URL"),
        ("12: titles[0].steps", "write it without quotes"),
        ("13: titles[0].crf", "give a value or remove the key"),
        ("14: titles[1].portrait", "missing"),
        ("16: titles[1].keep", "did you mean final+hls?"),
        ("19: titles[1].prompts[1].text", 'value "": expected 1 to 500'),
        ("19: titles[1].prompts[1].at", "expected later than the prompt before it (5)"),
        ("20: titles[1].prompts[2].at", 'value "soon": expected seconds'),
        ("20: titles[1].prompts[2].text", "missing"),
        ("21: titles[2]", "value 12: expected a mapping with id, portrait, audio"),
        ("22: titles[3].audio", "value []"),
        ("22: titles[3].face_box[2]", "value -3"),
        ("22: titles[3].id", "used before in line 14"),
        ("23: titles[4].id", "anchor &x is not accepted"),
        ("23: titles[4].id", "given twice (first in line 23)"),
        ("23: titles[4].portrait", "tag"),
        ("23: titles[4].audio", "alias *x is not accepted"),
    ]
    found = problems(text)
    assert len(found) == len(expected), "\n".join(found)
    assert [int(one.split(":")[0]) for one in found] == [int(place.split(":")[0]) for place, _ in expected]
    for place, needle in expected:
        assert any(one.startswith(f"{place}: ") and needle in one for one in found), (place, needle, found)


@pytest.mark.parametrize(
    ("line", "needle"),
    [
        ("resolution: 64", "resolution: value 64: expected one of 512, 1024, 1080, 2048, 2160, 4096 at base_size 512"),
        ("base_size: 500", "base_size: value 500: expected one of 128, 256, 512 for family mini"),
        ("base_size: 256\n    resolution: 128", "resolution 128 is smaller than base_size 256"),
        ("crf: 60", "crf: value 60: expected 1 to 51 for h264"),
        ("crf: 64", "crf: value 64: expected a whole number from 1 to 51 (h264, hevc) or 63 (av1)"),
        ("fidelity: .nan", 'fidelity: value ".nan": expected a number from 0 to 1'),
        ("fidelity: 1e999", "fidelity: value Infinity: expected a number from 0 to 1"),
        ("steps: true", "steps: value true: expected a whole number from 1 to 200"),
        ("steps: 4.0", "steps: value 4.0: expected a whole number"),
        ("allow_mixed: yes", 'allow_mixed: value "yes": expected true or false'),
        ("segment_frames: 100", "segment_frames: value 100: expected a multiple of 48"),
        ("face_box: [1, 2, 0, 4]", "face_box: value [1, 2, 0, 4]: expected [x, y, width, height]"),
        ("face_box: [1, 2, 3]", "face_box: value [1, 2, 3]: expected [x, y, width, height]"),
        ("seed: -1", "seed: value -1: expected a whole number from 0"),
        ("renditions: [1080]", "renditions: value 1080: the picture's shorter edge is 1024; expected smaller ones"),
        ("renditions: 720", "renditions: value 720: expected a list of sizes such as [1080]"),
        ("loudness: -60", "loudness: value -60: expected source or a number of LUFS from -40 to -5"),
        ("title: '  '", 'title: value "  ": expected 1 to 500 characters on one line'),
        ("language: english please", 'language: value "english please": expected a language tag such as en'),
        (
            "chapters: [{at: 0, title: A}, {at: 0, title: B}]",
            "chapters[1].at: value 0: expected later than the chapter",
        ),
        ("chapters: [{at: 0}]", "chapters[0].title: missing"),
        ("chapters: [{at: 1, title: A}]", "chapters[0].at: value 1: expected 0, chapters leave no gap"),
        ("canvas: 1280x720", 'canvas: value "1280x720": expected none, 1920x1080, 3840x2160 or 1080x1920'),
        ("canvas: 1080x1920\n    resolution: 1000", "resolution: value 1000: expected 512, 1024, 1080"),
        ('canvas_fill: "#12345"', 'canvas_fill: value "#12345": expected blur, a colour in quotes'),
        ("canvas_fill: #102030", "canvas_fill: value null: expected blur"),
        ("canvas_fill: s4://b/c.png", "did you mean s3://?"),
        ("face_embedding: zip://a::b.npy", "chained addresses"),
        ("face_embedding: s4://b/c", "did you mean s3://?"),
        ('face_embedding: "a\\nb"', "control characters"),
    ],
)
def test_options_out_of_range(line: str, needle: str, problems: Callable[..., list[str]]) -> None:
    found = problems(HEAD + TITLE + f"    {line}\n")
    assert len(found) == 1
    assert needle in found[0]
    assert found[0].startswith(("8: titles[0].", "9: titles[0]."))
    assert ";" in found[0]


def test_a_mistake_in_defaults_is_reported_once_for_all_titles(problems: Callable[..., list[str]]) -> None:
    second = TITLE.removeprefix("titles:\n").replace("one", "two")
    found = problems(HEAD + "defaults:\n  base_size: 333\n" + TITLE + second)
    assert found == ["5: defaults.base_size: value 333: expected one of 128, 256, 512 for family mini; "
                     "choose one or leave it out"]  # fmt: skip


@pytest.mark.parametrize("name", ["a/b", "..", "A", "a b", "", "ä", "a\\b", "x" * 101, ".a", "-a", "a\n"])
def test_ids_that_could_leave_their_folder_are_refused(name: str, problems: Callable[..., list[str]]) -> None:
    found = problems(HEAD + TITLE.replace("one", json.dumps(name)))
    assert len(found) == 1
    assert found[0].startswith("5: titles[0].id: value ")


@pytest.mark.parametrize("name", ["assets", "con", "aux.x", "lpt1", "a.", "index.html"])
def test_reserved_ids(name: str, problems: Callable[..., list[str]]) -> None:
    (found,) = problems(HEAD + TITLE.replace("one", name))
    assert found.startswith(f'5: titles[0].id: value "{name}": ')


def test_prompts_need_a_family_that_reads_text(problems: Callable[..., list[str]]) -> None:
    (found,) = problems(HEAD.replace("mini", "plain") + TITLE + "    prompts: [{at: 0, text: smile}]\n")
    assert (
        found
        == "8: titles[0].prompts: family plain takes no prompts, 1 given; remove `prompts` or use family fake or mini"
    )


@pytest.mark.parametrize(
    ("content", "needle"),
    [
        (b"", "is empty"),
        (b"# nothing\n", "is empty"),
        (b"- a\n", "expected a mapping with version, output, family and titles"),
        (b"just words", "expected a mapping"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"version: 1\n  output: [", "2: not valid YAML"),
        (b"version: 1\n---\nversion: 1\n", "2: a second document begins"),
        (b"a: \x07", "control characters"),
        (b"x: " + b"[" * 40 + b"]" * 40, "nested more than 20 deep"),
        (b"#" * (MAX_BYTES + 1), "larger than 16 MiB"),
        (b"!!python/object/apply:os.system ['true']", "tag"),
        (b"version: 1\n? [a, b]\n: 2\n", "2: a key is a collection"),
        (b"version: 1\n7: 2\n", "2: key 7: expected a word as key; put it in quotes"),
        (b"a: {<<: {b: 1}}", "merge key << is not accepted"),
    ],
)
def test_files_that_are_no_manifest(content: bytes, needle: str, problems: Callable[..., list[str]]) -> None:
    assert any(needle in one for one in problems(content)), problems(content)


def test_expanding_aliases_cost_nothing() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(30))
    parsed = parse_yaml(bomb.encode())
    assert len(json.dumps(parsed.data)) < 10_000
    assert sum("alias" in fault.text for fault in parsed.faults) == 270


def test_a_file_full_of_mistakes_is_not_listed_for_ever(problems: Callable[..., list[str]]) -> None:
    found = problems(HEAD + TITLE + "".join(f"key{number}: 1\n" for number in range(2000)))
    assert len(found) == 501
    assert "1500 more problems" in found[-1]


def test_valid_titles_can_be_had_without_the_others(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    bad = "  - {id: two, portrait: p.png, audio: a.wav, steps: 0}\n  - {id: three, portrait: p.png, audio: a.wav}\n"
    file.write_text(HEAD + TITLE + bad)
    catalog, found = load_valid_titles(file, families=FAMILIES)
    assert [(title.id, title.key) for title in catalog.titles] == [("one", "titles[0]"), ("three", "titles[2]")]
    assert [problem.place for problem in found] == [f"{file}:8: titles[1].steps"]
    for text in (
        HEAD + TITLE + "    steps: 0\n",  # nothing is left
        HEAD + "defaults: {steps: 0}\n" + TITLE,  # concerns all
        HEAD.replace("mini", "none") + TITLE,
    ):
        file.write_text(text)
        with pytest.raises(ManifestError):
            load_valid_titles(file, families=FAMILIES)


def test_credentials_do_not_show_in_messages(problems: Callable[..., list[str]]) -> None:
    text = "version: 1\noutput: s3x://user:secret@bucket/x\nfamily: https://h/?key=secret\nhttps://a:secret@b: 1\n"
    found = problems(text + "titles: [{id: a, portrait: 's3://k:secret@b::x', audio: [['https://k:secret@h/']]}]\n")
    assert len(found) == 5
    assert not any("secret" in one for one in found)
    for address in ("xx://user:secret@host/m.yaml", "https://user:secret@127.0.0.1:9/m.yaml?sig=secret"):
        with pytest.raises(ManifestError) as caught:
            load_manifest(address, families=FAMILIES)
        assert "secret" not in str(caught.value)
        assert "host" in str(caught.value) or "127.0.0.1" in str(caught.value)
