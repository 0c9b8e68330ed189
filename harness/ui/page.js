"use strict";
// Everything that becomes markup here was escaped by the server; nothing else may (Trusted Types), and no script of a
// fragment runs: the policy allows this one script by its hash.
const policy = window.trustedTypes
  ? trustedTypes.createPolicy("harness", { createHTML: (text) => text })
  : { createHTML: (text) => text };
const main = document.querySelector("main");
const state = document.getElementById("state");
const find = (selector, inside) => (inside || document).querySelector(selector);
const all = (selector, inside) => [...(inside || document).querySelectorAll(selector)];

function fragment(html) {
  const template = document.createElement("template");
  template.innerHTML = policy.createHTML(html);
  return template.content;
}

function svgNodes(html) {
  return find("svg", fragment('<svg xmlns="http://www.w3.org/2000/svg">' + html + "</svg>")).childNodes;
}

// ---- updates: parts are replaced, folds keep what is open, marks are added

function replacePart(name, html) {
  const place = find('[data-part="' + name + '"]');
  if (!place) return;
  const open = all("details", place).map((fold) => fold.open);
  place.replaceChildren(fragment(html));
  all("details", place).forEach((fold, number) => { fold.open = Boolean(open[number]); });
}

function takeProposal(told) {
  const list = document.getElementById("proposals");
  let fold = document.getElementById("p" + told.number);
  if (fold) {
    find("summary", fold).replaceChildren(fragment(told.summary));
    fold.dataset.kind = told.kind;
    fold.dataset.stale = "yes";
    if (fold.open) load(fold);
  } else {
    list.prepend(fragment(told.fold));
    fold = document.getElementById("p" + told.number);
    fold.classList.add("fresh");  // no animation: it would be drawn sixty times a second beside a trial
    setTimeout(() => document.getElementById("p" + told.number).classList.remove("fresh"), 4000);
  }
  show(fold);
}

function takeChart(name, told) {
  const old = find("#chart svg." + name);
  if (told.whole !== undefined) {
    const made = find("svg", fragment(told.whole));
    if (old) old.replaceWith(made); else document.getElementById("chart").prepend(made);
    return;
  }
  for (const layer of ["under", "over"])
    find('[data-layer="' + layer + '"]', old).replaceChildren(...svgNodes(told[layer]));
  find('[data-layer="marks"]', old).append(...svgNodes(told.new));
}

function takeCards(cards) {
  for (const [key, html] of Object.entries(cards)) {
    const old = document.getElementById("s" + key);
    if (old) old.replaceWith(fragment(html)); else document.getElementById("cards").prepend(fragment(html));
  }
  filterCards();
}

function take(told) {
  if (told.reload) { location.reload(); return; }
  for (const [name, html] of Object.entries(told.parts || {})) replacePart(name, html);
  for (const [name, change] of Object.entries(told.charts || {})) takeChart(name, change);
  if (told.legend !== undefined) document.getElementById("legend").replaceChildren(fragment(told.legend));
  (told.proposals || []).forEach(takeProposal);
  if (told.cards) takeCards(told.cards);
  document.documentElement.dataset.updated = String(Number(document.documentElement.dataset.updated || 0) + 1);
}

function listen() {
  const source = new EventSource(main.dataset.events);
  source.addEventListener("open", () => { state.textContent = "live"; });
  source.addEventListener("message", (event) => take(JSON.parse(event.data)));
  source.addEventListener("error", () => { state.textContent = "not connected; trying again"; });
}

// ---- folds that fetch what is inside when they are opened

async function load(fold) {
  const place = find("summary + div", fold);
  delete fold.dataset.stale;
  const answer = await fetch(fold.dataset.fetch).catch(() => null);
  if (!answer || !answer.ok) { place.textContent = "cannot be fetched: is harness ui still there?"; return; }
  place.replaceChildren(fragment(await answer.text()));
  fold.dataset.loaded = "yes";
}

document.addEventListener("toggle", (event) => {
  const fold = event.target;
  if (fold.matches && fold.matches("details.lazy") && fold.open && (!fold.dataset.loaded || fold.dataset.stale)) load(fold);
}, true);

// ---- filter and search

let chosen = "all", matching = null;

function show(fold) {
  const number = Number(fold.id.slice(1));
  fold.hidden = !((chosen === "all" || fold.dataset.kind === chosen) && (matching === null || matching.has(number)));
}

function showAll() {
  const folds = all("#proposals > details");
  folds.forEach(show);
  const found = document.getElementById("found");
  const seen = folds.filter((fold) => !fold.hidden).length;
  found.textContent = seen === folds.length ? "" : seen + " of " + folds.length + " proposals";
}

function filterCards() {
  const words = search.value.toLowerCase();
  all("#cards > .card").forEach((card) => { card.hidden = !card.textContent.toLowerCase().includes(words); });
}

const search = document.getElementById("search");
let waiting = 0, asked = 0;

async function searchNow() {
  const words = search.value.trim(), number = ++asked;
  if (!words) { matching = null; showAll(); return; }
  const answer = await fetch("find?words=" + encodeURIComponent(words)).catch(() => null);
  if (number !== asked || !answer || !answer.ok) return;
  matching = new Set(await answer.json());
  showAll();
}

if (search) search.addEventListener("input", () => {
  if (document.getElementById("cards")) { filterCards(); return; }
  clearTimeout(waiting);
  waiting = setTimeout(searchNow, 150);
});

all("[data-filter]").forEach((button) => button.addEventListener("click", () => {
  chosen = button.dataset.filter;
  all("[data-filter]").forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
  showAll();
}));

// ---- the chart: a mark leads to its proposal

const chart = document.getElementById("chart");
if (chart) chart.addEventListener("click", (event) => {
  const title = event.target.querySelector && event.target.querySelector("title");
  const number = title ? parseInt(title.textContent, 10) : NaN;
  const fold = document.getElementById("p" + number);
  if (fold) { fold.hidden = false; fold.open = true; go(fold); }
});

for (const name of ["axis", "control"]) {
  const select = document.getElementById(name);
  if (select) select.addEventListener("change", () => {
    const query = new URLSearchParams(location.search);
    if (select.value) query.set(name, select.value); else query.delete(name);
    location.search = query.toString();
  });
}

// ---- keys

let at = null;

function go(fold) {
  if (at) at.classList.remove("at");
  at = fold;
  fold.classList.add("at");
  fold.scrollIntoView({ block: "nearest" });
}

function move(by) {
  const folds = all("#proposals > details").filter((fold) => !fold.hidden);
  if (!folds.length) return;
  const place = at ? folds.indexOf(at) : -1;
  go(folds[Math.min(folds.length - 1, Math.max(0, place + by))] || folds[0]);
}

function dark() {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  setTheme(isDark ? "light" : "dark");
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  try { localStorage.setItem("theme", name); } catch { /* a browser that keeps nothing */ }
}

const keys = {
  j: () => move(1), k: () => move(-1), d: dark,
  o: () => { if (at) at.open = !at.open; },
  g: () => { location.href = document.getElementById("home").href; },
  "?": () => document.getElementById("keys").showModal(),
  "/": () => { if (search) search.focus(); },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, select, textarea")) {
    if (event.key === "Escape") { search.value = ""; search.dispatchEvent(new Event("input")); event.target.blur(); }
    return;
  }
  if (event.key === "Enter" && at && event.target === document.body) keys.o();
  else if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
});

document.getElementById("theme").addEventListener("click", dark);
document.getElementById("help").addEventListener("click", keys["?"]);

// ---- clocks of trials under way: moved on here, so that the server has nothing to say meanwhile

function clock(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  if (seconds < 60) return seconds + " s";
  if (seconds < 3600) return Math.floor(seconds / 60) + " min " + two(seconds % 60) + " s";
  return Math.floor(seconds / 3600) + " h " + two(Math.floor((seconds % 3600) / 60)) + " min";
}

setInterval(() => {
  if (document.hidden) return;
  all(".under-way").forEach((line) => {
    const seconds = find("[data-seconds]", line), bar = find("progress", line);
    seconds.dataset.seconds = String(Number(seconds.dataset.seconds) + 1);
    seconds.textContent = clock(Number(seconds.dataset.seconds));
    bar.value = Math.min(bar.max, bar.value + 1);
  });
}, 1000);

try {
  const kept = localStorage.getItem("theme");
  if (kept === "dark" || kept === "light") setTheme(kept);
} catch { /* a browser that keeps nothing */ }
if (main.dataset.events) listen();
