/* Nothing here is needed: without script the page has a button for the same. */
(() => {
  const waiting = document.querySelector("[data-wait]");
  if (!waiting) return;
  let left = 15;
  const look = async () => {
    if (left-- <= 0) return;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (answer.ok && !page.querySelector("[data-wait]")) {
        location.reload();
        return;
      }
    } catch {
      /* offline for a moment: look again */
    }
    setTimeout(look, 2000);
  };
  setTimeout(look, 700);
})();

/* The drawing of a signature: strokes with finger, pen or mouse on the canvas, sent as a small picture with the form. */
(() => {
  const box = document.querySelector("[data-draw]");
  if (!box) return;
  const canvas = box.querySelector("canvas");
  const sent = box.querySelector("input[name=drawing]");
  const pen = canvas.getContext("2d");
  if (!pen) return;
  let drawing = false;
  let drawn = false;
  const at = (event) => {
    const shown = canvas.getBoundingClientRect();
    return [
      ((event.clientX - shown.left) * canvas.width) / shown.width,
      ((event.clientY - shown.top) * canvas.height) / shown.height,
    ];
  };
  const clear = () => {
    pen.fillStyle = "#ffffff";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    drawn = false;
    sent.value = "";
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (!event.isPrimary) return;
    drawing = true;
    canvas.setPointerCapture(event.pointerId);
    pen.lineWidth = 4;
    pen.lineCap = pen.lineJoin = "round";
    pen.strokeStyle = "#1b1f24";
    pen.beginPath();
    pen.moveTo(...at(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drawing || !event.isPrimary) return;
    pen.lineTo(...at(event));
    pen.stroke();
    drawn = true;
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (drawing = false));
  box.querySelector("[data-clear]").addEventListener("click", clear);
  box.closest("form").addEventListener("submit", () => (sent.value = drawn ? canvas.toDataURL("image/png") : ""));
  clear();
  box.hidden = false;
})();
