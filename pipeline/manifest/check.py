"""Everything that can be wrong with a manifest short of opening its inputs, found in one pass."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from fractions import Fraction
from typing import Any

from pipeline.manifest.fields import REQUIRED, TitleFields, describe, model_at, moment, wrong_values
from pipeline.manifest.option_faults import faults_of
from pipeline.manifest.option_fields import OptionFields
from pipeline.manifest.options import FamilyFacts
from pipeline.manifest.yaml_text import Loc, Parsed, YamlProblem, shown
from pipeline.media.canvas import is_image
from pipeline.sources import urls

# What may lie beside the titles without a leading underscore, and names that some systems reserve.
RESERVED = frozenset(["assets", "catalog.csv", "catalog.parquet", "index.html", "report.html", "report.json"])
DEVICES = frozenset(["aux", "con", "nul", "prn", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))])

MOST_GUESSES, LONGEST_GUESS = 500, 100  # mistakes of a file that get a "did you mean", and characters of such a name


@dataclass
class Checked:
    """What is valid of a manifest, addresses resolved, and all that is not.

    `titles`: index in the file → its keys; `options` in them holds the defaults too.
    """

    output: str = ""
    family: str = ""
    weights: str | None = None
    titles: dict[int, dict[str, Any]] = field(default_factory=dict)
    faults: list[YamlProblem] = field(default_factory=list)


def check(parsed: Parsed, source: str, families: Mapping[str, FamilyFacts], output: str | None) -> Checked:
    """Check a parsed manifest that lies at `source`; `output` is one that wins over the manifest's."""
    checked = Checked(faults=list(parsed.faults))
    if () in parsed.refused:
        return checked
    if parsed.data is None:
        checked.faults.append(
            YamlProblem(0, (), "is empty; expected version, output, family and titles (see docs/manifest.md)")
        )
        return checked
    _Check(parsed, source, families, output, checked).run()
    return checked


class _Check:
    def __init__(
        self, parsed: Parsed, source: str, families: Mapping[str, FamilyFacts], output: str | None, checked: Checked
    ):
        self.lines, self.source, self.families, self.output = parsed.lines, source, families, output
        self.checked = checked
        self.wrong: set[Loc] = {_removable(loc) for loc in parsed.refused}  # places without a usable value
        self.data = copy.deepcopy(parsed.data)

    def fault(self, loc: Loc, text: str, remedy: str = "") -> None:
        place = self.known(loc)
        self.checked.faults.append(YamlProblem(self.lines[place], loc, text, remedy))

    def near(self, name: str, names: Iterable[str]) -> list[str]:
        """The name that was meant, if one is alike. Not looked for in a file that is damaged as a whole."""
        if len(self.checked.faults) > MOST_GUESSES or len(name) > LONGEST_GUESS:
            return []
        return get_close_matches(name, names, 1)

    def known(self, loc: Loc) -> Loc:
        while loc not in self.lines:
            loc = loc[:-1]
        return loc

    def run(self) -> None:
        self.check_values()
        if not isinstance(self.data, dict):
            return
        self.check_required((), self.data)
        family = self.check_head()
        self.check_titles(family)

    def check_values(self) -> None:
        """Report values of wrong type or range, then take them out, so that the rest can be relied upon."""
        for loc, kind, value in wrong_values(self.data):
            if kind == "extra_forbidden":
                self.unknown_key(loc, value)
                place = loc
            else:
                place = self.known(loc)
                if not any(place[:depth] in self.wrong for depth in range(len(place) + 1)):
                    self.fault(place, *describe(place, kind, value))
            self.wrong.add(_removable(place))
        for loc in sorted(self.wrong, key=len, reverse=True):
            self.data = _without(self.data, loc)

    def unknown_key(self, loc: Loc, value: object) -> None:
        name, model = str(loc[-1]), model_at(loc[:-1])
        assert model is not None
        if len(loc) == 1 and name in OptionFields.model_fields:
            remedy = "it belongs under `defaults` or in a title"
        elif len(loc) == 1 and name in TitleFields.model_fields:
            remedy = "it belongs in a title"
        elif loc[0] == "defaults" and name in TitleFields.model_fields:
            remedy = "it belongs in a title; `defaults` holds options only"
        elif near := self.near(name.lower(), model.model_fields):
            remedy = f"did you mean {near[0]}?"
        else:
            remedy = f"remove it, or use one of {', '.join(sorted(model.model_fields))}"
        self.fault(loc, f"unknown key with value {shown(value)}", remedy)

    def check_required(self, loc: Loc, given: Mapping[str, object]) -> None:
        model = model_at(loc)
        assert model is not None
        for name in REQUIRED[model]:
            place = (*loc, name)
            if name not in given and place not in self.wrong and not (place == ("output",) and self.output is not None):
                extra = model.model_fields[name].json_schema_extra
                assert isinstance(extra, dict)
                self.fault(place, f"missing: expected {extra['expected']}", f"add `{name}: …`")

    def address(self, loc: Loc, written: str, base: str) -> str:
        try:
            return urls.resolve(written, base)
        except ValueError as error:
            self.fault(loc, f"value {shown(written)}: {error}")
            return ""

    def check_head(self) -> FamilyFacts | None:
        if self.output is not None:
            # As given on the command line: relative to the working folder, and no line of the manifest is at fault.
            try:
                self.checked.output = urls.resolve(self.output, "./command-line")
            except ValueError as error:
                self.checked.faults.append(YamlProblem(0, ("--output",), f"value {shown(self.output)}: {error}"))
        elif "output" in self.data:
            self.checked.output = self.address(("output",), self.data["output"], self.source)
        if "weights" in self.data:
            self.checked.weights = self.address(("weights",), self.data["weights"], self.source)
        name = self.data.get("family")
        if name is None:
            return None
        if name not in self.families:
            near = self.near(name, self.families)
            remedy = f"did you mean {near[0]}?" if near else "choose one of these"
            self.fault(("family",), f"value {shown(name)}: expected {' or '.join(sorted(self.families))}", remedy)
            return None
        self.checked.family = name
        return self.families[name]

    def check_titles(self, family: FamilyFacts | None) -> None:
        defaults = self.data.get("defaults", {})
        sources: dict[str, Loc] = {name: ("defaults", name) for name in defaults}
        self.check_addresses(("defaults",), defaults)
        first_use: dict[str, int] = {}
        for index, given in enumerate(self.data.get("titles", ())):
            loc: Loc = ("titles", index)
            if loc in self.wrong:
                continue
            self.check_required(loc, given)
            if "id" in given:
                self.check_id((*loc, "id"), given["id"], first_use)
            self.check_addresses(loc, given)
            self.check_prompts(loc, given.get("prompts", ()), family)
            self.check_moments((*loc, "chapters"), given.get("chapters", ()), "chapter")
            self.check_first_chapter((*loc, "chapters", 0, "at"), given.get("chapters", ()))
            for number, chapter in enumerate(given.get("chapters", ())):
                self.check_addresses((*loc, "chapters", number), chapter)
            self.check_retakes((*loc, "retakes"), given.get("retakes", ()), family)
            own = {name: value for name, value in given.items() if name in OptionFields.model_fields}
            places = sources | {name: (*loc, name) for name in own}
            given["options"] = defaults | own
            for name, text, remedy in faults_of(given["options"], family):
                self.fault(places.get(name, loc), text, remedy)
            self.check_speakers((*loc, "chapters"), given)
            self.checked.titles[index] = given
        if not self.checked.titles and defaults:
            for name, text, remedy in faults_of(defaults, family):
                self.fault(sources.get(name, ("defaults",)), text, remedy)

    def check_id(self, place: Loc, name: str, first_use: dict[str, int]) -> None:
        if name.endswith("."):
            self.fault(place, f"value {shown(name)}: must not end in a dot", f"write {name.rstrip('.')}")
        elif name in RESERVED or name.split(".")[0] in DEVICES:
            self.fault(
                place, f"value {shown(name)}: this name is reserved", f"choose another, for example title-{name}"
            )
        elif name in first_use:
            self.fault(
                place, f"value {shown(name)}: used before in line {first_use[name]}", "every title needs its own id"
            )
        else:
            first_use[name] = self.lines[self.known(place)]

    def check_addresses(self, loc: Loc, given: dict[str, Any]) -> None:
        for name in ("portrait", "face_embedding", "canvas_fill", "cover", "captions"):
            if name in given and (name != "canvas_fill" or is_image(given[name])):
                given[name] = self.address((*loc, name), given[name], self.source)
        if "audio" in given:
            files = [given["audio"]] if isinstance(given["audio"], str) else given["audio"]
            given["audio"] = [
                self.address(self.known((*loc, "audio", n)), file, self.source) for n, file in enumerate(files)
            ]

    def check_prompts(self, loc: Loc, prompts: list[dict[str, object]], family: FamilyFacts | None) -> None:
        if prompts and family is not None and not family.text:
            able = [name for name, other in sorted(self.families.items()) if other.text]
            remedy = "remove `prompts`" + (f" or use family {' or '.join(able)}" if able else "")
            self.fault((*loc, "prompts"), f"family {family.name} takes no prompts, {len(prompts)} given", remedy)
        self.check_moments((*loc, "prompts"), prompts, "prompt")

    def check_speakers(self, loc: Loc, given: dict[str, Any]) -> None:
        """A chapter can have a portrait of its own where it is a scene of its own."""
        named = [number for number, chapter in enumerate(given.get("chapters", ())) if "portrait" in chapter]
        if named and given["options"].get("scenes") != "chapters":
            self.fault((*loc, named[0], "portrait"), "a chapter is no scene of its own", "set scenes: chapters")

    def check_first_chapter(self, loc: Loc, chapters: list[dict[str, object]]) -> None:
        if chapters and "at" in chapters[0] and moment(chapters[0]["at"]) > 0:
            text = f"value {shown(chapters[0]['at'])}: expected 0, chapters leave no gap"
            self.fault(loc, text, "begin with one at 0")

    def check_retakes(self, loc: Loc, retakes: list[dict[str, Any]], family: FamilyFacts | None) -> None:
        """In order of time, none within another."""
        end: tuple[Fraction, object] = (Fraction(0), 0)
        for index, retake in enumerate(retakes):
            place: Loc = (*loc, index)
            if place in self.wrong:
                continue
            self.check_required(place, retake)
            self.check_addresses(place, retake)
            self.check_prompts(place, retake.get("prompts", []), family)
            if "from" not in retake or "to" not in retake:
                continue
            if (start := moment(retake["from"])) < end[0]:
                text = f"value {shown(retake['from'])}: expected {shown(end[1])} or later, where the one before ends"
                self.fault((*place, "from"), text, "put retakes in order of time, or make one of them")
            if (stop := moment(retake["to"])) <= start:
                text = f"value {shown(retake['to'])}: expected later than `from` ({shown(retake['from'])})"
                self.fault((*place, "to"), text, "correct one of them")
            end = max(end, (stop, retake["to"]), key=lambda one: one[0])

    def check_moments(self, loc: Loc, entries: list[dict[str, object]], what: str) -> None:
        """Entries of a list in order of time."""
        last: tuple[Fraction, object] | None = None
        for index, entry in enumerate(entries):
            place: Loc = (*loc, index)
            if place in self.wrong:
                continue
            self.check_required(place, entry)
            if "at" not in entry:
                continue
            at = moment(entry["at"])
            if last is not None and at <= last[0]:
                text = f"value {shown(entry['at'])}: expected later than the {what} before it ({shown(last[1])})"
                self.fault((*place, "at"), text, f"put {what}s in order of time, one for each moment")
            last = (at, entry["at"])


def _removable(loc: Loc) -> Loc:
    """The place that goes with a wrong value: its key, or the title, prompt, chapter or retake.

    Lists of plain values go as a whole.
    """
    while (
        loc and isinstance(loc[-1], int) and loc[-2:-1] not in (("titles",), ("prompts",), ("chapters",), ("retakes",))
    ):
        loc = loc[:-1]
    return loc


def _without(data: object, loc: Loc) -> object:
    """`data` without the value at a removable place; a title or prompt leaves an empty mapping behind."""
    if not loc:
        return None
    parent = data
    for part in loc[:-1]:
        if (isinstance(parent, dict) and part in parent) or (isinstance(parent, list) and isinstance(part, int)):
            parent = parent[part]  # type: ignore[index]
        else:
            return data  # an enclosing value has gone already
    if isinstance(parent, dict):
        parent.pop(loc[-1], None)
    elif isinstance(parent, list) and isinstance(loc[-1], int):
        parent[loc[-1]] = {}
    return data
