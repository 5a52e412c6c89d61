// The page's calls to the sandbox server.

async function read(response) {
  const text = await response.text();
  let body;
  try { body = JSON.parse(text); } catch { body = { ok: false, error: text.slice(0, 300) || `HTTP ${response.status}` }; }
  if (!response.ok && body.ok !== false) body = { ...body, ok: false, error: body.error || `HTTP ${response.status}` };
  return body;
}

async function call(path, body) {
  const init = body === undefined ? {} : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  try { return await read(await fetch(path, init)); }
  catch { return { ok: false, error: "The sandbox server does not answer." }; }
}

export const getState = (user) => call(`/sandbox/state${user ? `?user=${encodeURIComponent(user)}` : ""}`);
export const getTraffic = (since) => call(`/sandbox/traffic?since=${since}`);
export const getRequest = (id) => call(`/sandbox/request?id=${encodeURIComponent(id)}`);
export const act = (user, kind, fields) => call("/sandbox/act", { user, do: kind, ...fields });
export const moveClock = (days) => call("/sandbox/clock", { days });
export const askAsProgram = (token, channel) => call("/sandbox/program", { token, channel });
export const setFault = (fields) => call("/sandbox/fault", fields);

// Listens to the server; connects again by itself. Returns a function that ends it.
export function live(user, { onState, onTraffic, onUp }) {
  let socket, ended = false, wait = 300;
  const open = () => {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    socket = new WebSocket(`${scheme}://${location.host}/sandbox/live?user=${encodeURIComponent(user)}`);
    socket.onopen = () => { wait = 300; onUp(true); onState(); };
    socket.onmessage = (event) => {
      const message = JSON.parse(event.data);
      if (message.type === "state") onState();
      else if (message.type === "traffic") onTraffic(message.entry);
    };
    socket.onclose = () => {
      if (ended) return;
      onUp(false);
      setTimeout(() => { if (!ended) open(); }, wait);
      wait = Math.min(wait * 2, 5000);
    };
  };
  open();
  return () => { ended = true; socket.close(); };
}
