// The page: people and places on the left, messages in the middle, thread and guide on the right, traffic below.
import * as api from "./api.js";
import { reconcile, h, icon } from "./dom.js";
import { renderBlocks } from "./blocks.js";
import { menu } from "./menu.js";
import { S, watch, readHash, refresh, act, channelOf, channelName } from "./state.js";
import { side, jump } from "./side.js";
import { fill, forget, leavePane } from "./messages.js";
import { showComposer } from "./composer.js";
import { modal, viewContext } from "./modal.js";
import { thread } from "./thread.js";
import { guide, guideButton } from "./guide.js";
import { drawer, heard } from "./drawer.js";

const $ = (id) => document.getElementById(id);

// ---- the middle: a channel, or the app's home

function home() {
  reconcile($("bar"), [h("h1", null, "Amend · Home"), h("div", { class: "bar-buttons" }, guideButton())]);
  reconcile($("compose-area"), []);
  const pane = $("pane");
  if (!pane.querySelector(".home")) { leavePane(pane); reconcile(pane, [h("div", { class: "home" })]); }
  const view = S.data.home;
  renderBlocks(pane.querySelector(".home"), view?.blocks || [], viewContext(view));
}

function middle() {
  if (S.home) { home(); return; }
  const channel = channelOf(S.channel);
  reconcile($("bar"), [h("h1", null, channel.kind === "im" ? "Amend" : `# ${channelName(channel)}`), h("div", { class: "bar-buttons" }, shortcutsButton(), guideButton())]);
  fill($("pane"), S.channel, (S.data.messages[S.channel] || []).filter((m) => !m.thread_ts || m.thread_ts === m.ts));
  showComposer($("compose-area"), "composer", `Message ${channel.kind === "im" ? "Amend" : `#${channelName(channel)}`}, or type / for a command`);
}

let shortcuts = null;
function shortcutsButton() {
  shortcuts ||= h("button", { type: "button", class: "button", "aria-haspopup": "menu", "aria-expanded": "false", onclick: (event) => menu(event.currentTarget,
    (S.data.shortcuts || []).filter((s) => s.type === "global").map((s) => ({ label: s.name, run: () => act("shortcut", { callback_id: s.callback_id }) })), { label: "Shortcuts", align: "right" }) }, icon("bolt"), "Shortcuts");
  return shortcuts;
}

// ---- start

let retry = null;
function draw() {
  $("lost").hidden = !S.lost;
  if (S.lost) { clearTimeout(retry); retry = setTimeout(refresh, 1000); }
  if (!S.data) return;
  side(); middle(); thread(); guide(); modal(); drawer();
  if (!arrived && !S.lost) { arrived = true; $("composer")?.focus(); listen(); }
}

let link = null, linked = null, arrived = false;
function listen() {
  if (linked === S.user || !S.user) return;
  link?.();
  linked = S.user;
  link = api.live(S.user, { onState: refresh, onTraffic: heard, onUp: (up) => { if (!up) refresh(); } });
}

async function follow() {
  const before = S.user, wasHome = S.home;
  const hash = readHash();
  Object.assign(S, { user: hash.user || S.user, channel: hash.channel || S.channel, home: hash.home, thread: hash.thread });
  if (S.user !== before) forget();
  await refresh();
  listen();
  if (S.home && (!wasHome || S.user !== before)) { $("pane").replaceChildren(); act("home", {}, { quiet: true }); }
}

watch(draw);
addEventListener("hashchange", follow);
$("jump").addEventListener("click", (event) => jump(event.currentTarget));
addEventListener("keydown", (event) => { if (event.key === "k" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); jump($("jump")); } });
$("skip").addEventListener("click", () => $("composer")?.focus());
follow();
