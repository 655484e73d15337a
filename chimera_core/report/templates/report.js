"use strict";
// The matrix of pictures, the sorting of the table and the theme. Names of files come from strangers: they are only
// ever set as text, never as markup.
(() => {
  const byId = (id) => document.getElementById(id);
  const page = JSON.parse(byId("page-data").textContent);
  const matrix = byId("matrix");
  const rows = [...matrix.querySelectorAll("tr[data-tuple]")];
  const near = new Set(); // rows in or near the window: only these hold pictures that follow the slider at once
  const hiddenFusers = new Set();
  const blocks = new Map();
  const state = { step: Number(byId("weight").value), seed: 0 };

  function make(tag, className, text) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  }

  // Names break after _ - and . rather than in the middle of a word.
  function named(tag, name) {
    const element = make(tag);
    name.split(/(?<=[_.-])/).forEach((part) => element.append(part, make("wbr")));
    return element;
  }

  // One tuple's pictures and figures, read when they are first wanted: 50,000 pictures are 50 MB of text.
  function block(tuple) {
    if (!blocks.has(tuple)) blocks.set(tuple, JSON.parse(byId(`tuple-${tuple}`).textContent));
    return blocks.get(tuple);
  }

  const source = (data) => `data:image/webp;base64,${data}`;
  const percent = (share) => `${+(100 * share).toFixed(1)}`;
  const ratio = (weights) => weights.map(percent).join(" : ");

  // Tuples with fewer weights than the slider has steps follow it in proportion.
  function weightIndex(data, step) {
    return page.steps < 2 ? 0 : Math.round((step * (data.weights.length - 1)) / (page.steps - 1));
  }

  function cell(tuple, fuser, weight, seed) {
    const data = block(tuple);
    const at = (seed * data.weights.length + weight) * page.fusers.length + fuser;
    const facts = data.facts[at] ?? null;
    if (Array.isArray(facts)) return { picture: data.tiles[at] ?? null, figures: facts, trouble: null };
    return { picture: null, figures: null, trouble: facts?.reason ?? "not in this comparison", failed: facts?.status === "failed" };
  }

  function figure(tuple, value) {
    if (typeof value === "string") return { text: "n/a", reason: block(tuple).reasons[Number(value)] };
    const size = Math.abs(value);
    if (size > 1e-12 && size < 0.0005) return { text: value > 0 ? "<0.001" : ">\u22120.001" };
    if (size <= 1e-12) value = 0;
    const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 3;
    return { text: value.toFixed(digits).replace("-", "\u2212") };
  }

  function recipe(tuple, weights) {
    return page.tuples[tuple].map((label, i) => `${percent(weights[i])} % ${label}`).join(" and ");
  }

  function score(tuple, found) {
    const at = page.metrics.indexOf("score");
    return found.figures && at >= 0 ? figure(tuple, found.figures[at]) : null;
  }

  // The picture of a cell, or a box that says why there is none.
  function picture(tuple, fuser, weight, seed) {
    const found = cell(tuple, fuser, weight, seed);
    const weights = block(tuple).weights[weight] ?? [];
    if (found.picture === null) {
      const box = make("div", found.failed ? "empty failed" : "empty", found.trouble ?? "no picture");
      box.title = found.trouble ?? "";
      return box;
    }
    const image = make("img");
    const figures = score(tuple, found);
    image.alt = `${recipe(tuple, weights)}, by ${page.fusers[fuser].label}, seed ${page.seeds[seed]}` +
      (figures ? `; score ${figures.text}` : "");
    image.src = source(found.picture);
    return image;
  }

  function fill(row) {
    const tuple = Number(row.dataset.tuple);
    const data = block(tuple);
    const labels = page.tuples[tuple];
    const parents = make("div", labels.length > 2 ? "parents three" : "parents");
    labels.forEach((label, i) => {
      const shown = make("figure");
      if (data.parents[i]) {
        const image = make("img");
        image.src = source(data.parents[i]);
        image.alt = `Parent: ${label}`;
        shown.append(image);
      } else {
        shown.append(make("div", "empty", "no picture"));
      }
      const caption = named("figcaption", label);
      caption.append(make("b"));
      shown.append(caption);
      parents.append(shown);
    });
    row.firstElementChild.replaceChildren(parents);
    page.fusers.forEach((fuser, i) => {
      const place = make("td");
      place.setAttribute("role", "gridcell");
      place.dataset.fuser = i;
      place.hidden = hiddenFusers.has(i);
      const tile = make("button", "tile");
      tile.type = "button";
      tile.tabIndex = -1;
      const caption = make("div", "caption");
      caption.append(named("span", fuser.label), make("b"));
      tile.append(make("div", "empty"), caption);
      place.append(tile);
      row.append(place);
    });
    row.dataset.filled = "";
    if (!matrix.querySelector('.tile[tabindex="0"]')) row.querySelector(".tile")?.setAttribute("tabindex", "0");
  }

  function show(row) {
    if (!("filled" in row.dataset)) fill(row);
    const wanted = `${state.step}/${state.seed}`;
    if (row.dataset.shown === wanted) return;
    row.dataset.shown = wanted;
    const tuple = Number(row.dataset.tuple);
    const data = block(tuple);
    const weight = weightIndex(data, state.step);
    row.querySelectorAll("figcaption b").forEach((share, i) => {
      share.textContent = data.weights[weight] ? `${percent(data.weights[weight][i])} %` : "";
    });
    row.querySelectorAll(".tile").forEach((tile, fuser) => {
      tile.firstElementChild.replaceWith(picture(tuple, fuser, weight, state.seed));
      tile.querySelector(".caption b").textContent = score(tuple, cell(tuple, fuser, weight, state.seed))?.text ?? "";
    });
  }

  function update() {
    const named = new Set(rows.slice(0, 1).concat([...near]).map((row) => {
      const data = block(Number(row.dataset.tuple));
      const weights = data.weights[weightIndex(data, state.step)];
      return weights && data.weights.length === page.steps ? ratio(weights) : "";
    }));
    named.delete("");
    const text = [...named][0] ?? `step ${state.step + 1} of ${page.steps}`;
    byId("weight-text").textContent = text;
    byId("weight").setAttribute("aria-valuetext", text);
    near.forEach(show);
  }

  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) { near.add(entry.target); show(entry.target); } else near.delete(entry.target);
    }
  }, { rootMargin: "500px 0px" });

  byId("weight").addEventListener("input", (event) => { state.step = Number(event.target.value); update(); });
  byId("seed")?.addEventListener("change", (event) => { state.seed = Number(event.target.value); update(); });
  byId("controls").hidden = false;
  if (rows.length) update();
  rows.forEach((row) => observer.observe(row));
  addEventListener("beforeprint", () => { if (rows.length * page.fusers.length <= 3000) rows.forEach(show); });

  // Which fusers are shown.
  const choices = document.querySelector(".choices");
  if (choices) page.fusers.forEach((fuser, i) => {
    const label = make("label");
    const box = make("input");
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", () => {
      if (box.checked) hiddenFusers.delete(i); else hiddenFusers.add(i);
      matrix.querySelectorAll(`td[data-fuser="${i}"]`).forEach((place) => { place.hidden = !box.checked; });
      const left = page.fusers.length - hiddenFusers.size;
      byId("chosen").textContent = left === page.fusers.length ? left : `${left} of ${page.fusers.length}`;
      matrix.style.setProperty("--n", Math.max(1, left));
    });
    label.append(box, make("span", "", fuser.label + (fuser.isControl ? " (control)" : "")));
    choices.append(label);
  });
  const chooser = byId("chooser");
  document.addEventListener("click", (event) => { if (chooser?.open && !chooser.contains(event.target)) chooser.open = false; });
  chooser?.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { chooser.open = false; chooser.querySelector("summary").focus(); }
  });

  // Arrow keys walk the matrix; the tab key passes it in one step.
  matrix.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    const tile = event.target.closest(".tile");
    if (!step || !tile) return;
    event.preventDefault();
    const row = rows[rows.indexOf(tile.closest("tr")) + step[0]];
    if (!row) return;
    show(row);
    const shown = (tr) => [...tr.querySelectorAll("td:not([hidden]) .tile")];
    const target = shown(row)[shown(tile.closest("tr")).indexOf(tile) + step[1]];
    if (target) focusTile(target);
  });
  function focusTile(tile) {
    matrix.querySelectorAll('.tile[tabindex="0"]').forEach((other) => { other.tabIndex = -1; });
    tile.tabIndex = 0;
    tile.focus();
  }

  // One creature's whole sweep with every figure.
  const sheet = byId("sheet");
  matrix.addEventListener("click", (event) => {
    const tile = event.target.closest(".tile");
    if (!tile) return;
    focusTile(tile);
    open(Number(tile.closest("tr").dataset.tuple), Number(tile.parentElement.dataset.fuser));
  });
  byId("close").addEventListener("click", () => sheet.close());
  sheet.addEventListener("click", (event) => { if (event.target === sheet) sheet.close(); });

  function open(tuple, fuser) {
    const data = block(tuple);
    const here = weightIndex(data, state.step);
    byId("sheet-title").textContent = `${page.fusers[fuser].label}: ${page.tuples[tuple].join(" + ")}`;
    const strip = make("div", "strip");
    strip.tabIndex = 0;
    strip.setAttribute("role", "group");
    strip.setAttribute("aria-label", `The sweep, seed ${page.seeds[state.seed]}`);
    data.weights.forEach((weights, i) => {
      const shown = make("figure", i === here ? "here" : "");
      shown.append(picture(tuple, fuser, i, state.seed), make("figcaption", "", ratio(weights)));
      strip.append(shown);
    });
    byId("sheet-body").replaceChildren(strip, figureTable(tuple, fuser, data));
    sheet.showModal();
    strip.querySelector(".here")?.scrollIntoView({ inline: "center", block: "nearest", behavior: "instant" });
  }

  function figureTable(tuple, fuser, data) {
    const cells = data.weights.map((_, i) => cell(tuple, fuser, i, state.seed));
    const scroll = make("div", "scroll");
    scroll.tabIndex = 0;
    const table = make("table", "figures");
    const head = make("tr");
    head.append(make("th", "", `Seed ${page.seeds[state.seed]}`), ...data.weights.map((w) => make("th", "", ratio(w))));
    table.createTHead().append(head);
    head.querySelectorAll("th").forEach((th) => { th.scope = "col"; });
    const body = table.createTBody();
    const reasons = new Map();
    page.metrics.forEach((name, m) => {
      const values = cells.map((one) => (one.figures ? figure(tuple, one.figures[m]) : null));
      if (values.every((value) => value === null)) return;
      const line = body.insertRow();
      const title = named("th", metricTitle(name, tuple));
      title.scope = "row";
      line.append(title, ...values.map((value) => {
        const place = make("td", "number", value ? value.text : "\u2013");
        if (value?.reason) { place.title = value.reason; reasons.set(value.reason, name); }
        return place;
      }));
    });
    scroll.append(table);
    const notes = make("ul", "plain hint");
    reasons.forEach((name, reason) => notes.append(make("li", "", `n/a: ${reason}`)));
    new Set(cells.map((one) => one.trouble)).forEach((trouble) => { if (trouble) notes.append(make("li", "", trouble)); });
    const whole = make("div");
    whole.append(...(body.rows.length ? [scroll] : []), notes);
    return whole;
  }

  // membership_1 is the membership of the second parent.
  function metricTitle(name, tuple) {
    const [, stem, index] = name.match(/^(.*)_(\d+)$/) ?? [];
    const parent = index === undefined ? undefined : page.tuples[tuple][Number(index)];
    return parent === undefined ? name.replaceAll("_", " ") : `${stem.replaceAll("_", " ")}, ${parent}`;
  }

  // The ranking sorts by any heading; what has no figure stays last.
  const table = byId("table");
  table?.querySelectorAll("thead button").forEach((button, column) => button.addEventListener("click", () => {
    const heading = button.parentElement;
    const before = heading.getAttribute("aria-sort");
    const way = before ? (before === "ascending" ? "descending" : "ascending") : button.dataset.first;
    table.querySelectorAll("[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", way);
    const value = (row) => row.cells[column].dataset.value;
    const compare = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const order = Number.isNaN(Number(x) - Number(y)) ? x.localeCompare(y) : Number(x) - Number(y);
      return way === "ascending" ? order : -order;
    };
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
  }));

  // Light or dark: the system's choice until one is made here.
  const theme = byId("theme");
  const isDark = () => (document.documentElement.dataset.theme ??
    (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const say = () => { theme.textContent = isDark() ? "Light" : "Dark"; theme.setAttribute("aria-label", `Switch to ${isDark() ? "light" : "dark"} colours`); };
  theme.addEventListener("click", () => { document.documentElement.dataset.theme = isDark() ? "light" : "dark"; say(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", say);
  theme.hidden = false;
  say();
})();
