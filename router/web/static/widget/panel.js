// The widget's panel: how the visitor may reach us, and how his request stands. Texts come with the configuration.
import { drawing, fill, h } from "./dom.js";
import { makeForm } from "./form.js";
import { asker, follow, origin, send } from "./sending.js";
import { clock, slotPicker } from "./slots.js";

const SHEET = "__SHEET__";
const DARK = "(prefers-color-scheme:dark)";
const INTENTS = { call: "call_now", later: "call_later", chat: "chat", whatsapp: "whatsapp", video: "video" };
const LOOKS = {
  ringing: "ringing", accepted: "ringing", calling: "ringing", talking: "talking", finished: "done", closed: "done",
  not_reached: "late", refused: "late", scheduled: "later",
};
const TOLD = { calling: "calling", talking: "connected" };
const token = (lead) => lead.status_url.split("/").pop();

export default function panel(context) {
  const { root, box, button, lang, tell, given, theme, side, host, key, site } = context;
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(SHEET.replace(DARK, { dark: "all", light: "not all" }[theme] || DARK));
  root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];

  let facts, words, when, free, form, held, opener, sending = false;
  // What he asked for and follows now; what he typed before he looked at another way.
  let current = null, stop = () => {};
  const typed = {}, ask = asker(context);
  const title = h("h2", { id: "title", tabindex: -1 });
  const brand = h("p", { class: "brand" });
  const body = h("div", { class: "body" });
  const cross = h("button", { type: "button", class: "close", click: close }, drawing("cross"));
  const dialog = h("section", {
    role: "dialog", "aria-labelledby": "title", class: side, part: "panel", hidden: true,
    keydown: (event) => event.key === "Escape" && !event.isComposing && close(),
  }, h("div", { class: "head" }, h("div", {}, brand, title), cross), body);
  root.append(dialog);

  /** Kept for the next page of this visit only, once he has asked for something. */
  function keep(value) {
    try {
      if (value) sessionStorage.setItem("hablemos:" + key, JSON.stringify(value));
      else sessionStorage.removeItem("hablemos:" + key);
    } catch { /* A browser that keeps nothing. */ }
  }

  const phoneLink = () =>
    h("a", { href: "tel:" + facts.phone, part: "phone", click: () => context.clicked("tel") }, facts.phone_shown);
  const phoneLine = () => facts.phone && h("p", { class: "call" }, words.or_call, " ", phoneLink());
  const notice = (text, mood) => h("p", { class: "notice " + mood }, text);
  const nobody = () => !facts.people.there || (free && free.open === false);
  const minutes = (seconds) =>
    new Intl.NumberFormat(facts.locale, { style: "unit", unit: "minute", unitDisplay: "short" }).format(Math.max(1, Math.ceil(seconds / 60)));

  /** Who is there, honestly. */
  function mood() {
    if (nobody()) return notice(free?.next_open ? fill(words.back, { when: when.moment(free.next_open) }) : words.nobody, "nobody");
    if (facts.people.free) return notice(words.free, "free");
    return notice(free?.eta_s ? fill(words.eta, { wait: minutes(free.eta_s) }) : words.busy, "");
  }

  function privacy() {
    const { company, privacy_url: address } = facts;
    const line = h("small", {}, words.privacy, " ", [company.name, company.address].filter(Boolean).join(", "), ". ");
    if (address) line.append(h("a", { href: address, target: "_blank", rel: "noopener" }, words.privacy_link));
    return line;
  }

  /** The other ways to reach us. */
  function others(action) {
    const ways = facts.actions.filter((one) => one !== action && one !== "tel" && !(action === "later" && one === "call" && nobody()));
    if (!ways.length) return null;
    return h("nav", { "aria-label": words.others }, h("p", {}, words.others), h("ul", {}, ...ways.map((one) =>
      h("li", {}, h("button", { type: "button", class: "way", click: () => show(one, true) }, drawing(one), words["go_" + one])))));
  }

  function place(action, heading, ...inside) {
    title.textContent = heading;
    body.replaceChildren(...inside.filter(Boolean));
    tell("step", { action, step: dialog.dataset.step });
  }

  /** Shows the way to reach us; `moved` when he came from another one, so that the focus follows him. */
  function show(action, moved) {
    form?.keep();
    form = null;
    dialog.dataset.step = action;
    (VIEWS[action] || VIEWS.tel)(action);
    if (moved) title.focus();
  }

  const ask_for = (action, press) => {
    form = makeForm({ facts, root, typed }, action, press, (event) => {
      event.preventDefault();
      submit(action);
    });
    return form.form;
  };
  const below = (action) => [others(action), phoneLine(), privacy()];

  const VIEWS = {
    call(action) {
      if (nobody() && free?.slots?.length && facts.actions.includes("later")) return VIEWS.later("later");
      const now = facts.people.free && !nobody();
      place(action, now ? words.title_call : words.title_ask, mood(), ask_for(action, nobody() ? words.press_ask : words.press_call), ...below(action));
    },
    later(action) {
      dialog.dataset.step = held ? "later" : "slots";
      if (held) return place(action, words.title_later, chosen(), ask_for(action, words.press_later), ...below(action));
      const slots = free?.slots || [];
      if (!slots.length) return place(action, words.title_later, notice(words.no_slots, "nobody"), ...below(action));
      place(action, words.title_when, nobody() && mood(), slotPicker({ slots, words, when }, hold), ...below(action));
    },
    chat: (action) => place(action, words.title_chat, nobody() ? mood() : notice(words.chat_here, facts.people.free ? "free" : ""),
      ask_for(action, words.press_chat), ...below(action)),
    video: (action) => place(action, words.title_video, mood(), ask_for(action, words.press_video), ...below(action)),
    whatsapp,
    tel: (action) => place(action, words.title_tel, facts.closed && notice(words.closed, "nobody"),
      facts.phone && h("p", { class: "number" }, phoneLink()), others("tel")),
  };

  /** The time he chose, with the way back. */
  function chosen() {
    const again = h("button", { type: "button", class: "quiet", click: () => {
      held = null;
      show("later", true);
    } }, words.change);
    return h("div", { class: "chosen" }, drawing("later"), h("div", {},
      h("strong", {}, when.moment(held.start)), h("span", {}, when.zone(held.start)),
      held.expires_at && h("span", {}, fill(words.held, { time: when.time(held.expires_at) }))), again);
  }

  const slotError = (text) => {
    const error = root.getElementById("slot-error");
    if (error) error.textContent = text;
  };

  async function hold(start) {
    if (sending) return;
    sending = true;
    const given_up = typed.hold || "";
    try {
      const { done, said } = await send(site + "holds", JSON.stringify({ start, tz: when.timeZone, hold: given_up }), facts.locale, (what) => slotError(words[what]));
      if (done) {
        held = { start, ...said };
        typed.hold = said.hold;
        show("later", true);
      } else await lost(said);
    } catch {
      slotError(words.unsent);
      tell("error", { code: "unreachable" });
    }
    sending = false;
  }

  /** The time is gone: the others, as they are now. */
  async function lost(problem) {
    held = null;
    free = (await context.slots()) || free;
    show("later");
    slotError(problem.detail || words.unsent);
    (body.querySelector("input") || title).focus();
    tell("error", { code: problem.code || "refused" });
  }

  function wanted(action) {
    return {
      site: key, intent: INTENTS[action], locale: facts.locale, ...origin(context.touch), ...form?.wanted(),
      ...(action === "later" && { hold: held.hold }),
      ...(action === "call" && typed.continues && { continues: typed.continues }),
    };
  }

  async function submit(action) {
    if (sending) return;
    form.clear();
    if (form.incomplete()) return;
    const asked = form;
    const say = (what) => asked.complain("", words[what]);
    sending = true;
    asked.busy(words.sending);
    tell("submit", { action });
    try {
      const got = await ask(facts, wanted(action), { lang: facts.locale, notice: say, trap: asked.trap() });
      asked.clear();
      if (got.done) accepted(action, got.said);
      else await refused(action, got);
    } catch {
      asked.clear();
      say("unsent");
      tell("error", { code: "unreachable" });
    }
    sending = false;
    asked.busy("");
  }

  async function refused(action, { said }) {
    if (action === "later" && /^#?\/(slot|hold)/.test(said.errors?.[0]?.pointer || "")) return lost(said);
    form.explain(said, words.unsent);
    tell("error", { code: said.code || "refused" });
  }

  function accepted(action, lead) {
    held = null;
    delete typed.continues;
    stop();
    current = { action, lead };
    keep({ ...current, open: true });
    tell("accepted", { lead: lead.lead, eta_s: lead.eta_s ?? (action === "call" ? free?.eta_s : undefined) });
    if (lead.promise) tell("scheduled", { at: lead.promise.starts_at });
    if (lead.video_url && navigator.userActivation?.isActive) window.open(lead.video_url, "_blank", "noopener");
    progress(true);
  }

  /** How the request stands, in words, until it ends. */
  function progress(moved) {
    const { action, lead } = current;
    form = null;
    dialog.dataset.step = "progress";
    stop();
    if (action === "chat") return chat(moved);
    const sign = h("span", {}), now = h("p", { class: "now" }, words.sending), next = h("p", { class: "next" });
    const own = h("p", { class: "call" }, h("a", { href: lead.status_url, target: "_blank", rel: "noopener noreferrer" }, words.own_page));
    const state = h("div", { class: "progress", role: "status", tabindex: -1 }, sign, h("div", {}, now, next));
    const again = h("button", { type: "button", class: "press", hidden: true, click: fresh }, words.again);
    const room = lead.video_url && h("a", { class: "press", href: lead.video_url, target: "_blank", rel: "noopener" }, words.enter);
    const promise = lead.promise && h("p", { class: "chosen" }, drawing("later"), h("span", {},
      h("strong", {}, when.moment(lead.promise.starts_at)), h("span", {}, when.zone(lead.promise.starts_at))));
    place(action, words["title_" + action], promise, state, room, lead.promise && h("p", {}, words.promised), own, again, phoneLine());
    if (moved) state.focus();
    let before;
    stop = follow(lead, (got) => {
      if (!got) return fresh();
      const look = LOOKS[got.state] || "waiting";
      state.dataset.state = got.state;
      sign.replaceChildren(drawing(look, "sign " + look));
      now.textContent = got.text;
      next.textContent = got.next;
      again.hidden = !got.final;
      if (got.state !== before && TOLD[got.state]) tell(TOLD[got.state], { lead: lead.lead });
      before = got.state;
      if (got.final) keep(null);
    });
  }

  function fresh() {
    stop();
    stop = () => {};
    current = null;
    keep(null);
    show(facts.actions[0] || "tel", true);
  }

  async function chat(moved) {
    const { lead } = current;
    const talk = h("div", { class: "talk" });
    place("chat", words.title_chat, talk);
    try {
      const { default: open } = await import(host + facts.chat_script);
      stop = open(talk, {
        h, drawing, send, words, lead, lang: facts.locale, when, moved, end: fresh, phoneLine,
        heard: () => dialog.hidden && box.setAttribute("news", ""),
        phone: facts.actions.includes("call") && (() => {
          typed.continues = token(lead);
          show("call", true);
        }),
      });
    } catch {
      talk.replaceChildren(h("p", { class: "error", role: "alert" }, words.unsent), phoneLine() || "");
    }
  }

  /** The lead gives the reference that joins his message to this visit; without an answer WhatsApp opens all the same. */
  async function whatsapp(action) {
    const address = (text) => `https://wa.me/${facts.whatsapp}?text=${encodeURIComponent(text)}`;
    const link = h("a", {
      class: "press", href: address(words.whatsapp_text), target: "_blank", rel: "noopener", click: () => context.clicked(action),
    }, words.press_whatsapp);
    place(action, words.title_whatsapp, h("p", {}, words.whatsapp_how), link, ...below(action));
    title.focus();
    try {
      const { done, said } = await ask(facts, { ...wanted(action), consent: { purposes: [] } }, { lang: facts.locale, notice: () => {} });
      if (done && said.reference) {
        link.href = address(`${words.whatsapp_text} [ref:${said.reference}]`);
        tell("accepted", { lead: said.lead });
      }
    } catch { /* Then without one. */ }
    if (link.isConnected && navigator.userActivation?.isActive) window.open(link.href, "_blank", "noopener");
  }

  function close() {
    if (dialog.hidden) return;
    dialog.hidden = true;
    box.removeAttribute("open");
    if (current) keep({ ...current, open: false });
    (opener?.isConnected && opener.focus ? opener : button).focus();
    tell("close");
  }

  /** What is shown at first: what he follows, or the way he asked for. */
  function enter(action) {
    const offered = facts.actions.includes(action) ? action : "";
    if (current && (!offered || offered === current.action)) return progress(true);
    if (form && (!offered || dialog.dataset.step === offered)) return title.focus();
    show(offered || facts.actions[0] || "tel");
    if (offered !== "whatsapp") (form?.form.querySelector("input:not([tabindex]),textarea") || title).focus();
  }

  return {
    open([latest, slots], action, from, kept) {
      facts = latest;
      words = facts.words;
      free = slots;
      when = clock(facts.locale, facts.zone);
      opener = from;
      dialog.lang = facts.locale;
      brand.textContent = facts.campaign;
      cross.setAttribute("aria-label", words.close);
      for (const name of ["name", "phone"]) typed[name] ??= given[name];
      if (kept?.lead?.status_url?.startsWith(host + "/s/")) current = kept;
      if (kept && (!current || !kept.open)) return;
      const was = dialog.hidden;
      dialog.hidden = false;
      box.setAttribute("open", "");
      box.removeAttribute("news");
      if (was) tell("open", { action: action || "" });
      if (kept) progress(false);
      else enter(action);
    },
    close,
    stop() {
      stop();
      dialog.remove();
    },
  };
}
