// The clock of everything here: workspace, vendors and bot. It is moved forward only, from its tab or by the guide.
import * as api from "./api.js";
import { h, reconcile, toast, announce } from "./dom.js";
import { S, changed, refresh } from "./state.js";

const STEPS = [["A day later", 1], ["A week later", 7], ["A month later", 30]];
const DAY = 86400;
let moving = false;

const shown = (at) => new Date(at * 1000).toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric" });

export async function later(days) {
  if (moving) return;
  moving = true;
  changed();
  const answer = await api.moveClock(days);
  moving = false;
  await refresh();
  if (answer.ok === false) toast(answer.error);
  else announce(`It is ${shown(S.data.clock.at)} here.`);
}

function says() {
  if (moving) return "Amend is stopped, the days go by, and it starts again …";
  const ahead = Math.round((S.data.clock.at - Date.now() / 1000) / DAY);
  return `It is ${shown(S.data.clock.at)} here${ahead ? `, ${ahead} ${ahead === 1 ? "day" : "days"} ahead of the world` : ""}.`;
}

export function laterButton(label, days, fields = {}) {
  return h("button", { type: "button", class: "button small", "aria-disabled": moving ? "true" : null, onclick: () => later(days), ...fields }, label);
}

export function clockTab(pane) {
  if (!S.data.clock.moves) { reconcile(pane, [h("p", { class: "nothing" }, "The clock of this sandbox cannot be moved.")]); return; }
  const had = document.activeElement?.dataset?.days;
  reconcile(pane, [h("p", { class: "nothing", role: "status" }, says()),
    h("p", { class: "nothing" }, "Amend is stopped while the time goes by, as on any downtime: what fell due meanwhile is told when it is back. There is no way back but a new sandbox."),
    h("div", { class: "chips" }, STEPS.map(([label, days]) => laterButton(label, days, { data: { days } })))]);
  if (had) pane.querySelector(`[data-days="${had}"]`)?.focus();
}
