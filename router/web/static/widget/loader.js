(() => {
  "use strict";
  const stub = window.hablemos;
  if (stub && stub.version) return;
  const tag = document.currentScript || document.querySelector('script[data-key][src*="/w.js"]');
  if (!tag || !("adoptedStyleSheets" in document) || !("replaceSync" in CSSStyleSheet.prototype)) return;

  const WORDS = "__WORDS__";
  const host = tag.src.replace(/\/w\.js.*$/, "");
  const { key, locale, phone, button: floating } = tag.dataset;
  const first = { address: location.href, referrer: document.referrer };
  const lang = () =>
    [locale, document.documentElement.lang, ...navigator.languages]
      .map((tag) => (tag || "").slice(0, 2).toLowerCase())
      .find((tag) => tag in WORDS) || "en";
  const say = (name) => WORDS[lang()][name];
  const tell = (what, detail) => document.dispatchEvent(new CustomEvent("hablemos:" + what, { detail }));
  const make = (name, props) => Object.assign(document.createElement(name), props);

  const box = document.createElement("hablemos-widget");
  const root = box.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(
    ":host{all:initial!important}[hidden]{display:none!important}" +
    ".launch,.trouble{position:fixed;inset:auto max(16px,env(safe-area-inset-right)) max(16px,env(safe-area-inset-bottom)) auto;" +
    "z-index:2147483000;margin:0;font:600 16px/1.45 var(--hablemos-font,system-ui,sans-serif)}" +
    ".launch{min-height:48px;padding:8px 20px;border:0;border-radius:24px;cursor:pointer;color:var(--hablemos-accent-ink,#fff);" +
    "background:var(--hablemos-accent,oklch(.5 .1 195));box-shadow:0 0 0 1px #ffffff40,0 4px 16px #0003}" +
    ".launch:focus-visible,.trouble a:focus-visible{outline:3px solid #fff;outline-offset:0;box-shadow:0 0 0 6px #111}" +
    ".trouble{bottom:80px;max-width:min(320px,100vw - 64px);padding:12px 16px;border-radius:14px;color:#222;background:#fff;" +
    "border:1px solid #999;font-weight:400}.trouble a{display:inline-block;padding:8px 0;color:inherit;font-weight:600}"
  );
  root.adoptedStyleSheets = [sheet];
  const button = make("button", { className: "launch", type: "button", hidden: floating === "off", textContent: say("call") });
  button.setAttribute("aria-haspopup", "dialog");
  const trouble = make("p", { className: "trouble", hidden: true });
  trouble.setAttribute("role", "alert");
  root.append(button, trouble);

  let panel, busy, tries = 0;
  const soon = (work) =>
    Promise.race([work, new Promise((_, no) => setTimeout(no, 9000, new Error("slow")))]);
  const config = async () => {
    const answer = await fetch(`${host}/v1/sites/${encodeURIComponent(key)}/widget?locale=${lang()}`, { credentials: "omit" });
    if (!answer.ok) throw new Error(answer.status);
    return answer.json();
  };
  const context = { host, key, root, first, lang, tell };
  const open = async () => {
    if (busy) return;
    busy = true;
    button.textContent = say("busy");
    trouble.hidden = true;
    try {
      // A failed import is remembered by the browser: each try has an address of its own.
      const [code, facts] = await soon(
        Promise.all([panel || import(host + "__PANEL__" + (tries ? "?" + tries : "")), config()])
      );
      panel = code.open ? code : code.default(context);
      panel.open(facts);
    } catch (error) {
      tries++;
      trouble.replaceChildren(say("down"));
      if (phone) trouble.append(" ", make("a", { href: "tel:" + phone.replace(/[^+\d]/g, ""), textContent: phone }));
      trouble.hidden = false;
      tell("error", { code: "unreachable" });
    }
    button.textContent = say("call");
    busy = false;
  };
  const clicked = (event) => {
    const link = event.target.closest && event.target.closest('a[data-hablemos="call"]');
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    open();
  };
  button.addEventListener("click", open);
  document.addEventListener("click", clicked);

  // Pages that replace their body keep the button.
  const keeper = new MutationObserver(() => keep());
  const keep = () => {
    if (!box.isConnected) document.body.append(box);
    keeper.observe(document.documentElement, { childList: true });
    keeper.observe(document.body, { childList: true });
  };
  const verbs = {
    open,
    close: () => panel && panel.close(),
    shutdown() {
      keeper.disconnect();
      document.removeEventListener("click", clicked);
      if (panel) panel.stop();
      box.remove();
      delete window.hablemos;
    },
  };
  const start = () => {
    keep();
    const api = (verb) => Object.hasOwn(verbs, verb) && verbs[verb]();
    api.version = 1;
    window.hablemos = api;
    ((stub && stub.q) || []).forEach((words) => api(words[0]));
    tell("ready", { version: 1 });
  };
  window.hablemos = Object.assign(stub || ((...words) => (window.hablemos.q ||= []).push(words)), { version: 1 });
  if (document.body) start();
  else document.addEventListener("DOMContentLoaded", start, { once: true });
})();
