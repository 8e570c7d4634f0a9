// Keeps the parts of a page that carry data-refresh up to date. Every page works without it.
"use strict";

(() => {
  const PERIOD = 4000;
  const regions = [...document.querySelectorAll("[data-refresh]")];
  const bar = document.querySelector("[data-live]");
  if (!regions.length || !bar) return;

  const etags = new Map();
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
    const unfolded = [...region.querySelectorAll("details")].map((each) => each.open);
    region.innerHTML = html;
    region.querySelectorAll("details").forEach((each, index) => { each.open ||= unfolded[index] ?? false; });
    etags.set(url, answer.headers.get("ETag"));
  };

  const tick = async () => {
    if (isPaused || document.hidden) return;
    try {
      await Promise.all(regions.filter((region) => !isInUse(region)).map(refresh));
      show();
    } catch {
      show("Not updating: no answer");
    }
    schedule(PERIOD);
  };

  const schedule = (delay) => {
    clearTimeout(timer);
    if (!isPaused && !document.hidden) timer = setTimeout(tick, delay);
  };

  document.addEventListener("visibilitychange", () => schedule(0));
  show();
  schedule(PERIOD);
})();
