// The page of one title. Sections are drawn from the data; while the title renders they are drawn again when it changes.
"use strict";

(() => {
  const { el, byId, tell, clock, span, ago, moment, number, plural, bytes, chip, progress, read, follow } = Longtake;
  const OVER = ["preview", "done", "failed", "paused", "damaged"];
  const KINDS = { chain: "Motion", upscale: "Picture", conditioning: "Portrait", sound: "Sound", features: "Speech", playlist: "Playlist", finish: "Finished file" };
  const CAUSES = {
    infrastructure: "storage or network", memory: "out of memory", crash: "worker died", damaged: "damaged object",
    numerics: "another kind of machine", user: "input",
  };
  const CURVES = {
    mouth_sync: ["Mouth and sound", "How well the mouth follows the speech; 1 is best."],
    mouth_r: ["Mouth and sound", "Correlation of mouth opening and loudness; 1 is best."],
    mouth_lag_frames: ["Lag of the mouth", "Frames by which the mouth is late; 0 is best."],
    identity: ["Identity", "Likeness to the portrait; 1 is the same person."],
    identity_drift: ["Drift of identity", "Change of likeness from beginning to end; 0 is best."],
    sharpness: ["Sharpness", "Fine detail of the face."],
    sharpness_ratio: ["Sharpness, end to beginning", "1 is as sharp at the end as at the beginning."],
    colour: ["Colour", "Distance from the portrait's colours; 0 is best."],
    flicker: ["Flicker", "Change from frame to frame where nothing moves; 0 is best."],
    border_ratio: ["Jumps at clip borders", "Change at borders against change elsewhere; 1 is seamless."],
    mouth: ["Mouth opening", "How far the mouth is open."],
    grain: ["Grain", "Fine noise of the picture."],
    motion: ["Motion", "Change from frame to frame."],
    colour_shift: ["Shift of colours", "Change of colours from beginning to end; 0 is best."],
    blinks_per_minute: ["Blinks a minute", "People blink ten to twenty times a minute."],
    head_spread: ["Spread of the head", "How far the head moves, in widths of the face."],
    motion_energy: ["Motion", "Change from frame to frame, on the whole."],
    longest_still_seconds: ["Longest still", "Seconds without any motion."],
    lips: ["Opening of the lips", "Between the inner lips, of the face's height."],
    lips_sync: ["Lips and sound", "How well the lips follow the speech around a moment; 1 is best."],
    lips_r: ["Lips and sound", "Correlation of the lips' opening with what the speech asks; 1 is best."],
    lips_lag_frames: ["Lag of the lips", "Frames by which the lips are late; 0 is best."],
    lips_r_at_lag: ["Lips and sound, at their lag", "1 is best."],
    lips_r_shuffled: ["Lips and other sound", "Should be near 0."],
    lips_r_loudness: ["Lips and loudness", "Correlation with loudness alone."],
    lips_reach: ["Reach of the lips", "From shut to wide open, of the face's height."],
    lips_open_in_quiet: ["Lips open in silence", "Of the face's height; 0 is shut."],
    lids: ["Opening of the lids", "Of the eye's width; blinks are its falls."],
    lids_least: ["Lids nearest to shut", "Of the eye's width."],
    lid_blinks_per_minute: ["Blinks a minute, by the lids", "People blink ten to twenty times a minute."],
    gaze: ["Gaze", "How far the eyes look away from where they mostly look, of the eye's width."],
    gaze_spread: ["Spread of the gaze", "Of the eye's width."],
    head: ["Head", "How far from its first place, in widths of the face."],
    face_spread: ["Spread of the face", "How far the face moves, in widths of it."],
    swim: ["Swim", "How far nose and eyes wander about their own path, of the face's height; 0 is best."],
    mouth_detail: ["Detail of the mouth", "Against the face's; falls where lips and teeth are smeared."],
    face_sharpness: ["Sharpness of the face", "Against the portrait's; 1 is as sharp."],
    first_face_db: ["First face to the portrait", "Decibels, the mouth left out; 35 is hard to tell apart."],
    likeness_distance: ["Distance to the portrait", "By a face network: 0 is the same picture, 0.6 another person."],
    likeness_distance_95: ["Distance to the portrait, 95th percentile", "By a face network: 0.6 is another person."],
    without_a_face: ["Without a face", "Share of frames in which nobody is found."],
    frames_without_a_face: ["Frames without a face", "Frames in which nobody is found."],
  };
  let data = read();
  let points = []; // told of the moment that is played

  const runs = () => !OVER.includes(data.entry.state);
  const label = (name) => CURVES[name]?.[0] || name.replaceAll("_", " ").replace(/^./, (one) => one.toUpperCase());

  function section(id, heading, note, ...children) {
    const found = children.flat().filter(Boolean);
    if (!found.length) return null;
    return el("section", { class: "section", "aria-labelledby": `${id}-h`, id },
      el("h2", { id: `${id}-h` }, heading), note ? el("p", { class: "note" }, note) : null, ...found);
  }

  function table(columns, lines, name) {
    if (!lines.length) return null;
    return el("div", { class: "wide", tabindex: 0, role: "region", "aria-label": name }, el("table", { class: "facts" },
      el("thead", {}, el("tr", {}, ...columns.map((column) => el("th", { scope: "col" }, column)))),
      el("tbody", {}, ...lines.map((line) => el("tr", {}, ...line.map((cell, place) => place ? el("td", {}, cell) : el("th", { scope: "row" }, cell)))))));
  }

  const code = (text) => el("code", {}, text);
  const pairs = (lines) => el("dl", { class: "pairs" }, ...lines.filter(([, value]) => value !== "" && value !== null && value !== undefined && value !== false)
    .map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));

  function show() {
    const { entry } = data;
    document.title = `${entry.name} · Longtake`;
    tell(byId("name"), entry.name);
    const { facts } = data;
    const artist = (facts.tags || []).find(([name]) => name === "artist");
    tell(byId("lede"), [artist ? artist[1] : null, clock(entry.seconds), facts.width ? `${facts.width} × ${facts.height}` : null,
      entry.name === entry.id ? null : entry.id].filter(Boolean).join(" · "));
    tell(byId("made"), `${data.software} · as of ${moment(data.written)}`);
    Player.open(data);
    showExtent();
    points = [];
    byId("aside").replaceChildren(...aside());
    const open = new Set(Array.from(document.querySelectorAll("details[open]"), (one) => one.id));
    const focused = document.activeElement?.closest("#sections section")?.id;
    byId("sections").replaceChildren(...[timeline(), curves(), sheet(), troubles(), marks(), made()].filter(Boolean));
    for (const one of document.querySelectorAll("details")) if (open.has(one.id)) one.open = true;
    if (focused) byId(focused)?.querySelector("[tabindex='0']")?.focus({ preventScroll: true });
    beat();
    follows();
  }

  const showExtent = () => tell(byId("extent"), Player.extent({ ...data.entry, over: OVER.includes(data.entry.state) }));

  function aside() {
    const { entry, facts, files } = data;
    const per = entry.gops ? Math.floor(100 * entry.upscaled / entry.gops) : 0;
    const status = el("section", { class: "card", "aria-label": "State" },
      el("p", { class: "now" }, chip(entry.state), entry.state === "done" ? null : el("strong", {}, `${per} %`)),
      entry.state === "done" ? null : progress(entry),
      entry.reason || entry.remedy ? el("div", { class: `why ${entry.state === "paused" ? "paused" : "failed"}` }, entry.reason ? el("p", {}, entry.reason) : null, entry.remedy ? el("p", { class: "remedy" }, entry.remedy) : null) : null,
      pairs([
        ["Time left", entry.left ? span(entry.left) : ""],
        ["Speed", entry.rate && entry.state === "rendering" ? `${entry.rate.toFixed(1)} frames/s` : ""],
        ["Length", `${clock(entry.seconds)} (${number(facts.frames || 0)} frames)`],
        ["Failed tries", entry.retries ? number(entry.retries) : ""],
      ]));
    const notes = [...new Set([facts.note, ...(data.report?.notes || [])].filter(Boolean))];
    const chapters = facts.chapters || [];
    const downloads = [files.video, files.stream && data.entry.state === "done" ? files.stream : "", ...files.downloads].filter(Boolean);
    return [
      status,
      notes.length ? el("section", { class: "card", "aria-labelledby": "notes-h" }, el("h2", { id: "notes-h" }, "Please note"), el("ul", { class: "plain" }, ...notes.map((note) => el("li", {}, note)))) : null,
      chapters.length ? el("section", { class: "card", "aria-labelledby": "chapters-h" }, el("h2", { id: "chapters-h" }, "Chapters"), chapterList(chapters)) : null,
      downloads.length ? el("section", { class: "card", "aria-labelledby": "files-h" }, el("h2", { id: "files-h" }, "Files"),
        el("ul", { class: "plain files" }, ...downloads.map((name) => el("li", {}, el("a", { href: name }, name))))) : null,
    ].filter(Boolean);
  }

  function chapterList(chapters) {
    const buttons = chapters.map((one) => el("button", { type: "button", class: "chapter", click: () => { Player.seek(one.at); Player.video.play().catch(() => {}); } },
      el("span", { class: "time" }, clock(one.at)), el("span", {}, one.title || "Untitled")));
    points.push((at) => buttons.forEach((button, place) => {
      const now = at >= chapters[place].at - 0.01 && at < chapters[place].end;
      if (now !== (button.getAttribute("aria-current") === "true")) button.setAttribute("aria-current", String(now));
    }));
    return el("ol", { class: "chapters" }, ...buttons.map((button) => el("li", {}, button)));
  }

  function timeline() {
    const { strip, course, hosts } = Timeline;
    if (!data.timeline.gops) return null;
    const made = strip(data, Player.seek);
    points.push(made.point);
    const line = data.timeline;
    const again = ["chain", "stream"].reduce((sum, stage) => sum + Object.values(line[stage].again).reduce((all, one) => all + one, 0), 0);
    const gate = line.gate || {};
    const places = (frames) => frames.map((first) => clock(first / 25)).join(", ");
    const looked = [
      gate.sampled_again ? `${plural(gate.sampled_again, "look")} refused a GOP, which was sampled again` : null,
      gate.begun_anew ? `begun anew from the portrait at ${places(gate.begun_anew_at)}` : null,
      gate.outside ? `${plural(gate.outside, "GOP")} outside of the limits, at ${places(gate.outside_at)}` : null].filter(Boolean);
    const curve = course(data);
    const key = el("ul", { class: "key" }, ...[["chain", "motion"], ["stream", "picture"], ["none", "not yet"],
      again ? ["again", "made anew"] : null, data.incidents.length ? ["tried", "tried again"] : null].filter(Boolean)
      .map(([kind, text]) => el("li", {}, el("i", { class: kind, "aria-hidden": "true" }), text)));
    return section("timeline", "Timeline",
      `${plural(line.gops, "GOP")} of 1.92 s${line.per_cell > 1 ? `, ${line.per_cell} to a cell` : ""}${again ? `; ${plural(again, "GOP")} made anew after damage` : ""}.${looked.length ? ` Gate: ${looked.join("; ")}.` : ""}`,
      made.node, key,
      el("div", { class: "two" },
        curve ? el("figure", {}, el("figcaption", {}, "Position in the video, as it was made"), curve) : null,
        hosts(data) ? el("figure", {}, el("figcaption", {}, "Where it was made"), hosts(data)) : null));
  }

  function curves() {
    if (!data.curves) return null;
    const { series, sums } = data.curves;
    const plots = series.map((one) => {
      const points_ = one.values.map((value, place) => [(place + 0.5) * one.step, value]);
      const there = one.values.filter((value) => value !== null);
      const mean = there.reduce((sum, value) => sum + value, 0) / there.length;
      const end = Math.max(data.entry.seconds, one.values.length * one.step);
      const plot = Charts.chart({ label: `${label(one.name)} over time; mean ${Charts.short(mean)}`, lines: [{ points: points_ }], x: [0, end], onPick: Player.seek });
      const value = el("span", { class: "value" }, `mean ${Charts.short(mean)}`);
      const say = (at, found) => tell(value, at === null || found === null ? `mean ${Charts.short(mean)}` : `${clock(at)}: ${Charts.short(found)}`);
      plot.listen(say);
      points.push((at) => { if (at > 0) plot.point(at); });
      return el("figure", { class: "curve" }, el("figcaption", {}, el("b", {}, label(one.name)), value), plot, CURVES[one.name] ? el("p", { class: "note" }, CURVES[one.name][1]) : null);
    });
    const told = Object.entries(sums);
    return section("quality", "Quality over time", "Measured by longtake evaluate on the finished file. Click a curve to see that moment.",
      told.length ? el("div", { class: "sums" }, ...told.map(([name, value]) => el("div", { title: CURVES[name]?.[1] }, el("b", {}, Charts.short(value)), el("span", {}, label(name))))) : null,
      plots.length ? el("div", { class: "curves" }, ...plots) : null);
  }

  function sheet() {
    const facts = data.report?.contact;
    if (!data.files.sheet || !facts || !Array.isArray(facts.seconds)) return null;
    const { columns, rows, seconds, tile } = facts;
    const buttons = seconds.map((at, place) => el("button", {
      type: "button", class: "tile", "aria-label": `Show ${clock(at)}`, click: () => Player.seek(at),
      style: {
        "--shape": `${tile[0]} / ${tile[1]}`, "background-image": `url("${data.files.sheet}")`, "background-size": `${columns * 100}% ${rows * 100}%`,
        "background-position": `${columns > 1 ? 100 * (place % columns) / (columns - 1) : 0}% ${rows > 1 ? 100 * Math.floor(place / columns) / (rows - 1) : 0}%`,
      },
    }, el("span", {}, clock(at))));
    return section("sheet", "At a glance", null, el("div", { class: "sheet" }, ...buttons));
  }

  function troubles() {
    const lines = data.incidents.slice().reverse().map((one) => [
      moment(one.at, false), `${KINDS[one.kind] || one.kind}${["chain", "upscale"].includes(one.kind) ? ` at ${clock(one.first * Timeline.GOP)}` : ""}`,
      CAUSES[one.cause] || one.cause, one.message]);
    const count = data.entry.retries;
    return section("troubles", "What was tried again", count > lines.length ? `The newest ${lines.length} of ${number(count)}.` : null,
      table(["When", "What", "Why", "Message"], lines, "Failed tries"));
  }

  function marks() {
    const given = data.provenance;
    if (!given) return null;
    const file = given.file || {};
    return section("marks", "Marked as generated", given.statement || null, pairs([
      ["Digital source type (IPTC)", String(given.digital_source_type || "").split("/").pop()],
      ["File", file.sha256 ? [`${file.name} `, code(file.sha256)] : ""],
      ...told(given, ["digital_source_type", "statement", "file", "title", "inputs", "family", "weights", "prompts", "seed", "options", "hashes"]),
      ...(data.report?.credentials ? told({ credentials: data.report.credentials }, []) : []),
    ]));
  }

  // Whatever else is said, as pairs of names and words: lists joined, one level of names below another.
  function told(facts, but) {
    const words = (value) => value === null || value === undefined || value === "" ? "" : value === true ? "yes" : value === false ? "no"
      : Array.isArray(value) ? value.map(words).join(", ") : typeof value === "object" ? Object.entries(value).map(([name, one]) => `${name}: ${words(one)}`).join("; ") : String(value);
    return Object.entries(facts).filter(([name]) => !but.includes(name)).flatMap(([name, value]) =>
      value && typeof value === "object" && !Array.isArray(value)
        ? Object.entries(value).map(([part, one]) => [`${label(name)}: ${part.replaceAll("_", " ")}`, words(one)])
        : [[label(name), words(value)]]);
  }

  function made() {
    const { facts } = data;
    const use = { yes: "allowed", no: "not allowed", unclear: "unclear" };
    const files = facts.weights?.files || [];
    const inputs = (facts.inputs || []).map((one) => [one.role, one.name || "—", one.size ? bytes(one.size) : "—", code(one.sha256 || "")]);
    const part = (id, heading, body, open) => body ? el("details", { id, open }, el("summary", {}, heading), body) : null;
    return section("made-of", "What it is made of", null,
      part("d-inputs", "Inputs", table(["Input", "File", "Size", "SHA-256"], inputs, "Inputs"), true),
      part("d-prompts", "Prompts", table(["From", "Text"], (facts.prompts || []).map((one) => [clock(one.at), one.text]), "Prompts"), true),
      part("d-weights", "Weights and their licences", el("div", {},
        pairs([["Family", facts.family], ["Hash", facts.weights?.hash ? code(facts.weights.hash) : ""]]),
        files.length ? table(["File", "For", "Licence", "Commercial use", "SHA-256"],
          files.map((one) => [one.name, one.purpose || "—", one.licence || "not known", use[one.commercial] || "not known", code(one.sha256)]), "Weights")
          : el("p", { class: "note" }, "This family has no files: its weights follow from its configuration.")), false),
      part("d-options", "Options", table(["Option", "Value", "Changes"],
        (facts.options || []).map((one) => [code(one.name), one.value, one.enters === "none" ? "nothing in the result" : one.enters || "—"]), "Options"), false),
      part("d-hashes", "Hashes", pairs([["Seed", facts.seed ? code(facts.seed) : ""],
        ...Object.entries(facts.hashes || {}).map(([name, value]) => [name, code(value)])]), false));
  }

  function beat() {
    const node = byId("live");
    const late = runs() && Date.now() / 1000 - data.written > 180;
    node.className = `live ${late ? "late" : runs() ? "on" : ""}`;
    tell(node, late ? `No news since ${ago(data.written)}` : runs() ? "Rendering · up to date" : "");
  }

  const follows = () => { for (const point of points) point(Player.video.currentTime); };

  Player.video.addEventListener("timeupdate", follows);
  Player.video.addEventListener("seeking", follows);
  Player.video.addEventListener("extent", showExtent);
  show();
  setInterval(beat, 5000);
  follow("page.json", 4000, runs, Player.watching, (found) => { data = found; show(); });
})();
