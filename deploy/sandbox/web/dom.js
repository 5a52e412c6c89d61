// Small helpers for building the page. Remote text only ever becomes a text node.

export function h(tag, props, ...kids) {
  const el = document.createElement(tag);
  for (const [key, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) el.addEventListener(key.slice(2), value);
    else if (key === "class") el.className = value;
    else if (key === "data") Object.assign(el.dataset, value);
    else if (key === "style") for (const [k, v] of Object.entries(value)) el.style.setProperty(k, v);
    else if (key === "value") el.value = value;
    else el.setAttribute(key, value === true ? "" : value);
  }
  add(el, kids);
  return el;
}

export function add(el, kids) {
  for (const kid of [kids].flat(Infinity)) {
    if (kid === null || kid === undefined || kid === false) continue;
    el.append(kid);
  }
  return el;
}

let count = 0;
export const uid = (prefix) => `${prefix}-${++count}`;

const SVG = "http://www.w3.org/2000/svg";
const PATHS = {
  close: "M6 6l12 12M18 6L6 18", bolt: "M13 3 5 14h6l-1 7 8-11h-6z", more: "M5 12h.01M12 12h.01M19 12h.01",
  reply: "M4 5h16v11H10l-4 4v-4H4z", send: "M4 12 20 5l-5 15-3-6zM12 14l8-9", down: "M6 9l6 6 6-6", list: "M4 7h16M4 12h16M4 17h16", back: "M15 5l-7 7 7 7",
  home: "M4 11l8-7 8 7v9h-5v-6H9v6H4z", check: "M5 12.5l4.5 4.5L19 7.5", traffic: "M4 8h14l-4-4M20 16H6l4 4",
  again: "M19 12a7 7 0 1 1-2-5l2 2M19 4v5h-5", file: "M7 3h7l4 4v14H7zM14 3v4h4", image: "M4 5h16v14H4zM4 16l5-5 4 4 3-2 4 4", eye: "M2 12s4-6 10-6 10 6 10 6-4 6-10 6S2 12 2 12zM12 9.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5",
  search: "M11 5a6 6 0 1 0 0 12 6 6 0 0 0 0-12zM15.5 15.5L20 20", warn: "M12 4l9 16H3zM12 10v4M12 17h.01", info: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 11v5M12 8h.01",
};

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", `icon icon-${name}`);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name] || PATHS.info);
  svg.append(path);
  return svg;
}

export function iconButton(name, label, onclick, extra) {
  return h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, onclick, ...extra }, icon(name));
}

// The element in which a popup must live so that it is neither inert nor behind the open dialog.
export function layer() {
  const open = [...document.querySelectorAll("dialog[open]")];
  return open.at(-1) || document.getElementById("main");
}

// Puts a fixed popup beside its anchor, above it where there is no room below.
export function place(popup, anchor, { width, align = "left", up = false, max = 320 } = {}) {
  const box = anchor.getBoundingClientRect();
  const below = window.innerHeight - box.bottom - 12;
  const above = box.top - 12;
  const above_it = up || (below < Math.min(max, 200) && above > below);
  popup.style.maxHeight = `${Math.max(96, Math.min(max, above_it ? above : below))}px`;
  if (width) popup.style.width = `${width}px`;
  const own = popup.getBoundingClientRect().width;
  const left = align === "right" ? box.right - own : box.left;
  popup.style.left = `${Math.max(8, Math.min(left, window.innerWidth - own - 8))}px`;
  popup.style.top = above_it ? "auto" : `${box.bottom + 4}px`;
  popup.style.bottom = above_it ? `${window.innerHeight - box.top + 4}px` : "auto";
}

// Says something to who does not see the page.
export function announce(text) {
  const box = document.getElementById("announce");
  box.append(h("p", null, text));
  while (box.childElementCount > 5) box.firstChild.remove();
}

export function toast(text, kind = "error") {
  const box = document.getElementById("toasts");
  if (box.matches(":popover-open")) box.hidePopover();
  box.showPopover(); // above an open dialog, too
  const item = h("div", { class: `toast toast-${kind}` }, icon(kind === "error" ? "warn" : "info"), h("span", null, text));
  item.append(iconButton("close", "Dismiss", gone));
  box.append(item);
  setTimeout(gone, kind === "error" ? 9000 : 4000);
  function gone() {
    item.remove();
    if (!box.childElementCount && box.matches(":popover-open")) box.hidePopover();
  }
}

// Turns the children of `parent` into `nodes`, moving as little as possible so that focus and scrolling stay.
export function reconcile(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.childNodes]) if (!wanted.has(child)) child.remove();
  let cursor = parent.firstChild;
  for (const node of nodes) {
    if (node === cursor) cursor = cursor.nextSibling;
    else parent.insertBefore(node, cursor);
  }
}

// Keeps Tab inside a dialog.
export function trap(dialog) {
  dialog.addEventListener("keydown", (event) => {
    if (event.key !== "Tab") return;
    const all = [...dialog.querySelectorAll("a[href],button,input,select,textarea,[tabindex]")]
      .filter((el) => !el.disabled && el.tabIndex >= 0 && el.getClientRects().length);
    if (!all.length) return;
    const at = document.activeElement;
    if (event.shiftKey && (at === all[0] || at === dialog)) { event.preventDefault(); all.at(-1).focus(); }
    else if (!event.shiftKey && at === all.at(-1)) { event.preventDefault(); all[0].focus(); }
  });
}

export function busy(button, on) {
  button.classList.toggle("busy", on);
  if (on) button.setAttribute("aria-busy", "true"); else button.removeAttribute("aria-busy");
  button.setAttribute("aria-disabled", on ? "true" : "false");
}
