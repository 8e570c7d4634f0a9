// Keeps the part of the page that says how things stand up to date. Without it there is a link that does.
"use strict";

const region = document.querySelector("[data-live]");

const look = async () => {
  if (document.hidden) return;
  const answer = await fetch(region.dataset.live);
  const html = answer.ok ? await answer.text() : region.shown;
  if (html === region.shown) return; // Nothing is read out twice.
  const open = [...region.querySelectorAll("details")].map((each) => each.open);
  const inUse = [...region.querySelectorAll("summary")].indexOf(document.activeElement);
  region.innerHTML = region.shown = html;
  region.querySelectorAll("details").forEach((each, number) => (each.open = open[number] ?? false));
  region.querySelectorAll("summary")[inUse]?.focus();
};

if (region) setInterval(() => look().catch(() => {}), 1000);
