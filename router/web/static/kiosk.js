// A form at a counter forgets its visitor when nobody touches it, and says so before; any form reckons a proof if asked.
const form = document.querySelector("form[data-challenge]");
form?.addEventListener("submit", async (event) => {
  if (form.elements.proof.value) return;
  event.preventDefault();
  const note = document.getElementById("reckoning"), button = form.querySelector("button");
  note.hidden = false;
  button.disabled = true;
  const { prove } = await import("/static/widget/proof.js");
  form.elements.proof.value = await prove({ challenge: form.dataset.challenge, bits: Number(form.dataset.bits) });
  form.submit();
});

document.getElementById("trouble")?.focus();

const held = document.querySelector("[data-clears]"), note = document.getElementById("clearing");
if (held && note) {
  const WARNED = 15;
  const words = note.textContent, seconds = Number(held.dataset.clears), address = held.dataset.address || held.href;
  let touched = performance.now();
  const empty = () => held.tagName === "FORM" && !document.getElementById("trouble") &&
    [...held.elements].every((one) => one.type === "hidden" || (one.type === "checkbox" ? !one.checked : one.tagName === "BUTTON" || !one.value || one.tagName === "FIELDSET"));
  const touch = () => { touched = performance.now(); note.hidden = true; };
  for (const kind of ["pointerdown", "pointermove", "keydown", "input", "scroll", "focusin"]) addEventListener(kind, touch, { passive: true });
  setInterval(() => {
    const left = Math.ceil(seconds - (performance.now() - touched) / 1000);
    if (empty()) { note.hidden = true; return; }
    if (left <= 0) { location.replace(address); return; }
    if (left > Math.min(WARNED, seconds - 1)) return;
    // Said once aloud; the figure then only changes before the eyes.
    const said = words.replace("{n}", left);
    if (note.hidden) { note.firstElementChild.textContent = said; note.hidden = false; note.setAttribute("aria-live", "polite"); }
    else { note.setAttribute("aria-live", "off"); note.firstElementChild.textContent = said; }
  }, 1000);
  // Another visitor's words do not come back with the browser's memory of the page.
  addEventListener("pageshow", (event) => { if (event.persisted) location.replace(address); });
}
