// The page works without this; with it, answers appear by themselves and nothing typed is lost.
"use strict";
(() => {
  const page = document.querySelector("main.talk"), log = document.getElementById("log"), now = document.getElementById("now");
  const form = document.getElementById("write"), text = document.getElementById("text"), trouble = document.getElementById("trouble");
  const leave = document.getElementById("leave");
  const lang = document.documentElement.lang;
  let after = Number(page.dataset.after), pending = null;

  const atEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  const toEnd = () => { log.scrollTop = log.scrollHeight; };
  const put = (parent, name, kind, words) => {
    const made = document.createElement(name);
    if (kind) made.className = kind;
    if (words !== undefined) made.textContent = words;
    parent.append(made);
    return made;
  };
  // Text is only ever text here.
  const show = (message) => {
    after = Math.max(after, message.id);
    if (log.querySelector(`[data-id="${Number(message.id)}"]`)) return;
    const stay = message.mine || atEnd();
    const item = put(log, "div", message.mine ? "mine" : "theirs");
    item.dataset.id = message.id;
    const by = put(item, "p", "by", `${message.mine ? page.dataset.me : message.agent} `);
    const time = put(by, "time", "", new Date(message.at).toLocaleTimeString(lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: page.dataset.zone }));
    time.dateTime = message.at;
    put(item, "p", "text", message.text).dir = "auto";
    if (stay) toEnd();
  };
  const apply = (seen) => {
    for (const message of seen.messages) show(message);
    if (now.textContent !== seen.text) now.textContent = seen.text;
    now.className = `stage ${seen.state}`;
    leave.hidden = !["waiting", "talking", "moved"].includes(seen.state);
  };

  const follow = () => {
    const stream = new EventSource(`${page.dataset.stream}?after=${after}`);
    stream.onmessage = (event) => apply(JSON.parse(event.data));
    // A refusal ends the browser's own reconnecting.
    stream.onerror = () => { if (stream.readyState === EventSource.CLOSED) setTimeout(follow, 5000); };
  };
  if ("EventSource" in window) follow();

  const say = (words) => { trouble.textContent = words; trouble.hidden = !words; };
  const send = async () => {
    const words = text.value;
    if (!words.trim()) return text.focus();
    // The same words again are the same message: a lost answer makes no double.
    if (pending?.text !== words) pending = { text: words, client_id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}` };
    const button = form.querySelector("button");
    button.disabled = true;
    say("");
    try {
      const answer = await fetch(page.dataset.messages, {
        method: "POST", headers: { "Content-Type": "application/json", Accept: "application/json" }, body: JSON.stringify(pending),
      });
      const told = await answer.json();
      if (!answer.ok) say(told.detail ?? page.dataset.unsent);
      else {
        show(told);
        pending = null;
        if (text.value === words) text.value = "";
      }
    } catch { say(page.dataset.unsent); }
    button.disabled = false;
    text.focus();
  };
  form.addEventListener("submit", (event) => { event.preventDefault(); send(); });
  // On a telephone the return key begins a new line, as everywhere there.
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || matchMedia("(pointer: coarse)").matches) return;
    event.preventDefault();
    send();
  });
  toEnd();
})();
