// The page is complete without this; with it the page renews itself, unless it is hidden or paused.
"use strict";

const SECONDS = 10;
const PARTS = ["objective", "updated", "waiting", "board"];
let paused = false;

async function renew() {
  if (paused || document.hidden) return;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) throw new Error(answer.statusText);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.title = page.title;
    for (const id of PARTS) {
      const [old, fresh] = [document.getElementById(id), page.getElementById(id)];
      if (old.innerHTML !== fresh.innerHTML) old.replaceChildren(...fresh.childNodes);
    }
  } catch {
    document.getElementById("updated").textContent = "No answer; trying again.";
  }
}

const pause = document.createElement("button");
pause.textContent = "Pause";
pause.addEventListener("click", () => {
  paused = !paused;
  pause.textContent = paused ? "Go on" : "Pause";
  renew();
});
document.getElementById("refresh").replaceWith(pause);
document.addEventListener("visibilitychange", renew);
setInterval(renew, SECONDS * 1000);
