// The page: people and places on the left, messages in the middle, thread and traffic on the right.
import * as api from "./api.js";
import { h, icon, iconButton, toast, trap, busy, reconcile } from "./dom.js";
import { renderBlocks } from "./blocks.js";
import { formValues, controls } from "./elements.js";
import { textObject, mrkdwn } from "./mrkdwn.js";
import { menu } from "./menu.js";
import { S, watch, readHash, go, refresh, act, nameOf, channelOf, channelName, colorOf, initials } from "./state.js";

const $ = (id) => document.getElementById(id);
const time = (ts) => new Date(Number(ts) * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
const avatar = (id) => h("span", { class: "avatar", "aria-hidden": "true", style: { background: colorOf(id) } }, initials(nameOf(id)));

// ---- side bar

function side() {
  const { data } = S;
  $("team-name").textContent = data.team.name;
  const pick = h("select", { "aria-label": "Act as", class: "act-as", onchange: (event) => go({ user: event.target.value }) },
    Object.values(data.users).filter((u) => !u.is_bot).map((u) => h("option", { value: u.id, selected: u.id === S.user }, `${u.real_name} · ${u.title}`)));
  reconcile($("person"), [avatar(S.user), pick]);
  const place = (label, here, where) => h("a", { class: `place ${here ? "here" : ""}`, "aria-current": here ? "page" : null, href: "#", onclick: (event) => { event.preventDefault(); go(where); } }, label);
  reconcile($("nav"), [
    place("Amend · Home", S.home, { home: true }),
    ...data.channels.map((c) => place(c.kind === "im" ? `Amend · messages` : `# ${c.name}`, !S.home && S.channel === c.id, { channel: c.id })),
  ]);
  reconcile($("side-foot"), [h("button", { type: "button", class: "foot-button", onclick: toggleDrawer }, icon("traffic"), "Traffic and faults"),
    h("span", { class: `bot-state ${data.bot.connected && !S.lost ? "up" : ""}` }, data.bot.connected && !S.lost ? "Amend is connected" : "Amend is not connected")]);
}

// ---- messages

function message(m, inThread) {
  const body = h("div", { class: "message-body" });
  const ctx = {
    press: (block_id, action_id, payload) => act("press", { channel: m.channel, ts: m.ts, block_id, action_id, ...payload }),
    options: (block_id, action_id, value) => api.act(S.user, "options", { channel: m.channel, ts: m.ts, block_id, action_id, value }),
  };
  if (m.blocks?.length) renderBlocks(body, m.blocks, ctx);
  else body.append(h("div", { class: "text" }, mrkdwn(m.text || "")));
  for (const file of m.files || []) body.append(h("a", { class: "file", href: file.url_private || file.url || `/files/${file.id}/${file.name}`, target: "_blank" }, icon("file"), file.title || file.name));
  const shortcuts = (S.data.shortcuts || []).filter((s) => s.type === "message");
  const tools = m.ephemeral ? null : h("div", { class: "tools" },
    inThread ? null : iconButton("reply", "Reply in thread", () => go({ thread: m.ts })),
    iconButton("more", "Message shortcuts", (event) => menu(event.currentTarget, shortcuts.map((s) => ({ label: s.name, run: () => act("shortcut", { callback_id: s.callback_id, channel: m.channel, ts: m.ts }) })), { label: "Message shortcuts", align: "right" })));
  return h("article", { class: `message ${m.ephemeral ? "ephemeral" : ""}`, data: { ts: m.ts } }, avatar(m.user),
    h("div", { class: "message-main" },
      m.ephemeral ? h("div", { class: "only-you" }, icon("eye"), "Only visible to you") : null,
      h("header", null, h("strong", null, nameOf(m.user)), m.bot ? h("span", { class: "badge" }, "APP") : null, h("time", null, time(m.ts)), m.edited ? h("span", { class: "edited" }, "(edited)") : null),
      body,
      !inThread && m.reply_count ? h("button", { type: "button", class: "replies", onclick: () => go({ thread: m.ts }) }, m.reply_count === 1 ? "1 reply" : `${m.reply_count} replies`) : null),
    tools);
}

const drawn = new Map();
function nodes(list, inThread) {
  return list.map((m) => {
    const key = `${inThread}:${m.ts}:${m.ephemeral}`, signature = JSON.stringify(m) + S.user;
    const known = drawn.get(key);
    if (known?.signature === signature) return known.node;
    const node = message(m, inThread);
    drawn.set(key, { signature, node });
    return node;
  });
}

function fill(pane, list) {
  const atEnd = pane.scrollHeight - pane.scrollTop - pane.clientHeight < 80;
  reconcile(pane, list);
  if (atEnd) pane.scrollTop = pane.scrollHeight;
}

function middle() {
  if (S.home) {
    reconcile($("bar"), [h("h1", null, "Amend · Home")]);
    reconcile($("compose-area"), []);
    const pane = $("pane");
    if (!pane.querySelector(".home")) reconcile(pane, [h("div", { class: "home" })]);
    const view = S.data.home;
    renderBlocks(pane.querySelector(".home"), view?.blocks || [], viewContext(view));
    return;
  }
  const channel = channelOf(S.channel);
  reconcile($("bar"), [h("h1", null, channel.kind === "im" ? "Amend" : `# ${channelName(channel)}`), shortcutsButton()]);
  const all = S.data.messages[S.channel] || [];
  fill($("pane"), nodes(all.filter((m) => !m.thread_ts || m.thread_ts === m.ts), false));
  if (!$("composer")) reconcile($("compose-area"), [composer("composer", null)]);
  $("composer").placeholder = `Message ${channel.kind === "im" ? "Amend" : `#${channelName(channel)}`}, or type / for a command`;
}

const shortcutsButton = () => h("button", { type: "button", class: "button", onclick: (event) => menu(event.currentTarget,
  (S.data.shortcuts || []).filter((s) => s.type === "global").map((s) => ({ label: s.name, run: () => act("shortcut", { callback_id: s.callback_id }) })), { label: "Shortcuts", align: "right" }) }, icon("bolt"), "Shortcuts");

function thread() {
  const panel = $("thread");
  panel.hidden = !S.thread || S.home;
  if (panel.hidden) { panel.replaceChildren(); return; }
  const all = (S.data.messages[S.channel] || []).filter((m) => m.ts === S.thread || m.thread_ts === S.thread);
  if (!panel.querySelector(".thread-list")) {
    panel.replaceChildren(h("header", { class: "bar" }, h("h2", null, "Thread"), iconButton("close", "Close thread", () => go({ thread: null }))),
      h("div", { class: "pane thread-list" }), h("div", { class: "compose-area" }, composer("thread-composer", () => S.thread)));
  }
  fill(panel.querySelector(".thread-list"), nodes(all, true));
}

// ---- composer

function composer(id, threadOf) {
  const hints = h("div", { class: "suggestions", role: "listbox", hidden: true });
  const box = h("textarea", { id, class: "composer", rows: "1", "aria-label": threadOf ? "Reply" : "Message" });
  box.addEventListener("input", () => suggest(box, hints, Boolean(threadOf)));
  box.addEventListener("keydown", async (event) => {
    if (event.key === "Tab" && !hints.hidden) { event.preventDefault(); hints.firstChild?.click(); return; }
    if (event.key === "Escape") { hints.hidden = true; return; }
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    const text = box.value.trim();
    if (!text) return;
    hints.hidden = true;
    box.value = "";
    const answer = await act("type", { channel: S.channel, text, ...(threadOf ? { thread_ts: threadOf() } : {}) });
    if (!answer.ok && !box.value) box.value = text;
  });
  return h("div", { class: "composer-box" }, hints, box);
}

function suggest(box, hints, inThread) {
  const word = box.value.split(" ")[0];
  const found = inThread || !word.startsWith("/") || box.value.includes(" ") ? [] : (S.data.commands || []).filter((c) => c.command.startsWith(word));
  hints.hidden = !found.length;
  hints.replaceChildren(...found.map((c) => h("button", { type: "button", role: "option", class: "suggestion", onclick: () => { box.value = `${c.command} `; hints.hidden = true; box.focus(); } },
    h("strong", null, c.command), " ", h("code", null, c.usage_hint || ""), h("small", null, c.description || ""))));
}

// ---- modals

const viewContext = (view) => ({
  press: (block_id, action_id, payload) => act("press_view", { view_id: view.id, block_id, action_id, ...payload, values: dialog ? formValues(dialog) : {} }),
  options: (block_id, action_id, value) => api.act(S.user, "options", { view_id: view.id, block_id, action_id, value }),
  touched: (blockId) => { const error = dialog?.querySelector(`[data-block="${CSS.escape(blockId)}"] .error`); if (error) error.hidden = true; },
});

let dialog = null;
function modal() {
  const view = (S.data.views || []).at(-1);
  if (!view) { if (dialog) { dialog.close(); dialog.remove(); dialog = null; } return; }
  if (!dialog) {
    dialog = h("dialog", { class: "modal", "aria-labelledby": "modal-title" });
    dialog.addEventListener("cancel", (event) => { event.preventDefault(); act("close", { view_id: dialog.view.id, all: true }); });
    dialog.append(h("header", { class: "modal-head" }, h("h2", { id: "modal-title" }), iconButton("close", "Close", () => act("close", { view_id: dialog.view.id, all: true }))),
      h("div", { class: "modal-body" }), h("footer", { class: "modal-foot" }));
    trap(dialog);
    document.body.append(dialog);
    dialog.showModal();
  }
  const changed = dialog.view?.hash !== view.hash || dialog.view?.id !== view.id;
  dialog.view = view;
  dialog.querySelector("h2").replaceChildren(textObject(view.title));
  const body = dialog.querySelector(".modal-body");
  if (changed) { renderBlocks(body, view.blocks, viewContext(view), { keep: true }); body.scrollTop = 0; feet(view); }
  errors(body, view.errors);
}

function feet(view) {
  const close = h("button", { type: "button", class: "button", onclick: () => act("close", { view_id: view.id }) }, view.close ? textObject(view.close) : "Cancel");
  const submit = view.submit && h("button", { type: "button", class: "button primary solid submit", onclick: () => send(view, submit) }, textObject(view.submit));
  reconcile(dialog.querySelector(".modal-foot"), [close, submit].filter(Boolean));
}

async function send(view, button) {
  const wrong = {};
  for (const control of controls(dialog).values()) {
    const block = view.blocks.find((b) => b.block_id === control.blockId);
    const problem = block?.type === "input" ? control.problem?.() : null;
    if (problem && (problem !== "required" || !block.optional)) wrong[control.blockId] = problem === "required" ? "Please fill this in." : problem;
  }
  if (Object.keys(wrong).length) { errors(dialog.querySelector(".modal-body"), wrong); return; }
  busy(button, true);
  const answer = await act("submit", { view_id: view.id, values: formValues(dialog) }, { quiet: true });
  busy(button, false);
  if (!answer.ok && answer.error && !(S.data.views || []).at(-1)?.errors) toast(answer.error);
}

function errors(body, found) {
  for (const node of body.querySelectorAll(".error")) { node.hidden = true; node.textContent = ""; }
  let first = null;
  for (const [block, text] of Object.entries(found || {})) {
    const node = body.querySelector(`[data-block="${CSS.escape(block)}"] .error`);
    if (!node) continue;
    node.textContent = text;
    node.hidden = false;
    first ||= node;
  }
  first?.scrollIntoView({ block: "center" });
}

// ---- traffic and faults

let entries = [];
function toggleDrawer() { $("drawer").hidden = !$("drawer").hidden; drawer(); }

function drawer() {
  const panel = $("drawer");
  if (panel.hidden) return;
  const open = new Set([...panel.querySelectorAll("details[open]")].map((d) => d.dataset.n));
  const pretty = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2)) || "";
  const faults = (S.data.vendors || []).map((v) => h("label", { class: "fault" }, v.name, h("select", { onchange: (event) => api.setFault({ target: v.name, fault: event.target.value || null, times: 1 }).then(refresh) },
    h("option", { value: "" }, "no fault"), (v.faults.available || []).map((f) => { const name = f.name || f; return h("option", { value: name, selected: v.faults.active?.name === name || v.faults.active?.fault === name }, name); }))));
  panel.replaceChildren(h("header", { class: "bar" }, h("h2", null, "Traffic"), h("div", { class: "faults" }, faults), iconButton("close", "Close", toggleDrawer)),
    h("div", { class: "pane" }, entries.slice(-200).reverse().map((e) => h("details", { data: { n: e.n }, open: open.has(String(e.n)) },
      h("summary", null, h("span", { class: `link ${e.link}` }, e.direction === "to_bot" ? "→ Amend" : `→ ${e.vendor || "Slack"}`), h("code", null, e.what), h("span", { class: "status" }, `${e.status ?? ""} · ${Math.round(e.ms || 0)} ms`),
        e.direction === "to_bot" ? h("button", { type: "button", class: "button small", onclick: (event) => { event.preventDefault(); act("redeliver", { n: e.n }); } }, "Send again") : null),
      h("pre", null, pretty(e.request)), h("pre", null, pretty(e.response))))));
}

// ---- start

let retry = null;
function draw() {
  $("lost").hidden = !S.lost;
  if (S.lost) { clearTimeout(retry); retry = setTimeout(refresh, 1000); }
  if (!S.data) return;
  side(); middle(); thread(); modal();
  if (!arrived && !S.lost) { arrived = true; $("composer")?.focus(); listen(); }
}

let link = null, linked = null, arrived = false;
function listen() {
  if (linked === S.user || !S.user) return;
  link?.();
  linked = S.user;
  link = api.live(S.user, { onState: refresh, onTraffic: (entry) => { entries.push(entry); drawer(); }, onUp: (up) => { if (!up) refresh(); } });
}

async function follow() {
  const before = S.user;
  const hash = readHash();
  const wasHome = S.home;
  Object.assign(S, { user: hash.user || S.user, channel: hash.channel || S.channel, home: hash.home, thread: hash.thread });
  if (S.user !== before) drawn.clear();
  await refresh();
  listen();
  if (S.home && !wasHome) { $("pane").replaceChildren(); act("home", {}, { quiet: true }); }
}

watch(draw);
addEventListener("hashchange", follow);
$("jump").addEventListener("click", (event) => menu(event.currentTarget, [
  ...S.data.channels.map((c) => ({ label: c.kind === "im" ? "Amend" : `# ${c.name}`, run: () => go({ channel: c.id }) })),
  ...Object.values(S.data.users).filter((u) => !u.is_bot).map((u) => ({ label: `Act as ${u.real_name}`, run: () => go({ user: u.id }) })),
], { label: "Jump to" }));
addEventListener("keydown", (event) => { if (event.key === "k" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); $("jump").click(); } });
$("skip").addEventListener("click", () => $("composer")?.focus());
api.getTraffic(0).then((answer) => { entries = answer.entries || []; });
follow();
