// The chat inside the panel: what was written, by the same link that opens it on any other device.

const POLL_MS = 4000;
const LINK = /(https?:\/\/[^\s<>\x22]+[^\s<>\x22.,;:!?)\]])/;

const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Draws the conversation into `place`; the function given back ends it. */
export default function chat(place, { h, drawing, send, words, lead, lang, when, moved, phone, phoneLine, end, heard }) {
  const base = lead.status_url, shown = new Map();
  let over = false, after = 0, stream, last = "";
  const log = h("div", { class: "log", role: "log", tabindex: 0, "aria-label": words.messages });
  const how = h("p", { class: "how", role: "status" });
  const error = h("p", { class: "error", id: "write-error", role: "alert" });
  const input = h("textarea", {
    id: "write", rows: 1, maxlength: 4000, "aria-describedby": "write-error", keydown(event) {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing && matchMedia("(pointer:fine)").matches) {
        event.preventDefault();
        form.requestSubmit();
      }
    },
  });
  const form = h("form", { class: "write", novalidate: true, submit }, h("label", { for: "write" }, words.message), input,
    h("button", { class: "press", "aria-label": words.send }, drawing("send")), error);
  place.replaceChildren(how, log, form,
    h("div", { class: "ends" },
      phone && h("button", { type: "button", class: "quiet", click: phone }, words.by_phone),
      h("button", { type: "button", class: "quiet", click: leave }, words.end),
      lead.chat_url && h("a", { href: lead.chat_url, target: "_blank", rel: "noopener noreferrer" }, words.own_chat)),
    phoneLine() || "");

  const linked = (text) => text.split(LINK).map((part, odd) => (odd % 2 ? h("a", { href: part, target: "_blank", rel: "noopener noreferrer" }, part) : part));

  function draw({ id, client_id, mine, text, agent, at }, unsent) {
    const name = client_id || id;
    const before = shown.get(name);
    const one = h("div", { class: (mine ? "mine" : "") + (unsent ? " unsent" : "") },
      h("p", {}, ...(mine ? [text] : linked(text))), h("small", {}, unsent ? words.sending : [mine ? words.you : agent, when.time(at)].filter(Boolean).join(" · ")));
    shown.set(name, one);
    if (before) before.replaceWith(one);
    else log.append(one);
    return one;
  }

  function got({ messages, after: newest, text }) {
    for (const one of messages) {
      const fresh = !shown.has(one.client_id || one.id);
      draw(one);
      if (fresh && !one.mine) heard(one);
    }
    after = Math.max(after, newest);
    if (text !== last) how.textContent = last = text;
    if (messages.length) log.scrollTop = log.scrollHeight;
  }

  async function submit(event) {
    event.preventDefault();
    const text = input.value.trim();
    if (!text) return input.focus();
    // The same name with every try: a lost answer does not say it twice.
    const client_id = newId(), at = Date.now();
    const one = draw({ client_id, mine: true, text, at }, true);
    log.scrollTop = log.scrollHeight;
    input.value = error.textContent = "";
    input.focus();
    try {
      const { done, said } = await send(base + "/messages", JSON.stringify({ text, client_id }), lang, (what) => {
        error.textContent = words[what];
      });
      error.textContent = "";
      if (done) return draw(said);
      unsaid(one, client_id, text, said.detail);
    } catch {
      unsaid(one, client_id, text, words.unsaid);
    }
  }

  function unsaid(one, client_id, text, why) {
    if (!one.isConnected) return;
    one.remove();
    shown.delete(client_id);
    input.value = [text, input.value].filter(Boolean).join("\n");
    error.textContent = why || words.unsaid;
  }

  async function leave() {
    try {
      await fetch(base + "/chat/leave", { method: "POST", credentials: "omit", referrerPolicy: "no-referrer", headers: { Accept: "application/json" } });
    } catch { /* He goes all the same. */ }
    end();
  }

  async function poll() {
    while (!over) {
      try {
        const answer = await fetch(`${base}/messages?after=${after}`, { credentials: "omit", referrerPolicy: "no-referrer" });
        if (answer.status === 404) return end();
        if (answer.ok && !over) got(await answer.json());
      } catch { /* The next time. */ }
      await new Promise((done) => setTimeout(done, POLL_MS));
    }
  }

  stream = new EventSource(base + "/chat/stream");
  stream.onmessage = (event) => got(JSON.parse(event.data));
  stream.onerror = () => {
    if (stream.readyState === EventSource.CLOSED && !over) poll();
  };
  if (moved) input.focus();
  return () => {
    over = true;
    stream.close();
  };
}
