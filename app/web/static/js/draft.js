// The draft editor: where the cursor stands in the story, and nothing lost when the page is left.

const form = document.getElementById("draft-form");
const story = document.getElementById("story");
const caret = form?.elements.namedItem("caret");

if (form && story && caret) {
  story.addEventListener("blur", () => { caret.value = String(story.selectionStart); });
}

// Typed and not saved yet: the browser asks before the page is left.
let unsaved = false;
form?.addEventListener("input", () => { unsaved = true; });
form?.addEventListener("submit", () => { unsaved = false; });
document.body.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.elt === form && event.detail.successful) unsaved = false;
});
window.addEventListener("beforeunload", (event) => {
  if (unsaved) event.preventDefault();
});

// Without a connection the state says so, and the next change tries again.
document.body.addEventListener("htmx:sendError", (event) => {
  const said = document.querySelector("#draft-state .saved-said");
  if (event.detail.elt === form && said) said.textContent = form.dataset.offline ?? said.textContent;
});
