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
document.body.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.elt === form && event.detail.successful) unsaved = false;
});

// A button that is pressed while what was typed is being saved waits for that: else the two would
// look like changes from two tabs.
// And once it is on its way, nothing is saved beside it.
let saving = false;
let pressed = null;
let leaving = false;
document.body.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.elt !== form) return;
  if (leaving) event.preventDefault();
  else saving = true;
});
window.addEventListener("pageshow", () => { leaving = false; });
document.body.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.elt === form) setTimeout(goOn, 50);  // once the new revision is in the form
});
function goOn() {
  saving = false;
  if (!pressed) return;
  const button = pressed;
  pressed = null;
  form.requestSubmit(button);
}
form?.addEventListener("submit", (event) => {
  if (saving && event.submitter) {
    event.preventDefault();
    pressed = event.submitter;
    return;
  }
  unsaved = false;
  leaving = true;
  setTimeout(() => { leaving = false; }, 15_000);  // the page is still here: it was stopped
});
window.addEventListener("beforeunload", (event) => {
  if (unsaved) event.preventDefault();
});

// Without a connection the state says so, and the next change tries again.
document.body.addEventListener("htmx:sendError", (event) => {
  const said = document.querySelector("#draft-state .saved-said");
  if (event.detail.elt === form && said) said.textContent = form.dataset.offline ?? said.textContent;
});
