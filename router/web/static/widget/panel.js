// The widget's panel: a dialog with the form, then the request's progress in words. Texts come with the configuration.

const SHEET = `
:host {
  --ink: oklch(0.24 0.012 70); --soft: oklch(0.47 0.012 70); --card: oklch(0.995 0.002 80);
  --line: oklch(0.885 0.007 80); --edge: oklch(0.6 0.01 80); --late: oklch(0.52 0.19 27);
  --accent: var(--hablemos-accent, oklch(0.5 0.1 195)); --accent-ink: var(--hablemos-accent-ink, #fff);
  --waiting: oklch(0.5 0.11 70); --talking: oklch(0.49 0.12 150); --done: var(--soft); --radius: var(--hablemos-radius, 8px);
}
@media (prefers-color-scheme: dark) {
  :host {
    --ink: oklch(0.93 0.006 80); --soft: oklch(0.75 0.01 80); --card: oklch(0.235 0.007 70);
    --line: oklch(0.335 0.008 70); --edge: oklch(0.58 0.01 70); --late: oklch(0.76 0.13 27);
    --accent: var(--hablemos-accent, oklch(0.78 0.1 195)); --accent-ink: var(--hablemos-accent-ink, oklch(0.2 0.03 195));
    --waiting: oklch(0.82 0.12 80); --talking: oklch(0.8 0.13 150);
  }
}
* { box-sizing: border-box; }
dialog {
  width: min(420px, 100vw); max-width: 100vw; max-height: 100dvh; overflow: auto; overscroll-behavior: contain;
  margin: auto 24px 24px auto; padding: 0; border: 1px solid var(--line); border-radius: 14px;
  color: var(--ink); background: var(--card); color-scheme: light dark; text-align: start;
  font: 16px/1.45 var(--hablemos-font, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif);
  box-shadow: 0 8px 40px #0005;
}
dialog::backdrop { background: #0006; }
dialog[open] { animation: in 120ms ease-out; }
@keyframes in { from { opacity: 0; transform: translateY(8px); } }
@media (max-width: 520px) {
  dialog { width: 100vw; margin: auto 0 0; border-radius: 14px 14px 0 0; border-width: 1px 0 0; }
}
@media (prefers-reduced-motion: reduce) { dialog[open] { animation: none; } }
header { display: flex; align-items: start; justify-content: space-between; gap: 8px; padding: 16px 8px 0 20px; }
h2 { margin: 4px 0 0; font-size: 20px; line-height: 1.3; }
p { margin: 0; overflow-wrap: anywhere; }
.brand { color: var(--soft); font-size: 14px; }
.body { display: grid; gap: 16px; padding: 12px 20px 20px; padding-bottom: max(20px, env(safe-area-inset-bottom)); }
form { display: grid; gap: 16px; }
.notice { display: flex; gap: 8px; align-items: baseline; font-size: 14px; }
.notice::before { content: ""; flex: none; width: 8px; height: 8px; border-radius: 50%; background: var(--waiting); }
.notice.free::before { background: var(--talking); }
.notice.nobody::before { background: none; border: 2px solid var(--late); }
label, .field { display: grid; gap: 4px; font-weight: 600; }
input[type="text"], input[type="tel"] {
  width: 100%; min-height: 48px; padding: 8px 12px; font: inherit; font-weight: 400; color: inherit; background: transparent;
  border: 1px solid var(--edge); border-radius: var(--radius);
}
.tick { display: flex; gap: 12px; align-items: start; min-height: 44px; font-weight: 400; font-size: 14px; cursor: pointer; }
.tick input { flex: none; width: 24px; height: 24px; margin: 0; accent-color: var(--accent); }
[aria-invalid="true"] { border-color: var(--late) !important; outline: 1px solid var(--late); }
.error { color: var(--late); font-size: 14px; font-weight: 600; }
.error:empty { display: none; }
.tick + .error { display: block; margin-inline-start: 36px; }
.tick + .error:empty { display: none; }
.launch:has(~ dialog[open]) { opacity: 0; }
.press, .again {
  min-height: 48px; padding: 8px 20px; border: 0; border-radius: var(--radius); font: inherit; font-weight: 600; cursor: pointer;
  color: var(--accent-ink); background: var(--accent);
}
.press[aria-disabled="true"] { opacity: 0.7; cursor: progress; }
.close {
  flex: none; width: 44px; height: 44px; padding: 10px; border: 0; border-radius: var(--radius); color: inherit; background: none;
  cursor: pointer;
}
:is(button, input, a):focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
small { color: var(--soft); font-size: 12px; }
a { color: inherit; }
.call { font-size: 14px; }
.call { margin: -8px 0; }
.call a { display: inline-block; padding: 11px 0; font-weight: 600; font-variant-numeric: tabular-nums; }
.call a[href^="tel:"] { white-space: nowrap; }
.progress { display: flex; gap: 16px; align-items: start; padding: 8px 0; }
.progress div { display: grid; gap: 4px; }
.now { font-size: 20px; font-weight: 600; line-height: 1.3; }
.next { color: var(--soft); font-variant-numeric: tabular-nums; }
svg { display: block; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }
.sign { flex: none; width: 44px; height: 44px; padding: 9px; border-radius: 50%; color: var(--waiting); border: 2px solid currentColor; }
.sign.ringing { color: var(--accent); } .sign.talking { color: var(--talking); }
.sign.done { color: var(--done); } .sign.late { color: var(--late); }
[hidden] { display: none !important; }
`;

const DRAWINGS = {
  waiting: "M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18M12 7v5l3 2",
  ringing: "M6.5 3.5h3l1.5 4-2 1.5a11 11 0 0 0 6 6l1.5-2 4 1.5v3a2 2 0 0 1-2.2 2A16.5 16.5 0 0 1 4.5 5.7a2 2 0 0 1 2-2.2z",
  done: "M5 12.5l4.5 4.5L19 7.5",
  late: "M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18M12 7.5v5.5M12 16.2v.1",
  cross: "M6 6l12 12M18 6L6 18",
};
const LOOKS = {
  ringing: "ringing", accepted: "ringing", calling: "ringing", talking: "talking", finished: "done", closed: "done",
  not_reached: "late", refused: "late",
};
const SOURCES = ["utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "gclid", "gbraid", "wbraid", "fbclid",
  "ttclid", "msclkid", "affiliate"];
const TRIES = 5;
const POLL = 4000;

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const clip = (text, most) => Array.from(text.slice(0, most)).filter((sign) => !/^[\ud800-\udfff]$/.test(sign)).join("");

function h(name, props = {}, ...inside) {
  const element = document.createElement(name);
  for (const [word, value] of Object.entries(props)) {
    if (typeof value === "function") element.addEventListener(word, value);
    else if (value !== false && value != null) element.setAttribute(word, value === true ? "" : value);
  }
  element.append(...inside.filter((one) => one != null));
  return element;
}

function drawing(name, look = "") {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", DRAWINGS[name] || DRAWINGS.ringing);
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", look);
  svg.append(path);
  return svg;
}

/** Where the visitor came from: the first address seen, in memory only. */
function source(address) {
  const asked = new URL(address).searchParams;
  return Object.fromEntries(SOURCES.filter((name) => asked.get(name)).map((name) => [name, clip(asked.get(name), 200)]));
}

/** `crypto.randomUUID` is missing on pages without https. */
const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Posts until somebody answers, always under the same key, so that a lost answer makes no second lead. */
async function post({ host, lang }, body, key, slow) {
  for (let tried = 1; ; tried++) {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), 10000);
    let wait = Math.min(2 ** (tried - 1), 8) * 1000 + Math.random() * 500;
    try {
      const answer = await fetch(`${host}/v1/leads`, {
        method: "POST", body, credentials: "omit", referrerPolicy: "no-referrer", signal: abort.signal, keepalive: body.length < 60000,
        headers: { "Content-Type": "application/json", "Accept": "application/json", "Accept-Language": lang(), "Idempotency-Key": key },
      });
      const said = await answer.json();
      if (answer.status < 500) return { status: answer.status, said };
      if (tried >= TRIES) return { status: answer.status, said };
      wait = Math.max(wait, Math.min(Number(answer.headers.get("Retry-After")) || 0, 10) * 1000);
    } catch (error) {
      if (tried >= TRIES) throw error;
    } finally {
      clearTimeout(timer);
    }
    slow();
    await pause(wait);
  }
}

/** Calls `show` with each state until the last; a stream where there is one, else asking again and again. */
function follow({ stream_url, status_url }, show) {
  let ended = false, stream;
  const got = (state) => {
    if (ended) return;
    show(state);
    if (state.final) stop();
  };
  const stop = () => {
    ended = true;
    if (stream) stream.close();
  };
  const poll = async () => {
    while (!ended) {
      try {
        const answer = await fetch(status_url, { headers: { Accept: "application/json" }, credentials: "omit", referrerPolicy: "no-referrer" });
        if (answer.ok) got(await answer.json());
        else if (answer.status === 404) stop();
      } catch { /* The next time. */ }
      await pause(POLL);
    }
  };
  try {
    stream = new EventSource(stream_url);
    stream.onmessage = (event) => got(JSON.parse(event.data));
    stream.onerror = () => {
      if (stream.readyState === EventSource.CLOSED && !ended) poll();
    };
  } catch {
    poll();
  }
  return stop;
}

export default function panel(context) {
  const { root, key: site, first, lang, tell } = context;
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(SHEET);
  root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];

  let facts, words, form, call, stop, sending = false, sent = { body: "", key: "" };
  const title = h("h2", { id: "title" });
  const brand = h("p", { class: "brand" });
  const body = h("div", { class: "body" });
  const cross = h("button", { type: "button", class: "close", click: () => dialog.close() }, drawing("cross"));
  const dialog = h("dialog", { "aria-labelledby": "title" }, h("header", {}, h("div", {}, brand, title), cross), body);
  root.append(dialog);

  const phoneLine = () =>
    facts.phone ? h("p", { class: "call" }, words.or_call, " ", h("a", { href: "tel:" + facts.phone }, facts.phone_shown)) : null;
  const fault = (name) => h("span", { id: name + "-error", class: "error", role: "alert" });

  function field(name, props) {
    const input = h("input", { name, id: name, maxlength: 200, "aria-describedby": name + "-error", ...props });
    return h("div", { class: "field" }, h("label", { for: name }, words[name]), input, fault(name));
  }

  function tick(name, text, props) {
    const box = h("input", { type: "checkbox", name, id: name, "aria-describedby": name + "-error", ...props });
    return h("div", {}, h("label", { class: "tick", ...(name === "consent" && { lang: facts.consent.locale }) }, box, h("span", {}, text)), fault(name));
  }

  function fresh() {
    const { consent, people, company } = facts;
    title.textContent = people.free ? words.title : words.title_later;
    call = people.there ? words.press : words.press_later;
    const privacy = h("small", {}, words.privacy, " ", [company.name, company.address].filter(Boolean).join(", "), ". ");
    if (facts.privacy_url) privacy.append(h("a", { href: facts.privacy_url, target: "_blank", rel: "noopener" }, words.privacy_link));
    form = h("form", { novalidate: true, submit },
      field("phone", { type: "tel", inputmode: "tel", autocomplete: "tel", required: true, maxlength: 40 }),
      field("name", { type: "text", autocomplete: "name" }),
      tick("consent", consent.text, { required: true }),
      tick("commercial", consent.commercial),
      h("p", { class: "error", id: "form-error", role: "alert" }),
      h("button", { class: "press" }, call));
    const mood = people.free ? "free" : people.there ? "" : "nobody";
    body.replaceChildren(h("p", { class: "notice " + mood }, facts.notice), form, phoneLine() || "", privacy);
  }

  function complain(name, sentence) {
    const input = form.elements.namedItem(name);
    root.getElementById((input ? name : "form") + "-error").textContent = sentence;
    if (input) {
      input.setAttribute("aria-invalid", "true");
      return input;
    }
  }

  function clear() {
    for (const one of form.querySelectorAll(".error")) one.textContent = "";
    for (const one of form.querySelectorAll("[aria-invalid]")) one.removeAttribute("aria-invalid");
  }

  /** The problem document's sentences, each beside its field. */
  function explain(problem) {
    const faults = Array.isArray(problem.errors) && problem.errors.length ? problem.errors : [problem];
    const inputs = faults.map(({ pointer = "", detail }) => {
      const name = pointer.replace(/^#/, "").split("/")[1] || "";
      return complain(name, detail || problem.detail || problem.title || words.unsent);
    });
    const worst = inputs.find(Boolean);
    if (worst) worst.focus();
    tell("error", { code: problem.code || "refused" });
  }

  function message() {
    const { phone, name, consent, commercial } = form.elements;
    const shown = [facts.consent.text, ...(commercial.checked ? [facts.consent.commercial] : [])];
    return JSON.stringify({
      site, phone: phone.value.trim(), intent: "call_now", locale: lang(),
      ...(name.value.trim() && { name: clip(name.value.trim(), 200) }),
      consent: {
        purposes: [...(consent.checked ? ["requested"] : []), ...(commercial.checked ? ["commercial"] : [])],
        version: facts.consent.version, text: shown.join("\n\n"),
      },
      page: clip(location.href, 2000), referrer: clip(first.referrer, 2000), source: source(first.address),
    });
  }

  function incomplete() {
    const { phone, consent } = form.elements;
    const missing = [
      phone.value.trim() ? null : complain("phone", words.phone_needed),
      consent.checked ? null : complain("consent", words.consent_needed),
    ].find(Boolean);
    if (missing) missing.focus();
    return Boolean(missing);
  }

  async function submit(event) {
    event.preventDefault();
    if (sending) return;
    clear();
    if (incomplete()) return;
    const text = message();
    // Another text is another request; the same one, pressed again, is the same.
    if (text !== sent.body) sent = { body: text, key: newKey() };
    const press = form.querySelector(".press");
    sending = true;
    press.setAttribute("aria-disabled", "true");
    press.textContent = words.sending;
    try {
      const { status, said } = await post(context, text, sent.key, () => complain("", words.retrying));
      clear();
      if (status === 201 || status === 200) progress(said);
      else explain(said);
    } catch {
      clear();
      complain("", words.unsent);
      tell("error", { code: "unreachable" });
    }
    sending = false;
    press.removeAttribute("aria-disabled");
    press.textContent = call;
  }

  function progress(lead) {
    sent = { body: "", key: "" };
    const sign = h("span", {}), now = h("p", { class: "now" }, words.sending), next = h("p", { class: "next" });
    const again = h("button", { type: "button", class: "again", hidden: true, click: () => { stop = undefined; fresh(); form.elements.phone.focus(); } }, words.again);
    const own = h("p", { class: "call" }, h("a", { href: lead.status_url, target: "_blank", rel: "noopener noreferrer" }, words.own_page));
    const place = h("div", { class: "progress", role: "status", tabindex: -1 }, sign, h("div", {}, now, next));
    body.replaceChildren(place, own, again, phoneLine() || "");
    place.focus();
    tell("accepted", { lead: lead.lead });
    stop = follow(lead, (state) => {
      const look = LOOKS[state.state] || "waiting";
      place.dataset.state = state.state;
      sign.replaceChildren(drawing(look, "sign " + look));
      now.textContent = state.text;
      next.textContent = state.next;
      again.hidden = !state.final;
    });
  }

  return {
    open(latest) {
      facts = latest;
      words = facts.words;
      dialog.lang = facts.locale;
      brand.textContent = facts.campaign;
      cross.setAttribute("aria-label", words.close);
      const typed = form && form.elements.phone.value;
      if (!stop && !typed && !sending) fresh();
      if (!dialog.open) dialog.showModal();
      if (!stop) form.elements.phone.focus();
    },
    close: () => dialog.close(),
    stop() {
      if (stop) stop();
      dialog.remove();
    },
  };
}
