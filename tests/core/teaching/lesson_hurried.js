// Presses faster than the move that they ask for is drawn (380 ms); waits until the picture has come
// to rest. Chromium draws no frames in virtual time, so timers stand in for them.
requestAnimationFrame = (draw) => setTimeout(() => draw(performance.now()), 16);
cancelAnimationFrame = clearTimeout;
addEventListener("load", async () => {
  const $ = (id) => document.getElementById(id), clock = () => $("clock").textContent;
  const key = (name) => document.body.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true }));
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const hurry = async (...presses) => {
    key("1");
    for (const press of presses) {
      if (press === "click") $("next").click(); else key(press);
      await wait(15);
    }
    await wait(800);
    return clock();
  };
  const seen = {
    keys: await hurry(..."ArrowRight ".repeat(5).trim().split(" ")),
    clicks: await hurry(..."click ".repeat(5).trim().split(" ")),
    back: await hurry("ArrowRight", "ArrowRight", "ArrowLeft"),
    home: await hurry("ArrowRight", "Home"),
    ends: await hurry(..."ArrowRight ".repeat(40).trim().split(" ")),
    chapter: await hurry("ArrowRight", "2", "1"),
    paused: await hurry("ArrowRight", "ArrowRight", " ", " "), // the move that playing began is made, too
  };
  document.documentElement.dataset.seen = JSON.stringify(seen);
});
