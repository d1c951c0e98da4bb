// What both pages share: building elements from text, telling times, following a run. Nothing here parses markup.
"use strict";

const Longtake = (() => {
  const STATES = {
    waiting: "Waiting", preparing: "Preparing", rendering: "Rendering", publishing: "Finishing", preview: "Preview",
    done: "Done", failed: "Failed", paused: "Paused", damaged: "Damaged",
  };
  const SVG = "http://www.w3.org/2000/svg";
  const FROM_FOLDER = location.protocol === "file:";

  // An element with attributes, listeners (functions) and children; every text becomes a text node.
  function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === false || value === null || value === undefined) continue;
      if (typeof value === "function") node.addEventListener(name, value);
      else if (name === "style") for (const [key, one] of Object.entries(value)) node.style.setProperty(key, one);
      else node.setAttribute(name, value === true ? "" : String(value));
    }
    node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
    return node;
  }
  const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
  const draw = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
  const byId = (id) => document.getElementById(id);

  // Only changed texts are written, so that a screen reader is told of changes alone.
  function tell(node, text) {
    if (node.textContent !== text) node.textContent = text;
  }

  function clock(seconds) {
    const whole = Math.max(0, Math.floor(seconds));
    const pad = (value) => String(value).padStart(2, "0");
    const hours = Math.floor(whole / 3600);
    return hours ? `${hours}:${pad(Math.floor(whole / 60) % 60)}:${pad(whole % 60)}` : `${Math.floor(whole / 60)}:${pad(whole % 60)}`;
  }

  // A length of time in words: 3 h 20 min, 4 min, 12 s.
  function span(seconds) {
    const whole = Math.round(seconds);
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} min${whole < 600 && whole % 60 ? ` ${whole % 60} s` : ""}`;
    return `${Math.floor(whole / 3600)} h${Math.floor(whole / 60) % 60 ? ` ${Math.floor(whole / 60) % 60} min` : ""}`;
  }

  const ago = (moment) => {
    const passed = Date.now() / 1000 - moment;
    return passed < 5 ? "just now" : `${span(passed)} ago`;
  };

  const moment = (at, withDay = true) => at ? new Date(at * 1000).toLocaleString([], withDay
    ? { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" }
    : { hour: "2-digit", minute: "2-digit", second: "2-digit" }) : "—";

  const number = (value) => Number(value).toLocaleString("en");
  const plural = (count, one, many) => `${number(count)} ${count === 1 ? one : many || `${one}s`}`;

  function bytes(size) {
    const units = ["bytes", "KB", "MB", "GB", "TB"];
    let unit = 0;
    while (size >= 1000 && unit < units.length - 1) { size /= 1000; unit += 1; }
    return `${unit && size < 100 ? size.toFixed(1) : Math.round(size)} ${units[unit]}`;
  }

  const chip = (state) => el("span", { class: `chip ${state in STATES ? state : "waiting"}` }, STATES[state] || "Unknown");

  function progress(entry) {
    const part = (count) => entry.gops ? Math.min(100, 100 * count / entry.gops) : 0;
    return el("div", {
      class: "progress", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": entry.gops, "aria-valuenow": entry.upscaled,
      "aria-label": "Rendered", "aria-valuetext": `${Math.floor(part(entry.upscaled))} percent`,
    }, el("span", { class: "ahead", style: { width: `${part(entry.chained)}%` } }),
    el("span", { class: `made ${entry.state in STATES ? entry.state : ""}`, style: { width: `${part(entry.upscaled)}%` } }));
  }

  const read = () => JSON.parse(byId("data").textContent);

  // Asks for the data while `goes on` and hands over what is new. From a folder nothing can be asked for: the page itself
  // is read again, unless somebody is watching.
  function follow(url, every, goesOn, busy, show) {
    let written = read().written;
    async function look() {
      if (!goesOn()) return;
      if (document.hidden) { again(); return; }
      if (FROM_FOLDER) {
        if (!busy()) { location.reload(); return; }
        again();
        return;
      }
      try {
        const answer = await fetch(url, { cache: "no-store", credentials: "same-origin" });
        if (answer.ok) {
          const found = await answer.json();
          if (found.written !== written) { written = found.written; show(found); }
        }
      } catch (error) {
        // The server is gone for the moment; what is shown says how old it is.
      }
      again();
    }
    const again = () => setTimeout(look, FROM_FOLDER ? 3 * every : every);
    again();
    document.addEventListener("visibilitychange", () => { if (!document.hidden && goesOn() && !FROM_FOLDER) look(); });
  }

  return { STATES, FROM_FOLDER, el, draw, byId, tell, clock, span, ago, moment, number, plural, bytes, chip, progress, read, follow };
})();
