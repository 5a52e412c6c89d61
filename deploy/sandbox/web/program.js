// A program of a person: it is given the token that they were shown, and asks as their assistant would.
import * as api from "./api.js";
import { toast, announce } from "./dom.js";
import { S, changed, refresh } from "./state.js";

const TOKEN = /amend_[\w-]{40,}/;
const copied = {}; // by person; in this page's memory only, as a clipboard
let asking = false;

// A token is shown once, in a modal: it is copied from there.
export function copy() {
  const found = TOKEN.exec(JSON.stringify(S.data?.views || []));
  if (found) copied[S.user] = found[0];
}

export async function ask(channel) {
  if (asking) return;
  if (!copied[S.user]) { toast("It needs a token first: send /amend token and fill in its form."); return; }
  asking = true;
  changed();
  const answer = await api.askAsProgram(copied[S.user], channel);
  asking = false;
  await refresh();
  if (answer.ok === false) toast(answer.error);
  else announce("The program has proposed an edit.");
}

export const where = () => S.data?.programs?.url || "";
