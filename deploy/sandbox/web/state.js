// What the page knows, and where the person is: #USER/CHANNEL, #USER/CHANNEL/THREAD or #USER/home.
import * as api from "./api.js";
import { h, toast } from "./dom.js";

export const S = { data: null, user: null, channel: null, thread: null, home: false, lost: false };

const watchers = new Set();
export const watch = (fn) => watchers.add(fn);
export const changed = () => watchers.forEach((fn) => fn());

const plain = (text) => { try { return decodeURIComponent(text); } catch { return text; } };

let followed = ""; // the address that the page is at; another one is where somebody has just gone

export function readHash() {
  followed = location.hash;
  const [user, place, thread] = location.hash.slice(1).split("/").map(plain);
  return { user: user || null, home: place === "home", channel: place && place !== "home" ? place : null, thread: thread || null };
}

export function hashFor({ user = S.user, channel = S.channel, thread = null, home = false } = {}) {
  return `#${user}/${home ? "home" : channel || ""}${thread && !home ? `/${thread}` : ""}`;
}

// An address that names nobody, or no place of this person, becomes one that does.
function strange(user) {
  toast(`Nobody here is called ${user}.`);
  Object.assign(S, { user: null, channel: null, thread: null, home: false });
}

function settle(data) {
  S.user ||= data.me;
  const there = data.channels.some((c) => c.id === S.channel);
  if (!S.home && !there) {
    if (S.channel) toast(`${nameOf(S.user)} has no place called ${S.channel}.`);
    Object.assign(S, { channel: (data.channels.find((c) => c.id === "C0OPS") || data.channels[0]).id, thread: null });
  }
  const address = hashFor({ thread: S.thread, home: S.home });
  if (location.hash !== followed || location.hash === address) return;
  history.replaceState(null, "", address);
  followed = address;
}

export const go = (where) => { location.hash = hashFor(where); };

let running = null, again = false;
async function fetchAll() {
  try {
    do {
      again = false;
      const user = S.user;
      const data = await api.getState(user);
      if (user !== S.user) { again = true; continue; }
      if (data.error === "user_not_found") { strange(user); again = true; continue; }
      S.lost = !data.users;
      if (data.users) S.data = data;
      if (!S.lost) settle(data);
      changed();
    } while (again);
  } finally {
    running = null; // here, and not a turn later: who asks in between would ask nobody
  }
}

// Fetches the state; calls that come while one is under way are answered by one more.
export function refresh() {
  if (running) { again = true; return running; }
  running = fetchAll();
  return running;
}

const FOLLOWS = 20_000; // milliseconds after an act within which what comes is taken for its answer
let actedAt = -Infinity;
export const justActed = () => performance.now() - actedAt < FOLLOWS;

// Does something as the current person and shows a refusal as a toast (unless `quiet`).
export async function act(kind, fields, { quiet = false } = {}) {
  actedAt = performance.now();
  const answer = await api.act(S.user, kind, fields);
  if (!answer.ok && !quiet) toast(explain(answer));
  refresh();
  return answer;
}

export function explain(answer) {
  const name = S.data?.bot?.name || "The app";
  if (answer.error) return answer.error;
  if (answer.ack && answer.ack.status !== 200) return `${name} answered with status ${answer.ack.status}.`;
  return `${name} did not answer in time.`;
}

export const person = (id) => S.data?.users?.[id];
export const nameOf = (id) => person(id)?.real_name || person(id)?.name || id;
export const channelOf = (id) => S.data?.channels?.find((c) => c.id === id);

export function channelName(channel) {
  if (!channel) return "";
  if (channel.kind === "im") return channel.with ? nameOf(channel.with) : channel.name || S.data.bot?.name || "Direct message";
  return channel.name;
}

const PALETTE = ["#7b4bb7", "#1d7f78", "#b5562b", "#2f6fb0", "#a23b6b", "#5d7a1f", "#8a6512", "#445a9e"];
export function colorOf(id) {
  const given = person(id)?.color;
  if (given) return given.startsWith("#") || !/^[0-9a-f]{3,8}$/i.test(given) ? given : `#${given}`;
  let sum = 0;
  for (const c of id || "") sum = (sum * 31 + c.charCodeAt(0)) >>> 0;
  return PALETTE[sum % PALETTE.length];
}

export const initials = (name) => (name || "?").split(/[\s._-]+/).filter(Boolean).slice(0, 2).map((w) => w[0].toUpperCase()).join("") || "?";

export const avatar = (id) => h("span", { class: "avatar", "aria-hidden": "true", style: { background: colorOf(id) } }, initials(nameOf(id)));
