// The person's modal: the top view of their stack, as a dialog that keeps the focus and gives it back.
import * as api from "./api.js";
import { h, iconButton, toast, trap, busy, reconcile, announce } from "./dom.js";
import { renderBlocks } from "./blocks.js";
import { formValues } from "./elements.js";
import { textObject } from "./mrkdwn.js";
import { S, act } from "./state.js";

let dialog = null, cameFrom = null;

export const viewContext = (view) => ({
  press: (block_id, action_id, payload) => act("press_view", { view_id: view.id, block_id, action_id, ...payload, values: dialog ? formValues(dialog) : {} }),
  options: (block_id, action_id, value) => api.act(S.user, "options", { view_id: view.id, block_id, action_id, value }),
  touched: (blockId) => inputs().find((one) => one.blockId === blockId)?.setError(""),
});

const inputs = () => [...(dialog?.querySelectorAll(".input-block") || [])].map((node) => node.input);

export function modal() {
  const view = (S.data.views || []).at(-1);
  if (!view) { shut(); return; }
  if (!dialog) open();
  const other = dialog.view?.id !== view.id;
  const changed = other || dialog.view?.hash !== view.hash;
  const wrong = JSON.stringify(view.errors || null) !== JSON.stringify(dialog.view?.errors || null);
  dialog.view = view;
  dialog.querySelector("h2").replaceChildren(textObject(view.title));
  const body = dialog.querySelector(".modal-body");
  if (changed) { renderBlocks(body, view.blocks, { ...viewContext(view), heading: "h3" }, { keep: true }); body.scrollTop = 0; feet(view); }
  if (changed || wrong) errors(view.errors);
  if (other || (changed && document.activeElement === body) || !dialog.contains(document.activeElement)) begin(body);
}

function open() {
  const all = () => act("close", { view_id: dialog.view.id, all: true });
  cameFrom = document.activeElement;
  dialog = h("dialog", { class: "modal", "aria-labelledby": "modal-title" });
  dialog.addEventListener("cancel", (event) => { event.preventDefault(); all(); });
  dialog.addEventListener("keydown", enter);
  dialog.append(h("header", { class: "modal-head" }, h("h2", { id: "modal-title" }), iconButton("close", "Close", all)),
    h("div", { class: "modal-body", tabindex: "0", role: "group", "aria-labelledby": "modal-title" }), h("footer", { class: "modal-foot" }));
  trap(dialog);
  document.body.append(dialog);
  dialog.showModal();
}

// The focus goes back to where it was; what was redrawn meanwhile is found by its action.
function shut() {
  if (!dialog) return;
  dialog.close();
  dialog.remove();
  dialog = null;
  const { actionId, blockId } = cameFrom?.dataset || {};
  const again = actionId && document.querySelector(`[data-action-id="${CSS.escape(actionId)}"][data-block-id="${CSS.escape(blockId || "")}"]`);
  const back = cameFrom?.isConnected && cameFrom !== document.body ? cameFrom : again;
  (back || document.getElementById("composer"))?.focus();
}

function begin(body) {
  const field = [...body.querySelectorAll("input:not([type=hidden]), textarea, select")].find((el) => !el.disabled && el.getClientRects().length);
  (field || body).focus();
}

// Enter in a line of text, and Ctrl+Enter anywhere, is the form's own button.
function enter(event) {
  const inLine = event.target.matches("input.field") && event.key === "Enter";
  const anywhere = event.key === "Enter" && (event.ctrlKey || event.metaKey);
  if (event.defaultPrevented || !(inLine || anywhere)) return;
  event.preventDefault();
  dialog.querySelector(".submit")?.click();
}

function feet(view) {
  const close = h("button", { type: "button", class: "button", onclick: () => act("close", { view_id: view.id }) }, view.close ? textObject(view.close) : "Cancel");
  const submit = view.submit && h("button", { type: "button", class: "button primary solid submit", onclick: () => send(view, submit) }, textObject(view.submit));
  reconcile(dialog.querySelector(".modal-foot"), [close, submit].filter(Boolean));
}

async function send(view, button) {
  if (button.classList.contains("busy")) return;
  const wrong = {};
  for (const one of inputs()) {
    const problem = one.problem();
    if (problem) wrong[one.blockId] = problem;
  }
  if (Object.keys(wrong).length) { errors(wrong); return; }
  busy(button, true);
  const answer = await act("submit", { view_id: view.id, values: formValues(dialog) }, { quiet: true });
  busy(button, false);
  if (!answer.ok && answer.error && !(S.data.views || []).at(-1)?.errors) toast(answer.error);
}

function errors(found) {
  const wrong = inputs().filter((one) => { one.setError(found?.[one.blockId] || ""); return found?.[one.blockId]; });
  if (!wrong.length) return;
  wrong[0].focus();
  announce(wrong.map((one) => found[one.blockId]).join(" "));
}
