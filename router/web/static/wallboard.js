// The wallboard's hands: what went wrong is said beside the button, and what is open or chosen stays while the board
// changes under it.
"use strict";
(() => {
  const unsent = document.querySelector(".board").dataset.unsent;
  const show = (element, sentence) => {
    const place = element.closest("form")?.querySelector(".trouble");
    if (!place) return;
    place.textContent = sentence;
    place.hidden = !sentence;
  };

  // -- focus: where it was when what had it is gone ---------------------------------------------------------------------
  let stood = null, asked = null;
  const place = (element) => element?.closest("details[id], .board > section[id]")?.id ?? null;
  const nobody = () => document.activeElement === document.body || document.activeElement === null;
  const stand = (id) => {
    const there = document.getElementById(id);
    (there?.querySelector(":scope > summary") ?? there)?.focus({ preventScroll: true });
  };
  document.addEventListener("htmx:before:swap", () => { stood = place(document.activeElement); });
  document.addEventListener("htmx:after:swap", () => { if (stood && nobody()) stand(stood); });

  document.addEventListener("htmx:before:request", ({ target }) => { show(target, ""); asked = { target, there: place(target) }; });
  document.addEventListener("htmx:finally:request", () => {
    if (!asked) return;
    const { target, there } = asked;
    asked = null;
    // A button is not to be pressed twice and loses the focus meanwhile; it may be gone by now.
    queueMicrotask(() => {
      if (!there || !nobody()) return;
      if (target.isConnected && target.matches("button")) target.focus();
      if (nobody()) stand(there);
    });
  });
  document.addEventListener("htmx:response:error", ({ target, detail: { ctx } }) => {
    if (ctx.response.status === 401) location.assign("/login");
    let problem = {};
    try { problem = JSON.parse(ctx.text); } catch { /* not ours, e.g. a proxy's page */ }
    show(target, problem.detail ?? unsent);
  });
  document.addEventListener("htmx:error", ({ target }) => show(target, unsent));

  // -- what the supervisor has opened, is choosing or reads is his --------------------------------------------------------
  htmx.registerExtension("wallboard", {
    htmx_before_morph_attr: (node, { attrName }) => !(attrName === "open" && node.matches("details[id]")),
    htmx_before_morph_node: (node) => !(
      node.matches("select") && node.form?.contains(document.activeElement) || node.matches(".trouble") && !node.hidden),
  });
  document.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && event.target.closest("details.menu[open]");
    if (!menu) return;
    menu.open = false;
    stand(menu.id);
  });
})();
