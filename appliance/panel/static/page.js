// Keeps the front page up to date, and pages through pictures by keys. Everything works without it.
"use strict";

const main = document.querySelector("main[data-live]");
if (main && window.EventSource) {
  const source = new EventSource(main.dataset.live);
  source.onmessage = (event) => {
    const said = JSON.parse(event.data);
    document.body.className = said.kind;
    document.title = said.title;
    main.innerHTML = said.main;
    main.classList.remove("stale");
  };
  source.onerror = () => main.classList.add("stale");
}

const waiting = document.querySelector("main[data-again]");
if (waiting) {
  const look = async () => {
    const answer = await fetch(location.href).catch(() => null);
    if (answer && (answer.redirected || !answer.ok)) return location.reload();
    if (answer) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const main = page.querySelector("main");
      waiting.innerHTML = main.innerHTML;
      if (!main.dataset.again) return;
    }
    setTimeout(look, 1000 * waiting.dataset.again);
  };
  setTimeout(look, 1000 * waiting.dataset.again);
}

const picture = document.querySelector("img.large");
if (picture) {
  const ways = { ArrowLeft: "prev", ArrowRight: "next" };
  addEventListener("keydown", (event) => {
    const link = document.querySelector(`a[rel=${ways[event.key]}]`);
    if (ways[event.key] && link && !event.altKey && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      location.replace(link.href);
    }
  });
  // Where the style sheet cannot say so: a strip wider than the screen begins at the picture shown.
  const strip = document.querySelector(".strip");
  const shown = strip.querySelector("[aria-current]").getBoundingClientRect();
  const { left, width } = strip.getBoundingClientRect();
  strip.scrollLeft += shown.left + shown.width / 2 - left - width / 2;
}
