// The pledge form adds up while somebody chooses. Without it the server adds up.

const form = document.querySelector("form[data-pledge]");
if (form) begin(form);

function begin(form) {
  const box = document.querySelector("[data-sum-box]");
  const lines = document.querySelector("[data-sum-lines]");
  const total = document.querySelector("[data-sum]");
  const charge = document.querySelector("[data-charge]");
  const live = form.querySelector("[data-amount-live]");
  const amount = form.elements.namedItem("amount");
  const destination = form.elements.namedItem("destination");
  const step = form.querySelector("[data-destination]");
  const exponent = Number(form.dataset.exponent);
  const unit = 10 ** exponent;
  const rule = charge.textContent;
  const language = document.documentElement.lang;

  /** An amount of minor units as the server writes it: whole amounts without decimals. */
  function written(minor) {
    const digits = minor % unit ? exponent : 0;
    const figures = new Intl.NumberFormat(language, {
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
    }).format(minor / unit);
    return form.dataset.currencyZero.replace("0", () => figures);
  }

  /** What was typed, in minor units; null where it is no amount. */
  function typed() {
    const text = amount.value.replace(/[^\d.,]/g, "").replace(/,(\d{1,2})$/, ".$1").replaceAll(",", "");
    if (!/^\d{1,15}(\.\d*)?$/.test(text)) return null;
    return Math.round(Number(text) * unit);
  }

  function feeOf(input) {
    const fees = JSON.parse(input.dataset.shipping || "{}");
    if (!Object.keys(fees).length) return 0;
    const place = destination?.value ?? "";
    if (!place) return undefined;
    return fees[place] ?? fees[place.split("-")[0]] ?? fees["*"] ?? null;
  }

  function chosen() {
    const picked = [];
    const main = form.querySelector("input[name=reward]:checked");
    if (main?.value) picked.push([main, 1]);
    for (const input of form.querySelectorAll("input.pieces:not(:disabled)")) {
      const pieces = /^\d{1,3}$/.test(input.value.trim()) ? Number(input.value) : 0;
      if (pieces) picked.push([input, pieces]);
    }
    return picked;
  }

  function line(words, figure) {
    const item = document.createElement("li");
    for (const text of [words, figure]) {
      const part = document.createElement("span");
      part.textContent = text;
      item.append(part);
    }
    return item;
  }

  function addUp() {
    const picked = chosen();
    const rows = [];
    let cost = 0;
    let shipping = 0;
    let sends = false;
    let unsent = false;
    for (const [input, pieces] of picked) {
      const price = Number(input.dataset.price) * pieces;
      cost += price;
      rows.push(line(pieces > 1 ? `${pieces} × ${input.dataset.title}` : input.dataset.title, written(price)));
      const fee = feeOf(input);
      sends ||= input.dataset.shipping !== "{}" && fee !== 0;
      unsent ||= fee === null;
      shipping += (fee ?? 0) * pieces;
    }
    if (unsent) rows.push(line(form.dataset.shippingWord, form.dataset.unsentWord));
    else if (shipping) rows.push(line(form.dataset.shippingWord, written(shipping)));
    const least = cost + shipping;
    const given = amount.value.trim() ? typed() : least;
    if (given !== null && given > least && picked.length) {
      rows.push(line(form.dataset.extraWord, written(given - least)));
    }
    const needs = picked.some(([input]) => Object.keys(JSON.parse(input.dataset.shipping)).length);
    if (step) step.hidden = !needs && !step.querySelector("[aria-invalid]");
    lines.replaceChildren(...rows);
    box.hidden = !given;
    total.value = given ? written(given) : "";
    charge.textContent = given ? form.dataset.sentence.replace("{amount}", () => written(given)) : rule;
    live.textContent = given !== null && given < least ? form.dataset.smallWord : "";
    amount.placeholder = least ? written(least) : "";
  }

  function showNames() {
    const wanted = form.querySelector("input[name=visibility]:checked")?.value;
    for (const part of form.querySelectorAll("[data-under]")) part.hidden = part.dataset.under !== wanted;
  }

  form.addEventListener("input", () => { addUp(); showNames(); });
  addUp();
  showNames();
}
