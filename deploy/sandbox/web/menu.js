// Popup menus and small confirmation dialogs.
import { h, icon, iconButton, layer, place, trap, uid } from "./dom.js";
import { textObject, rawText } from "./mrkdwn.js";

let closeOpen = null;

// items: [{label, description?, icon?, danger?, selected?, run, heading?}]
export function menu(anchor, items, { label, align = "left", up = false, width } = {}) {
  if (closeOpen) { const same = closeOpen.anchor === anchor; closeOpen(); if (same) return; }
  const entries = items.map((item) => (item.heading
    ? h("div", { class: "menu-heading", role: "presentation" }, item.heading)
    : h("button", { type: "button", role: item.selected === undefined ? "menuitem" : "menuitemradio", "aria-checked": item.selected === undefined ? null : String(item.selected), tabindex: "-1",
      class: `menu-item${item.danger ? " danger" : ""}`, data: item.data || {}, onclick: () => { close(true); item.run(); } },
      item.lead || null, h("span", { class: "menu-text" }, h("span", null, item.label), item.description && h("small", null, item.description)), item.selected ? icon("check") : null)));
  const popup = h("div", { class: "popup menu", role: "menu", "aria-label": label || anchor.getAttribute("aria-label") || "Menu" }, entries);
  const buttons = entries.filter((e) => e.tagName === "BUTTON");
  const close = (refocus) => {
    popup.remove();
    document.removeEventListener("pointerdown", outside, true);
    anchor.setAttribute("aria-expanded", "false");
    closeOpen = null;
    if (refocus) anchor.focus();
  };
  close.anchor = anchor;
  const outside = (event) => { if (!popup.contains(event.target) && !anchor.contains(event.target)) close(false); };
  popup.addEventListener("keydown", (event) => {
    const at = buttons.indexOf(document.activeElement);
    const to = { ArrowDown: (at + 1) % buttons.length, ArrowUp: (at - 1 + buttons.length) % buttons.length, Home: 0, End: buttons.length - 1 }[event.key];
    if (to !== undefined) { event.preventDefault(); buttons[to].focus(); }
    else if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); close(true); }
    else if (event.key === "Tab") close(false);
    else if (event.key.length === 1 && /\S/.test(event.key)) {
      const next = [...buttons.slice(at + 1), ...buttons].find((b) => b.textContent.toLowerCase().startsWith(event.key.toLowerCase()));
      next?.focus();
    }
  });
  closeOpen = close;
  layer().append(popup);
  anchor.setAttribute("aria-expanded", "true");
  place(popup, anchor, { align, up, width, max: 420 });
  document.addEventListener("pointerdown", outside, true);
  (buttons.find((b) => b.getAttribute("aria-checked") === "true") || buttons[0])?.focus();
}

// A Block Kit confirm object; answers true when the person agrees.
export function confirmDialog(confirm) {
  return new Promise((resolve) => {
    const titleId = uid("confirm"), textId = uid("confirm-text");
    const done = (answer) => { if (!dialog.isConnected) return; dialog.close(); dialog.remove(); resolve(answer); };
    const yes = h("button", { type: "button", class: `button ${confirm.style === "danger" ? "danger" : "primary"} solid`, onclick: () => done(true) }, textObject(confirm.confirm || "Yes"));
    const no = h("button", { type: "button", class: "button", onclick: () => done(false) }, textObject(confirm.deny || "Cancel"));
    const dialog = h("dialog", { class: "modal confirm", role: "alertdialog", "aria-labelledby": titleId, "aria-describedby": textId },
      h("header", { class: "modal-head" }, h("h2", { id: titleId }, textObject(confirm.title || "Are you sure?")), iconButton("close", "Close", () => done(false))),
      h("div", { class: "modal-body", id: textId }, textObject(confirm.text)),
      h("footer", { class: "modal-foot" }, no, yes));
    dialog.addEventListener("cancel", (event) => { event.preventDefault(); done(false); });
    trap(dialog);
    document.body.append(dialog);
    dialog.showModal();
    yes.focus();
  });
}

export const plainLabel = (object) => rawText(object).replace(/:[a-z0-9_+'-]+:/g, "").trim();
