// Numbers that move while somebody looks. Without this module the page stays as it was served.

const source = document.querySelector("[data-live-source]");
const pause = document.querySelector("[data-live-pause]");
const bar = document.querySelector("[data-bar]");
const BRIGHT_MS = 600;
const LATER_MS = 60_000;

let events = null;
let paused = false;
let latest = 0;

/** Write what came into every place that shows it. */
function show(numbers) {
  let moved = false;
  for (const place of document.querySelectorAll("[data-live]")) {
    const text = numbers.texts[place.dataset.live];
    if (text !== undefined && place.textContent !== text) {
      place.textContent = text;
      moved = true;
    }
  }
  if (bar) {
    const { promised, charged, goal, now, most, said } = numbers.bar;
    bar.querySelector(".promised")?.setAttribute("width", `${promised}%`);
    bar.querySelector(".charged")?.setAttribute("width", `${charged}%`);
    bar.querySelector(".tick")?.setAttribute("x", `${goal}%`);
    bar.setAttribute("aria-valuenow", now);
    bar.setAttribute("aria-valuemax", most);
    bar.setAttribute("aria-valuetext", said);
  }
  if (moved && latest) brighten();
  latest = numbers.position;
}

/** New money brightens the trunk for a moment. */
function brighten() {
  const river = source.querySelector(".river");
  if (!river || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  river.classList.remove("fresh");
  requestAnimationFrame(() => {
    river.classList.add("fresh");
    setTimeout(() => river.classList.remove("fresh"), BRIGHT_MS);
  });
}

function listen() {
  if (events || paused || document.hidden) return;
  events = new EventSource(source.dataset.liveSource);
  events.addEventListener("numbers", (event) => show(JSON.parse(event.data)));
  events.addEventListener("error", () => {
    // The browser comes back by itself, but not where it was told no: then later.
    if (events?.readyState === EventSource.CLOSED) {
      stop();
      setTimeout(listen, LATER_MS);
    }
  });
}

function stop() {
  events?.close();
  events = null;
}

if (source) {
  if (pause) {
    pause.hidden = false;
    pause.addEventListener("click", () => {
      paused = !paused;
      pause.textContent = paused ? pause.dataset.goOn : pause.dataset.pause;
      if (paused) stop();
      else listen();
    });
  }
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : listen()));
  addEventListener("pagehide", stop);
  addEventListener("pageshow", listen);
  listen();
}
