// Does in the page of the models what a reader could do, and writes down what happened.
const errors = [];
addEventListener("error", (event) => errors.push(event.message));
addEventListener("unhandledrejection", (event) => errors.push(String(event.reason)));
addEventListener("load", async () => {
  const $ = (id) => document.getElementById(id), seen = {};
  const until = async (done) => {
    while (!done()) await new Promise((wait) => setTimeout(wait, 20));
  };
  const submit = (id, box, text) => (($(id).value = text), $(box).querySelector("button").click());
  await until(() => "ready" in document.documentElement.dataset);
  seen.first = [$("ownSaid").textContent, $("mixSaid").textContent];
  const slider = $("set-reverse-next");
  slider.value = 0.5;
  slider.dispatchEvent(new Event("input"));
  slider.dispatchEvent(new Event("change"));
  seen.slid = [$("status").textContent, $("mixSaid").textContent];
  const inSight = () => {
    dispatchEvent(new Event("scroll"));
    const { top, bottom } = $("view").getBoundingClientRect();
    return { top, bottom, third: innerHeight / 3, slider: slider.getBoundingClientRect().top, now: $("now").textContent };
  };
  slider.scrollIntoView();
  inSight();
  slider.scrollIntoView();
  seen.docked = inSight();
  scrollTo(0, 0);
  inSight();
  const [none, some] = $("presets").querySelectorAll("button"), onDev = () => Number($("now").textContent.split(" ")[0]);
  some.click();
  const uses = [...$("sliders").querySelectorAll("input[type=checkbox]")];
  seen.without = Object.fromEntries(uses.map((use) => {
    use.click();
    const found = [use.getAttribute("aria-label").replace("Use ", ""), onDev()];
    use.click();
    return found;
  }));
  seen.all = [onDev(), ...uses.map((use) => use.checked)];
  none.click();
  seen.alone = $("status").textContent;
  $("ArrowRight").click();
  seen.button = $("status").textContent;
  none.click();
  $("view").dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
  seen.moved = $("status").textContent;
  submit("score", "scoreBox", "length");
  seen.length = $("mixSaid").textContent;
  submit("score", "scoreBox", "wit");
  seen.refused = $("scoreSaid").textContent;
  submit("own", "ownBox", "Question: halves a b c d");
  seen.own = $("ownSaid").textContent;
  $("export").click();
  seen.exported = $("command").textContent;
  const question = $("questions").querySelector("fieldset");
  question.querySelector("button").click();
  seen.asked = question.querySelector(".why").textContent;
  question.querySelector(".why button").click();
  seen.tried = $("status").textContent;
  $("chapters").querySelectorAll("button")[1].click();
  seen.second = [$("title").textContent, $("h-mix").offsetHeight, $("h-race").offsetHeight > 0];
  const writing = $("writing").querySelector(".writing"), line = writing.querySelector("input");
  seen.written = [line.value, writing.querySelector("pre").textContent].map((text) => {
    line.value = text;
    writing.querySelector("button").click();
    return writing.querySelector(".said").textContent;
  });
  $("theme").click();
  seen.wide = document.documentElement.scrollWidth > innerWidth;
  seen.requests = performance.getEntriesByType("resource").map((entry) => entry.name);
  seen.errors = errors;
  window.setTimeout = () => 0; // the heights of the picture stop
  document.documentElement.dataset.seen = JSON.stringify(seen);
});
