// What every page may use. Each page works without it.

/** The token that forms of this visitor carry; empty where the page holds no form. */
export function formToken() {
  return document.querySelector("input[name=form_token]")?.value ?? "";
}

// <button data-copy="text">: copies, and says so in its own label for a moment.
document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  const label = button.textContent;
  button.textContent = button.dataset.copied ?? label;
  setTimeout(() => { button.textContent = label; }, 2000);
});
