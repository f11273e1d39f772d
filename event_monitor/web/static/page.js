// Keeps the page fresh: watches the live numbers, and asks for the page again when they change.
// What the server sent is complete without this.
"use strict";

const Clock = (() => {
  const two = (number) => String(number).padStart(2, "0");
  const text = (epoch, how) => {
    const at = new Date(epoch * 1000);
    const clock = `${two(at.getHours())}:${two(at.getMinutes())}`;
    if (how === "clock") return clock;
    const second = `${clock}:${two(at.getSeconds())}`;
    if (how === "second") return second;
    return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${second}`;
  };
  // Shows every time of a part of the page by this browser's clock; the title keeps UTC.
  const localise = (root) => root.querySelectorAll("time[datetime]").forEach((time) => {
    const at = new Date(time.getAttribute("datetime"));
    time.title = `${at.toISOString().slice(0, 19).replace("T", " ")} UTC`;
    time.textContent = text(at.getTime() / 1000, time.dataset.how);
  });
  const zone = () => Intl.DateTimeFormat().resolvedOptions().timeZone || "of this browser";
  return { text, localise, zone };
})();

(() => {
  const SOONEST = 5000; // milliseconds between two looks at a page that changes
  const LATEST = 30000; // and at one that does not
  const STALE = 8000; // without a live number for so long, it is said
  const find = (id) => document.getElementById(id);
  const main = find("main"), pause = find("pause"), dot = find("dot"), freshness = find("freshness");

  let source = null, heardAt = 0, askedAt = Date.now(), isAsking = false, before = "", isChanged = false;
  let isPaused = sessionStorage.getItem("paused") === "1";

  // -- fresh ------------------------------------------------------------------------------------

  const keep = {
    beforeNodeMorphed: (old, fresh) => {
      if (!(old instanceof Element)) return true;
      if (old.hasAttribute("data-keep")) return false;
      if (old.classList.contains("chart") && fresh instanceof Element) {
        if (!fresh.classList.contains("chart")) return true;
        for (const name of ["data-chart", "aria-label"]) old.setAttribute(name, fresh.getAttribute(name));
        return false;
      }
      if (old instanceof HTMLDetailsElement && fresh instanceof HTMLDetailsElement) fresh.open = old.open;
      return true;
    },
  };

  const ask = async () => {
    if (isAsking) return;
    isAsking = true;
    askedAt = Date.now();
    isChanged = false;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(20000) });
      if (!answer.ok && answer.status !== 404) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("main");
      if (fresh === null || isPaused) return;
      Clock.localise(fresh);
      Idiomorph.morph(main, fresh, { ignoreActiveValue: true, callbacks: keep });
      uncover();
      Charts.drawAll();
    } catch (error) {
      // The monitor is away: the dot says so, and the next live number asks again.
    } finally {
      isAsking = false;
    }
  };

  const show = (live) => {
    heardAt = Date.now();
    document.querySelectorAll("[data-live]").forEach((element) => {
      const value = element.dataset.live.split(".").reduce((part, name) => part?.[name], live);
      if (value !== undefined) element.textContent = Number(value).toLocaleString("en");
    });
    const now = JSON.stringify([live.tasks, live.running, live.broker, live.shot_at]);
    isChanged ||= before !== "" && now !== before;
    before = now;
  };

  const watch = () => {
    if (source !== null || isPaused || document.hidden) return;
    source = new EventSource(document.body.dataset.liveUrl);
    source.addEventListener("live", (event) => show(JSON.parse(event.data)));
  };

  const unwatch = () => {
    source?.close();
    source = null;
  };

  const tick = () => {
    const silent = Date.now() - heardAt, since = Date.now() - askedAt;
    const isStale = silent > STALE;
    dot.className = isPaused ? "dot" : isStale ? "dot gone" : "dot live";
    if (isPaused) freshness.textContent = `paused at ${Clock.text(askedAt / 1000, "second")}`;
    else if (heardAt === 0) freshness.textContent = "connecting";
    else if (isStale) freshness.textContent = `no answer from the monitor for ${Math.round(silent / 1000)} s`;
    else freshness.textContent = "live";
    if (isPaused || document.hidden || main.contains(document.activeElement?.closest?.("form") ?? null)) return;
    if (since > LATEST || (isChanged && since > SOONEST)) ask();
  };

  const setPaused = (paused) => {
    isPaused = paused;
    sessionStorage.setItem("paused", paused ? "1" : "0");
    pause.textContent = paused ? "go on" : "pause";
    pause.setAttribute("aria-pressed", String(paused));
    if (paused) unwatch();
    else {
      watch();
      ask();
    }
    tick();
  };

  // -- copy -------------------------------------------------------------------------------------

  // Over plain http there is no clipboard but that of the selection.
  const copy = async (text) => {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  };

  const uncover = () => document.querySelectorAll("button.copy").forEach((button) => { button.hidden = false; });

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button.copy");
    if (button === null) return;
    const parts = [...find(button.dataset.copy).querySelectorAll("pre")];
    await copy(parts.length ? parts.map((part) => part.textContent).join("\n") : find(button.dataset.copy).textContent);
    const label = button.textContent;
    button.textContent = "copied";
    setTimeout(() => { button.textContent = label; }, 1500);
  });

  // -- keys -------------------------------------------------------------------------------------

  let isGoing = false;

  const step = (by) => {
    const links = [...main.querySelectorAll("td a, .what a, .verdict a")].filter((link) => link.offsetParent !== null);
    const place = links.indexOf(document.activeElement);
    links[place < 0 ? (by > 0 ? 0 : links.length - 1) : Math.max(0, Math.min(links.length - 1, place + by))]?.focus();
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
    const key = event.key;
    if (isGoing) {
      isGoing = false;
      document.querySelector(`nav a[data-key="${CSS.escape(key)}"]`)?.click();
      return;
    }
    if (key === "g") isGoing = true;
    else if (key === "j") step(1);
    else if (key === "k") step(-1);
    else if (key === "p") setPaused(!isPaused);
    else if (key === "?") find("keys").showModal();
    else if (key === "/") {
      event.preventDefault();
      main.querySelector("input[type=search]")?.focus();
    }
  });

  // A form sends only what was filled in, so that its address stays short.
  document.addEventListener("submit", (event) => {
    if (!event.target.matches(".filter")) return;
    for (const field of event.target.elements) if (field.value === "" && field.tagName === "INPUT") field.disabled = true;
  });
  window.addEventListener("pageshow", () => document.querySelectorAll(".filter input").forEach((field) => { field.disabled = false; }));

  // -- begin ------------------------------------------------------------------------------------

  Clock.localise(document);
  find("zone").textContent = `by the clock of this browser (${Clock.zone()})`;
  find("help").hidden = pause.hidden = false;
  find("help").addEventListener("click", () => find("keys").showModal());
  pause.addEventListener("click", () => setPaused(!isPaused));
  document.addEventListener("visibilitychange", () => (document.hidden ? unwatch() : watch()));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", Charts.redrawAll);
  let resized = 0;
  window.addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(Charts.redrawAll, 200); });
  uncover();
  Charts.drawAll();
  if (isPaused) setPaused(true);
  else watch();
  setInterval(tick, 1000);
  tick();
})();
