// Block Kit's blocks.
import { h, icon, uid, reconcile } from "./dom.js";
import { textObject, rawText, mrkdwn, plain, richText, markdown } from "./mrkdwn.js";
import { element, controls } from "./elements.js";
import { chart } from "./charts.js";

// Draws `blocks` into `root`. Blocks that did not change keep their nodes; controls that stay (same block_id and
// action_id) keep what was typed when `keep` is set.
export function renderBlocks(root, blocks, ctx, { keep = false } = {}) {
  const typed = keep ? new Map([...controls(root)].map(([k, c]) => [k, c.get()])) : new Map();
  const focus = root.contains(document.activeElement) ? { ...document.activeElement.dataset } : null;
  const old = new Map([...root.children].map((node) => [node.signature, node]));
  const nodes = (blocks || []).map((block, index) => {
    const signature = `${block.block_id || index} ${JSON.stringify(block)}`;
    const before = old.get(signature);
    if (before) { old.delete(signature); return before; }
    const node = renderBlock(block, ctx, index);
    node.signature = signature;
    for (const [key, control] of node.control ? [["", node.control]] : controls(node)) if (typed.has(key)) control.set(typed.get(key));
    return node;
  });
  reconcile(root, nodes);
  if (focus?.actionId && !root.contains(document.activeElement)) {
    root.querySelector(`[data-block-id="${CSS.escape(focus.blockId || "")}"][data-action-id="${CSS.escape(focus.actionId)}"]`)?.focus();
  }
}

export function renderBlock(block, ctx, index = 0) {
  const make = BLOCKS[block.type];
  const node = make ? make(block, { ctx, blockId: block.block_id || `b${index}` }) : h("div", { class: "unsupported" }, `Block “${block.type}” is not drawn here.`);
  node.classList.add("block", `block-${block.type}`);
  if (block.block_id) node.dataset.block = block.block_id;
  return node;
}

function section(block, env) {
  const id = uid("section");
  const accessory = block.accessory && (block.accessory.type === "image" ? picture(block.accessory, "thumb") : element(block.accessory, { ...env, labelText: plainText(block.text) }));
  return h("div", { class: accessory ? "with-accessory" : "" },
    h("div", { class: "section-main", id },
      block.text && h("div", { class: "text" }, textObject(block.text)),
      block.fields && h("div", { class: "fields" }, block.fields.map((field) => h("div", { class: "text" }, textObject(field))))),
    accessory && h("div", { class: "accessory" }, accessory));
}

const plainText = (object) => (!object ? "" : (object.type === "mrkdwn" ? mrkdwn(object.text || "").textContent : rawText(object)).slice(0, 80));

function input(block, env) {
  const labelId = uid("label"), inputId = uid("input"), hintId = uid("hint"), errorId = uid("error");
  const spec = block.element || {};
  const node = element(spec, { ...env, inInput: true, dispatch: block.dispatch_action, optional: block.optional, labelId });
  const control = node.control;
  const group = ["checkboxes", "radio_buttons"].includes(spec.type);
  const target = group ? node : control?.input;
  const error = h("p", { class: "error", id: errorId, hidden: true });
  if (target) {
    if (!group) target.id = inputId;
    const described = [block.hint && hintId, errorId].filter(Boolean).join(" ");
    target.setAttribute("aria-describedby", described);
    if (!block.optional && !group) target.setAttribute("aria-required", "true");
  }
  const root = h("div", { class: "input-block" },
    h(group ? "div" : "label", { class: "label", id: labelId, for: group ? null : inputId }, textObject(block.label), block.optional && h("span", { class: "optional" }, " (optional)")),
    node, block.hint && h("p", { class: "hint", id: hintId }, textObject(block.hint)), error);
  root.input = {
    blockId: env.blockId, optional: Boolean(block.optional), control, focus: () => control?.input?.focus(),
    problem() {
      const found = control?.problem?.();
      if (found === "required") return block.optional ? null : "Please complete this required field.";
      return found || null;
    },
    setError(text) {
      error.replaceChildren();
      if (text) error.append(icon("warn"), h("span", null, text));
      error.hidden = !text;
      root.classList.toggle("has-error", Boolean(text));
      if (target) { if (text) target.setAttribute("aria-invalid", "true"); else target.removeAttribute("aria-invalid"); }
    },
  };
  return root;
}

// Pictures come only from this server; others are named and linked, so that the page asks nobody else.
function picture(block, kind) {
  const url = block.image_url || "";
  let own = url.startsWith("data:image/");
  try { own ||= new URL(url, location.href).origin === location.origin && url !== ""; } catch { /* not an address */ }
  if (own) return h("img", { class: kind, src: url, alt: block.alt_text || "" });
  return h("span", { class: `${kind} no-picture`, role: "img", "aria-label": block.alt_text || "Image", title: url || block.alt_text }, icon("image"), kind === "picture" && h("span", null, block.alt_text));
}

function cell(item, tag, attrs) {
  const content = item?.type === "rich_text" ? richText(item) : item?.type === "raw_number" ? String(item.text ?? item.value ?? "") : plain(String(item?.text ?? ""));
  return h(tag, { ...attrs, class: `${attrs?.class || ""}${item?.type === "raw_number" ? " number" : ""}` }, content);
}

function table(block) {
  const settings = block.column_settings || [];
  const attrs = (i) => ({ style: settings[i]?.align ? { "text-align": settings[i].align } : {}, class: settings[i]?.is_wrapped ? "" : "nowrap" });
  const [head, ...rows] = block.rows || [];
  return h("div", { class: "table-box", tabindex: "0", role: "region", "aria-label": "Table" }, h("table", null,
    head && h("thead", null, h("tr", null, head.map((c, i) => cell(c, "th", { scope: "col", ...attrs(i) })))),
    h("tbody", null, rows.map((row) => h("tr", null, row.map((c, i) => cell(c, "td", attrs(i))))))));
}

function dataTable(block) {
  const [head, ...rows] = block.rows || [];
  const size = block.page_size || 5, header = block.row_header_column_index || 0;
  let page = 0, sorted = -1, down = false, order = rows;
  const text = (c) => (c?.type === "raw_number" ? Number(c.value ?? c.text) : c?.type === "rich_text" ? richText(c).textContent : c?.text ?? "");
  const body = h("tbody"), where = h("span", { class: "page-at", "aria-live": "polite" });
  const pages = Math.max(1, Math.ceil(rows.length / size));
  const back = h("button", { type: "button", class: "button small", onclick: () => { page--; draw(); } }, "Previous");
  const next = h("button", { type: "button", class: "button small", onclick: () => { page++; draw(); } }, "Next");
  const heads = (head || []).map((c, i) => h("th", { scope: "col", class: c?.type === "raw_number" || rows[0]?.[i]?.type === "raw_number" ? "number" : "" }, h("button", { type: "button", class: "sort", onclick: () => {
    down = sorted === i ? !down : false;
    sorted = i;
    order = [...rows].sort((a, b) => { const [x, y] = [text(a[i]), text(b[i])]; return (typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y))) * (down ? -1 : 1); });
    page = 0;
    draw();
  } }, plain(String(c?.text ?? "")))));
  function draw() {
    heads.forEach((th, i) => (i === sorted ? th.setAttribute("aria-sort", down ? "descending" : "ascending") : th.removeAttribute("aria-sort")));
    body.replaceChildren(...order.slice(page * size, page * size + size).map((row) => h("tr", null, row.map((c, i) => cell(c, i === header ? "th" : "td", i === header ? { scope: "row" } : {})))));
    where.textContent = `${page * size + 1}–${Math.min(rows.length, (page + 1) * size)} of ${rows.length}`;
    back.disabled = page === 0;
    next.disabled = page >= pages - 1;
  }
  draw();
  return h("div", { class: "data-table" },
    h("div", { class: "table-box", tabindex: "0", role: "region", "aria-label": block.caption || "Table" }, h("table", null, block.caption && h("caption", null, plain(block.caption)), h("thead", null, h("tr", null, heads)), body)),
    pages > 1 && h("div", { class: "pager" }, where, back, next));
}

const LEVELS = { warning: "warn", error: "warn", success: "check" };
function alert(block) {
  const level = block.level || "default";
  return h("div", { class: `alert alert-${level}`, role: level === "error" ? "alert" : "note" }, icon(LEVELS[level] || "info"), h("div", { class: "text" }, h("span", { class: "sr" }, level === "default" ? "" : `${level}: `), textObject(block.text)));
}

const STATUS = { pending: "○", in_progress: "◐", complete: "✓", error: "✕" };
function task(block) {
  return h("div", { class: `task task-${block.status}` }, h("span", { class: "task-mark", "aria-label": (block.status || "").replace("_", " "), role: "img" }, STATUS[block.status] || "○"),
    h("div", null, h("div", null, plain(rawText(block.title))), block.details && richText(block.details), block.output && richText(block.output)));
}

const BLOCKS = {
  section, input,
  header: (block, env) => h(env.ctx.heading || "h2", null, textObject(block.text)),
  divider: () => h("hr"),
  context: (block) => h("div", null, (block.elements || []).map((part) => (part.type === "image" ? picture(part, "icon-picture") : h("span", { class: "text" }, textObject(part))))),
  actions: (block, env) => h("div", { class: "row" }, (block.elements || []).map((spec) => element(spec, env))),
  context_actions: (block, env) => h("div", { class: "row" }, (block.elements || []).map((spec) => element(spec, env))),
  image: (block) => h("figure", null, block.title && h("figcaption", null, textObject(block.title)), picture(block, "picture")),
  rich_text: richText,
  markdown: (block) => markdown(block.text || ""),
  table, data_table: dataTable, data_visualization: chart, alert,
  card: (block, env) => h("div", { class: "card" }, block.title && h("div", { class: "card-title" }, textObject(block.title)), block.subtitle && h("div", { class: "card-sub" }, textObject(block.subtitle)),
    block.body && h("div", { class: "text" }, textObject(block.body)), block.actions && h("div", { class: "row" }, block.actions.map((spec) => element(spec, env)))),
  carousel: (block, env) => h("div", { class: "carousel" }, (block.elements || block.cards || []).map((card, i) => renderBlock({ type: "card", ...card }, env.ctx, i))),
  container: (block, env) => {
    const kids = (block.child_blocks || block.blocks || block.elements || []).map((child, i) => renderBlock(child, env.ctx, i));
    const title = [h("span", { class: "card-title" }, textObject(block.title)), block.subtitle && h("span", { class: "card-sub" }, textObject(block.subtitle))];
    return block.is_collapsible ? h("details", { class: "card", open: !block.default_collapsed }, h("summary", null, title), kids) : h("div", { class: "card" }, title, kids);
  },
  plan: (block) => h("div", { class: "card" }, h("div", { class: "card-title" }, plain(rawText(block.title))), (block.tasks || []).map(task)),
  task_card: (block) => h("div", { class: "card" }, task(block)),
  file: (block) => h("div", { class: "file-link" }, icon("file"), h("span", null, block.external_id || "File")),
};
