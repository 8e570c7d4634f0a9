// Keeps the parts of a page that carry data-refresh up to date: by asking again and again, or, where they carry
// data-stream, by server-sent events as long as those come. Every page works without it.
"use strict";

(() => {
  const PERIOD = 4000;
  const regions = [...document.querySelectorAll("[data-refresh]")];
  const bar = document.querySelector("[data-live]");
  if (!regions.length || !bar) return;

  const etags = new Map();
  const streams = new Map();
  let isPaused = false;
  let timer = 0;

  const state = document.createElement("span");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet slim";
  bar.append(state, button);
  bar.hidden = false;
  button.addEventListener("click", () => {
    isPaused = !isPaused;
    show();
    schedule(0);
  });

  const show = (text) => {
    state.textContent = text ?? (isPaused ? "Updates paused" : "Updates by itself");
    button.textContent = isPaused ? "Resume" : "Pause";
  };

  // What somebody is reading with the keyboard or has marked must not be replaced under their hands.
  const isInUse = (region) => {
    const selection = document.getSelection();
    const isMarked = selection && !selection.isCollapsed && region.contains(selection.anchorNode);
    return region.contains(document.activeElement) || isMarked;
  };

  const refresh = async (region) => {
    const url = region.dataset.refresh;
    const headers = etags.has(url) ? { "If-None-Match": etags.get(url) } : {};
    const answer = await fetch(url, { headers, cache: "no-store", redirect: "manual" });
    if (answer.status === 304) return;
    if (answer.type === "opaqueredirect" || answer.status === 401) return location.reload();
    if (!answer.ok) throw new Error(String(answer.status));
    const html = await answer.text();
    if (isInUse(region)) return;
    replace(region, html);
    etags.set(url, answer.headers.get("ETag"));
  };

  const replace = (region, html) => {
    const unfolded = [...region.querySelectorAll("details")].map((each) => each.open);
    region.innerHTML = html;
    region.querySelectorAll("details").forEach((each, index) => { each.open ||= unfolded[index] ?? false; });
  };

  // A tab that nobody sees has no stream: browsers keep few connections to a server.
  const follow = (region) => {
    const stream = { source: new EventSource(region.dataset.stream), html: null, lostAt: null };
    streams.set(region, stream);
    stream.source.addEventListener("part", (event) => {
      stream.html = event.data;
      take(region, stream);
      show();
    });
    stream.source.addEventListener("open", () => {
      stream.lostAt = null;
      show();
    });
    stream.source.addEventListener("error", () => {
      // It comes again by itself; only what takes longer than that is worth a word.
      stream.lostAt ??= Date.now();
      if (stream.source.readyState !== EventSource.CLOSED) return;
      // Refused: too many, no session any more, or a proxy that lets none through. Asking tells which.
      leave(region);
      delete region.dataset.stream;
      schedule(0);
    });
  };

  const leave = (region) => {
    streams.get(region)?.source.close();
    streams.delete(region);
  };

  const take = (region, stream) => {
    if (stream.html === null || isInUse(region)) return;
    replace(region, stream.html);
    stream.html = null;
  };

  const update = async (region) => {
    if (!region.dataset.stream || !window.EventSource) return isInUse(region) ? undefined : refresh(region);
    const stream = streams.get(region);
    if (!stream) return follow(region);
    if (stream.lostAt !== null && Date.now() - stream.lostAt > PERIOD) throw new Error("away");
    take(region, stream);
  };

  const tick = async () => {
    if (isPaused || document.hidden) return;
    try {
      const isAsking = regions.some((region) => !region.dataset.stream);
      await Promise.all(regions.map(update));
      if (isAsking) show();
    } catch {
      show("Not updating: no answer");
    }
    schedule(PERIOD);
  };

  const schedule = (delay) => {
    clearTimeout(timer);
    if (isPaused || document.hidden) return regions.forEach(leave);
    timer = setTimeout(tick, delay);
  };

  document.addEventListener("visibilitychange", () => schedule(0));
  show();
  schedule(regions.some((region) => region.dataset.stream) ? 0 : PERIOD);
})();
