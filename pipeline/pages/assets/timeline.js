// The timeline: a strip of GOPs, motion above and picture below, which can be pointed at, walked along and clicked; and
// the run as a curve, position in the video over the time of day.
"use strict";

const Timeline = (() => {
  const { el, draw, tell, clock, moment, span, plural, number } = Longtake;
  const GOP = 48 / 25; // seconds
  const WIDTH = 1000;
  const STAGES = [["chain", "Motion"], ["stream", "Picture"]];

  // What is known of one cell, in words.
  function words(data, cell) {
    const line = data.timeline;
    const first = cell * line.per_cell;
    const last = Math.min(line.gops, first + line.per_cell) - 1;
    const from = first * GOP;
    const to = Math.min((last + 1) * GOP, data.entry.seconds);
    const parts = [`${last > first ? `GOPs ${first}–${last}` : `GOP ${first}`}, ${clock(from)}–${clock(to)}`];
    for (const [stage, label] of STAGES) {
      const facts = line[stage];
      const made = facts.made[cell] || 0;
      if (!made) { parts.push(`${label.toLowerCase()}: not yet`); continue; }
      const host = line.hosts[facts.host[cell]];
      const again = facts.again[cell];
      parts.push(`${label.toLowerCase()}: ${made <= last - first ? `${made} made, ` : ""}${moment(facts.at[cell], false)}, ${span(facts.seconds[cell])} of work${host ? ` on ${host.name}` : facts.host[cell] === -1 ? " on several machines" : ""}${again ? `, ${again > 1 ? `${again} ` : ""}made anew after damage` : ""}`);
    }
    const tries = triesIn(data, first, last);
    if (tries) parts.push(plural(tries, "failed try", "failed tries"));
    return parts;
  }

  // The command that has a cell's part of the title made once more.
  function redo(data, cell) {
    const from = cell * data.timeline.per_cell * GOP;
    const to = Math.min(from + data.timeline.per_cell * GOP, data.entry.seconds);
    const exact = (seconds) => {
      const hundredths = Math.round(seconds * 100);
      const two = (value) => String(value).padStart(2, "0");
      const whole = Math.floor(hundredths / 100);
      return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}.${two(hundredths % 100)}`;
    };
    return `longtake redo MANIFEST ${data.entry.id}@${exact(from)}-${exact(to)}`;
  }

  const triesIn = (data, first, last) => data.incidents.filter((one) => ["chain", "upscale"].includes(one.kind)
    && one.first <= last && one.first + (one.kind === "chain" ? 1 : one.count) - 1 >= first).length;

  function strip(data, onPick) {
    const line = data.timeline;
    const count = Math.max(1, Math.ceil(line.gops / line.per_cell));
    const size = WIDTH / count;
    const gap = size > 5 ? 1.5 : 0;
    const picture = draw("svg", { viewBox: `0 0 ${WIDTH} 62`, preserveAspectRatio: "none", "aria-hidden": "true" });
    STAGES.forEach(([stage], row) => {
      const facts = line[stage];
      for (let cell = 0; cell < count; cell += 1) {
        const whole = Math.min(line.per_cell, line.gops - cell * line.per_cell);
        const part = (facts.made[cell] || 0) / whole;
        const kind = facts.again[cell] ? "again" : part >= 1 ? stage : part > 0 ? `${stage} some` : "none";
        picture.append(draw("rect", { class: `cell ${kind}`, x: cell * size, y: 8 + row * 28, width: Math.max(0.5, size - gap), height: 24, rx: size > 12 ? 3 : 0 }));
      }
    });
    for (let cell = 0; cell < count; cell += 1) {
      const first = cell * line.per_cell;
      if (triesIn(data, first, Math.min(line.gops, first + line.per_cell) - 1)) {
        picture.append(draw("rect", { class: "tried", x: cell * size, y: 0, width: Math.max(2, size - gap), height: 5, rx: 1 }));
      }
    }
    const head = draw("line", { class: "playhead", x1: 0, x2: 0, y1: 0, y2: 62, "vector-effect": "non-scaling-stroke" });
    const mark = draw("rect", { class: "mark", x: -2 * WIDTH, y: 6, width: size, height: 56, "vector-effect": "non-scaling-stroke" });
    picture.append(mark, head);
    const told = el("p", { class: "strip-told" }, "Point at the strip, or walk along it with the arrow keys.");
    const command = el("code", {}, "");
    const copy = el("button", { type: "button", class: "copy", click: () => {
      navigator.clipboard.writeText(command.textContent).then(() => tell(copy, "Copied"), () => tell(copy, "Select it and copy"));
    } }, "Copy");
    const again = el("p", { class: "strip-told", hidden: true }, el("span", {}, "To have it made once more:"), command, copy);
    let at = 0;
    const node = el("div", {
      class: "strip", tabindex: 0, role: "slider", "aria-label": "GOPs of this title", "aria-orientation": "horizontal",
      "aria-valuemin": 0, "aria-valuemax": count - 1, "aria-valuenow": 0, "aria-valuetext": words(data, 0).join("; "),
    }, picture);
    const choose = (cell) => {
      at = Math.min(count - 1, Math.max(0, cell));
      const found = words(data, at);
      mark.setAttribute("x", at * size);
      node.setAttribute("aria-valuenow", at);
      node.setAttribute("aria-valuetext", found.join("; "));
      again.hidden = false;
      tell(command, redo(data, at));
      tell(copy, "Copy");
      told.replaceChildren(el("b", {}, found[0]), ...found.slice(1).map((text) => el("span", {}, text)));
    };
    const under = (event) => {
      const box = node.getBoundingClientRect();
      return Math.floor(count * (event.clientX - box.left) / box.width);
    };
    const seek = () => onPick(at * line.per_cell * GOP);
    node.addEventListener("pointermove", (event) => choose(under(event)));
    node.addEventListener("click", (event) => { choose(under(event)); seek(); });
    node.addEventListener("focus", () => choose(at));
    node.addEventListener("keydown", (event) => {
      const page = Math.max(1, Math.round(count / 10));
      const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: page, PageDown: -page, Home: -count, End: count };
      if (event.key in steps) { event.preventDefault(); choose(at + steps[event.key]); }
      else if (event.key === "Enter" || event.key === " ") { event.preventDefault(); seek(); }
    });
    const chapters = el("div", { class: "ruler", "aria-hidden": "true" }, ...ruler(data.entry.seconds).map((second) =>
      el("span", { style: { left: `${100 * second / data.entry.seconds}%` } }, clock(second))));
    const whole = el("div", { class: "strip-box" },
      el("div", { class: "strip-labels", "aria-hidden": "true" }, ...STAGES.map(([, label]) => el("span", {}, label))),
      el("div", { class: "strip-main" }, node, chapters));
    const point = (seconds) => {
      const place = WIDTH * seconds / (data.entry.seconds || 1);
      head.setAttribute("x1", place);
      head.setAttribute("x2", place);
    };
    return { node: el("div", {}, whole, told, again), point };
  }

  function ruler(seconds) {
    const step = [2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600].find((one) => seconds / one <= 8) || 7200;
    return Array.from({ length: Math.floor(seconds * 0.97 / step) + 1 }, (_, place) => place * step);
  }

  // Position in the video over the time of day, one line a stage; null where there is too little to draw.
  function course(data) {
    const line = data.timeline;
    const lines = STAGES.map(([stage]) => {
      const facts = line[stage];
      const points = facts.at.map((at, cell) => [at, Math.min(data.entry.seconds, (cell * line.per_cell + facts.made[cell]) * GOP)])
        .filter(([at]) => at > 0).sort((a, b) => a[0] - b[0]);
      let most = 0;
      return { name: stage, points: points.map(([at, made]) => [at, most = Math.max(most, made)]) };
    }).filter(({ points }) => points.length);
    const times = lines.flatMap(({ points }) => points.map(([at]) => at));
    const [from, to] = [Math.min(...times), Math.max(...times)];
    if (!lines.length || to - from < 2) return null;
    const day = to - from > 86_400;
    const tellX = (at) => new Date(at * 1000).toLocaleString([], day
      ? { month: "short", day: "numeric", hour: "2-digit" } : { hour: "2-digit", minute: "2-digit", ...(to - from < 600 ? { second: "2-digit" } : {}) });
    const ticksX = Array.from({ length: 5 }, (_, place) => from + (to - from) * (place + 0.5) / 5);
    return Charts.chart({
      label: `How far the video was made at which time, from ${moment(from)} to ${moment(to)}`, lines, x: [from, to],
      y: [0, data.entry.seconds], tellX, tellY: clock, fill: false, ticksX,
    });
  }

  function hosts(data) {
    if (!data.timeline.hosts.length) return null;
    return el("table", { class: "facts" },
      el("thead", {}, el("tr", {}, ...["Machine", "Motion", "Picture", "Work"].map((label, place) => el("th", { scope: "col", class: place ? "n" : null }, label)))),
      el("tbody", {}, ...data.timeline.hosts.map((host) => el("tr", {}, el("th", { scope: "row" }, host.name),
        el("td", { class: "n" }, plural(host.chain, "GOP")), el("td", { class: "n" }, plural(host.stream, "GOP")), el("td", { class: "n" }, span(host.seconds))))));
  }

  return { strip, course, hosts, words, GOP };
})();
