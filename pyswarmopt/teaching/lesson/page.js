// The lesson's page: chapters, steps, sliders, questions. The swarm is in swarm.js, the pictures in draw.js, the numbers
// and texts that follow the swarm in panel.js.
"use strict";

(() => {
  const { DATA, $, WORDS, element, rich, shown, pair } = Dom;
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const SQUARE = [-5, 5]; // of the reader's own landscape
  const CONTROLS = [
    { key: "inertia", name: "Inertia w", max: 1.2, step: 0.01, term: true },
    { key: "cognitive", name: "Cognitive c₁", max: 3, step: 0.01, term: true },
    { key: "social", name: "Social c₂", max: 3, step: 0.01, term: true },
    { key: "repel", name: "Repel c₃", max: 1, step: 0.01, term: true },
    { key: "step", name: "Step length λ", min: 0.1, max: 1.5, step: 0.01 },
    { key: "decay", name: "λ is multiplied by", min: 0.8, max: 1, step: 0.01 },
    { key: "particles", name: "Particles", min: 3, max: 40, step: 1 },
    { key: "restart", name: "Back to p after … moves (0: never)", max: 20, step: 1 },
    { key: "topology", name: "Who informs whom", choices: DATA.topologies },
    { key: "boundary", name: "At the walls", choices: DATA.boundaries },
    { key: "random", name: "Random numbers r", choices: ["element", "scalar", "none"] },
    { key: "landscape", name: "Landscape", choices: Object.keys(DATA.landscapes) },
    { key: "normalise", name: "Divide by C, the sum of r times weight" },
  ];

  const model = {
    number: 0, chapter: null, settings: null, frames: [], recorded: true, seed: null, optima: [],
    t: 0, selected: 0, arrows: "one", playing: false, flight: null, progress: 0, timer: null, link: null, own: null,
  };

  // ---- chapters and runs ----

  const open = (number) => {
    stop();
    model.number = number;
    model.chapter = DATA.chapters[number];
    model.chapter.frames.forEach((frame) => complete(frame, model.chapter.settings));
    model.arrows = number === 0 ? "all" : "one";
    $("arrows").value = model.arrows;
    $("number").textContent = `Chapter ${number + 1} of ${DATA.chapters.length}`;
    $("title").textContent = model.chapter.title;
    $("text").replaceChildren(...model.chapter.text.map((text) => rich("p", text)));
    [...$("chapters").querySelectorAll("button")].forEach((button, k) => {
      if (k === number) button.setAttribute("aria-current", "step");
      else button.removeAttribute("aria-current");
    });
    model.selected = model.chapter.follow;
    questions();
    exercises();
    Write.open(model.chapter);
    restore();
  };

  // What of a recorded move follows from its other numbers is not in the file.
  const complete = (frame, settings) => {
    const { move, origin } = frame;
    if (!move || move.reach) return;
    const sum = (i, d) => Swarm.TERMS.reduce((s, term) => s + move.forces[term][i][d], 0);
    move.reach = origin.map((x, i) => x.map((a, d) => a + move.length * sum(i, d)));
    move.coefficients = Object.fromEntries(
      Swarm.TERMS.map((term) => [term, move.factors[term].map((r) => r.map((a) => settings[term] * a))]));
  };

  // The recording as the library made it.
  const restore = () => {
    stop();
    Object.assign(model, { settings: structuredClone(model.chapter.settings), seed: null, t: 0, frames: model.chapter.frames, recorded: true });
    renew();
  };

  // The settings were changed: the page moves the swarm itself. It begins where the recording begins and uses the
  // library's random numbers as long as they fit, so that what differs is the change and not luck.
  const recompute = () => {
    const { settings, chapter } = model, was = chapter.settings;
    const alike = (...keys) => keys.every((key) => JSON.stringify(settings[key]) === JSON.stringify(was[key]));
    const random = Swarm.generator(model.seed === null ? 1 : model.seed);
    const moves = chapter.frames.length - 1;
    const same = model.seed === null && alike("particles", "low", "high", "experts");
    const first = same ? { x: chapter.frames[0].x, v: chapter.frames[0].v } : Swarm.populate(settings, random);
    const recorded = same && alike("random", "normalise") ? chapter.frames.slice(0, moves).map((f) => f.move.factors) : [];
    model.frames = Swarm.run(first.x, first.v, settings, moves, recorded, random);
    model.recorded = false;
    model.t = Math.min(model.t, moves);
    model.selected = Math.min(model.selected, settings.particles - 1);
    renew();
  };

  const change = (changes) => {
    Object.assign(model.settings, changes);
    if (changes.landscape) {
      const own = changes.landscape === model.chapter.settings.landscape;
      const side = { rastrigin: 5.12, lunacek: 5.12 }[changes.landscape] || 5;
      Object.assign(model.settings, own ? pick(model.chapter.settings, ["shift", "low", "high"]) : { shift: [0, 0], low: -side, high: side });
    }
    recompute();
  };

  // A function of the reader's own: its swarm, and its lowest point by another method. It is a square with walls, since
  // the other method looks inside alone.
  const minimise = () => {
    try {
      const text = $("own").value, formula = Formula.parse(text, ["x", "y"]), f = ([x, y]) => formula({ x, y });
      const domain = Formula.domain(f, ...SQUARE);
      if (!domain.share) throw new Error("It has no value anywhere in the square from −5 to 5.");
      Swarm.define(f);
      model.own = { f, domain, lowest: Formula.lowest(f, ...SQUARE) };
      DATA.landscapes.own = [model.own.lowest];
      const { boundary } = model.settings;
      change({ landscape: "own", formula: text, boundary: boundary === "none" ? "reflect" : boundary });
    } catch (error) {
      $("ownSaid").textContent = error.message;
    }
  };

  // What the swarm found on the reader's function, and what is known about it.
  const ownSaid = () => {
    const { f, domain, lowest } = model.own, { leader, best } = model.frames.at(-1), inside = leader.every((a) => Math.abs(a) <= SQUARE[1]);
    const said = [];
    if (domain.share < 0.9999) {
      const [x, y] = [0, 1].map((d) => [domain.from[d], domain.to[d]].map((a) => a.toFixed(1).replace("-", "−")).join(" to "));
      said.push(`It has a value in ${percent(domain.share)} of the square, where x is about ${x} and y ${y}.`);
    }
    said.push(best === Infinity ? "No particle found a place with a value."
      : `After ${model.frames.length - 1} moves the swarm’s best is ${shown(best)} at (${pair(leader)})${inside ? "" : ", outside the square"}.`);
    said.push(domain.bottomless ? `There is no lowest value: at (${pair(domain.bottomless)}) it is −∞.`
      : `In the square, a grid search with descents finds ${shown(f(lowest))} at (${pair(lowest)}).`);
    $("ownSaid").textContent = said.join(" ");
  };
  const pick = (from, keys) => Object.fromEntries(keys.map((key) => [key, from[key]]));

  // ---- steps ----

  const go = (t) => {
    cancelAnimationFrame(model.flight);
    model.flight = null;
    model.progress = 0;
    model.t = Math.max(0, Math.min(t, model.frames.length - 1));
    render();
  };

  // A move that is still being drawn is made at once, so that presses that come faster than it are not lost.
  const land = () => {
    if (model.flight !== null) go(model.t + 1);
  };

  const forward = () => {
    land();
    if (!model.frames[model.t].move) return stop();
    const arrive = (pause) => {
      go(model.t + 1);
      if (model.playing) model.timer = setTimeout(forward, pause);
    };
    if (still.matches) return arrive(600);
    const begun = performance.now(), length = 380;
    const fly = (now) => {
      const u = Math.min((now - begun) / length, 1);
      if (u === 1) return arrive(260);
      model.progress = u * u * (3 - 2 * u);
      Draw.view($("view"), model);
      model.flight = requestAnimationFrame(fly);
    };
    model.flight = requestAnimationFrame(fly);
  };

  const play = () => {
    if (model.playing) return stop();
    land();
    if (model.t >= model.frames.length - 1) go(0);
    model.playing = true;
    $("play").textContent = "Pause";
    forward();
  };

  const stop = () => {
    model.playing = false;
    clearTimeout(model.timer);
    $("play").textContent = "Play";
    land();
  };

  // ---- what is shown ----

  // Another run: everything that does not depend on the step.
  const renew = () => {
    const { settings, chapter } = model;
    model.optima = DATA.landscapes[settings.landscape].map(([x, y]) => [x + settings.shift[0], y + settings.shift[1]]);
    $("time").max = model.frames.length - 1;
    $("badge").textContent = model.recorded ? "recorded by the library" : "computed in this page";
    $("badge").classList.toggle("own", !model.recorded);
    $("origin").textContent = model.recorded
      ? "This is a recorded run of the library. If you move a slider, the page moves the swarm by the same rule," +
        " from the same start and with the same random numbers."
      : model.seed === null
        ? "Same start, same random numbers where they fit, your settings. The grey curves are the recording."
        : "Different start, different random numbers. The grey curves are the recording.";
    $("particle").replaceChildren(...model.frames[0].x.map((_, i) => element("option", { value: i, textContent: i + 1 })));
    $("particle").value = model.selected;
    controls();
    Panel.equation(model);
    Panel.parts(model);
    Panel.legend(model);
    const narrow = settings.random === "element" && !settings.normalise && settings.step === 1 && settings.repel === 0;
    $("mapBox").hidden = !narrow;
    if (narrow) stability();
    $("statistics").replaceChildren();
    $("ownSaid").textContent = "";
    if (settings.landscape === "own") ownSaid();
    $("reset").disabled = model.recorded;
    $("about").textContent = `pyswarmopt ${DATA.version}; this run: ${chapter.settings.particles} particles, seed ${chapter.seed}.`;
    render();
  };

  const stability = () => {
    const { inertia: w, cognitive: c1, social: c2 } = model.settings, limit = Draw.limit(w);
    Draw.map($("map"), model.settings);
    const stable = w < 1 && c1 + c2 < limit;
    const text =
      w >= 1
        ? `w = ${w}: with w of 1 or more, no c₁ and c₂ make the swarm settle.`
        : `w = ${w}: the limit is ${limit.toFixed(2)}; c₁ + c₂ = ${(c1 + c2).toFixed(2)}, so the swarm ` +
          `${stable ? "settles." : "does not settle by itself."}`;
    $("mapText").textContent = text + (c1 === c2 ? "" : " (The curve is exact for c₁ = c₂.)");
    $("map").setAttribute("aria-label", text);
  };

  // Everything that depends on the step.
  const render = () => {
    const frame = model.frames[model.t];
    $("time").value = model.t;
    $("another").textContent = `● ${model.selected + 1}`;
    $("clock").textContent = `step ${model.t} of ${model.frames.length - 1}`;
    $("back").disabled = $("first").disabled = model.t === 0;
    $("next").disabled = $("last").disabled = !frame.move;
    Draw.view($("view"), model);
    Panel.numbers(model, frame);
    Panel.say(model, frame);
    charts();
    showLink();
    if (model.t >= model.frames.length - 1) stop();
  };

  const charts = () => {
    const f = Swarm.landscape(model.settings), zero = f(model.optima[0].map((x, d) => x));
    const gaps = (frames) => frames.map((frame) => Math.max(frame.best - zero, 1e-12));
    const spreads = (frames) => frames.map((frame) => Swarm.spread(frame.x));
    const ghost = !model.recorded && model.settings.landscape === model.chapter.settings.landscape ? model.chapter.frames : null;
    for (const [id, of, log] of [["bestChart", gaps, true], ["spreadChart", spreads, false]]) {
      const series = of(model.frames);
      Draw.chart($(id), series, ghost && of(ghost), model.t, log);
      $(id).setAttribute("aria-label", `${series[model.t].toPrecision(3)} at step ${model.t}; ${series.at(-1).toPrecision(3)} at the end`);
    }
  };

  // ---- sliders ----

  const widgets = new Map();

  const build = () => {
    for (const control of CONTROLS) {
      const id = `set-${control.key}`, output = element("output", { htmlFor: id });
      let input;
      if (control.choices) {
        const word = (choice) => (WORDS[control.key] || {})[choice] || choice.replaceAll("_", " ");
        input = element("select", { id }, ...control.choices.map((c) => element("option", { value: c, textContent: word(c) })));
        // Chosen by its formula, not from the list.
        if (control.key === "landscape") input.append(element("option", { value: "own", textContent: "your own", hidden: true }));
      } else if (control.key === "normalise") input = element("input", { id, type: "checkbox" });
      else {
        input = element("input", { id, type: "range" });
        Object.assign(input, { min: control.min || 0, max: control.max, step: control.step });
      }
      const read = () => (control.choices ? input.value : input.type === "checkbox" ? input.checked : Number(input.value));
      input.oninput = () => change({ [control.key]: read() });
      const label = element("label", { htmlFor: id, textContent: control.name, className: control.term ? control.key : "" });
      const box = element("div", { className: "control" }, label, ...(input.type === "range" ? [output, input] : [input]));
      widgets.set(control.key, { box, input, output });
      $("controls").append(box);
    }
  };

  const controls = () => {
    for (const [key, { box, input, output }] of widgets) {
      const value = model.settings[key];
      if (input.type === "checkbox") input.checked = value;
      else input.value = value;
      output.textContent = value;
      box.classList.toggle("changed", value !== model.chapter.settings[key]);
    }
  };

  const percent = (share) => `${Math.round(100 * share)}%`;

  // The chapter's settings and those of now, each with 200 seeds.
  const statistics = () => {
    const moves = model.chapter.frames.length - 1, own = JSON.stringify(model.settings) !== JSON.stringify(model.chapter.settings);
    const optima = ({ landscape, shift }) => DATA.landscapes[landscape].map(([x, y]) => [x + shift[0], y + shift[1]]);
    const row = (name, settings) => {
      const r = Swarm.many(settings, optima(settings), 200, moves);
      const texts = [percent(r.found / r.seeds), r.interval.map(percent).join(" to "), r.spread.toPrecision(2)];
      return element("tr", {}, element("th", { textContent: name, scope: "row" }), ...texts.map((text) => element("td", { textContent: text })));
    };
    const heads = ["200 swarms", "find a best point", "95% interval", "median spread"];
    const head = element("thead", {}, element("tr", {}, ...heads.map((text) => element("th", { textContent: text, scope: "col" }))));
    const rows = [row("this chapter’s settings", model.chapter.settings)];
    if (own) rows.push(row("your settings", model.settings));
    $("statistics").replaceChildren(head, element("tbody", {}, ...rows));
  };

  // ---- questions and exercises ----

  const questions = () => $("questions").replaceChildren(...model.chapter.questions.map((question, k) => Ask.question(question, k, tryIt(question))));

  const tryIt = ({ change: changes }) => {
    const changed = Object.keys(changes).length > 0;
    const button = element("button", { type: "button", textContent: changed ? "Change it and play" : "Play it" });
    button.onclick = () => {
      restore();
      if (changed) change(changes);
      $("view").scrollIntoView({ block: "nearest", behavior: still.matches ? "auto" : "smooth" });
      play();
    };
    return button;
  };

  const exercises = () => $("exercises").replaceChildren(...model.chapter.exercises.map(Ask.exercise));

  // ---- wiring ----

  const follow = (i) => {
    model.selected = i;
    $("particle").value = i;
    render();
  };

  const another = () => follow((model.selected + 1) % model.frames[0].x.length);

  const nearest = (event) => {
    const box = $("view").getBoundingClientRect(), at = Draw.projection(model.settings, box.width);
    const click = [event.clientX - box.left, event.clientY - box.top];
    const frame = model.frames[model.t];
    const distance = (i) => Math.hypot(...at(Draw.place(frame, i, model.progress)).map((c, d) => c - click[d]));
    return frame.x.reduce((best, _, i) => (distance(i) < distance(best) ? i : best), 0);
  };

  const step = (by) => {
    stop();
    if (by > 0) forward();
    else go(model.t + by);
  };

  const KEYS = {
    ArrowRight: () => step(1), ArrowLeft: () => step(-1), Home: () => (stop(), go(0)), End: () => (stop(), go(Infinity)),
    " ": play, n: () => another(),
  };

  const onKey = (event) => {
    const busy = event.target.closest("input, select, textarea, pre, .scroll");
    const pressing = event.key === " " && event.target.closest("button, summary");
    if (busy || pressing || event.ctrlKey || event.metaKey || event.altKey) return;
    const chapter = Number(event.key) - 1;
    const action = DATA.chapters[chapter] ? () => (open(chapter), scrollTo(0, 0)) : KEYS[event.key] || KEYS[event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    action();
  };

  // The same in another size or other colours.
  const redraw = () => {
    if (!model.chapter || !$("view").clientWidth) return;  // nothing open, or the page is hidden
    if (!$("mapBox").hidden) stability();
    render();
  };

  const theme = (name) => {
    document.documentElement.dataset.theme = name;
    redraw();
  };

  // ---- the address ----

  // #3 opens chapter 3, #3.10 at step 10, #3.10.dark in dark colours: for links in a lecture's notes.
  const followLink = () => {
    const [chapter, at, look] = location.hash.slice(1).split(".");
    const preferred = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    theme(look || document.documentElement.dataset.theme || preferred);
    open(DATA.chapters[chapter - 1] ? chapter - 1 : 0);
    if (at) go(Number(at));
  };

  // The address says where the reader is, so that it can be copied; nothing is added to the history. Browsers refuse
  // many changes at once, so it waits for a moment of rest.
  const showLink = () => {
    clearTimeout(model.link);
    model.link = setTimeout(() => history.replaceState(null, "", `#${model.number + 1}.${model.t}`), 200);
  };

  build();
  Write.build();
  $("ownBox").onsubmit = (event) => (event.preventDefault(), minimise());
  DATA.chapters.forEach((chapter, k) => {
    const button = element("button", { type: "button", ariaLabel: `${k + 1} ${chapter.title}` }, `${k + 1} `, element("span", { textContent: chapter.title }));
    button.onclick = () => open(k);
    $("chapters").append(element("li", {}, button));
  });
  $("first").onclick = () => (stop(), go(0));
  $("back").onclick = () => step(-1);
  $("next").onclick = () => step(1);
  $("last").onclick = () => (stop(), go(Infinity));
  $("another").onclick = another;
  $("play").onclick = play;
  $("time").oninput = () => (stop(), go(Number($("time").value)));
  $("particle").onchange = () => follow(Number($("particle").value));
  $("arrows").onchange = () => ((model.arrows = $("arrows").value), render());
  $("part").onchange = () => Panel.showPart($("part").value);
  $("sourceBox").ontoggle = () => Panel.showPart($("part").value);
  $("reset").onclick = restore;
  $("luck").onclick = () => ((model.seed = (model.seed || 100) + 1), recompute());
  $("many").onclick = statistics;
  $("view").onclick = (event) => follow(nearest(event));
  $("theme").onclick = () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  document.addEventListener("keydown", onKey);
  Dock.watch(redraw);
  addEventListener("hashchange", followLink);
  followLink();
})();
