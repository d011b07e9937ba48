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
