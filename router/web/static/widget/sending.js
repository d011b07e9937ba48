// How the widget's panel talks to the house: once, however often it has to try.
import { clip, pause } from "./dom.js";
import { prove } from "./proof.js";

const SHORT = ["utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "utm_id", "affiliate", "offline"];
const IDS = ["gclid", "gbraid", "wbraid", "fbclid", "ttclid", "msclkid"];
const TRIES = 5;
const TRY_MS = 10000;
const POLL_MS = 4000;
const KEEPALIVE_MOST = 20000;
const QUICK_SECONDS = 5;

/** `crypto.randomUUID` is missing on pages without https. */
const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** What an address says of where its visitor came from. */
function source(address) {
  let asked;
  try {
    asked = new URL(address).searchParams;
  } catch {
    return {};
  }
  return Object.fromEntries(
    [...SHORT, ...IDS].filter((name) => asked.get(name)).map((name) => [name, clip(asked.get(name), SHORT.includes(name) ? 200 : 500)])
  );
}

const visit = ({ landing, referrer, at }) => ({
  ...source(landing), landing: clip(landing, 2000), referrer: clip(referrer, 2000), at: clip(at, 40),
});

/** Where he came from: the last campaign counts, both visits are told. */
export function origin({ first, last }) {
  return {
    page: clip(location.href, 2000), referrer: clip(first.referrer, 2000), source: source(last.landing),
    touch: { first: visit(first), last: visit(last) },
  };
}

const online = () => new Promise((done) => addEventListener("online", done, { once: true }));

/** Posts until somebody answers. `notice` hears "offline" and "retrying". As text/plain, browsers need not ask first. */
export async function send(address, body, lang, notice) {
  for (let tried = 1; ; tried++) {
    if (!navigator.onLine) {
      notice("offline");
      await online();
    }
    let wait = Math.min(2 ** (tried - 1), 8) * 1000 + Math.random() * 500;
    try {
      const answer = await fetch(address, {
        method: "POST", body, credentials: "omit", referrerPolicy: "no-referrer", signal: AbortSignal.timeout(TRY_MS),
        keepalive: body.length < KEEPALIVE_MOST,
        headers: { "Content-Type": "text/plain;charset=UTF-8", "Accept": "application/json", "Accept-Language": lang },
      });
      const after = Number(answer.headers.get("Retry-After")) || 0;
      const said = await answer.json();
      if (answer.status < 500 || tried >= TRIES) return { done: answer.ok, said, after };
      wait = Math.max(wait, Math.min(after, 10) * 1000);
    } catch (error) {
      if (tried >= TRIES) throw error;
    }
    notice("retrying");
    await pause(wait);
  }
}

/** Asks for something; the same request pressed again is the same, so that a lost answer makes no second one. */
export function asker({ host }) {
  let sent = {};
  return async (facts, wanted, { lang, notice, trap }) => {
    const content = JSON.stringify(wanted);
    if (content !== sent.content) sent = { content, key: newKey(), at: new Date().toISOString() };
    const post = async () => {
      sent.proof ??= await prove(facts.proof);
      const body = { ...wanted, client_request_id: sent.key, client_time: sent.at, tz: Intl.DateTimeFormat().resolvedOptions().timeZone || "", form_token: facts.form_token || "", proof: sent.proof };
      return send(`${host}/v1/leads`, JSON.stringify(trap ? { ...body, website: trap } : body), lang, notice);
    };
    let got = await post();
    if (got.said.status === 429 && got.after <= QUICK_SECONDS) {
      await pause(got.after * 1000);
      got = await post();
    }
    if (got.said.code === "proof-needed") {
      sent.proof = await prove(got.said.proof);
      facts.form_token = got.said.form_token;
      got = await post();
    }
    // A proof is good once.
    facts.proof = null;
    if (got.done) sent = {};
    else if (got.said.status === 429) sent.proof = null;
    return got;
  };
}

/** Calls `show` with each state until the last; a stream where there is one, else asking again and again. */
export function follow({ stream_url, status_url }, show) {
  let ended = false, stream;
  const got = (state) => {
    if (ended) return;
    show(state);
    if (state.final) stop();
  };
  const stop = () => {
    ended = true;
    stream?.close();
  };
  const poll = async () => {
    while (!ended) {
      try {
        const answer = await fetch(status_url, { headers: { Accept: "application/json" }, credentials: "omit", referrerPolicy: "no-referrer" });
        if (answer.ok) got(await answer.json());
        else if (answer.status === 404) {
          show(null);
          stop();
        }
      } catch { /* The next time. */ }
      await pause(POLL_MS);
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
