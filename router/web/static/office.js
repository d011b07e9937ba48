// Uploading a list as it is, and showing the consent texts of the chosen campaign.
"use strict";
(() => {
  const { csrf, unsent } = document.body.dataset;

  const form = document.querySelector("[data-upload]");
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [file] = form.elements.file.files;
    const asked = new URLSearchParams((form.dataset.fields ?? "queue").split(" ").map((name) => [name, form.elements[name].value]));
    const trouble = form.querySelector(".trouble"), button = form.querySelector("button");
    const say = (sentence) => { trouble.textContent = sentence; trouble.hidden = !sentence; };
    if (!file) return;
    say("");
    button.disabled = true;
    try {
      const answer = await fetch(`${form.dataset.upload}?${asked}`, {
        method: "POST", body: file,
        headers: { "X-CSRF": csrf, "X-File-Name": encodeURIComponent(file.name), "Content-Type": "application/octet-stream", Accept: "application/json" },
      });
      if (answer.status === 401) return location.assign(`/login?next=${form.dataset.back ?? "/imports"}`);
      const told = await answer.json();
      if (answer.ok) return location.assign(told.url);
      say(told.detail ?? unsent);
    } catch {
      say(unsent);
    }
    button.disabled = false;
    button.focus();
  });

  const line = document.querySelector("[data-consents]");
  const show = () => {
    const campaign = line.selectedOptions[0]?.dataset.campaign;
    for (const each of document.querySelectorAll("[data-consents-of]")) {
      each.hidden = each.disabled = each.dataset.consentsOf !== campaign;
    }
  };
  if (line) {
    show();
    line.addEventListener("change", show);
  }
})();
