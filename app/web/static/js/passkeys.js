// Passkeys: <button data-passkey="/sign-in/passkey" data-make="" data-next="/…">.
// Asks `…/options` what to sign, has the device sign it, and sends that. Without the browser's help
// the button stays hidden: there is always another way.

import { formToken } from "./site.js";

async function ask(path, fields = {}) {
  const body = new URLSearchParams({ form_token: formToken(), ...fields });
  const answer = await fetch(path, { method: "POST", body, credentials: "same-origin" });
  if (answer.redirected) {
    location.assign(answer.url);
    return null;
  }
  return { ok: answer.ok, ...(await answer.json()) };
}

async function signed(button, options) {
  if ("make" in button.dataset) {
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
    return navigator.credentials.create({ publicKey });
  }
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  return navigator.credentials.get({ publicKey });
}

async function show(button) {
  const said = document.getElementById(button.getAttribute("aria-describedby"));
  const tell = (text) => { said.textContent = text; said.hidden = !text; };
  tell("");
  button.disabled = true;
  try {
    const path = button.dataset.passkey;
    const options = await ask(`${path}/options`);
    if (!options) return;
    if (!options.ok) { tell(options.said); return; }
    const credential = await signed(button, options);
    const name = document.getElementById("passkey-name")?.value ?? "";
    const done = await ask(path, {
      credential: JSON.stringify(credential), name, next: button.dataset.next ?? "",
    });
    if (!done) return;
    if (done.ok) location.assign(done.next);
    else tell(done.said);
  } catch (fault) {
    tell(fault.name === "InvalidStateError" ? button.dataset.known : button.dataset.failed);
  } finally {
    button.disabled = false;
  }
}

const possible = "PublicKeyCredential" in window
  && "parseRequestOptionsFromJSON" in PublicKeyCredential;
for (const button of document.querySelectorAll("[data-passkey]")) {
  const part = button.closest("[data-passkeys]");
  if (possible && part) part.hidden = false;
  button.addEventListener("click", () => show(button));
}
