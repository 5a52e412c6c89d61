// Below the page: what became of the request that is open, all traffic, the faults one can switch on, and the clock.
import * as api from "./api.js";
import { h, icon, iconButton, reconcile, toast } from "./dom.js";
import { S, act, refresh } from "./state.js";
import { requestTab } from "./inspection.js";
import { clockTab } from "./clock.js";

const $ = (id) => document.getElementById(id);
const DRAWN = 200; // entries of the traffic that are drawn, the newest first
const TABS = { request: "Request", traffic: "Traffic", faults: "Faults", clock: "Clock" };

let tab = "request", chosen = null, asked = false, cameFrom = null;
let entries = [], sight = { who: "all", quiet: true };

// ---- open and close

export const requestOf = (m) => (m?.metadata?.event_type === "amend_request" ? m.metadata.event_payload.request_id : null);

// The request that is looked at: the chosen one, else the thread's, else the channel's newest.
function current() {
  const messages = S.data.messages[S.channel] || [];
  return chosen || requestOf(messages.find((m) => m.ts === S.thread)) || requestOf(messages.findLast((m) => requestOf(m)));
}

export function inspect(id) { chosen = id; open("request"); }

export function toggleDrawer() { if ($("drawer").hidden) open(tab); else close(); }

function open(which) {
  if ($("drawer").hidden) cameFrom = document.activeElement;
  tab = which;
  $("drawer").hidden = false;
  if (!asked) { asked = true; api.getTraffic(0).then((answer) => { entries = answer.entries || []; drawer(); }); }
  drawer();
  $("drawer").querySelector('[role="tab"][aria-selected="true"]').focus();
}

function close() {
  $("drawer").hidden = true;
  chosen = null;
  (cameFrom?.isConnected ? cameFrom : $("composer"))?.focus();
}

// ---- drawing

let due = null;
export function heard(entry) {
  if (asked) entries.push(entry);
  if (!$("drawer").hidden && !due) due = setTimeout(() => { due = null; drawer(); }, 200);
}

export function drawer() {
  const panel = $("drawer");
  if (panel.hidden || !S.data) return;
  if (!panel.firstChild) frame(panel);
  for (const one of panel.querySelectorAll('[role="tab"]')) {
    one.setAttribute("aria-selected", String(one.dataset.tab === tab));
    one.tabIndex = one.dataset.tab === tab ? 0 : -1;
  }
  const pane = panel.querySelector(".pane");
  pane.setAttribute("aria-labelledby", `tab-${tab}`);
  ({ request: () => requestTab(pane, current()), traffic: () => traffic(pane), faults: () => faults(pane), clock: () => clockTab(pane) })[tab]();
}

function frame(panel) {
  const names = Object.keys(TABS);
  const tabs = names.map((name) => h("button", { type: "button", role: "tab", id: `tab-${name}`, class: "tab", "aria-controls": "drawer-pane", data: { tab: name }, onclick: () => { tab = name; drawer(); } }, TABS[name]));
  const list = h("div", { class: "tabs", role: "tablist", "aria-label": "What to look at" }, tabs);
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    tab = names[(names.indexOf(tab) + step + names.length) % names.length];
    drawer();
    $(`tab-${tab}`).focus();
  });
  panel.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
  panel.replaceChildren(h("header", { class: "bar" }, h("h2", { class: "sr" }, "Traffic and faults"), list, iconButton("close", "Close", close)), h("div", { class: "pane", id: "drawer-pane", role: "tabpanel", tabindex: "0" }));
}

// ---- traffic

const nodes = new Map();
const pretty = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2)) || "";
const partner = (e) => (e.direction === "to_bot" ? "→ Amend" : `→ ${e.vendor || "Slack"}`);
const clock = (at) => new Date(at * 1000).toLocaleTimeString("en-GB");
const SEEN = { all: () => true, vendor: (e) => e.link === "vendor", slack: (e) => e.link === "slack" };

function entry(e) {
  if (nodes.has(e.n)) return nodes.get(e.n);
  const node = h("details", { data: { n: e.n } },
    h("summary", null, h("time", null, clock(e.at)), h("span", { class: `link ${e.link}` }, partner(e)), h("code", null, e.what), h("span", { class: "status" }, `${e.status || "no answer"} · ${Math.round(e.ms || 0)} ms`)));
  node.addEventListener("toggle", () => {
    if (!node.open || node.childElementCount > 1) return;
    const again = e.direction === "to_bot" && h("button", { type: "button", class: "button small", onclick: () => act("redeliver", { n: e.n }) }, icon("again"), "Send again, unchanged");
    node.append(...[again, h("h3", null, "Request"), h("pre", { tabindex: "0" }, pretty(e.request)), h("h3", null, "Answer"), h("pre", { tabindex: "0" }, pretty(e.response))].filter(Boolean));
  });
  nodes.set(e.n, node);
  return node;
}

function choice(label, on, press) {
  return h("button", { type: "button", class: "chip", "aria-pressed": String(on), onclick: () => { press(); drawer(); [...document.querySelectorAll("#drawer .chip")].find((c) => c.textContent === label)?.focus(); } }, label);
}

function traffic(pane) {
  const signIns = entries.filter((e) => e.what === "auth.test").length;
  const shown = entries.filter((e) => SEEN[sight.who](e) && !(sight.quiet && e.what === "auth.test")).slice(-DRAWN).reverse();
  reconcile(pane, [h("div", { class: "chips" },
    choice("Everything", sight.who === "all", () => { sight.who = "all"; }), choice("Vendors", sight.who === "vendor", () => { sight.who = "vendor"; }), choice("Slack", sight.who === "slack", () => { sight.who = "slack"; }),
    choice(`Leave out ${signIns} × auth.test`, sight.quiet, () => { sight.quiet = !sight.quiet; })),
  ...(shown.length ? shown.map(entry) : [h("p", { class: "nothing" }, "Nothing yet.")])]);
}

// ---- faults

// How long a fault stays on: for the next call, but where it is about a time.
const LASTS = { channel_pace: { seconds: 60 }, socket_silent: { seconds: 20 }, slow: { times: 3, seconds: 3 }, timeout: { times: 1, seconds: 30 }, conflict_wait: { times: 1, seconds: 5 } };

async function switchFault(target, fault, on) {
  const answer = await api.setFault({ target, fault: on ? null : fault, ...(on ? {} : LASTS[fault] || { times: 1 }) });
  if (answer.ok === false) toast(answer.error);
  await refresh();
  document.querySelector(`#drawer [data-fault="${target}:${fault}"]`)?.focus();
}

const sentence = (says) => { const text = (says || "").replace(/`seconds`/g, "some seconds"); return text && `${text[0].toUpperCase()}${text.slice(1)}.`; };

function faultList(target, title, { available, says = {}, active }) {
  const now = active?.fault || active?.name;
  return h("section", { class: "fault-list", "aria-label": `Faults of ${title}` }, h("h3", null, title), available.map((name) => h("div", { class: "fault" },
    h("button", { type: "button", class: "chip", "aria-pressed": String(name === now), data: { fault: `${target}:${name}` }, onclick: () => switchFault(target, name, name === now) }, name.replaceAll("_", " ")),
    h("span", null, sentence(says[name]), name === now ? h("strong", null, " On.") : null))));
}

const TITLES = { qualys: "Qualys", ccs: "Symantec CCS", xpanse: "Cortex Xpanse", zstack: "ZStack Cloud" };
let faultsDrawn = "";
function faults(pane) {
  const signature = JSON.stringify([S.data.faults, S.data.vendors]);
  if (signature === faultsDrawn && pane.querySelector(".fault-lists")) return;
  faultsDrawn = signature;
  reconcile(pane, [h("p", { class: "nothing" }, "One press switches a fault on, for the next call where it is not about time; another press switches it off."),
    h("div", { class: "fault-lists" }, faultList("slack", "Slack", S.data.faults), S.data.vendors.map((v) => faultList(v.name, TITLES[v.name] || v.name, v.faults)))]);
}
