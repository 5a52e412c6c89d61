// The thread beside the channel.
import { h, iconButton } from "./dom.js";
import { S, go } from "./state.js";
import { fill } from "./messages.js";
import { showComposer } from "./composer.js";

let cameFrom = null;
export function thread() {
  const panel = document.getElementById("thread");
  const open = Boolean(S.thread && !S.home);
  if (!open) { close(panel); return; }
  if (panel.hidden) {
    cameFrom = S.thread;
    panel.hidden = false;
    panel.replaceChildren(h("header", { class: "bar" }, h("h2", null, "Thread"), iconButton("close", "Close thread", () => go({ thread: null }))),
      h("div", { class: "pane thread-list", tabindex: "0", role: "region", "aria-label": "Thread's messages" }), h("div", { class: "compose-area" }));
  }
  const all = (S.data.messages[S.channel] || []).filter((m) => m.ts === S.thread || m.thread_ts === S.thread);
  fill(panel.querySelector(".thread-list"), `${S.channel}/${S.thread}`, all, true);
  const first = !document.getElementById("thread-composer");
  showComposer(panel.querySelector(".compose-area"), "thread-composer", "Reply");
  if (first) document.getElementById("thread-composer").focus();
}

function close(panel) {
  if (panel.hidden) return;
  const had = panel.contains(document.activeElement);
  panel.hidden = true;
  panel.replaceChildren();
  if (!had) return;
  const parent = document.querySelector(`#pane [data-ts="${CSS.escape(cameFrom || "")}"] .replies`);
  (parent || document.getElementById("composer"))?.focus();
}
