// Messages in a pane: drawn once each, the newest scrolled to, and told to who cannot see them.
import * as api from "./api.js";
import { h, icon, iconButton, reconcile, announce } from "./dom.js";
import { renderBlocks } from "./blocks.js";
import { mrkdwn, words } from "./mrkdwn.js";
import { menu } from "./menu.js";
import { S, act, go, nameOf, avatar, justActed } from "./state.js";
import { requestOf, inspect } from "./drawer.js";

const SHOWN = 120; // messages that are drawn at first; each press on "Earlier messages" adds as many
const NEAR = 120; // pixels from the end within which what is new is followed
const time = (ts) => new Date(Number(ts) * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

const drawn = new Map(), panes = new WeakMap();
export function forget() { drawn.clear(); }

// ---- one message

function tools(m, inThread) {
  if (m.ephemeral) return null;
  const shortcuts = (S.data.shortcuts || []).filter((s) => s.type === "message");
  const run = (s) => () => act("shortcut", { callback_id: s.callback_id, channel: m.channel, ts: m.ts });
  return h("div", { class: "tools" },
    requestOf(m) && iconButton("traffic", "What went to the vendor", () => inspect(requestOf(m))),
    inThread ? null : iconButton("reply", "Reply in thread", () => go({ thread: m.ts })),
    iconButton("more", "Message shortcuts", (event) => menu(event.currentTarget, shortcuts.map((s) => ({ label: s.name, run: run(s) })), { label: "Message shortcuts", align: "right" }), { "aria-haspopup": "menu", "aria-expanded": "false" }));
}

function body(m) {
  const node = h("div", { class: "message-body" });
  const ctx = {
    press: (block_id, action_id, payload) => act("press", { channel: m.channel, ts: m.ts, block_id, action_id, ...payload }),
    options: (block_id, action_id, value) => api.act(S.user, "options", { channel: m.channel, ts: m.ts, block_id, action_id, value }),
  };
  if (m.blocks?.length) renderBlocks(node, m.blocks, ctx);
  else node.append(h("div", { class: "text" }, mrkdwn(m.text || "")));
  for (const file of m.files || []) node.append(h("a", { class: "file", href: file.url_private || file.url || `/files/${file.id}/${file.name}`, target: "_blank", rel: "noopener" }, icon("file"), file.title || file.name));
  return node;
}

function message(m, inThread) {
  return h("article", { class: `message ${m.ephemeral ? "ephemeral" : ""}`, "aria-label": `${nameOf(m.user)}, ${time(m.ts)}`, data: { ts: m.ts } }, avatar(m.user),
    h("div", { class: "message-main" },
      m.ephemeral ? h("div", { class: "only-you" }, icon("eye"), "Only visible to you") : null,
      h("header", null, h("strong", null, nameOf(m.user)), m.bot ? h("span", { class: "badge" }, "APP") : null, h("time", null, time(m.ts)), m.edited ? h("span", { class: "edited" }, "(edited)") : null),
      body(m),
      !inThread && m.reply_count ? h("button", { type: "button", class: "replies", onclick: () => go({ thread: m.ts }) }, m.reply_count === 1 ? "1 reply" : `${m.reply_count} replies`) : null),
    tools(m, inThread));
}

// A message that did not change keeps its node; one that did keeps the focus on the same button.
function nodeOf(m, inThread) {
  const key = `${inThread}:${m.channel}:${m.ts}:${m.ephemeral}`, signature = JSON.stringify(m);
  const known = drawn.get(key);
  if (known?.signature === signature) return known.node;
  const focused = known?.node.contains(document.activeElement) ? { ...document.activeElement.dataset } : null;
  const node = message(m, inThread);
  drawn.set(key, { signature, node });
  if (focused) queueMicrotask(() => refocus(node, focused));
  return node;
}

function refocus(node, { actionId }) {
  const same = actionId && node.querySelector(`[data-action-id="${CSS.escape(actionId)}"]`);
  (same || node.querySelector("button, a[href]") || document.getElementById("composer"))?.focus();
}

// ---- a pane of them

function paneOf(pane) {
  if (panes.has(pane)) return panes.get(pane);
  const state = { place: "", sticks: true, limit: SHOWN, last: "", told: new Map(), list: h("div", { class: "messages" }) };
  state.earlier = h("button", { type: "button", class: "button earlier", onclick: () => { state.limit += SHOWN; state.sticks = false; state.again(); } }, "Earlier messages");
  state.empty = h("p", { class: "nothing" }, "Nothing was said here yet. Press something to try, or type / for a command.");
  state.newer = h("button", { type: "button", class: "button newer", hidden: true, onclick: () => { state.sticks = true; toEnd(pane, state); } }, "New messages", icon("down"));
  pane.addEventListener("scroll", () => {
    if (pane.clientHeight !== state.height) return; // the pane changed its size, nobody scrolled
    state.sticks = pane.scrollHeight - pane.scrollTop - pane.clientHeight < NEAR;
    if (state.sticks) state.newer.hidden = true;
  });
  const grown = new ResizeObserver(() => { if (state.sticks) toEnd(pane, state); state.height = pane.clientHeight; });
  grown.observe(state.list);
  grown.observe(pane);
  panes.set(pane, state);
  return state;
}

function toEnd(pane, state) {
  pane.scrollTop = pane.scrollHeight;
  state.height = pane.clientHeight;
  state.newer.hidden = true;
}

// Says what came, and what an older message says now, once each.
function tell(state, list, fresh) {
  for (const m of list) {
    const before = state.told.get(m.ts);
    state.told.set(m.ts, m.text);
    if (!fresh && before !== m.text && m.user !== S.user) announce(`${nameOf(m.user)}: ${words(m.text)}`);
  }
}

// The pane shows something else now; who comes back begins at the end.
export function leavePane(pane) {
  Object.assign(paneOf(pane), { place: "", sticks: false });
}

// Shows `list` in `pane`; another `place` begins at its end.
export function fill(pane, place, list, inThread = false) {
  const state = paneOf(pane), key = `${S.user}/${place}`, fresh = state.place !== key;
  if (fresh) Object.assign(state, { place: key, sticks: true, limit: SHOWN, told: new Map() });
  state.again = () => fill(pane, place, list, inThread);
  const shown = list.slice(-state.limit);
  const last = list.at(-1)?.ts || "", news = !fresh && last > state.last;
  if (news && (justActed() || list.at(-1).user === S.user)) state.sticks = true;
  state.last = last;
  reconcile(pane, [state.list, state.newer]);
  const nodes = list.length ? shown.map((m) => nodeOf(m, inThread)) : [state.empty];
  reconcile(state.list, [...(list.length > shown.length ? [state.earlier] : []), ...nodes]);
  tell(state, shown, fresh);
  if (state.sticks) toEnd(pane, state);
  else if (news) state.newer.hidden = false;
}
