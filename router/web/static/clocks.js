// Times stand in the page as moments; here they are counted, by the server's clock.
"use strict";
(() => {
  const span = (seconds) => {
    const whole = Math.max(0, Math.floor(seconds));
    const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
    const two = (number) => String(number).padStart(2, "0");
    return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
  };
  const write = (element, text) => { if (element.textContent !== text) element.textContent = text; };
  const tick = () => {
    const now = (Date.now() + window.hablemos.offset) / 1000;
    for (const each of document.querySelectorAll("[data-since]")) {
      const passed = now - Date.parse(each.dataset.since) / 1000;
      write(each, span(passed));
      if (each.dataset.target) each.closest(".figure")?.classList.toggle("late", passed > Number(each.dataset.target));
    }
    for (const each of document.querySelectorAll("[data-until]")) {
      const left = Math.ceil(Date.parse(each.dataset.until) / 1000 - now);
      write(each, span(left));
      each.closest(".left")?.classList.toggle("late", left <= 5);
    }
  };
  document.addEventListener("htmx:after:swap", tick);
  setInterval(tick, 1000);
  tick();
})();
