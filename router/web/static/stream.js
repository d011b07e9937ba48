// One stream for all tabs of this browser: the tab that holds the lock reads it and tells the others.
"use strict";
(() => {
  const SILENCE = 12000, RETRY = 2000;
  const { stream: url, beat: beatUrl, csrf } = document.body.dataset;
  const shared = "locks" in navigator && "BroadcastChannel" in window;
  const channel = shared ? new BroadcastChannel(url) : null;
  const latest = new Map();
  let element = null, connection = null, heard = 0, leading = false, state = "";

  window.hablemos = { offset: Date.parse(document.body.dataset.now) - Date.now(), leads: () => leading };

  const say = (word) => {
    if (word === state) return;
    state = word;
    const link = document.getElementById("link");
    link.className = word;
    link.querySelector("span").textContent = link.dataset[word];
    if (leading) channel?.postMessage({ state: word });
  };

  const region = (text) => /hx-target="(#[\w-]+)"/.exec(text)?.[1];

  const apply = (text) => htmx.swap({ sourceElement: document.body, target: document.body, swap: "none", text });

  const heardFrom = (time) => {
    window.hablemos.offset = Date.parse(time) - Date.now();
    say("live");
  };

  // The heartbeat is this answer, never a timer: timers sleep in hidden tabs.
  const answer = async () => {
    if (!beatUrl) return;
    try {
      const done = await fetch(beatUrl, { method: "POST", headers: { "X-CSRF": csrf }, signal: AbortSignal.timeout(4000) });
      if (done.status === 401) location.assign("/login");
    } catch { /* the watchdog says it */ }
  };

  const disconnect = () => {
    connection?.reader?.cancel?.().catch(() => {});
    connection?.abortController?.abort();
    element?.remove();
    connection = element = null;
  };

  const connect = () => {
    disconnect();
    heard = Date.now();
    element = document.createElement("div");
    element.hidden = true;
    element.setAttribute("hx-sse:connect", url);
    element.setAttribute("hx-swap", "none");
    element.setAttribute("hx-config", '{"sse":{"pauseOnBackground":false,"reconnectMaxDelay":5000}}');
    document.body.append(element);
    htmx.process(element);
  };

  const lost = () => { say("lost"); heard = Math.min(heard, Date.now() - SILENCE + RETRY); };

  document.addEventListener("htmx:sse:after:connection", (event) => { connection = event.detail.connection; });
  document.addEventListener("htmx:sse:error", lost);
  document.addEventListener("htmx:sse:close", (event) => { if (event.target === element) lost(); });
  document.addEventListener("htmx:response:error", (event) => {
    if (event.target !== element) return;
    if (event.detail.ctx.response.status === 401) location.assign("/login");
    lost();
  });
  document.addEventListener("htmx:error", (event) => { if (event.target === element) lost(); });

  document.addEventListener("htmx:sse:before:message", (event) => {
    const { data, event: name } = event.detail.message;
    heard = Date.now();
    if (name === "ping") {
      heardFrom(data);
      channel?.postMessage({ time: data });
      answer();
      return;
    }
    latest.set(region(data), data);
    channel?.postMessage({ text: data });
  });

  channel?.addEventListener("message", ({ data }) => {
    if (data.hello && leading) for (const text of latest.values()) channel.postMessage({ text });
    if (leading) return;
    heard = Date.now();
    if (data.time) heardFrom(data.time);
    if (data.state) say(data.state);
    if (data.text) apply(data.text);
  });

  setInterval(() => {
    if (Date.now() - heard < SILENCE) return;
    say("lost");
    if (leading) connect();
  }, 1000);

  document.addEventListener("visibilitychange", () => {
    if (leading && !document.hidden && Date.now() - heard > SILENCE) connect();
  });

  const lead = () => { leading = true; connect(); };
  heard = Date.now();
  if (!shared) lead();
  else {
    channel.postMessage({ hello: true });
    navigator.locks.request(url, () => { lead(); return new Promise(() => {}); });
  }
})();
