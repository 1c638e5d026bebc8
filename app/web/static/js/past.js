// Travelling in time: the slider says its day while it moves, and goes there when it is let go.

const DAY_MS = 86_400_000;
const PAUSE_MS = 350;

for (const form of document.querySelectorAll("[data-travel]")) {
  const slider = form.querySelector("input[type=range]");
  const said = form.querySelector("output");
  const first = Date.parse(`${form.dataset.first.slice(0, 10)}T00:00:00Z`);
  const words = new Intl.DateTimeFormat(form.dataset.lang === "en" ? "en-GB" : form.dataset.lang, {
    day: "numeric",
    month: "long",
    year: "numeric",
    timeZone: "UTC",
  });
  const stood = slider.value;
  let timer = 0;
  form.classList.add("moves");
  slider.addEventListener("input", () => {
    const day = words.format(new Date(first + Number(slider.value) * DAY_MS));
    said.textContent = day;
    slider.setAttribute("aria-valuetext", day);
  });
  // A key moves it by one day each: wait until the reader has come to where they want.
  slider.addEventListener("change", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (slider.value !== stood) form.requestSubmit();
    }, PAUSE_MS);
  });
}
