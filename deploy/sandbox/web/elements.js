// Block Kit's interactive elements. Each control's node carries `control` = {get, set, input, problem} for the form around it.
import { h, icon, uid, busy, toast } from "./dom.js";
import { textObject, rawText } from "./mrkdwn.js";
import { menu, confirmDialog, plainLabel } from "./menu.js";
import { createSelect } from "./select.js";
import { S, nameOf, channelName, colorOf, initials } from "./state.js";

const keyOf = (blockId, actionId) => `${blockId}\u0000${actionId}`;

// Every control inside `root`, by block and action.
export function controls(root) {
  const found = new Map();
  for (const node of root.querySelectorAll(".control")) if (node.control) found.set(keyOf(node.control.blockId, node.control.actionId), node.control);
  return found;
}

export function formValues(root) {
  const values = {};
  for (const c of controls(root).values()) (values[c.blockId] ||= {})[c.actionId] = c.get();
  return values;
}

// Draws one element. env: {ctx, blockId, inInput, dispatch, optional, labelId, labelText}
export function element(spec, env) {
  const make = MAKERS[spec.type];
  if (!make) return h("span", { class: "unsupported" }, `Element “${spec.type}” is not drawn here.`);
  return make(spec, env);
}

function wrap(spec, env, node, { get, set, input, problem }) {
  node.classList.add("control");
  node.control = { blockId: env.blockId, actionId: spec.action_id, type: spec.type, get: () => ({ type: spec.type, ...get() }), set, input, problem };
  return node;
}

const active = (env) => !env.inInput || env.dispatch;

// Sends an action, after the element's confirm dialog; answers whether it was sent.
async function send(spec, env, payload, button) {
  if (spec.confirm && !(await confirmDialog(spec.confirm))) return false;
  if (button) busy(button, true);
  try { await env.ctx.press(env.blockId, spec.action_id, payload, spec); } finally { if (button) busy(button, false); }
  return true;
}

function button(spec, env) {
  const attrs = { class: `button ${spec.style || ""}`, "aria-label": spec.accessibility_label, data: { blockId: env.blockId, actionId: spec.action_id, ...(spec.value ? { value: spec.value } : {}) } };
  if (spec.url) {
    return h("a", { ...attrs, href: /^https?:/.test(spec.url) ? spec.url : null, target: "_blank", rel: "noopener noreferrer", onclick: () => { send(spec, env, { type: "button", value: spec.value }); } }, textObject(spec.text));
  }
  const node = h("button", { type: "button", ...attrs }, h("span", { class: "button-text" }, textObject(spec.text)));
  node.addEventListener("click", () => { if (!node.classList.contains("busy")) send(spec, env, { type: "button", value: spec.value }, node); });
  return node;
}

function overflow(spec, env) {
  const node = h("button", { type: "button", class: "button overflow", "aria-label": spec.accessibility_label || "More actions", "aria-haspopup": "menu", "aria-expanded": "false", data: { blockId: env.blockId, actionId: spec.action_id } }, icon("more"));
  node.addEventListener("click", () => menu(node, (spec.options || []).map((option) => ({
    label: textObject(option.text), description: option.description && textObject(option.description), data: { value: option.value || "" },
    run: () => { if (option.url && /^https?:/.test(option.url)) window.open(option.url, "_blank", "noopener"); send(spec, env, { type: "overflow", selected_option: option }, node); },
  })), { align: "right" }));
  return node;
}

// ---- selects

const matches = (option, query) => !query || `${rawText(option.text)} ${rawText(option.description)}`.toLowerCase().includes(query.toLowerCase());

function listed(spec) {
  const groups = spec.option_groups ? spec.option_groups.map((g) => ({ label: g.label, options: g.options })) : [{ options: spec.options || [] }];
  return (query) => groups.map((g) => ({ ...g, options: g.options.filter((o) => matches(o, query)) }));
}

function asked(spec, env) {
  return async (query) => {
    const answer = await env.ctx.options(env.blockId, spec.action_id, query);
    if (!answer.ok) throw new Error(answer.error || "The options could not be loaded.");
    const groups = answer.option_groups || (answer.options || []).some((o) => Array.isArray(o.options)) ? answer.option_groups || answer.options : [{ options: answer.options || [] }];
    return groups;
  };
}

const avatar = (id) => h("span", { class: "avatar tiny", "aria-hidden": "true", style: { background: colorOf(id) } }, initials(nameOf(id)));
const userOption = (id) => ({ value: id, text: { type: "plain_text", text: nameOf(id), emoji: false }, description: S.data?.users?.[id]?.title, lead: avatar(id) });
const people = () => (query) => [{ options: Object.keys(S.data?.users || {}).map(userOption).filter((o) => matches(o, query)) }];
const channelOption = (id) => {
  const channel = S.data?.channels?.find((c) => c.id === id);
  return { value: id, text: { type: "plain_text", text: channel?.kind === "im" ? channelName(channel) : `# ${channel?.name || id}`, emoji: false } };
};
const channels = (spec) => (query) => {
  const include = spec.type.includes("channels") ? ["public"] : spec.filter?.include;
  return [{ options: (S.data?.channels || []).filter((c) => !include || include.includes(c.kind === "im" ? "im" : c.is_private ? "private" : "public")).map((c) => channelOption(c.id)).filter((o) => matches(o, query)) }];
};

function kindOf(type) {
  if (type.includes("users")) return "user";
  if (type.includes("conversations")) return "conversation";
  if (type.includes("channels")) return "channel";
  return "option";
}

function select(spec, env) {
  const multi = spec.type.startsWith("multi_");
  const kind = kindOf(spec.type);
  const remote = spec.type.includes("external");
  const field = multi ? `selected_${kind}s` : `selected_${kind}`;
  const toOption = kind === "option" ? (o) => o : kind === "user" ? userOption : channelOption;
  const fromOption = kind === "option" ? ({ text, value, description }) => ({ text, value, ...(description ? { description } : {}) }) : (o) => o.value;
  const start = spec[multi ? `initial_${kind}s` : `initial_${kind}`];
  const initial = [start || []].flat().map(toOption);
  const get = () => { const list = combo.get().map(fromOption); return { [field]: multi ? list : list[0] ?? null }; };
  let last = initial;
  const combo = createSelect({
    blockId: env.blockId, actionId: spec.action_id, placeholder: rawText(spec.placeholder) || (multi ? "Select options" : "Select an option"), multi, max: spec.max_selected_items, remote,
    minQuery: spec.min_query_length ?? (remote ? 3 : 0), clearable: env.inInput && env.optional, initial, labelledby: env.labelId, label: env.labelText,
    load: remote ? asked(spec, env) : kind === "user" ? people() : kind === "option" ? listed(spec) : channels(spec),
    changed: async (chosen) => {
      env.ctx.touched?.(env.blockId);
      if (!active(env) || (!multi && !chosen.length)) { last = chosen; return; }
      if (await send(spec, env, { type: spec.type, ...get() })) last = chosen; else combo.set(last);
    },
  });
  const set = (state) => {
    let next = [state[field] ?? []].flat().map(toOption);
    if (kind === "option" && !remote) {
      const all = (spec.option_groups ? spec.option_groups.flatMap((g) => g.options) : spec.options || []);
      next = next.map((o) => all.find((a) => a.value === o.value)).filter(Boolean);
    }
    last = next;
    combo.set(next);
  };
  return wrap(spec, env, combo.node, { get, set, input: combo.input, problem: () => (!combo.get().length ? "required" : null) });
}

// ---- typed fields

function typed(spec, env) {
  const multiline = spec.type === "plain_text_input" && spec.multiline || spec.type === "rich_text_input";
  const type = { email_text_input: "email", url_text_input: "url" }[spec.type] || "text";
  const attrs = {
    class: "field", placeholder: rawText(spec.placeholder) || null, "aria-labelledby": env.labelId, "aria-label": env.labelId ? null : env.labelText || rawText(spec.placeholder) || "Text", autocomplete: "off", maxlength: spec.max_length,
    inputmode: spec.type === "number_input" ? (spec.is_decimal_allowed ? "decimal" : "numeric") : null, data: { blockId: env.blockId, actionId: spec.action_id },
  };
  const input = multiline ? h("textarea", { ...attrs, rows: "4" }) : h("input", { type, ...attrs });
  input.value = spec.initial_value && typeof spec.initial_value === "string" ? spec.initial_value : "";
  const get = () => (spec.type === "rich_text_input" ? { rich_text_value: input.value ? { type: "rich_text", elements: [{ type: "rich_text_section", elements: [{ type: "text", text: input.value }] }] } : null } : { value: input.value || null });
  const on = spec.dispatch_action_config?.trigger_actions_on || ["on_enter_pressed"];
  let timer = null;
  input.addEventListener("input", () => {
    env.ctx.touched?.(env.blockId);
    if (active(env) && on.includes("on_character_entered")) { clearTimeout(timer); timer = setTimeout(() => send(spec, env, { type: spec.type, ...get() }), 400); }
  });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || (multiline && event.shiftKey) || !active(env) || !on.includes("on_enter_pressed") || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    send(spec, env, { type: spec.type, ...get() });
  });
  const problem = () => {
    const value = input.value.trim();
    if (!value) return "required";
    if (spec.min_length && value.length < spec.min_length) return `Please enter at least ${spec.min_length} characters.`;
    if (type === "email" && !/^\S+@\S+\.\S+$/.test(value)) return "Please enter a valid e-mail address.";
    if (type === "url" && !/^https?:\/\/\S+$/i.test(value)) return "Please enter a valid address, beginning with https://.";
    if (spec.type !== "number_input") return null;
    if (!(spec.is_decimal_allowed ? /^-?\d+([.,]\d+)?$/ : /^-?\d+$/).test(value)) return spec.is_decimal_allowed ? "Please enter a number." : "Please enter a whole number.";
    if (spec.min_value !== undefined && Number(value) < Number(spec.min_value)) return `Please enter ${spec.min_value} or more.`;
    if (spec.max_value !== undefined && Number(value) > Number(spec.max_value)) return `Please enter ${spec.max_value} or less.`;
    return null;
  };
  const count = spec.max_length && multiline ? h("span", { class: "counter", "aria-hidden": "true" }) : null;
  const tally = () => { if (count) { const left = spec.max_length - input.value.length; count.textContent = left <= 200 ? String(left) : ""; } };
  input.addEventListener("input", tally);
  tally();
  return wrap(spec, env, h("div", { class: "field-box" }, input, count), { get, set: (state) => {
    input.value = spec.type === "rich_text_input" ? state.rich_text_value?.elements?.[0]?.elements?.[0]?.text || "" : state.value ?? "";
    tally();
  }, input, problem });
}

const pad = (n) => String(n).padStart(2, "0");
const localDateTime = (epoch) => { const d = new Date(epoch * 1000); return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())}T${pad(d.getHours())}:${pad(d.getMinutes())}`; };

function picker(spec, env) {
  const [type, field, start] = { datepicker: ["date", "selected_date", spec.initial_date], timepicker: ["time", "selected_time", spec.initial_time],
    datetimepicker: ["datetime-local", "selected_date_time", spec.initial_date_time && localDateTime(spec.initial_date_time)] }[spec.type];
  const input = h("input", { type, class: "field", "aria-labelledby": env.labelId, "aria-label": env.labelId ? null : env.labelText || rawText(spec.placeholder) || "Date", title: rawText(spec.placeholder) || null, data: { blockId: env.blockId, actionId: spec.action_id } });
  input.value = start || "";
  let last = input.value;
  const get = () => ({ [field]: !input.value ? null : type === "datetime-local" ? Math.floor(new Date(input.value).getTime() / 1000) : input.value });
  input.addEventListener("change", async () => {
    env.ctx.touched?.(env.blockId);
    if (!active(env) || !input.value) { last = input.value; return; }
    if (await send(spec, env, { type: spec.type, ...get() })) last = input.value; else input.value = last;
  });
  return wrap(spec, env, h("div", { class: `field-box picker picker-${type}` }, input), { get, set: (state) => {
    const value = state[field];
    input.value = last = value === null || value === undefined ? "" : type === "datetime-local" ? localDateTime(value) : value;
  }, input, problem: () => (input.value ? null : "required") });
}

function choices(spec, env) {
  const many = spec.type === "checkboxes";
  const name = uid("choice");
  const start = new Set((many ? spec.initial_options || [] : spec.initial_option ? [spec.initial_option] : []).map((o) => o.value));
  const boxes = (spec.options || []).map((option) => {
    const describe = option.description ? uid("desc") : null;
    const box = h("input", { type: many ? "checkbox" : "radio", name, "aria-describedby": describe });
    box.value = option.value;
    box.checked = start.has(option.value);
    return { option, box, row: h("label", { class: "choice", data: { value: option.value } }, box, h("span", { class: "choice-text" }, h("span", null, textObject(option.text)), option.description && h("small", { id: describe }, textObject(option.description)))) };
  });
  const node = h("div", { class: "choices", role: many ? "group" : "radiogroup", "aria-labelledby": env.labelId, "aria-label": env.labelId ? null : env.labelText || "Options", data: { blockId: env.blockId, actionId: spec.action_id } }, boxes.map((b) => b.row));
  const picked = () => boxes.filter((b) => b.box.checked).map((b) => b.option);
  const get = () => (many ? { selected_options: picked() } : { selected_option: picked()[0] ?? null });
  const put = (values) => boxes.forEach((b) => { b.box.checked = values.includes(b.option.value); });
  let last = [...start];
  node.addEventListener("change", async () => {
    env.ctx.touched?.(env.blockId);
    const now = picked().map((o) => o.value);
    if (active(env) && !(await send(spec, env, { type: spec.type, ...get() }))) put(last); else last = now;
  });
  return wrap(spec, env, node, { get, set: (state) => { last = [state.selected_options ?? state.selected_option ?? []].flat().map((o) => o.value); put(last); }, input: boxes[0]?.box, problem: () => (picked().length ? null : "required") });
}

function iconAction(spec, env) {
  const node = button({ ...spec, text: spec.text || plainLabel(spec.icon || "Action") }, env);
  return node;
}

function feedback(spec, env) {
  return h("span", { class: "row" }, [spec.positive_button, spec.negative_button].filter(Boolean).map((b) => {
    const node = h("button", { type: "button", class: "button", "aria-label": b.accessibility_label, data: { blockId: env.blockId, actionId: spec.action_id, value: b.value } }, textObject(b.text));
    node.addEventListener("click", async () => { if (await send(spec, env, { type: spec.type, value: b.value }, node)) toast("Thanks for the feedback.", "info"); });
    return node;
  }));
}

const MAKERS = { button, overflow, plain_text_input: typed, number_input: typed, email_text_input: typed, url_text_input: typed, rich_text_input: typed,
  datepicker: picker, timepicker: picker, datetimepicker: picker, checkboxes: choices, radio_buttons: choices, icon_button: iconAction, feedback_buttons: feedback };
for (const kind of ["static", "external", "users", "conversations", "channels"]) { MAKERS[`${kind}_select`] = select; MAKERS[`multi_${kind}_select`] = select; }
