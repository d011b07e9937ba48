// Showing the consent texts of the chosen campaign.
"use strict";
(() => {
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
