// Slack's data_visualization block: the picture for the eye, the numbers as a table for everybody else.
import { h } from "./dom.js";
import { plain } from "./mrkdwn.js";

const WIDE = 520, HIGH = 200, LEFT = 40, BOTTOM = 28, TOP = 8;
const SVG = "http://www.w3.org/2000/svg";

const draw = (name, attributes, ...children) => {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children.filter(Boolean));
  return node;
};

export function chart(block) {
  const spec = block.chart || {};
  const pie = spec.type === "pie";
  const names = pie ? spec.segments.map((one) => one.label) : spec.series.map((one) => one.name);
  return h("figure", { class: "chart" },
    h("figcaption", null, plain(block.title || "")),
    pie ? circle(spec.segments) : plot(spec),
    h("ul", { class: "legend", "aria-hidden": "true" }, names.map((name, i) => h("li", { class: `key-${i}` }, h("span", { class: "swatch" }), pie ? `${name}: ${spec.segments[i].value}` : name))),
    h("details", { class: "numbers" }, h("summary", null, "As numbers"), pie ? parts(spec.segments) : grid(spec)));
}

const hidden = { "aria-hidden": "true", focusable: "false" };

function circle(segments) {
  const total = segments.reduce((sum, one) => sum + one.value, 0);
  let at = 0;
  const pieces = segments.map((one, i) => {
    const from = at;
    at += one.value / total;
    return segments.length === 1 ? draw("circle", { cx: 100, cy: 100, r: 90, class: `fill-${i}` }) : draw("path", { d: slice(from, at), class: `fill-${i}` });
  });
  return draw("svg", { viewBox: "0 0 200 200", class: "pie", ...hidden }, ...pieces);
}

function slice(from, to) {
  const point = (share) => [100 + 90 * Math.sin(2 * Math.PI * share), 100 - 90 * Math.cos(2 * Math.PI * share)].map((n) => n.toFixed(2)).join(" ");
  return `M 100 100 L ${point(from)} A 90 90 0 ${to - from > 0.5 ? 1 : 0} 1 ${point(to)} Z`;
}

function plot(spec) {
  const labels = spec.axis_config.categories, values = spec.series.flatMap((one) => one.data.map((point) => point.value));
  const most = ceiling(Math.max(1, ...values)), step = (WIDE - LEFT) / labels.length;
  const y = (value) => TOP + (HIGH - TOP - BOTTOM) * (1 - value / most);
  const lines = [0, most / 2, most].map((value) => draw("g", { class: "axis" },
    draw("line", { x1: LEFT, x2: WIDE, y1: y(value), y2: y(value) }),
    words(LEFT - 6, y(value) + 4, "end", value.toLocaleString("en"))));
  const every = Math.ceil(labels.length / 8);
  const under = labels.map((label, i) => (i % every ? null : words(LEFT + step * (i + 0.5), HIGH - 10, "middle", label)));
  const drawn = spec.series.map((one, i) => (spec.type === "bar" ? columns(one, i, spec.series.length, step, y) : curve(one, i, step, y, spec.type)));
  return draw("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, class: "plot", ...hidden }, ...lines, ...under, ...drawn.flat());
}

function words(x, y, anchor, text) {
  const node = draw("text", { x, y, "text-anchor": anchor });
  node.textContent = text;
  return node;
}

function columns(series, i, count, step, y) {
  const width = (step * 0.7) / count;
  return series.data.map((point, at) => draw("rect", { x: LEFT + step * at + step * 0.15 + width * i, y: y(point.value), width, height: y(0) - y(point.value), class: `fill-${i}` }));
}

function curve(series, i, step, y, type) {
  const points = series.data.map((point, at) => `${LEFT + step * (at + 0.5)} ${y(point.value)}`);
  if (type === "area") points.push(`${LEFT + step * (series.data.length - 0.5)} ${y(0)}`, `${LEFT + step / 2} ${y(0)}`);
  return [draw(type === "area" ? "polygon" : "polyline", { points: points.join(" "), class: type === "area" ? `fill-${i} area` : `line-${i}` })];
}

// A round number at or above the largest value.
function ceiling(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 10].map((n) => n * unit).find((n) => n >= value);
}

const box = (label, table) => h("div", { class: "table-box", tabindex: "0", role: "region", "aria-label": label }, table);

const parts = (segments) => box("Numbers", h("table", null, h("tbody", null, segments.map((one) => h("tr", null, h("th", { scope: "row" }, one.label), h("td", { class: "number" }, one.value.toLocaleString("en")))))));

const grid = (spec) => box("Numbers", h("table", null,
  h("thead", null, h("tr", null, h("th", { scope: "col" }, spec.axis_config.x_label || ""), spec.series.map((one) => h("th", { scope: "col", class: "number" }, one.name)))),
  h("tbody", null, spec.axis_config.categories.map((label, i) => h("tr", null, h("th", { scope: "row" }, label), spec.series.map((one) => h("td", { class: "number" }, one.data[i].value.toLocaleString("en"))))))));
