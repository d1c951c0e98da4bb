// Line charts as SVG: one quiet line, few numbers, and what it says at the moment that is played or pointed at.
"use strict";

const Charts = (() => {
  const { el, draw, clock } = Longtake;
  const WIDTH = 560;
  const HEIGHT = 150;
  const DIGIT = 9.5; // width of one in the largest size that `.tick` has
  const MARGINS = { left: 54, right: 10, top: 10, bottom: 22 };

  const short = (value) => {
    if (!Number.isFinite(value)) return "—";
    const size = Math.abs(value);
    if (size < 0.1) return String(Number(value.toFixed(4)) + 0); // + 0: there is no -0 to tell
    return size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toFixed(2);
  };

  // As many digits as tell neighbours apart.
  const byStep = (step) => (value) => value.toFixed([0, 1, 2, 3, 4, 5, 6].find((digits) => Math.abs(step * 10 ** digits - Math.round(step * 10 ** digits)) < 1e-6) ?? 6);

  // Round numbers at about `count` places of [low, high].
  function ticks(low, high, count) {
    const raw = (high - low) / count || 1;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= raw);
    const found = [];
    for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-6; at += step) found.push(Math.abs(at) < step * 1e-6 ? 0 : at);
    return found;
  }

  const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400];
  function moments(low, high, count) {
    const step = STEPS.find((one) => (high - low) / one <= count) || Math.ceil((high - low) / count / 86400) * 86400;
    const found = [];
    for (let at = Math.ceil(low / step) * step; at <= high; at += step) found.push(at);
    return found;
  }

  // `lines`: [{ name, points: [[x, y|null], …] }], each with its own class. Options: span [low, high] of x and y, how
  // to tell x and y, whether x is a moment of the video (then a click seeks and the playhead is drawn).
  function chart({ label, lines, x, y, tellX = clock, tellY = null, onPick = null, fill = true, ticksX = null }) {
    const all = lines.flatMap(({ points }) => points.filter(([, value]) => value !== null).map(([, value]) => value));
    let [low, high] = y || [Math.min(...all), Math.max(...all)];
    if (!y) {
      const room = (high - low) * 0.12 || Math.abs(high) * 0.1 || 1;
      low = low >= 0 && low - room < 0 ? 0 : low - room;
      high += room;
    }
    const levels = ticks(low, high, 3);
    const told = tellY || byStep(levels.length > 1 ? levels[1] - levels[0] : levels[0] || 1);
    const SIDE = { ...MARGINS, left: Math.max(MARGINS.left, 12 + DIGIT * Math.max(...levels.map((value) => told(value).length))) };
    const placeX = (value) => SIDE.left + (WIDTH - SIDE.left - SIDE.right) * (value - x[0]) / (x[1] - x[0] || 1);
    const placeY = (value) => HEIGHT - SIDE.bottom - (HEIGHT - SIDE.top - SIDE.bottom) * (value - low) / (high - low || 1);
    const base = placeY(low);
    const picture = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label, class: "chart" });
    for (const value of levels) {
      picture.append(draw("line", { class: "grid", x1: SIDE.left, x2: WIDTH - SIDE.right, y1: placeY(value), y2: placeY(value) }),
        draw("text", { class: "tick", x: SIDE.left - 8, y: placeY(value) + 4, "text-anchor": "end" }, told(value)));
    }
    let free = -Infinity;
    for (const value of ticksX || moments(x[0], x[1], 6)) {
      const wide = DIGIT * tellX(value).length;
      const from = Math.min(placeX(value), WIDTH - SIDE.right - wide / 2) - wide / 2; // whole, also at the end
      if (from < free) continue;
      free = from + wide;
      picture.append(draw("text", { class: "tick", x: from + wide / 2, y: HEIGHT - 4, "text-anchor": "middle" }, tellX(value)));
    }
    for (const { points, name } of lines) {
      let path = "";
      let area = "";
      let open = null;
      for (const [at, value] of points) {
        if (value === null) { if (open !== null) area += `L${open} ${base}Z`; open = null; path += " "; continue; }
        const [px, py] = [placeX(at).toFixed(1), placeY(value).toFixed(1)];
        path += `${open === null ? "M" : "L"}${px} ${py}`;
        area += open === null ? `M${px} ${base}L${px} ${py}` : `L${px} ${py}`;
        open = px;
      }
      if (open !== null) area += `L${open} ${base}Z`;
      if (fill && lines.length === 1) picture.append(draw("path", { class: "area", d: area }));
      picture.append(draw("path", { class: `line ${name || ""}`, d: path }));
    }
    const head = draw("line", { class: "playhead", y1: SIDE.top, y2: HEIGHT - SIDE.bottom, x1: -99, x2: -99 });
    const dot = draw("circle", { class: "dot", r: 3.5, cx: -99, cy: -99 });
    if (onPick) picture.append(head, dot);
    const first = lines[0].points;
    const near = (at) => first.reduce((best, one) => one[1] !== null && Math.abs(one[0] - at) < Math.abs(best[0] - at) ? one : best, [Infinity, null]);
    const at = (event) => {
      const box = picture.getBoundingClientRect();
      const part = ((event.clientX - box.left) * WIDTH / box.width - SIDE.left) / (WIDTH - SIDE.left - SIDE.right);
      return x[0] + Math.min(1, Math.max(0, part)) * (x[1] - x[0]);
    };
    if (onPick) {
      picture.classList.add("picks");
      picture.addEventListener("click", (event) => onPick(at(event)));
    }
    const node = el("div", { class: "plot" }, picture);
    node.point = (moment) => {
      const [px, value] = near(moment);
      const place = placeX(moment);
      head.setAttribute("x1", place);
      head.setAttribute("x2", place);
      if (value !== null) { dot.setAttribute("cx", placeX(px)); dot.setAttribute("cy", placeY(value)); }
      return value;
    };
    node.listen = (tell) => {
      picture.addEventListener("pointermove", (event) => { const value = node.point(at(event)); tell(at(event), value); });
      picture.addEventListener("pointerleave", () => tell(null, null));
    };
    return node;
  }

  return { chart, short };
})();
