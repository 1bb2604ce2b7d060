// Does what a reader could do, and writes down what happened.
const errors = [];
addEventListener("error", (event) => errors.push(event.message));
console.error = (...words) => errors.push(words.join(" "));
addEventListener("load", () => {
  const $ = (id) => document.getElementById(id), seen = {};
  const key = (name) => document.body.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true }));
  const set = (id, value) => {
    const input = $(id);
    if (input.type === "checkbox") input.checked = value; else input.value = value;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const chapters = [...document.querySelectorAll("#chapters button")];
  seen.chapters = chapters.map((button, k) => {
    key(String(k + 1));
    const title = $("title").textContent, clocks = [];
    const gaps = [...document.querySelectorAll("[hidden]")].filter((element) => element.offsetHeight).length;
    for (const move of ["End", "Home", "ArrowLeft"]) { key(move); clocks.push($("clock").textContent); }
    $("time").value = 3;
    $("time").dispatchEvent(new Event("input"));
    clocks.push($("clock").textContent);
    key("ArrowLeft");
    clocks.push($("clock").textContent);
    key("n");
    const recorded = $("badge").textContent;
    set("set-inertia", 0.3);
    set("set-repel", 0.2);
    for (const choice of k ? ["set-boundary"] : ["set-topology", "set-landscape", "set-random"]) {
      for (const option of $(choice).options) if (!option.hidden) set(choice, option.value);
    }
    set("set-normalise", true);
    set("set-particles", 5);
    set("set-restart", 3);
    $("luck").click();
    const own = $("badge").textContent;
    if (k === 0) $("many").click();
    const rows = document.querySelectorAll("#statistics tbody tr").length;
    $("own").value = "x^2 + (y - 1)^2";
    $("ownBox").querySelector("button").click();
    const minimised = $("ownSaid").textContent;
    $("own").value = "x + z";
    $("ownBox").querySelector("button").click();
    const refused = $("ownSaid").textContent, functions = {};
    for (const text of ["log(x)", "sqrt(x)", "x + y", "sqrt(-1 - x^2)"]) {
      $("own").value = text;
      $("ownBox").querySelector("button").click();
      functions[text] = $("ownSaid").textContent;
      if (text === "x + y") {
        set("set-boundary", "none");
        functions.unwalled = $("ownSaid").textContent;
      }
    }
    $("reset").click();
    const written = [...document.querySelectorAll("#writing .writing")].map((box) => {
      const input = box.querySelector("input"), said = box.querySelector(".said"), told = [];
      for (const text of [input.value, box.querySelector("pre").textContent, "1 +"]) {
        input.value = text;
        box.querySelector("button").click();
        told.push(said.textContent);
      }
      return told;
    });
    document.querySelectorAll("#questions .choices button").forEach((b) => b.click());
    const hidden = document.querySelectorAll("#questions .why[hidden]").length;
    $("sourceBox").open = true;
    const sources = [...$("part").options].map(({ value }) => {
      $("part").value = value;
      $("part").dispatchEvent(new Event("change"));
      return $("source").textContent.length;
    });
    const back = $("badge").textContent;
    return { title, clocks, recorded, own, rows, hidden, gaps, sources, minimised, refused, functions, written, back };
  });
  $("h-test").closest("details").open = true;
  const boxes = [...document.querySelectorAll("#test fieldset")], files = [];
  HTMLAnchorElement.prototype.click = function () { files.push(this.download); };
  const explained = () => boxes.filter((box) => !box.querySelector(".why").hidden).length;
  const told = () => [$("testResult").textContent, explained()];
  $("testSave").click();
  const nameless = [...told(), document.activeElement.id];
  $("testMark").click();
  const empty = told();
  boxes[0].querySelectorAll("input")[0].click();
  boxes[1].querySelectorAll("input")[0].click();
  $("testMark").click();
  const some = told();
  boxes.forEach((box) => box.querySelectorAll("input")[1].click());  // no second try at the first two
  $("testName").value = "=Zoë O’Hara, 3b ";
  $("testSave").click();
  seen.test = { nameless, empty, some, all: told(), files };
  seen.table = Write.table();
  document.body.hidden = true;  // as in a folded frame
  dispatchEvent(new Event("resize"));
  document.body.hidden = false;
  $("theme").click();
  seen.theme = document.documentElement.dataset.theme;
  seen.wide = document.documentElement.scrollWidth > innerWidth;
  seen.requests = performance.getEntriesByType("resource").map((entry) => entry.name);
  seen.errors = errors;
  document.documentElement.dataset.seen = JSON.stringify(seen);
});
