// Follows a link within the open page, steps, and reads the address.
requestAnimationFrame = (draw) => setTimeout(() => draw(performance.now()), 16);
cancelAnimationFrame = clearTimeout;
addEventListener("load", async () => {
  const $ = (id) => document.getElementById(id), where = () => `${$("number").textContent}, ${$("clock").textContent}`;
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const seen = { opened: where(), before: history.length };
  location.hash = "#3.7";
  await wait(500);
  seen.followed = where();
  seen.entries = history.length - seen.before; // the link's own
  $("next").click();
  await wait(1500);
  seen.stepped = [where(), location.hash];
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "2", bubbles: true }));
  await wait(500);
  seen.chapter = location.hash;
  seen.after = history.length - seen.before;
  document.documentElement.dataset.seen = JSON.stringify(seen);
});
