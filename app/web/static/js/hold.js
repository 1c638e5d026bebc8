// How long something is kept still: a clock beside the sentence that says it in words.
// It counts from the server's time, as people's own clocks may be wrong.

for (const clock of document.querySelectorAll("[data-countdown]")) {
  const until = Number(clock.dataset.countdown);
  const began = performance.now();
  const now = Number(clock.dataset.now);
  clock.setAttribute("role", "timer");
  const show = () => {
    const rest = Math.ceil((until - now - (performance.now() - began)) / 1000);
    if (rest <= 0) {
      clock.textContent = clock.dataset.over;
      clock.classList.add("over");
      return;
    }
    clock.textContent = `${Math.floor(rest / 60)}:${String(rest % 60).padStart(2, "0")}`;
    setTimeout(show, 1000);
  };
  show();
}
