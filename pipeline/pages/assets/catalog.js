// The catalog: every title in a row, searched, filtered and sorted here; refreshed while a run goes on.
"use strict";

(() => {
  const { el, byId, tell, clock, span, ago, plural, chip, progress, read, follow, STATES } = Longtake;
  const ROWS = 200; // rows that are drawn at once
  const OVERDUE = 90; // seconds without a sign of life after which a run is taken for gone
  const GROUPS = [
    ["done", "Done", ["done", "preview"]],
    ["running", "In progress", ["preparing", "rendering", "publishing"]],
    ["waiting", "Waiting", ["waiting"]],
    ["paused", "Paused", ["paused"]],
    ["failed", "Failed", ["failed", "damaged"]],
  ];
  const COLUMNS = [
    ["name", "Title", (one) => one.name.toLowerCase()],
    ["state", "State", (one) => GROUPS.findIndex(([, , states]) => states.includes(one.state))],
    ["progress", "Progress", (one) => one.gops ? one.upscaled / one.gops : 0],
    ["left", "Time left", (one) => one.left ?? (one.state === "done" ? -1 : Infinity)],
    ["length", "Length", (one) => one.seconds],
  ];
  const asked = new URLSearchParams(location.hash.slice(1));
  const view = {
    query: asked.get("q") || "", group: asked.get("show") || "", most: ROWS,
    sort: COLUMNS.some(([name]) => name === asked.get("sort")) ? asked.get("sort") : "", down: asked.get("down") === "1",
  };
  const rows = new Map();
  let data = read();

  const groupOf = (one) => (GROUPS.find(([, , states]) => states.includes(one.state)) || GROUPS[2])[0];
  const runs = () => data.run.state === "running";
  const overdue = () => runs() && Date.now() / 1000 - data.written > OVERDUE;

  function show() {
    tell(byId("name"), data.name);
    document.title = `${data.name} · Longtake`;
    showWhole();
    showFilters();
    showRows();
    tell(byId("made"), `${data.software} · as of ${Longtake.moment(data.written)}`);
    beat();
  }

  function showWhole() {
    const titles = data.titles;
    const total = titles.reduce((sum, one) => sum + one.seconds, 0);
    const made = titles.reduce((sum, one) => sum + (one.gops ? one.seconds * one.upscaled / one.gops : 0), 0);
    const left = Math.max(0, ...titles.map((one) => one.left || 0));
    tell(byId("lede"), titles.length
      ? `${plural(titles.length, "title")}, ${span(total)} of video, ${span(made)} rendered${runs() && left ? `; about ${span(left)} left` : ""}.`
      : "No titles yet.");
    byId("whole").replaceChildren(...GROUPS.map(([name, , states]) => {
      const share = titles.filter((one) => states.includes(one.state)).reduce((sum, one) => sum + one.seconds, 0);
      return total && share ? el("span", { class: `part ${name}`, style: { flex: `${share / total} 0 6px` } }) : null;
    }).filter(Boolean));
  }

  function showFilters() {
    const counts = GROUPS.map(([name, label]) => [name, label, data.titles.filter((one) => groupOf(one) === name).length]);
    const wanted = [["", "All", data.titles.length], ...counts.filter(([name, , count]) => count || name === view.group)];
    const held = byId("filters");
    const focus = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.group : undefined;
    held.replaceChildren(...wanted.map(([name, label, count]) => el("button", {
      type: "button", "data-group": name, class: `filter ${name}`, "aria-pressed": String(view.group === name),
      click: () => { view.group = name; view.most = ROWS; remember(); show(); },
    }, el("i", { "aria-hidden": "true" }), `${label} `, el("b", {}, String(count)))));
    if (focus !== undefined) for (const one of held.children) if (one.dataset.group === focus) one.focus();
  }

  function showSorting() {
    byId("sorting").replaceChildren(...COLUMNS.map(([name, label]) => el("th", {
      role: "columnheader", scope: "col", class: `c-${name}`,
      "aria-sort": view.sort === name ? (view.down ? "descending" : "ascending") : "none",
    }, el("button", {
      type: "button", click: () => {
        [view.sort, view.down] = view.sort === name ? (view.down ? ["", false] : [name, true]) : [name, false];
        remember(); showSorting(); showRows();
        for (const button of byId("sorting").querySelectorAll("button")) if (button.textContent.startsWith(label)) button.focus();
      },
    }, label, el("span", { "aria-hidden": "true", class: "arrow" }, view.sort === name ? (view.down ? "↓" : "↑") : "")))));
  }

  function chosen() {
    const words = view.query.toLowerCase().split(/\s+/).filter(Boolean);
    const found = data.titles.filter((one) => (!view.group || groupOf(one) === view.group)
      && words.every((word) => `${one.name} ${one.id} ${STATES[one.state] || ""} ${one.reason}`.toLowerCase().includes(word)));
    const column = COLUMNS.find(([name]) => name === view.sort);
    if (column) {
      const key = column[2];
      found.sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        return ((x > y) - (x < y)) * (view.down ? -1 : 1);
      });
    }
    return found;
  }

  function showRows() {
    const found = chosen();
    const shown = found.slice(0, view.most);
    const held = byId("rows");
    const nodes = shown.flatMap((one) => {
      const written = JSON.stringify(one);
      const before = rows.get(one.id);
      if (before && before.written === written) return before.nodes;
      const made = row(one);
      // A link that has the focus keeps it.
      if (before && before.nodes[0].contains(document.activeElement)) queueMicrotask(() => made[0].querySelector("a")?.focus());
      rows.set(one.id, { written, nodes: made });
      return made;
    });
    const same = nodes.length === held.children.length && nodes.every((node, place) => held.children[place] === node);
    if (!same) held.replaceChildren(...nodes);
    byId("titles").hidden = !shown.length;
    byId("none").hidden = shown.length > 0;
    tell(byId("none"), data.titles.length ? "No title matches." : "This catalog holds no titles yet.");
    byId("more").hidden = found.length <= shown.length;
    tell(byId("more"), `Show ${Math.min(ROWS, found.length - shown.length)} more of ${found.length}`);
  }

  function row(one) {
    const address = one.page ? `${encodeURIComponent(one.id)}/report.html` : null;
    const heading = address ? el("a", { href: address }, one.name) : one.name;
    const picture = one.thumb
      ? el("img", { src: `${encodeURIComponent(one.id)}/thumb.jpg`, alt: "", loading: "lazy", width: 72, height: 72 })
      : el("span", { class: "blank", "aria-hidden": "true" }, (Array.from(one.name)[0] || "?").toUpperCase());
    const told = one.state === "done" ? "complete"
      : one.upscaled || one.chained ? `${clock(one.gops ? one.seconds * one.upscaled / one.gops : 0)} of ${clock(one.seconds)}${one.rate && one.state === "rendering" ? ` · ${one.rate.toFixed(1)} frames/s` : ""}`
      : one.state === "waiting" ? "not begun" : one.state === "preparing" ? "reading portrait and sound" : "nothing rendered";
    const main = el("tr", { role: "row", class: `${one.state} ${one.reason || one.remedy ? "explained" : ""}`, "data-id": one.id },
      el("th", { role: "rowheader", scope: "row", class: "c-name" },
        el("div", { class: "who" }, el("span", { class: "poster" }, picture),
          el("span", { class: "words" }, el("span", { class: "heading" }, heading),
            one.name === one.id ? null : el("span", { class: "id" }, one.id),
            one.retries ? el("span", { class: "id" }, plural(one.retries, "failed try", "failed tries")) : null))),
      el("td", { role: "cell", class: "c-state" }, chip(one.state)),
      el("td", { role: "cell", class: "c-progress" }, progress(one), el("span", { class: "told" }, told)),
      el("td", { role: "cell", class: "c-left" }, el("span", { class: "label" }, "Time left "), one.left ? span(one.left) : "—"),
      el("td", { role: "cell", class: "c-length" }, el("span", { class: "label" }, "Length "), clock(one.seconds)));
    if (!one.reason && !one.remedy) return [main];
    return [main, el("tr", { role: "row", class: "because" }, el("td", { role: "cell", colspan: COLUMNS.length },
      el("div", { class: `why ${groupOf(one)}` }, one.reason ? el("p", {}, one.reason) : null, one.remedy ? el("p", { class: "remedy" }, one.remedy) : null)))];
  }

  // Every second: how old this is, and whether the run still gives signs of life.
  function beat() {
    const node = byId("live");
    node.className = `live ${overdue() ? "late" : runs() ? "on" : ""}`;
    tell(node, overdue() ? `No sign of life since ${ago(data.written)}: run the same command again to continue`
      : runs() ? "Rendering · up to date" : data.run.ended ? `Last run ended ${ago(data.run.ended)}` : "");
  }

  function remember() {
    const kept = new URLSearchParams();
    if (view.query) kept.set("q", view.query);
    if (view.group) kept.set("show", view.group);
    if (view.sort) kept.set("sort", view.sort);
    if (view.down) kept.set("down", "1");
    history.replaceState(null, "", kept.toString() ? `#${kept}` : location.pathname + location.search);
  }

  byId("search").value = view.query;
  byId("search").addEventListener("input", (event) => { view.query = event.target.value; view.most = ROWS; remember(); showRows(); });
  byId("more").addEventListener("click", () => { view.most += ROWS; showRows(); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.ctrlKey && !event.metaKey && document.activeElement !== byId("search")) {
      event.preventDefault();
      byId("search").focus();
    }
  });
  showSorting();
  show();
  setInterval(beat, 5000);
  // A run may begin again any time, so pages go on asking, only less often.
  follow("_pages/catalog.json", 4000, () => runs() || !Longtake.FROM_FOLDER, () => document.activeElement === byId("search"),
    (found) => { data = found; show(); });
})();
