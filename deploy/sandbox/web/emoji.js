// Emoji by name. The common ones are drawn, so that they look the same without an emoji font.
import { h } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const disc = (color, mark, width = 2.6) => [["circle", { cx: 12, cy: 12, r: 10, fill: color }], ["path", { d: mark, fill: "none", stroke: "#fff", "stroke-width": width, "stroke-linecap": "round", "stroke-linejoin": "round" }]];
const tile = (color, mark) => [["rect", { x: 2, y: 2, width: 20, height: 20, rx: 5, fill: color }], ["path", { d: mark, fill: "none", stroke: "#fff", "stroke-width": 2.8, "stroke-linecap": "round", "stroke-linejoin": "round" }]];
const line = (color, d, fill = "none") => [["path", { d, fill, stroke: color, "stroke-width": 2, "stroke-linecap": "round", "stroke-linejoin": "round" }]];
const dot = (color) => [["circle", { cx: 12, cy: 12, r: 9, fill: color }]];

const CHECK = "M6.5 12.5l4 4 7-8.5", GLASS = "M7 3h10M7 21h10M8 3c0 5 8 6 8 9s-8 4-8 9M16 3c0 5-8 6-8 9s8 4 8 9";
const DRAWN = {
  white_check_mark: tile("#2f9e5f", CHECK), heavy_check_mark: line("#2f9e5f", "M4 13l5 5L20 6"), ballot_box_with_check: tile("#3d7bd0", CHECK),
  x: line("#d6354a", "M5 5l14 14M19 5L5 19"), heavy_multiplication_x: line("#777", "M5 5l14 14M19 5L5 19"), negative_squared_cross_mark: tile("#2f9e5f", "M7.5 7.5l9 9M16.5 7.5l-9 9"),
  warning: [["path", { d: "M12 2.5 22.5 21h-21z", fill: "#f0b429", stroke: "#d9971a", "stroke-width": 1, "stroke-linejoin": "round" }], ["path", { d: "M12 9v6M12 18h.01", stroke: "#3b2a05", "stroke-width": 2.4, "stroke-linecap": "round" }]],
  no_entry: disc("#d6354a", "M7 12h10", 3.4), no_entry_sign: [["circle", { cx: 12, cy: 12, r: 9, fill: "none", stroke: "#d6354a", "stroke-width": 2.8 }], ["path", { d: "M5.6 5.6l12.8 12.8", stroke: "#d6354a", "stroke-width": 2.8 }]],
  octagonal_sign: [["path", { d: "M8 2h8l6 6v8l-6 6H8l-6-6V8z", fill: "#d6354a" }], ["path", { d: "M7 12h10", stroke: "#fff", "stroke-width": 3 }]],
  hourglass: line("#a5732a", GLASS, "#f6deb0"), hourglass_flowing_sand: line("#a5732a", GLASS, "#f6deb0"),
  lock: [["path", { d: "M7.5 11V7.5a4.5 4.5 0 0 1 9 0V11", fill: "none", stroke: "#8b8f98", "stroke-width": 2.4 }], ["rect", { x: 4.5, y: 10.5, width: 15, height: 11, rx: 2.5, fill: "#e6a92d" }], ["path", { d: "M12 14.5v3", stroke: "#6b4a06", "stroke-width": 2.4, "stroke-linecap": "round" }]],
  unlock: [["path", { d: "M7.5 11V7.5a4.5 4.5 0 0 1 8.6-1.8", fill: "none", stroke: "#8b8f98", "stroke-width": 2.4 }], ["rect", { x: 4.5, y: 10.5, width: 15, height: 11, rx: 2.5, fill: "#e6a92d" }]],
  eyes: [["ellipse", { cx: 7, cy: 12, rx: 5, ry: 8, fill: "#fff", stroke: "#7a7f88", "stroke-width": 1.4 }], ["ellipse", { cx: 17, cy: 12, rx: 5, ry: 8, fill: "#fff", stroke: "#7a7f88", "stroke-width": 1.4 }], ["circle", { cx: 5.8, cy: 13.5, r: 2.4, fill: "#26282c" }], ["circle", { cx: 15.8, cy: 13.5, r: 2.4, fill: "#26282c" }]],
  arrow_right: tile("#4a86d0", "M6.5 12h11M13 7.5l4.5 4.5-4.5 4.5"), arrow_left: tile("#4a86d0", "M17.5 12h-11M11 7.5L6.5 12l4.5 4.5"), arrow_up: tile("#4a86d0", "M12 17.5v-11M7.5 11L12 6.5l4.5 4.5"), arrow_down: tile("#4a86d0", "M12 6.5v11M7.5 13l4.5 4.5 4.5-4.5"),
  arrows_counterclockwise: tile("#4a86d0", "M17 10a5.5 5.5 0 0 0-10 0M7 6.5V10h3.5M7 14a5.5 5.5 0 0 0 10 0M17 17.5V14h-3.5"), repeat: tile("#4a86d0", "M6 10h11l-3-3M18 14H7l3 3"),
  calendar: [["rect", { x: 3, y: 4, width: 18, height: 17, rx: 2.5, fill: "#fff", stroke: "#8b8f98", "stroke-width": 1.4 }], ["path", { d: "M3 9V6.500a2.500 2.500 0 0 1 2.500-2.500h13A2.500 2.500 0 0 1 21 6.500V9z", fill: "#d6354a" }], ["path", { d: "M7 13h2M11 13h2M15 13h2M7 17h2M11 17h2", stroke: "#555", "stroke-width": 2 }]],
  rocket: [["path", { d: "M13 4c3-2 6-2 8-1 1 2 1 5-1 8l-6 6-7-7z", fill: "#d5d9e0", stroke: "#70757f", "stroke-width": 1.4, "stroke-linejoin": "round" }], ["circle", { cx: 15.5, cy: 8.5, r: 2, fill: "#4a86d0" }], ["path", { d: "M7 10l-4 2 3 3M14 17l-2 4-3-3M5 16c-2 1-2 4-2 5 1 0 4 0 5-2", fill: "#d6354a", stroke: "#d6354a", "stroke-width": 1.4, "stroke-linejoin": "round" }]],
  speech_balloon: [["path", { d: "M3 4h18v13H11l-5 4.500V17H3z", fill: "#fff", stroke: "#7a7f88", "stroke-width": 1.600, "stroke-linejoin": "round" }], ["path", { d: "M7.500 10.500h.01M12 10.500h.01M16.500 10.500h.01", stroke: "#555", "stroke-width": 2.600, "stroke-linecap": "round" }]],
  bell: [["path", { d: "M12 3a6 6 0 0 0-6 6v5l-2 3h16l-2-3V9a6 6 0 0 0-6-6z", fill: "#e6a92d" }], ["path", { d: "M10 19.500a2 2 0 0 0 4 0", fill: "#b5801a" }]],
  memo: [["rect", { x: 4, y: 3, width: 14, height: 18, rx: 2, fill: "#fff", stroke: "#8b8f98", "stroke-width": 1.4 }], ["path", { d: "M7 8h8M7 12h6", stroke: "#8b8f98", "stroke-width": 1.600 }], ["path", { d: "M12 17l8-9 2 2-8 8.500-2.500.5z", fill: "#e6a92d" }]],
  information_source: tile("#4a86d0", "M12 11v6M12 7.500h.01"), question: line("#d6354a", "M8.500 8a3.500 3.500 0 1 1 5 3.200c-1.500.8-1.500 1.800-1.500 3M12 18.500h.01"), exclamation: line("#d6354a", "M12 4v10M12 19h.01"),
  red_circle: dot("#d6354a"), large_orange_circle: dot("#e8862e"), large_yellow_circle: dot("#ecc22e"), large_green_circle: dot("#2f9e5f"), large_blue_circle: dot("#3d7bd0"), white_circle: dot("#c9cdd4"), black_circle: dot("#33363b"),
  link: line("#70757f", "M10 14a4 4 0 0 0 6 .5l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6-.5l-3 3a4 4 0 0 0 6 6l1-1"), mag: line("#4a6fa5", "M10.500 4a6.500 6.500 0 1 0 0 13 6.500 6.500 0 0 0 0-13zM15.500 15.500L21 21", "#dbe8f8"),
  ticket: [["path", { d: "M2 7h20v3.500a1.500 1.500 0 0 0 0 3V17H2v-3.500a1.500 1.500 0 0 0 0-3z", fill: "#e8c26a", stroke: "#a5732a", "stroke-width": 1.2 }], ["path", { d: "M14 8.500v7", stroke: "#a5732a", "stroke-width": 1.600, "stroke-dasharray": "2 2" }]],
  bust_in_silhouette: [["circle", { cx: 12, cy: 8, r: 4.500, fill: "#5c7aa8" }], ["path", { d: "M3.500 21c.5-5 4-7.500 8.500-7.500s8 2.500 8.500 7.500z", fill: "#5c7aa8" }]],
  clock3: [["circle", { cx: 12, cy: 12, r: 9.500, fill: "#fff", stroke: "#70757f", "stroke-width": 2 }], ["path", { d: "M12 6.500V12h4.500", fill: "none", stroke: "#33363b", "stroke-width": 2, "stroke-linecap": "round" }]],
  pushpin: [["path", { d: "M9 3h7l-1 7 4 4H5l4-4z", fill: "#d6354a" }], ["path", { d: "M12 14v7", stroke: "#70757f", "stroke-width": 2 }]],
  shield: [["path", { d: "M12 2.500l8 3v6c0 5-3.500 8.500-8 10-4.500-1.500-8-5-8-10v-6z", fill: "#4a86d0" }]],
};
Object.assign(DRAWN, {
  alarm_clock: DRAWN.clock3, stopwatch: DRAWN.clock3, clock1: DRAWN.clock3, date: DRAWN.calendar, spiral_calendar_pad: DRAWN.calendar, stop_sign: DRAWN.octagonal_sign, closed_lock_with_key: DRAWN.lock, pencil: DRAWN.memo, pencil2: DRAWN.memo,
  mag_right: DRAWN.mag, large_red_circle: DRAWN.red_circle, no_bell: DRAWN.bell, thought_balloon: DRAWN.speech_balloon, left_speech_bubble: DRAWN.speech_balloon, admission_tickets: DRAWN.ticket, rotating_light: DRAWN.red_circle,
  fast_forward: DRAWN.arrow_right, arrow_forward: DRAWN.arrow_right, leftwards_arrow_with_hook: DRAWN.arrow_left, heavy_exclamation_mark: DRAWN.exclamation, busts_in_silhouette: DRAWN.bust_in_silhouette, passport_control: DRAWN.ticket,
});

const GLYPH = {
  tada: "🎉", wave: "👋", "+1": "👍", thumbsup: "👍", "-1": "👎", thumbsdown: "👎", fire: "🔥", bug: "🐛", wrench: "🔧", hammer_and_wrench: "🛠", gear: "⚙️", robot_face: "🤖", zap: "⚡", star: "⭐", sparkles: "✨",
  package: "📦", bar_chart: "📊", chart_with_upwards_trend: "📈", chart_with_downwards_trend: "📉", clipboard: "📋", page_facing_up: "📄", file_folder: "📁", paperclip: "📎", key: "🔑", bulb: "💡", smile: "😄", slightly_smiling_face: "🙂",
  thinking_face: "🤔", pray: "🙏", clap: "👏", raised_hands: "🙌", point_right: "👉", heart: "❤️", construction: "🚧", mega: "📣", loudspeaker: "📢", email: "✉️", envelope: "✉️", inbox_tray: "📥", outbox_tray: "📤", globe_with_meridians: "🌐", bookmark: "🔖", label: "🏷",
  computer: "💻", desktop_computer: "🖥", floppy_disk: "💾", wastebasket: "🗑", double_vertical_bar: "⏸", pause_button: "⏸", black_square_for_stop: "⏹", ok: "🆗", new: "🆕", soon: "🔜", ghost: "👻", skull: "💀", moneybag: "💰", crossed_swords: "⚔️", checkered_flag: "🏁", triangular_flag_on_post: "🚩", large_blue_diamond: "🔷", small_blue_diamond: "🔹", small_orange_diamond: "🔸",
};
const BY_GLYPH = { "✅": "white_check_mark", "❌": "x", "⚠️": "warning", "⚠": "warning", "⏳": "hourglass_flowing_sand", "⌛": "hourglass", "🔒": "lock", "🔓": "unlock", "👀": "eyes", "➡️": "arrow_right", "⛔": "no_entry", "📅": "calendar", "🗓": "calendar", "🚀": "rocket", "💬": "speech_balloon", "🔔": "bell", "📝": "memo", "ℹ️": "information_source", "🔗": "link", "🎫": "ticket", "🔴": "red_circle", "🟠": "large_orange_circle", "🟡": "large_yellow_circle", "🟢": "large_green_circle", "🔵": "large_blue_circle", "🔍": "mag", "🔁": "repeat", "🔄": "arrows_counterclockwise" };
export const GLYPHS = new RegExp(Object.keys(BY_GLYPH).sort((a, b) => b.length - a.length).join("|"), "gu");

export const known = (name) => name in DRAWN || name in GLYPH;

export function emoji(name) {
  name = BY_GLYPH[name] || name;
  if (DRAWN[name]) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("class", "emoji");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", `${name.replaceAll("_", " ")} emoji`);
    for (const [tag, attrs] of DRAWN[name]) {
      const part = document.createElementNS(SVG, tag);
      for (const [k, v] of Object.entries(attrs)) part.setAttribute(k, v);
      svg.append(part);
    }
    return svg;
  }
  if (GLYPH[name]) return h("span", { class: "emoji-glyph", role: "img", "aria-label": `${name.replaceAll("_", " ")} emoji` }, GLYPH[name]);
  return document.createTextNode(`:${name}:`);
}
