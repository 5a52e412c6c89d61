// The guide: the whole story, a button a step. It can be put away, and the button "Guide" brings it back.
import * as api from "./api.js";
import { h, icon, iconButton, reconcile, toast, announce } from "./dom.js";
import { S, changed, nameOf, channelOf, channelName, refresh } from "./state.js";
import { leave } from "./composer.js";
import { STEPS } from "./steps.js";
import { later } from "./clock.js";
import { ask, copy, where } from "./program.js";

const KEY = "amend-sandbox-guide"; // in this browser: whether it is away, where one is, what was tried
const kept = load();

function load() {
  const fresh = { away: false, at: STEPS[0].id, tried: [] };
  try { return { ...fresh, ...JSON.parse(localStorage.getItem(KEY)) }; } catch { return fresh; }
}

function keep(now) {
  Object.assign(kept, now);
  try { localStorage.setItem(KEY, JSON.stringify(kept)); } catch { /* a private window keeps nothing */ }
  changed();
}

function put(away) {
  keep({ away });
  (away ? document.getElementById("guide-button") : document.querySelector("#guide [data-try]"))?.focus();
}

async function attempt(step) {
  keep({ at: step.id, tried: [...new Set([...kept.tried, step.id])] });
  if (step.fault) {
    const answer = await api.setFault(step.fault);
    if (answer.ok === false) toast(answer.error);
    refresh();
  }
  announce(step.look);
  leave({ user: step.as, channel: step.at, text: step.type });
}

function follow(next) {
  if (next.program) { ask(next.at); return; } // what is being typed stays
  leave({ user: next.as, channel: next.at, text: next.type || "" });
  if (next.days) later(next.days);
}

const whereabouts = ({ as, at }) => `${nameOf(as)} in ${at.startsWith("D") ? "messages with Amend" : `#${channelName(channelOf(at)) || at}`}`;

function card(step) {
  const here = step.id === kept.at, tried = kept.tried.includes(step.id);
  const button = h("button", { type: "button", class: "try", "aria-current": here ? "step" : null, data: { try: step.id }, onclick: () => attempt(step) },
    h("span", { class: "try-mark", "aria-hidden": "true" }, tried ? icon("check") : ""), h("span", null, step.title), tried && h("span", { class: "sr" }, " (tried)"));
  return h("li", { class: here ? "here" : "" }, button, here && h("div", { class: "try-more" }, h("p", null, step.look), h("p", { class: "try-who" }, `As ${whereabouts(step)}.`),
    step.program && where() && h("p", { class: "try-who" }, "A client of your own can ask, too, at ", h("code", null, where()), "."),
    (step.then || []).map((next) => h("button", { type: "button", class: "button small", data: { then: step.id }, onclick: () => follow(next) }, next.label))));
}

let button = null;
export function guideButton() {
  button ||= h("button", { type: "button", class: "button", id: "guide-button", "aria-controls": "guide", onclick: () => put(!kept.away) }, icon("info"), "Guide");
  button.setAttribute("aria-expanded", String(!kept.away));
  return button;
}

let drawn = "";
export function guide() {
  copy();
  const panel = document.getElementById("guide");
  panel.hidden = kept.away;
  const signature = JSON.stringify([kept, S.user, where()]);
  if (kept.away || signature === drawn) return;
  drawn = signature;
  const focused = panel.contains(document.activeElement) ? { ...document.activeElement.dataset } : null;
  reconcile(panel, [
    h("header", { class: "bar" }, h("h2", null, "Things to try"), iconButton("close", "Put away", () => put(true))),
    h("ol", { class: "tries" }, STEPS.map(card)),
  ]);
  panel.querySelector("li.here")?.scrollIntoView({ block: "nearest" });
  if (focused?.try) panel.querySelector(`[data-try="${focused.try}"]`)?.focus();
}
