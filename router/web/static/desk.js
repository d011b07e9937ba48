// The desk's hands and ears: keys, the bell, words beside the button, and a form nobody overwrites.
"use strict";
(() => {
  const words = document.body.dataset;
  const title = document.title;

  // -- the bell -------------------------------------------------------------------------------------------------------
  let audio = null, ringing = "", beeping = 0, release = null;
  const bell = document.getElementById("bell");
  const hint = () => { bell.hidden = audio?.state === "running"; };
  const wake = async () => {
    audio ??= new AudioContext();
    await audio.resume();
    hint();
  };
  if (navigator.userActivation?.hasBeenActive) wake();
  hint();
  for (const gesture of ["pointerdown", "keydown"]) document.addEventListener(gesture, wake, { capture: true });

  const beep = () => {
    if (audio?.state !== "running") return;
    for (const [at, pitch] of [[0, 880], [0.18, 660]]) {
      const [tone, loud] = [audio.createOscillator(), audio.createGain()];
      tone.frequency.value = pitch;
      loud.gain.setValueAtTime(0, audio.currentTime + at);
      loud.gain.linearRampToValueAtTime(0.16, audio.currentTime + at + 0.02);
      loud.gain.linearRampToValueAtTime(0, audio.currentTime + at + 0.16);
      tone.connect(loud).connect(audio.destination);
      tone.start(audio.currentTime + at);
      tone.stop(audio.currentTime + at + 0.18);
    }
  };

  // Of several tabs one rings: the first that may make a sound.
  const ringAloud = () => {
    const sound = () => { beep(); beeping = setInterval(beep, 1500); };
    if (!("locks" in navigator)) return sound();
    const name = `bell-${ringing}`;
    navigator.locks.request(name, { ifAvailable: true }, (lock) => {
      if (!lock || !ringing) return;
      sound();
      return new Promise((done) => { release = done; });
    });
  };

  const notify = () => {
    if (!document.hidden || !window.hablemos.leads() || !("Notification" in window) || Notification.permission !== "granted") return;
    const note = new Notification(words.titleRing, { body: words.ringNote, tag: `ring-${ringing}` });
    note.onclick = () => { window.focus(); note.close(); };
  };

  let unread = 0;
  const entitle = () => {
    document.title = ringing ? `(1) ${words.titleRing} · ${title}` : unread ? `(${unread}) ${words.newMessage} · ${title}` : title;
  };
  const listen = () => {
    const now = document.querySelector("#work [data-ring]")?.dataset.ring ?? "";
    const before = unread;
    unread = Number(document.querySelector("#conversation [data-unread]")?.dataset.unread ?? 0);
    if (unread > before && !document.hasFocus()) beep();
    if (now === ringing) return entitle();
    ringing = now;
    clearInterval(beeping);
    release?.();
    release = null;
    entitle();
    if (ringing) { ringAloud(); notify(); }
  };

  // -- focus ----------------------------------------------------------------------------------------------------------
  let stood = null;
  document.addEventListener("htmx:before:swap", () => { stood = document.activeElement?.closest("section[id]")?.id ?? null; });
  document.addEventListener("htmx:after:swap", () => {
    if (stood && document.activeElement === document.body) document.getElementById(stood)?.focus({ preventScroll: true });
    listen();
  });

  // -- keys -----------------------------------------------------------------------------------------------------------
  // Whoever speaks to his computer, or hits keys by accident, turns single keys off; this browser remembers it.
  const keys = document.getElementById("keys");
  const withKeys = () => localStorage.getItem("keys") !== "off";
  const showKeys = () => {
    keys.hidden = false;
    keys.setAttribute("aria-pressed", String(withKeys()));
    document.documentElement.classList.toggle("no-keys", !withKeys());
  };
  keys.addEventListener("click", () => { localStorage.setItem("keys", withKeys() ? "off" : "on"); showKeys(); });
  showKeys();
  // Where the alphabet is another one, the key's place on the keyboard counts.
  const pressed = ({ key, code }) => /^[a-z0-9]$/i.test(key) ? key.toLowerCase() : (/^(?:Key|Digit)([A-Z0-9])$/.exec(code)?.[1] ?? key).toLowerCase();
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !withKeys()) return;
    if (event.target.closest("input, select, textarea, [contenteditable]")) return;
    const button = document.querySelector(`button[data-key="${CSS.escape(pressed(event))}"]:not(:disabled)`);
    if (button) { event.preventDefault(); button.click(); }
  });
  document.addEventListener("click", (event) => {
    const opened = document.getElementById(event.target.closest("[data-opens]")?.dataset.opens ?? "");
    if (!opened) return;
    opened.open = true;
    opened.querySelector("input")?.focus();
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("#wish-ready") && "Notification" in window && Notification.permission === "default") Notification.requestPermission();
  });

  // -- trouble, in words, beside the button -----------------------------------------------------------------------------
  const near = (element) => element.closest("form")?.querySelector(".trouble");
  const show = (element, sentence) => {
    const place = near(element);
    if (!place) return;
    place.textContent = sentence;
    place.hidden = !sentence;
  };
  // The field an error is about: of a line, of the terms, or one of the form's own.
  const meant = (target, pointer) => {
    const [, place, name] = /^\/lines\/(\d+)\/(\w+)$/.exec(pointer) ?? [];
    if (name) return written()[place]?.querySelector(`[name^="${CSS.escape(name)}."]`);
    const [, field] = /^\/(?:terms\/)?(\w+)$/.exec(pointer) ?? [];
    return field && target.closest("form")?.querySelector(`[name="${CSS.escape(field)}"]`);
  };
  document.addEventListener("htmx:before:request", ({ target }) => {
    if (target.id === "quote-look") return;
    show(target, "");
    for (const wrong of target.closest("form")?.querySelectorAll("[aria-invalid]") ?? []) wrong.removeAttribute("aria-invalid");
  });
  document.addEventListener("htmx:response:error", ({ target, detail: { ctx } }) => {
    if (target.id === "quote-look") return;
    if (ctx.response.status === 401 && !target.hasAttribute("hx-sse:connect")) location.assign("/login");
    let problem = {};
    try { problem = JSON.parse(ctx.text); } catch { /* not ours, e.g. a proxy's page */ }
    const faults = problem.errors ?? [];
    show(target, faults.length > 1 ? faults.map((each) => each.detail).join("\n") : problem.detail ?? words.unsent);
    const wrong = faults.map((each) => meant(target, each.pointer)).filter(Boolean);
    for (const each of wrong) {
      each.setAttribute("aria-invalid", "true");
      const folded = each.closest("details");
      if (folded) folded.open = true;
    }
    wrong[0]?.focus();
  });
  document.addEventListener("htmx:error", ({ target }) => { if (target.id !== "quote-look") show(target, words.unsent); });

  // -- the quote form: it belongs to who writes in it -------------------------------------------------------------------
  let dirty = false, held = null, sending = false;
  const form = () => document.getElementById("quote-form");
  document.addEventListener("input", (event) => {
    if (!event.target.closest("#quote-form")) return;
    dirty = true;
    event.target.removeAttribute("aria-invalid");
  });
  document.addEventListener("htmx:before:request", ({ target }) => { if (target.id === "quote-form") sending = true; });
  document.addEventListener("htmx:finally:request", ({ target, detail: { ctx } }) => {
    if (target.id !== "quote-form") return;
    sending = false;
    if (ctx.response?.status < 300) dirty = false;
  });
  // -- the answer in a conversation: its words stay until they are sent or thrown away ----------------------------------
  let heldReply = null, replied = "";
  const reply = () => document.getElementById("reply-form");
  const answer = () => document.getElementById("reply-text");
  const rename = () => { reply().querySelector("[name=client_id]").value = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`; };
  document.addEventListener("input", (event) => { if (event.target.id === "reply-text") rename(); });
  document.addEventListener("keydown", (event) => {
    if (event.target.id !== "reply-text" || event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (answer().value.trim() && !reply().querySelector(".send").disabled) reply().requestSubmit();
  });
  document.addEventListener("htmx:before:request", ({ target }) => { if (target.id === "reply-form") replied = answer().value; });
  document.addEventListener("htmx:finally:request", ({ target, detail: { ctx } }) => {
    if (target.id !== "reply-form" || !(ctx.response?.status < 300) || !answer()) return;
    // What was typed while it was on its way stays.
    answer().value = answer().value.startsWith(replied) ? answer().value.slice(replied.length).replace(/^\n/, "") : answer().value;
    rename();
  });
  const keepReply = (fresh, source) => {
    if (!reply() || !answer().value || source?.id === "reply-form") return false;
    if (fresh.querySelector(`[data-thread="${CSS.escape(reply().dataset.thread)}"]`)) return true;
    heldReply = fresh;
    show(reply(), words.lateReply);
    reply().querySelector(".send").disabled = true;
    reply().querySelector("[data-discard-reply]").hidden = false;
    return true;
  };
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-discard-reply]")) return;
    document.getElementById("reply").replaceWith(heldReply);
    htmx.process(heldReply);
    heldReply = null;
  });
  // Read is what stood before the eyes of somebody who answers.
  const markRead = () => {
    const thread = document.querySelector("#conversation [data-unread][data-conversation]");
    if (!thread || document.hidden || !document.hasFocus() || document.activeElement?.id !== "reply-text") return;
    if (thread.dataset.marked === thread.dataset.newest) return;
    thread.dataset.marked = thread.dataset.newest;
    fetch(`/desk/conversations/${thread.dataset.conversation}/read`, {
      method: "POST", headers: { "X-CSRF": words.csrf }, body: new URLSearchParams({ up_to: thread.dataset.newest }),
    }).catch(() => { delete thread.dataset.marked; });
  };
  for (const moment of ["focusin", "visibilitychange"]) document.addEventListener(moment, markRead);
  window.addEventListener("focus", markRead);
  const logs = () => document.querySelectorAll("#conversation .thread .log");
  let low = new Map();
  document.addEventListener("htmx:before:swap", () => {
    low = new Map([...logs()].map((log) => [log.id, log.scrollHeight - log.scrollTop - log.clientHeight < 60]));
  });
  const scroll = () => { for (const log of logs()) if (low.get(log.id) ?? true) log.scrollTop = log.scrollHeight; };
  document.addEventListener("htmx:after:swap", () => { scroll(); markRead(); });
  scroll();

  // What looks the same is left alone, whatever brings it; so is the form while somebody writes in it.
  const leave = ({ target, fragment }, source) => {
    const fresh = fragment?.firstElementChild;
    if (!target?.dataset.version || !fresh) return false;
    if (target.dataset.version === fresh.dataset.version) return true;
    if (target.id === "reply") return keepReply(fresh, source);
    if (target.id !== "offer" || !dirty || !form() || sending || source?.id === "quote-form") return false;
    const task = form().closest("details").dataset.task;
    if (fresh.querySelector(`[data-task="${CSS.escape(task)}"]`)) return true;
    held = fresh;
    show(form(), words.lateForm);
    form().querySelector(".send").disabled = true;
    form().querySelector("[data-discard]").hidden = false;
    return true;
  };
  document.addEventListener("htmx:before:swap", ({ detail: { ctx, tasks } }) => {
    for (let at = tasks.length - 1; at >= 0; at--) if (leave(tasks[at], ctx.sourceElement)) tasks.splice(at, 1);
  });

  // The house numbers the lines that say something; an error names its line by that number.
  const written = () => {
    const lines = [...form().querySelectorAll(".line")], said = lines.filter((line) => line.querySelector('[name^="label."]').value.trim());
    return said.length ? said : lines;
  };
  const addLine = () => {
    const lines = form().querySelector(".lines");
    const place = Math.max(...[...lines.querySelectorAll('[name^="label."]')].map((each) => Number(each.name.slice(6)))) + 1;
    if (place >= 50) return null;
    const made = document.getElementById("line").content.cloneNode(true);
    for (const each of made.querySelectorAll("[name]")) each.name = each.name.replace("777", place);
    made.querySelector("legend").textContent = made.querySelector("legend").textContent.replace("778", place + 1);
    lines.append(made);
    return lines.lastElementChild;
  };
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-add-line]")) addLine()?.querySelector("input").focus();
    const gone = event.target.closest("[data-remove-line]")?.closest(".line");
    if (gone) { gone.remove(); total(); form().querySelector("[data-add-line]").focus(); }
    if (event.target.closest("[data-discard]")) {
      dirty = false;
      document.getElementById("offer").replaceWith(held);
      htmx.process(held);
      held = null;
    }
  });
  const point = document.documentElement.lang === "en" ? "." : ",";
  const fill = (line, said) => {
    for (const [name, value] of Object.entries(said)) line.querySelector(`[name^="${name}."]`).value = value;
  };
  const decimal = (hundredths, places) => (places ? (hundredths / 100).toFixed(places) : String(hundredths / 100)).replace(".", point);
  const changed = () => { dirty = true; total(); form().dispatchEvent(new Event("quoted")); };
  const emptyLine = () => [...form().querySelectorAll(".line")].find((line) => !line.querySelector('[name^="label."]').value) ?? addLine();
  const choose = (line, choice) => fill(line, {
    product: choice.dataset.key, label: choice.dataset.label, unit_minor: decimal(choice.dataset.price, 2),
    tax_bp: decimal(choice.dataset.tax, 0), period: choice.dataset.period,
  });
  document.addEventListener("change", (event) => {
    const choice = event.target.closest("[data-products]")?.selectedOptions[0];
    if (!choice?.dataset.label) return;
    const free = emptyLine();
    event.target.value = "";
    if (!free) return;
    choose(free, choice);
    free.querySelector('[name^="quantity."]').focus();
    changed();
  });
  document.addEventListener("click", (event) => {
    const suggested = event.target.closest("[data-suggest]");
    const choice = suggested && document.querySelector(`#product option[data-key="${CSS.escape(suggested.dataset.suggest)}"]`);
    if (!choice) return;
    const other = suggested.dataset.instead;
    const sells = (line) => line.querySelector('[name^="product."]').value === other;
    const place = (other && [...form().querySelectorAll(".line")].find(sells)) || emptyLine();
    if (!place) return;
    choose(place, choice);
    changed();
  });
  // A revision is the same form, filled with what the version before says.
  const revising = (number) => {
    const said = form().querySelector("[data-revising]");
    said.hidden = !number;
    if (number) said.querySelector("span").textContent = said.querySelector("span").textContent.replace("…", number);
  };
  document.addEventListener("click", (event) => {
    const asked = event.target.closest("[data-revise]");
    if (!asked || !form()) return;
    const said = JSON.parse(asked.dataset.revise);
    form().closest("details").open = true;
    for (const line of [...form().querySelectorAll(".line")].slice(1)) line.remove();
    said.lines.forEach((one, at) => {
      const line = at ? addLine() : form().querySelector(".line");
      if (line) fill(line, {
        product: one.product ?? "", label: one.label, quantity: one.quantity, unit_minor: decimal(one.unit_minor, 2),
        tax_bp: decimal(one.tax_bp, 0), period: one.period,
      });
    });
    const of = (name) => form().querySelector(`[name="${name}"]`);
    of("customer").value = said.customer;
    for (const name of ["months", "starts_in_days", "return_cost"]) if (said.terms[name] !== undefined) of(name).value = said.terms[name];
    if (said.terms.express !== undefined) of("express").checked = said.terms.express;
    of("revises").value = said.id;
    revising(said.number);
    changed();
    form().querySelector('[name^="label."]').focus();
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-new-quote]")) return;
    form().querySelector('[name="revises"]').value = "";
    revising("");
  });

  // The same rule as the house's: tax once per rate and period, rounded half away from zero. What counts is the answer's.
  const hundredths = (text) => /^[-\u2212]?\d{1,10}([.,]\d{1,2})?$/.test(text.trim())
    ? Math.round(Number(text.trim().replace(",", ".").replace("\u2212", "-")) * 100) : NaN;
  const total = () => {
    const sums = { once: new Map(), month: new Map() };
    for (const line of form().querySelectorAll(".line")) {
      const of = (name) => line.querySelector(`[name^="${name}."]`).value;
      if (!of("label").trim()) continue;
      const rate = hundredths(of("tax_bp")), bases = sums[of("period")];
      bases.set(rate, (bases.get(rate) ?? 0) + Number(of("quantity")) * hundredths(of("unit_minor")));
    }
    const place = form().querySelector("[data-total]");
    const format = new Intl.NumberFormat(document.documentElement.lang, { style: "currency", currency: place.dataset.currency });
    const parts = Object.entries(sums).filter(([, bases]) => bases.size).map(([period, bases]) => {
      let sum = 0;
      for (const [rate, base] of bases) sum += base + Math.sign(base) * Math.round(Math.abs(base) * rate / 10000);
      return Number.isFinite(sum) ? format.format(sum / 100) + (period === "month" ? ` ${place.dataset.month}` : "") : "–";
    });
    place.textContent = parts.join(" + ") || "–";
  };
  document.addEventListener("input", (event) => { if (event.target.closest("#quote-form")) total(); });

  listen();
})();
