// The last hours of a campaign, second by second. The page itself says it by the minute.

const SECOND_MS = 1000;

const two = (number) => String(number).padStart(2, "0");

function clock(left) {
  const seconds = Math.max(0, Math.floor(left / SECOND_MS));
  const hours = Math.floor(seconds / 3600);
  const rest = `${two(Math.floor((seconds % 3600) / 60))}:${two(seconds % 60)}`;
  return hours ? `${hours}:${rest}` : rest;
}

for (const place of document.querySelectorAll(".countdown[data-until]")) {
  // The server's clock counts, not the reader's.
  const ahead = Number(place.dataset.now) - Date.now();
  const until = Number(place.dataset.until);
  const said = place.dataset.said;
  let timer = 0;
  const tick = () => {
    const left = until - (Date.now() + ahead);
    if (left > 0) {
      place.textContent = said.replace("{}", clock(left));
      return;
    }
    clearInterval(timer);
    // What became of it is known in a moment.
    setTimeout(() => location.reload(), 5 * SECOND_MS);
  };
  timer = setInterval(tick, SECOND_MS);
  tick();
}
