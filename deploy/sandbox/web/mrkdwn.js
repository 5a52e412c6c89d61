// Slack's mrkdwn, plain text and rich text, as DOM nodes. Text never passes through an HTML parser.
import { h, add } from "./dom.js";
import { emoji, known, GLYPHS } from "./emoji.js";
import { S, person, nameOf, channelOf, go } from "./state.js";

export const unescape = (text) => text.replace(/&(amp|lt|gt);/g, (_, name) => ({ amp: "&", lt: "<", gt: ">" })[name]);

// Text with :names: and drawn glyphs, nothing else.
export function plain(text, useEmoji = true) {
  const out = document.createDocumentFragment();
  if (!useEmoji) { out.append(text); return out; }
  let last = 0;
  const find = new RegExp(`:([a-z0-9_+'-]+):|${GLYPHS.source}`, "gu");
  for (const match of text.matchAll(find)) {
    if (match[1] && !known(match[1])) continue;
    out.append(text.slice(last, match.index), emoji(match[1] || match[0]));
    last = match.index + match[0].length;
  }
  out.append(text.slice(last));
  return out;
}

export function textObject(object) {
  if (!object) return "";
  if (typeof object === "string") return plain(object);
  return object.type === "mrkdwn" ? mrkdwn(object.text || "") : plain(object.text || "", object.emoji !== false);
}

export const rawText = (object) => (typeof object === "string" ? object : object?.text) || "";

// One line of plain words for a label or an announcement.
export function words(text) {
  return mrkdwn(text || "").textContent.replace(/\s+/g, " ").trim();
}

export function mrkdwn(text) {
  const out = document.createDocumentFragment();
  const parts = text.split(/```([\s\S]*?)```/);
  parts.forEach((part, i) => {
    if (i % 2) {
      out.append(h("pre", { class: "code-block" }, codeText(part.replace(/^\n/, "").replace(/\n$/, ""))));
      return;
    }
    if (i > 0) part = part.replace(/^\n/, "");
    if (part) lines(part, out);
  });
  return out;
}

const codeText = (text) => unescape(text.replace(/<([^<>|]+)(?:\|([^<>]*))?>/g, (_, target, label) => label || target));

function lines(text, out) {
  let quote = null, first = true;
  for (const line of text.split("\n")) {
    const match = /^(?:&gt;|>)\s?(.*)$/.exec(line);
    if (match) {
      if (!quote) { quote = h("blockquote"); out.append(quote); } else quote.append(h("br"));
      quote.append(inline(match[1]));
      first = true;
      continue;
    }
    quote = null;
    if (!first) out.append(h("br"));
    first = false;
    out.append(inline(line));
  }
}

const WORD = /[\p{L}\p{N}]/u;
const TAGS = { "*": "b", _: "i", "~": "s" };

function closing(text, mark, from) {
  for (let j = from; j < text.length; j++) {
    const c = text[j];
    if (c === "<") { const end = text.indexOf(">", j); if (end > 0) j = end; continue; }
    if (c === "`") { const end = text.indexOf("`", j + 1); if (end > 0) j = end; continue; }
    if (c === mark && j > from && !/\s/.test(text[j - 1]) && !(text[j + 1] && WORD.test(text[j + 1]))) return j;
  }
  return -1;
}

function inline(text) {
  const out = document.createDocumentFragment();
  let buffer = "";
  const flush = () => { if (buffer) out.append(plain(unescape(buffer))); buffer = ""; };
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === "`") {
      const end = text.indexOf("`", i + 1);
      if (end > i + 1) { flush(); out.append(h("code", null, codeText(text.slice(i + 1, end)))); i = end; continue; }
    } else if (c === "<") {
      const end = text.indexOf(">", i + 1);
      if (end > i + 1) { flush(); out.append(angle(text.slice(i + 1, end))); i = end; continue; }
    } else if (c in TAGS && !(i && WORD.test(text[i - 1])) && text[i + 1] && !/\s/.test(text[i + 1]) && text[i + 1] !== c) {
      const end = closing(text, c, i + 1);
      if (end > 0) { flush(); out.append(h(TAGS[c], null, inline(text.slice(i + 1, end)))); i = end; continue; }
    } else if (c === ":") {
      const match = /^:([a-z0-9_+'-]+):/.exec(text.slice(i));
      if (match && known(match[1])) { flush(); out.append(emoji(match[1])); i += match[0].length - 1; continue; }
    }
    buffer += c;
  }
  flush();
  return out;
}

function angle(body) {
  const bar = body.indexOf("|");
  const target = bar < 0 ? body : body.slice(0, bar);
  const label = bar < 0 ? "" : unescape(body.slice(bar + 1));
  if (target.startsWith("@")) return userMention(target.slice(1), label);
  if (target.startsWith("#")) return channelMention(target.slice(1), label);
  if (target.startsWith("!subteam^")) return groupMention(target.slice(9), label);
  if (target.startsWith("!date^")) {
    const [, epoch, format, link] = target.split("^");
    return dateNode(Number(epoch), format || "{date_short} {time}", label, link);
  }
  if (target.startsWith("!")) return h("span", { class: "mention mention-me" }, label || `@${target.slice(1)}`);
  return linkNode(unescape(target), label);
}

export function linkNode(url, label) {
  if (!/^(https?:|mailto:|tel:)/i.test(url) && !url.startsWith("/files/")) return document.createTextNode(label || url);
  return h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, plain(label || url.replace(/^mailto:/i, "")));
}

export function userMention(id, label) {
  return h("span", { class: id === S.user ? "mention mention-me" : "mention", data: { user: id } }, `@${person(id) ? nameOf(id) : (label || id).replace(/^@/, "")}`);
}

export function channelMention(id, label) {
  const channel = channelOf(id);
  const text = `#${channel?.name || label || "private channel"}`;
  if (!channel) return h("span", { class: "mention" }, text);
  return h("a", { class: "mention", href: `#${S.user}/${id}`, onclick: (e) => { e.preventDefault(); go({ channel: id }); } }, text);
}

export function groupMention(id, label) {
  const group = S.data?.usergroups?.[id];
  return h("span", { class: "mention" }, label || (group?.handle ? `@${group.handle}` : `@${id}`));
}

const formats = {
  date_num: (d) => `${d.getFullYear()}-${String(d.getMonth() + 1).padStart(2, "0")}-${String(d.getDate()).padStart(2, "0")}`,
  date: (d) => d.toLocaleDateString("en", { month: "long", day: "numeric", year: "numeric" }),
  date_short: (d) => d.toLocaleDateString("en", { month: "short", day: "numeric", year: "numeric" }),
  date_long: (d) => d.toLocaleDateString("en", { weekday: "long", month: "long", day: "numeric", year: "numeric" }),
  time: (d) => d.toLocaleTimeString("en", { hour: "numeric", minute: "2-digit" }),
  time_secs: (d) => d.toLocaleTimeString("en", { hour: "numeric", minute: "2-digit", second: "2-digit" }),
  ago: (d) => ago(d),
  day_divider_pretty: (d) => near(d) || formats.date_long(d),
};
for (const name of ["date", "date_short", "date_long"]) formats[`${name}_pretty`] = (d) => near(d) || formats[name](d);

function near(d) {
  const day = (x) => new Date(x.getFullYear(), x.getMonth(), x.getDate()).getTime();
  return { "-1": "yesterday", 0: "today", 1: "tomorrow" }[Math.round((day(d) - day(new Date())) / 864e5)];
}

function ago(d) {
  const seconds = (d - Date.now()) / 1000;
  const [unit, size] = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]].find(([, s]) => Math.abs(seconds) >= s) || ["second", 1];
  return new Intl.RelativeTimeFormat("en").format(Math.round(seconds / size), unit);
}

export function dateText(epoch, format) {
  const d = new Date(epoch * 1000);
  const text = format.replace(/\{(\w+)\}/g, (all, token) => (formats[token] ? formats[token](d) : all));
  return /^(today|tomorrow|yesterday)/.test(text) && format.startsWith("{") ? text[0].toUpperCase() + text.slice(1) : text;
}

function dateNode(epoch, format, fallback, link) {
  if (!Number.isFinite(epoch)) return document.createTextNode(fallback);
  const text = dateText(epoch, unescape(format));
  const time = h("time", { datetime: new Date(epoch * 1000).toISOString(), title: new Date(epoch * 1000).toLocaleString("en") }, text);
  return link && /^https?:/.test(link) ? h("a", { href: unescape(link), target: "_blank", rel: "noopener noreferrer" }, time) : time;
}

// ---- rich text

export function richText(block) {
  return add(h("div", { class: "rich" }), (block.elements || []).map(richBlock));
}

function richBlock(part) {
  const kids = () => (part.elements || []).map(richInline);
  switch (part.type) {
    case "rich_text_list":
      return h(part.style === "ordered" ? "ol" : "ul", { start: part.offset ? part.offset + 1 : null, style: part.indent ? { "margin-left": `${part.indent * 22}px` } : {} },
        (part.elements || []).map((item) => h("li", null, (item.elements || []).map(richInline))));
    case "rich_text_preformatted": return h("pre", { class: "code-block" }, kids());
    case "rich_text_quote": return h("blockquote", null, kids());
    default: return h("div", { class: "rich-section" }, kids());
  }
}

function richInline(part) {
  let node;
  switch (part.type) {
    case "link": node = linkNode(part.url || "", part.text); break;
    case "user": node = userMention(part.user_id); break;
    case "channel": node = channelMention(part.channel_id); break;
    case "usergroup": node = groupMention(part.usergroup_id); break;
    case "broadcast": node = h("span", { class: "mention mention-me" }, `@${part.range}`); break;
    case "emoji": node = emoji(part.name); break;
    case "date": node = dateNode(part.timestamp, part.format || "{date_short}", part.fallback || "", part.url); break;
    case "color": node = h("span", null, part.value); break;
    default: node = plain(part.text || "", false); // only an element of its own is an emoji
  }
  const style = part.style || {};
  if (style.code) node = h("code", null, node);
  if (style.bold) node = h("b", null, node);
  if (style.italic) node = h("i", null, node);
  if (style.strike) node = h("s", null, node);
  return node;
}

// ---- the markdown block: headings, lists, quotes, fences, **bold**, [links](…), pipe tables as they stand

export function markdown(text) {
  const out = h("div", { class: "md" });
  let list = null, fence = null;
  for (const line of text.split("\n")) {
    if (/^```/.test(line)) { if (fence) fence = null; else { fence = h("pre", { class: "code-block" }); out.append(fence); } list = null; continue; }
    if (fence) { fence.append(`${line}\n`); continue; }
    const head = /^(#{1,6})\s+(.*)/.exec(line), item = /^\s*(?:([-*+])|(\d+)\.)\s+(.*)/.exec(line), quote = /^>\s?(.*)/.exec(line);
    if (item) {
      const tag = item[1] ? "UL" : "OL";
      if (list?.tagName !== tag) { list = h(tag.toLowerCase()); out.append(list); }
      list.append(h("li", null, mdInline(item[3])));
      continue;
    }
    list = null;
    if (head) out.append(h(`h${Math.min(6, head[1].length + 2)}`, null, mdInline(head[2])));
    else if (/^\s*(---+|\*\*\*+)\s*$/.test(line)) out.append(h("hr"));
    else if (quote) out.append(h("blockquote", null, mdInline(quote[1])));
    else if (line.trim()) out.append(h("p", null, mdInline(line)));
  }
  return out;
}

function mdInline(text) {
  const out = document.createDocumentFragment();
  const find = /`([^`]+)`|\*\*(.+?)\*\*|~~(.+?)~~|\[([^\]]+)\]\(([^)\s]+)\)|(?<![\w*])[*_]([^*_]+)[*_](?!\w)/g;
  let last = 0;
  for (const m of text.matchAll(find)) {
    out.append(plain(text.slice(last, m.index)));
    if (m[1]) out.append(h("code", null, m[1]));
    else if (m[2]) out.append(h("b", null, mdInline(m[2])));
    else if (m[3]) out.append(h("s", null, mdInline(m[3])));
    else if (m[4]) out.append(linkNode(m[5], m[4]));
    else out.append(h("i", null, mdInline(m[6])));
    last = m.index + m[0].length;
  }
  out.append(plain(text.slice(last)));
  return out;
}
