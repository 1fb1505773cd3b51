// Keeps the front page up to date, and pages through pictures by keys. Everything works without it.
"use strict";

// Of requests that nobody makes by hand: who is idle is logged out all the same.
const unattended = { "X-Unattended": "1" };

// The page as the box would send it now; null if it does not answer in time.
const fetched = async (within) => {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), within);
  try {
    const answer = await fetch(location.href, { headers: unattended, signal: late.signal });
    if (!answer.ok || answer.redirected) return null;
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
  }
};

// Hears what the box says, until it refuses to (true) or says nothing for too long (false).
const listened = (address, within, hear) => new Promise((end) => {
  const source = new EventSource(address);
  let timer;
  const over = (refused) => {
    clearTimeout(timer);
    source.close();
    end(refused);
  };
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(over, within, false);
  };
  source.onmessage = (event) => {
    wait();
    hear(JSON.parse(event.data));
  };
  source.addEventListener("unchanged", () => {
    wait();
    hear(null);
  });
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) over(true);
  };
  wait();
});

const follow = async (main) => {
  const within = 1000 * main.dataset.within;
  const silent = document.querySelector("template#silent");
  let last = new Date();
  const hear = (said) => {
    last = new Date();
    if (!said) return;
    document.body.className = said.kind;
    document.title = said.title;
    main.innerHTML = said.main;
  };
  const showSilence = () => {
    document.body.className = silent.dataset.kind;
    document.title = silent.dataset.title;
    main.replaceChildren(silent.content.cloneNode(true));
    main.querySelector("time").textContent = last.toLocaleString(
      document.documentElement.lang,
      { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
    );
  };
  for (;;) {
    const refused = await listened(main.dataset.live, within, hear);
    const page = refused && await fetched(within);
    const there = page && page.querySelector("main[data-live]");
    if (there) hear({ kind: page.body.className, title: page.title, main: there.innerHTML });
    else showSilence();
    if (refused) await new Promise((end) => setTimeout(end, within));
  }
};

const live = document.querySelector("main[data-live]");
if (live && window.EventSource) follow(live);

const waiting = document.querySelector("main[data-again]");
if (waiting) {
  const look = async () => {
    const answer = await fetch(location.href, { headers: unattended }).catch(() => null);
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
