// Keeps a phone's page alive: swaps its two moving parts, presses buttons without leaving the page.
"use strict";

const page = document.querySelector("[data-phone]");
const status = document.getElementById("connection");
const SILENCE = 12000;

function localise(root) {
  for (const time of root.querySelectorAll("time")) {
    time.textContent = new Date(time.dateTime).toLocaleTimeString(document.documentElement.lang, { timeZoneName: "short" });
  }
}

// Only a part that really changed is replaced, and the focus stays on the same button, or else the same call.
function show(parts) {
  for (const [name, html] of Object.entries(parts)) {
    const part = document.getElementById(name);
    if (part.dataset.html === html) continue;
    part.dataset.html = html;
    const focused = part.contains(document.activeElement) ? document.activeElement : null;
    const leg = focused?.closest("[data-leg]")?.dataset.leg;
    part.innerHTML = html;
    localise(part);
    if (focused) (document.getElementById(focused.id) ?? part.querySelector(`[data-leg="${leg}"] button`) ?? part).focus();
  }
  document.title = (document.querySelector("[data-state=ringing]") ? "☎ " : "") + page.dataset.title;
}

function connected(yes) {
  status.dataset.state = yes ? "live" : "dead";
  status.querySelector("span").textContent = yes ? page.dataset.live : page.dataset.dead;
}

function watch() {
  const stream = new EventSource(page.dataset.events);
  let timer;
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(again, SILENCE);
    connected(true);
  };
  const again = () => {
    clearTimeout(timer);
    stream.close();
    connected(false);
    setTimeout(watch, 1000);
  };
  stream.onopen = alive;
  stream.addEventListener("ping", alive);
  stream.onmessage = (event) => {
    alive();
    show(JSON.parse(event.data).parts);
  };
  stream.onerror = again;
}

async function press(form, submitter) {
  const trouble = document.getElementById("trouble");
  const answer = await fetch(form.action, {
    method: "POST",
    headers: { Accept: "application/json" },
    body: new URLSearchParams(new FormData(form, submitter)),
  }).catch(() => null);
  trouble.hidden = Boolean(answer?.ok);
  if (answer?.ok) {
    const text = form.querySelector("textarea");
    if (text) text.value = "";
  } else {
    trouble.textContent = answer ? (await answer.json()).message : page.dataset.dead;
  }
}

document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  event.preventDefault();
  press(event.target, event.submitter);
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button || !navigator.clipboard) return; // only secure origins, loopback among them, have a clipboard
  await navigator.clipboard.writeText(button.dataset.copy);
  button.querySelector("span").textContent = page.dataset.copied;
});

if (page) {
  localise(document);
  watch();
}
