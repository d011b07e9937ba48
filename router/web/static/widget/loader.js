(() => {
  "use strict";
  const stub = window.hablemos;
  const tag = document.currentScript || document.querySelector('script[data-key][src*="/w.js"]');
  if (stub?.version || !tag || !("replaceSync" in CSSStyleSheet.prototype)) return;

  const WORDS = "__WORDS__";
  const TOUCH = "hablemos:touch";
  const MARKS = /[?&](utm_\w+|\w+clk?id|[gw]braid|affiliate|offline)=/;
  const KEPT_MS = 7776e6;
  const host = tag.src.replace(/\/w\.js.*$/, "");
  const { key, locale, phone, label, datalayer, theme } = tag.dataset;
  const site = `${host}/v1/sites/${encodeURIComponent(key)}/`;
  const side = tag.dataset.position === "left" ? "left" : "right";
  const given = {};
  // The page's language may change under way. None of ours: the campaign's own.
  const lang = () =>
    [given.locale, locale, document.documentElement.lang, ...navigator.languages]
      .map((one) => one?.slice(0, 2).toLowerCase())
      .find((one) => WORDS[one]) || "";
  const say = (name) => WORDS[lang() || "en"][name];
  const make = (name, props) => Object.assign(document.createElement(name), props);
  const tell = (what, detail = {}) => {
    document.dispatchEvent(new CustomEvent("hablemos:" + what, { detail }));
    if (datalayer) window.dataLayer?.push({ event: "hablemos_" + what, ...detail });
  };

  // Where he came from, in memory; kept in the browser only when the page says he agreed.
  const visit = () => ({ landing: location.href.split("#")[0], referrer: document.referrer, at: new Date().toISOString() });
  const touch = { first: visit() };
  touch.last = touch.first;

  const box = make("hablemos-widget");
  const root = box.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(
    ":host{all:initial!important}[hidden]{display:none!important}" +
    `button,p{position:fixed;${side}:16px;bottom:max(16px,env(safe-area-inset-bottom));z-index:2147483000;margin:0;` +
    "padding:12px 20px;border:0;border-radius:24px;font:600 16px/1.5 var(--hablemos-font,system-ui,sans-serif);" +
    "color:var(--hablemos-accent-ink,#fff);background:var(--hablemos-accent,oklch(.5 .1 195));box-shadow:0 0 0 1px #fff4,0 4px 16px #0003}" +
    "button{cursor:pointer}[aria-busy]{opacity:.7}:focus-visible{outline:3px solid #fff;box-shadow:0 0 0 6px #111}" +
    "p{bottom:80px;max-width:280px;color:#222;background:#fff;font-weight:400}a{display:inline-block;padding:12px 8px 12px 0;color:inherit}"
  );
  root.adoptedStyleSheets = [sheet];
  const button = make("button", { type: "button", hidden: tag.dataset.button === "off", ariaHasPopup: "dialog" });
  button.part = "launcher";
  const trouble = make("p", { hidden: true, role: "alert" });
  root.append(button, trouble);

  let panel, busy, over, tries = 0;
  const soon = (work) => Promise.race([work, new Promise((_, no) => setTimeout(no, 9000))]);
  const get = async (path) => {
    const answer = await fetch(`${site}${path}locale=${lang()}`, { credentials: "omit" });
    return answer.ok ? answer.json() : Promise.reject();
  };
  const slots = () =>
    get(`availability?tz=${encodeURIComponent(Intl.DateTimeFormat().resolvedOptions().timeZone)}&`).catch(() => {});
  const clicked = (action) => navigator.sendBeacon?.(site + "clicks", JSON.stringify({ action, page: location.href.slice(0, 2e3) }));
  const context = { host, key, site, root, box, button, given, touch, theme, side, lang, tell, slots, clicked };

  const open = async (action, from, kept) => {
    if (busy || over) return;
    busy = button.ariaBusy = "true";
    trouble.hidden = true;
    try {
      // A failed import is remembered by the browser: each try has an address of its own.
      const [code, ...known] = await soon(
        Promise.all([panel || import(`${host}__PANEL__?${tries}`), get("widget?"), slots()])
      );
      panel = code.open ? code : code.default(context);
      panel.open(known, action, from, kept);
    } catch {
      tries++;
      if (!kept) sorry(from);
    }
    busy = button.ariaBusy = null;
  };
  const sorry = (from) => {
    const link = (href, textContent) => trouble.append(" ", make("a", { href, textContent }));
    trouble.textContent = say("down");
    if (phone) link("tel:" + phone.replace(/[^+\d]/g, ""), phone);
    if (/^http/.test(from.href)) link(from.href, from.textContent);
    trouble.hidden = false;
    tell("error", { code: "unreachable" });
  };
  const pressed = (event) => {
    const from = event.target.closest?.("a[data-hablemos]");
    if (!from || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
    const action = from.dataset.hablemos;
    if (action === "tel") return clicked(action);
    event.preventDefault();
    open(action, from);
  };
  button.onclick = () => open("", button);
  document.addEventListener("click", pressed);

  // Outside the body, which some pages replace. Others change their address or language without loading.
  const keep = () => {
    if (over) return;
    if (!box.isConnected) document.documentElement.append(box);
    button.lang = lang() || "en";
    button.textContent = label || say("call");
    if (MARKS.test(location.search) && touch.last.landing !== location.href.split("#")[0]) touch.last = visit();
  };
  new MutationObserver(keep).observe(document.documentElement, { childList: true, attributeFilter: ["lang"] });
  for (const name of ["pushState", "replaceState"]) {
    const before = history[name];
    history[name] = function (...all) {
      before.apply(this, all);
      keep();
    };
  }
  addEventListener("popstate", keep);
  for (const name of ["turbo:render", "turbolinks:render", "astro:after-swap"]) document.addEventListener(name, keep);

  const verbs = {
    open: (action) => open(action, document.activeElement),
    close: () => panel?.close(),
    update(more) {
      Object.assign(given, more);
      keep();
    },
    on: (name, hear) => document.addEventListener("hablemos:" + name, (event) => hear(event.detail)),
    consent(agreed) {
      try {
        if (!agreed?.analytics) return localStorage.removeItem(TOUCH);
        const kept = JSON.parse(localStorage.getItem(TOUCH));
        if (Date.now() - Date.parse(kept?.first.at) < KEPT_MS) {
          touch.first = kept.first;
          if (!MARKS.test(touch.last.landing)) touch.last = kept.last;
        }
        localStorage.setItem(TOUCH, JSON.stringify(touch));
      } catch { /* A browser that keeps nothing. */ }
    },
    shutdown() {
      over = true;
      document.removeEventListener("click", pressed);
      panel?.stop();
      box.remove();
      delete window.hablemos;
    },
  };
  const api = (window.hablemos = (verb, ...words) => {
    if (Object.hasOwn(verbs, verb)) verbs[verb](...words);
  });
  api.version = 1;
  keep();
  for (const words of stub?.q || []) api(...words);
  tell("ready", { version: 1 });
  // What he began on an earlier page of this visit goes on here.
  try {
    const kept = JSON.parse(sessionStorage.getItem("hablemos:" + key));
    if (kept) open("", button, kept);
  } catch { /* The same. */ }
})();
