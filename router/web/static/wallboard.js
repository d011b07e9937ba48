// The wallboard's one hand: what went wrong with a switch is said beside it.
"use strict";
(() => {
  const unsent = document.querySelector(".board").dataset.unsent;
  const show = (element, sentence) => {
    const place = element.closest("form")?.querySelector(".trouble");
    if (!place) return;
    place.textContent = sentence;
    place.hidden = !sentence;
  };
  document.addEventListener("htmx:before:request", ({ target }) => show(target, ""));
  document.addEventListener("htmx:response:error", ({ target, detail: { ctx } }) => {
    if (ctx.response.status === 401) location.assign("/login");
    let problem = {};
    try { problem = JSON.parse(ctx.text); } catch { /* not ours, e.g. a proxy's page */ }
    show(target, problem.detail ?? unsent);
  });
  document.addEventListener("htmx:error", ({ target }) => show(target, unsent));
})();
