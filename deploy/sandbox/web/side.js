// The side bar: who one is, the places one can go to, and how the bot is. On a narrow page its lower part folds away.
import { h, icon, reconcile } from "./dom.js";
import { menu } from "./menu.js";
import { S, go, hashFor, nameOf, person, channelName, avatar } from "./state.js";
import { toggleDrawer } from "./drawer.js";

const $ = (id) => document.getElementById(id);
const everybody = () => Object.values(S.data.users).filter((u) => !u.is_bot);
const placeName = (channel) => (channel.kind === "im" ? "Amend · messages" : `# ${channelName(channel)}`);

function unfold(open) {
  $("side").classList.toggle("open", open);
  $("places").setAttribute("aria-expanded", String(open));
}

function picker() {
  return h("button", { type: "button", class: "act-as", "aria-haspopup": "menu", "aria-expanded": "false", "aria-label": `Act as: ${nameOf(S.user)}, ${person(S.user)?.title || ""}`,
    onclick: (event) => menu(event.currentTarget, everybody().map((u) => ({ label: u.real_name, description: u.title, lead: avatar(u.id), selected: u.id === S.user, run: () => go({ user: u.id }) })), { label: "Act as" }) },
  avatar(S.user), h("span", { class: "act-as-text" }, h("strong", null, nameOf(S.user)), h("small", null, person(S.user)?.title || "")), icon("down"));
}

const place = (label, here, where) => h("a", { class: `place ${here ? "here" : ""}`, "aria-current": here ? "page" : null, href: hashFor(where), onclick: () => unfold(false) }, label);

let drawn = "";
export function side() {
  const { data } = S;
  const up = data.bot.connected && !S.lost;
  const signature = JSON.stringify([S.user, S.channel, S.home, S.thread, up, data.channels, data.users]);
  if (signature === drawn) return;
  drawn = signature;
  const hadFocus = document.activeElement?.closest?.(".act-as");
  $("team-name").textContent = data.team.name;
  reconcile($("person"), [picker()]);
  reconcile($("nav"), [
    place("Amend · Home", S.home, { home: true }),
    ...data.channels.map((c) => place(placeName(c), !S.home && S.channel === c.id, { channel: c.id })),
  ]);
  reconcile($("side-foot"), [
    h("button", { type: "button", class: "foot-button", onclick: () => { unfold(false); toggleDrawer(); } }, icon("traffic"), "Traffic and faults"),
    h("span", { class: `bot-state ${up ? "up" : ""}` }, up ? "Amend is connected" : "Amend is not connected"),
  ]);
  if (hadFocus) document.querySelector(".act-as").focus();
}

export function jump(anchor) {
  const narrow = !anchor.getClientRects().length;
  menu(narrow ? $("places") : anchor, [
    { heading: "Places" }, { label: "Amend · Home", run: () => go({ home: true }) },
    ...S.data.channels.map((c) => ({ label: placeName(c), run: () => go({ channel: c.id }) })),
    { heading: "People" }, ...everybody().map((u) => ({ label: `Act as ${u.real_name}`, description: u.title, run: () => go({ user: u.id }) })),
  ], { label: "Jump to" });
}

$("places").append(icon("list"));
$("places").addEventListener("click", () => unfold(!$("side").classList.contains("open")));
document.addEventListener("pointerdown", (event) => { if (!$("side").contains(event.target)) unfold(false); });
addEventListener("keydown", (event) => { if (event.key === "Escape") unfold(false); });
