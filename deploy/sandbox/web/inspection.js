// One request, watched from outside: its digest, the audit entries, and what went to the vendor, in order of time.
import * as api from "./api.js";
import { h, icon, reconcile } from "./dom.js";
import { S, nameOf } from "./state.js";

const pretty = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2)) || "";
const clock = (at) => new Date(at * 1000).toISOString().slice(11, 23);

let shown = { id: null, signature: "", node: null }, running = false, again = false;

const note = (text) => h("p", { class: "nothing", role: "status" }, text);

export async function requestTab(pane, id) {
  if (!id) { reconcile(pane, [note("No request here yet. Run one, and watch here what went to the vendor.")]); return; }
  if (running) { again = true; return; }
  running = true;
  if (shown.id !== id) shown = { id, signature: "", node: note(`Looking at ${id} …`) };
  reconcile(pane, [shown.node]);
  const found = await api.getRequest(id);
  running = false;
  if (again) { again = false; requestTab(pane, id); return; }
  keep(found);
  if (pane.getAttribute("aria-labelledby") === "tab-request") reconcile(pane, [shown.node]);
}

// What did not change keeps its node; what did keeps its rows open.
function keep(found) {
  const signature = JSON.stringify(found), { id } = shown;
  if (shown.signature === signature) return;
  const open = new Set([...shown.node.querySelectorAll("details[open]")].map((one) => one.dataset.key));
  shown = { id, signature, node: found.entries?.length ? report(id, found, open) : note(`Nothing is known of ${id} yet.`) };
}

// Where the same digest should stand, and whether it does.
function agreement(id, found) {
  const card = Object.values(S.data.messages).flat().find((m) => m.metadata?.event_payload?.request_id === id && m.metadata.event_payload.digest);
  const named = found.entries.filter((e) => e.facts?.digest);
  const all = new Set([...named.map((e) => e.facts.digest), ...(card ? [card.metadata.event_payload.digest] : [])]);
  if (!all.size) return null;
  const places = `${named.length} audit ${named.length === 1 ? "entry" : "entries"}${card ? " and the card" : ""}`;
  return h("p", { class: all.size === 1 ? "agrees" : "differs" }, icon(all.size === 1 ? "check" : "warn"), all.size === 1 ? `The same digest in ${places}.` : `${all.size} different digests in ${places}.`);
}

function report(id, found, open) {
  const rows = [
    ...found.entries.map((e) => ({ at: Date.parse(e.at) / 1000, node: audited(e, open) })),
    ...found.calls.map((c) => ({ at: c.at - (c.ms || 0) / 1000, node: called(c, open) })),
  ].sort((a, b) => a.at - b.at);
  return h("div", { class: "inspection" },
    h("dl", null, h("dt", null, "Request"), h("dd", null, h("code", null, id)), h("dt", null, "Plan's digest"), h("dd", null, h("code", { class: "digest" }, found.digest || "no plan yet"))),
    agreement(id, found),
    h("p", { class: "nothing" }, `${found.entries.length} audit entries, and ${found.calls.length} calls to ${found.vendor} while it was at work, oldest first. Times are UTC.`),
    rows.map((row) => row.node));
}

function row(key, open, at, kind, what, status, more) {
  return h("details", { data: { key }, open: open.has(key) }, h("summary", null, h("time", null, clock(at)), h("span", { class: `link ${kind}` }, kind === "vendor" ? "Call" : "Audit"), h("code", null, what), h("span", { class: "status" }, status)), more);
}

function audited(e, open) {
  const by = e.actor?.startsWith("U0") ? nameOf(e.actor) : e.actor;
  return row(`a${e.seq}`, open, Date.parse(e.at) / 1000, "audit", e.action, by, h("pre", { tabindex: "0" }, pretty(e)));
}

function called(c, open) {
  return row(`c${c.n}`, open, c.at - (c.ms || 0) / 1000, "vendor", c.what, `${c.status || "no answer"} · ${Math.round(c.ms || 0)} ms`,
    [h("h3", null, "Body"), h("pre", { tabindex: "0" }, pretty(c.request)), h("h3", null, "Answer"), h("pre", { tabindex: "0" }, pretty(c.response))]);
}
