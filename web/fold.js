// @ts-check
/** Cards that are folded on small screens, so that the orders come first. */

export function foldCards() {
  for (const button of document.querySelectorAll(".fold")) {
    button.addEventListener("click", () => {
      const card = button.closest(".card");
      const open = card?.toggleAttribute("data-open") ?? false;
      button.ariaExpanded = String(open);
      if (open) card?.querySelector("input")?.focus();
    });
  }
}
