// The message field, with what one can type after a slash. Each place keeps its own draft.
import { announce, h, icon, reconcile, uid } from "./dom.js";
import { S, act, go } from "./state.js";

const drafts = new Map();
let wanted = null; // the place whose field gets the focus when it is shown

const placeOf = (id, user = S.user, channel = S.channel) => `${id}:${user}/${channel}${id === "composer" ? "" : `/${S.thread}`}`;

// Goes somewhere as somebody and leaves `text` in the message field there, with the cursor in it.
export function leave({ user, channel, text }) {
  const place = placeOf("composer", user, channel);
  drafts.set(place, text);
  wanted = place;
  if (document.getElementById("composer")?.dataset.place === place && !S.home) document.getElementById("composer").dataset.place = "";
  const before = location.hash;
  go({ user, channel });
  if (location.hash === before) showComposer(document.getElementById("compose-area"), "composer");
}

export function showComposer(area, id, placeholder) {
  if (!document.getElementById(id)) reconcile(area, [composer(id)]);
  const box = document.getElementById(id), place = placeOf(id);
  if (placeholder) box.placeholder = placeholder;
  if (box.dataset.place !== place) {
    if (box.dataset.place) drafts.set(box.dataset.place, box.value);
    box.dataset.place = place;
    box.value = drafts.get(place) || "";
    box.dispatchEvent(new Event("input"));
  }
  if (wanted === place) { wanted = null; box.focus(); box.setSelectionRange(box.value.length, box.value.length); }
}

async function send(box, hints) {
  const text = box.value.trim();
  if (!text) return;
  hints.hide();
  box.value = "";
  drafts.delete(box.dataset.place);
  const threaded = box.id === "composer" ? {} : { thread_ts: S.thread };
  const answer = await act("type", { channel: S.channel, text, ...threaded });
  if (!answer.ok && !box.value) box.value = text;
  box.toggleAttribute("aria-invalid", !answer.ok);
  if (!answer.ok) box.setAttribute("aria-invalid", "true");
}

function composer(id) {
  const listId = uid("commands");
  const box = h("textarea", { id, class: "composer", rows: "1", "aria-label": id === "composer" ? "Message" : "Reply", "aria-autocomplete": "list", "aria-controls": listId, "aria-haspopup": "listbox" });
  const hints = suggestions(box, listId);
  box.addEventListener("input", () => { box.removeAttribute("aria-invalid"); hints.show(id === "composer" ? matching(box.value) : []); });
  box.addEventListener("keydown", (event) => {
    if (event.isComposing || hints.key(event)) return;
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    send(box, hints);
  });
  box.addEventListener("blur", () => hints.hide());
  const button = h("button", { type: "button", class: "send", "aria-label": "Send", title: "Send", onclick: () => { send(box, hints); box.focus(); } }, icon("send"));
  return h("div", { class: "composer-box" }, hints.node, box, button);
}

function matching(text) {
  const found = text.startsWith("/") && !/\s/.test(text) ? (S.data.commands || []).filter((c) => c.command.startsWith(text)) : [];
  return found.length === 1 && found[0].command === text ? [] : found;
}

// The list above the field: arrow keys choose, Enter and Tab take, Escape puts it away.
function suggestions(box, listId) {
  const node = h("div", { class: "suggestions", role: "listbox", id: listId, "aria-label": "Commands", hidden: true });
  let found = [], at = 0;
  const take = (index) => { box.value = `${found[index].command} `; hide(); box.focus(); };
  function hide() {
    node.hidden = true;
    box.removeAttribute("aria-activedescendant");
  }
  function mark(index) {
    at = index;
    [...node.children].forEach((option, i) => option.setAttribute("aria-selected", String(i === at)));
    box.setAttribute("aria-activedescendant", node.children[at].id);
    node.children[at].scrollIntoView({ block: "nearest" });
  }
  function show(list) {
    if (!list.length) { hide(); return; }
    found = list;
    node.replaceChildren(...list.map((c, i) => h("div", { role: "option", class: "suggestion", id: `${listId}-${i}`, onpointerdown: (event) => { event.preventDefault(); take(i); } },
      h("strong", null, c.command), " ", h("code", null, c.usage_hint || ""), h("small", null, c.description || ""))));
    if (node.hidden) announce(`${list.length} ${list.length === 1 ? "command" : "commands"}: the arrow keys choose, Enter takes.`);
    node.hidden = false;
    mark(Math.max(0, list.findIndex((c) => c.command === box.value)));
  }
  function key(event) {
    if (node.hidden) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const exact = event.key === "Enter" && found[at].command === box.value;
    if (exact) { hide(); return false; }
    if (step) mark((at + step + found.length) % found.length);
    else if ((event.key === "Enter" && !event.shiftKey) || (event.key === "Tab" && !event.shiftKey)) take(at);
    else if (event.key === "Escape") hide();
    else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  }
  return { node, show, hide, key };
}
