// A combobox with a listbox: one or many options, listed or asked for while typing.
import { h, icon, layer, place, uid, reconcile } from "./dom.js";
import { textObject, rawText } from "./mrkdwn.js";
import { plainLabel } from "./menu.js";

// load(query) answers (or promises) groups: [{label?, options: [{text, value, description?, lead?}]}]
export function createSelect({ blockId, actionId, placeholder, multi = false, max = Infinity, minQuery = 0, remote = false, clearable = false, load, initial = [], labelledby, label, changed }) {
  let chosen = [...initial], open = false, groups = [], flat = [], active = -1, ask = 0, timer = null, query = "";
  const listId = uid("list");
  const input = h("input", {
    type: "text", role: "combobox", class: "combo-input", autocomplete: "off", spellcheck: "false", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": listId, "aria-haspopup": "listbox",
    "aria-labelledby": labelledby, "aria-label": labelledby ? null : label || placeholder || "Select", placeholder, data: { blockId, actionId },
  });
  const tokens = h("span", { class: "combo-tokens" });
  const clear = h("button", { type: "button", class: "combo-clear", "aria-label": "Clear the selection", tabindex: "-1", onclick: () => { set([]); input.focus(); } }, icon("close"));
  const box = h("div", { class: `combo${multi ? " combo-multi" : ""}` }, multi && tokens, input, clear, h("span", { class: "combo-arrow" }, icon("down")));
  const list = h("div", { class: "popup listbox", role: "listbox", id: listId, "aria-multiselectable": multi ? "true" : null, "aria-label": placeholder || "Options" });

  const same = (a, b) => a.value === b.value;
  const isChosen = (option) => chosen.some((c) => same(c, option));

  function draw() {
    if (multi) {
      reconcile(tokens, chosen.map((option) => h("span", { class: "token", data: { value: option.value } }, h("span", { class: "token-text" }, textObject(option.text)),
        h("button", { type: "button", tabindex: "-1", "aria-label": `Remove ${plainLabel(option.text)}`, onclick: (e) => { e.stopPropagation(); set(chosen.filter((c) => !same(c, option))); input.focus(); } }, icon("close")))));
      input.placeholder = chosen.length ? "" : placeholder || "";
    } else if (!open || !query) {
      input.value = chosen.length ? plainLabel(chosen[0].text) : query;
    }
    box.classList.toggle("has-value", chosen.length > 0);
    clear.hidden = multi || !clearable || !chosen.length;
  }

  function set(next, silent) {
    chosen = next;
    query = "";
    if (!multi || !silent) input.value = "";
    draw();
    if (open) show();
    if (!silent) changed(chosen);
  }

  async function show() {
    if (!open) {
      open = true;
      layer().append(list);
      input.setAttribute("aria-expanded", "true");
      box.classList.add("open");
      document.addEventListener("scroll", onScroll, true);
    }
    const mine = ++ask;
    if (remote && query.length < minQuery) return fill([], minQuery > 1 ? `Type at least ${minQuery} characters` : "Type to search");
    const found = load(query);
    if (found instanceof Promise) {
      note("Searching…");
      try { groups = await found; } catch (error) { if (mine === ask) fill([], error.message || "No answer"); return; }
      if (mine !== ask || !open) return;
      fill(groups, "No results");
    } else fill(found, "No results");
  }

  function note(text) {
    if (list.childElementCount && !list.querySelector(".list-note")) { list.setAttribute("aria-busy", "true"); return; }
    list.replaceChildren(h("div", { class: "list-note", role: "presentation" }, text));
    place(list, box, { width: box.offsetWidth });
  }

  function fill(found, empty) {
    groups = found;
    list.removeAttribute("aria-busy");
    flat = [];
    const nodes = groups.filter((g) => g.options.length).map((group) => {
      const options = group.options.map((option) => {
        const index = flat.length;
        const node = h("div", { class: "option", role: "option", id: `${listId}-${index}`, "aria-selected": String(isChosen(option)), data: { value: option.value } },
          option.lead || null, h("span", { class: "option-text" }, h("span", null, textObject(option.text)), option.description && h("small", null, textObject(option.description))), icon("check"));
        node.addEventListener("pointermove", () => { if (active !== index) mark(index, false); });
        node.addEventListener("click", () => pick(index));
        flat.push({ option, node });
        return node;
      });
      return group.label ? h("div", { role: "group", "aria-label": rawText(group.label) }, h("div", { class: "list-heading", role: "presentation" }, textObject(group.label)), options) : h("div", { role: "presentation" }, options);
    });
    if (!flat.length) nodes.push(h("div", { class: "list-note", role: "presentation" }, empty));
    list.replaceChildren(...nodes);
    place(list, box, { width: Math.max(box.offsetWidth, 220) });
    const at = flat.findIndex((f) => isChosen(f.option));
    mark(flat.length ? (!multi && at >= 0 && !query ? at : 0) : -1);
  }

  function mark(index, scroll = true) {
    flat[active]?.node.classList.remove("active");
    active = index;
    const entry = flat[index];
    if (!entry) { input.removeAttribute("aria-activedescendant"); return; }
    entry.node.classList.add("active");
    input.setAttribute("aria-activedescendant", entry.node.id);
    if (scroll) entry.node.scrollIntoView({ block: "nearest" });
  }

  function pick(index) {
    const entry = flat[index];
    if (!entry) return;
    const option = entry.option;
    if (multi) {
      if (isChosen(option)) set(chosen.filter((c) => !same(c, option)));
      else if (chosen.length < max) set([...chosen, option]);
      else { list.prepend(h("div", { class: "list-note", role: "presentation" }, `At most ${max} can be chosen`)); return; }
      input.focus();
    } else {
      const news = !isChosen(option);
      chosen = [option];
      hide();
      if (news) changed(chosen);
      input.focus();
    }
  }

  function hide() {
    clearTimeout(timer);
    if (open) {
      open = false;
      ask++;
      list.remove();
      input.setAttribute("aria-expanded", "false");
      input.removeAttribute("aria-activedescendant");
      box.classList.remove("open");
      document.removeEventListener("scroll", onScroll, true);
    }
    query = "";
    if (multi) input.value = "";
    draw();
  }

  const onScroll = (event) => { if (!list.contains(event.target)) place(list, box, { width: Math.max(box.offsetWidth, 220) }); };

  input.addEventListener("input", () => {
    query = input.value.trim();
    clearTimeout(timer);
    if (remote) timer = setTimeout(show, 150); else show();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!open) return void show();
      const step = event.key === "ArrowDown" ? 1 : -1;
      if (flat.length) mark((active + step + flat.length) % flat.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (!open) show(); else pick(active);
    } else if (event.key === "Escape" && open) {
      event.preventDefault(); event.stopPropagation(); hide();
    } else if (event.key === "Home" && open && flat.length && event.ctrlKey) mark(0);
    else if (event.key === "End" && open && flat.length && event.ctrlKey) mark(flat.length - 1);
    else if (event.key === "Backspace" && multi && !input.value && chosen.length) set(chosen.slice(0, -1));
    else if (event.key === "Backspace" && !multi && clearable && chosen.length && input.value === plainLabel(chosen[0].text) && input.selectionEnd - input.selectionStart === input.value.length) { event.preventDefault(); set([]); }
  });
  input.addEventListener("focus", () => { if (!multi) input.select(); });
  input.addEventListener("blur", hide);
  list.addEventListener("pointerdown", (event) => event.preventDefault());
  box.addEventListener("pointerdown", (event) => {
    if (event.target.closest("button")) return;
    if (event.target !== input) event.preventDefault();
    input.focus();
    if (open && !query) hide(); else show();
  });
  draw();
  return { node: box, input, get: () => chosen, set: (next) => set(next, true) };
}
