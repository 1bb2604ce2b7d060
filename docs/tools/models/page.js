// The page of the models: its picture, the numbers of a mixture, what it writes and how good that is.
"use strict";

(() => {
  const { DATA, $, element, rich } = Dom;
  const LOW = -5, HIGH = 5, EDGE = 5.8; // of the picture; the grid of heights goes to its edge
  const GRID = 9; // heights each way
  const SPACES = { weights: "delta", factor: "factor" };
  const READY = ["right", "places", "right - 0.1*abs(length - 4)", "a", "-length"];
  const names = DATA.experts, size = names.length;

  const model = {
    number: 0, space: "weights", shares: Mixtures.unit(size, names.indexOf("halves-rotate")), text: "right", score: Mixtures.scoreOf("right"),
    seed: 1, t: 0, followed: size - 1, racers: [], race: 0,
    corners: ["halves-rotate", "reverse-next", "swap-pairs"].map((name) => names.indexOf(name)), tried: [], moving: null, heights: null, job: 0, looks: 0,
  };
  let pool = null, write = null;

  const pause = () => new Promise((done) => setTimeout(done));
  const shown = (value) => value.toFixed(2).replace("-", "−");

  // ---- the models ----

  const bytesOf = (base64) => {
    const letters = atob(base64), bytes = new Uint8Array(letters.length);
    for (let k = 0; k < bytes.length; k++) bytes[k] = letters.charCodeAt(k);
    return bytes;
  };

  const unpacked = (base64) =>
    new Response(new Blob([bytesOf(base64)]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();

  const load = async () => {
    await Llama.accelerate(bytesOf(DATA.kernel));
    pool = Llama.pool(await unpacked($("weights").textContent), DATA.model);
    write = Mixtures.writer(pool);
  };

  const value = (shares, prompts) => Mixtures.value(model.score, prompts, write(model.space, shares, prompts));

  // ---- a mixture ----

  const { dev, heldout } = DATA.prompts;

  // The mixture is another one: it writes, and is one more point of the trail.
  const settle = () => {
    const found = value(model.shares, dev), point = Mixtures.pointOf(model.shares, model.corners);
    model.tried.push({ shares: model.shares, point, value: found });
    model.moving = null;
    $("heldoutSaid").textContent = "";
    $("exported").hidden = true;
    sliders();
    say(found);
    replies();
    draw();
  };

  const mix = (shares) => {
    model.shares = shares;
    if (pool) settle();
  };

  const shareOf = (name) => model.shares[names.indexOf(name)];

  const say = (found) => {
    const best = model.tried.reduce((a, b) => (b.value > a.value ? b : a));
    const line = names.map((name) => [shareOf(name), name]).filter(([share]) => share).map(([share, name]) => `${shown(share)} ${name}`).join(" + ");
    const inside = Mixtures.inPlane(model.shares, model.corners);
    $("now").textContent = `${shown(found)} on dev`;
    $("mixSaid").textContent = `Score on ${dev.length} dev prompts: ${shown(found)}. Best so far: ${shown(best.value)}.`;
    $("status").textContent = `${line || "The model without experts"}: ${shown(found)} on dev${inside ? "" : "; it lies outside the plane, and is drawn at its foot"}.`;
    $("view").setAttribute("aria-label", `Scores in the plane through ${model.corners.map((k) => names[k]).join(", ")}. ${$("status").textContent}`);
  };

  const replies = () => {
    const said = write(model.space, model.shares, dev);
    const rows = dev.slice(0, 12).map(({ prompt, right }, k) => {
      const good = said[k] === right;
      const cells = [prompt.replace("Question: ", ""), said[k] || "–", shown(model.score(said[k], right))];
      return element("tr", {}, ...cells.map((text, c) => element("td", { textContent: text, className: c === 1 ? (good ? "right" : "wrong") : "" })));
    });
    const head = element("thead", {}, element("tr", {}, ...["prompt", "reply", "score"].map((text) => element("th", { textContent: text, scope: "col" }))));
    $("replies").replaceChildren(head, element("tbody", {}, ...rows));
  };

  // ---- the picture ----

  const settings = () => ({
    landscape: "own", formula: `${model.text}/${model.space}/${model.corners}/${model.heights?.known}`, shift: [0, 0], low: LOW, high: HIGH, boundary: "none",
    topology: "global", repel: 0, experts: Mixtures.CORNERS, names: model.corners.map((k) => names[k]),
  });

  // The mixtures that were tried, as the frames of a swarm of one; the last is where a slider is being moved to.
  const frames = () => {
    let best = model.tried[0];
    return [...model.tried, ...(model.moving ? [model.moving] : [])].map((one) => {
      if (one.value > best.value) best = one;
      return { x: [one.point], p: [best.point], f: [-one.value], leader: best.point, origin: [one.point], move: null, restarted: [false] };
    });
  };

  const draw = () => {
    if (!$("view").clientWidth || !model.tried.length) return;
    const swarm = model.number === 1 ? model.racers[0]?.frames ?? [] : [];
    if (swarm.length) {
      const view = { settings: { ...settings(), repel: Race.SETTINGS.repel }, optima: [], frames: Contest.flat(swarm, model.corners) };
      Draw.view($("view"), { ...view, t: model.t, selected: model.followed, arrows: "one", progress: 0 });
    } else {
      const found = frames();
      Draw.view($("view"), { settings: settings(), optima: [], frames: found, t: found.length - 1, selected: 0, arrows: "none", progress: 0 });
    }
    if (model.number === 1 && model.racers.length) Contest.curves(model.racers);
  };

  // Scores of the plane, a row of mixtures after the other; another call ends this one.
  const heights = async () => {
    const job = ++model.job, at = (k) => -EDGE + (2 * EDGE * k) / (GRID - 1);
    const values = Array.from({ length: GRID }, () => Array(GRID).fill(NaN));
    const f = Mixtures.surface(values, -EDGE, EDGE);
    model.heights = { known: 0 };
    Swarm.define((x) => -f(x));
    for (let j = 0; j < GRID; j++) {
      for (let i = 0; i < GRID; i++) {
        await pause();
        if (job !== model.job) return;
        values[j][i] = value(Mixtures.candidateAt([at(i), at(j)], model.corners, size), dev);
      }
      model.heights.known = j + 1;
      $("badge").textContent = j + 1 < GRID ? `heights: ${j + 1} of ${GRID} rows` : "81 mixtures, scored in this page";
      draw();
    }
  };

  const again = () => {
    forget();
    model.tried = [];
    settle();
    heights();
  };

  // ---- the race ----

  // The race from its start; what ran before stops.
  const race = async () => {
    forget();
    const running = model.race;
    model.job++; // the heights wait
    model.t = 0;
    const scored = (prompts) => async (shares) => {
      await pause();
      return value(shares, prompts);
    };
    const told = (racers) => {
      if (running !== model.race) return false;
      model.racers = racers;
      $("curvesBox").hidden = model.number === 0;
      $("raceSaid").textContent = `Evaluation ${racers.at(-1).dev.length} of ${Race.BUDGET}`;
      Contest.curves(racers);
      Contest.table(racers, names);
      return true;
    };
    if (await Race.run(size, model.seed, scored(dev), scored(heldout), told)) finish();
  };

  const finish = () => {
    const winner = ahead();
    $("raceSaid").textContent = `Ahead on dev: ${winner.name}, ${shown(winner.dev.at(-1))}. The same mixture has ${shown(winner.heldout.at(-1))} on held-out prompts.`;
    $("take").disabled = false;
    $("view").setAttribute("aria-label", "Algorithm 1 in the plane of three experts, each particle at its foot.");
    follow(0, model.followed);
    if (model.heights.known < GRID) heights();
  };

  const ahead = () => model.racers.reduce((a, b) => (b.dev.at(-1) > a.dev.at(-1) ? b : a));

  // Another round of the swarm, another particle.
  const follow = (t, particle) => {
    const frames = model.racers[0]?.frames ?? [];
    $("rounds").hidden = model.number === 0 || !frames.length;
    $("curvesBox").hidden = model.number === 0 || !model.racers.length;
    if (!frames.length || model.number === 0) return;
    model.t = Math.max(0, Math.min(t, frames.length - 1));
    model.followed = particle % size;
    const { x, f } = frames[model.t];
    $("clock").textContent = `round ${model.t} of ${frames.length - 1}`;
    $("another").textContent = `● ${model.followed + 1}`;
    $("status").textContent = `Particle ${model.followed + 1}: ${Contest.told(names, x[model.followed])}; ${shown(-f[model.followed])} on dev.`;
    draw();
  };

  // What a race found is of another score or space now.
  const forget = () => {
    model.race++;
    model.racers = [];
    $("rounds").hidden = $("curvesBox").hidden = true;
    $("raceSaid").textContent = "";
    $("results").replaceChildren();
    $("take").disabled = true;
  };

  // ---- controls ----

  const widgets = [];

  const build = () => {
    names.forEach((name, k) => {
      const id = `set-${name}`, input = element("input", { id, type: "range" }), output = element("output", { htmlFor: id });
      Object.assign(input, { min: -1, max: 2, step: 0.01 });
      const changed = () => model.shares.map((share, i) => (i === k ? Number(input.value) : share));
      input.oninput = () => {
        output.textContent = shown(Number(input.value));
        model.moving = { point: Mixtures.pointOf(changed(), model.corners), value: NaN };
        draw();
      };
      input.onchange = () => mix(changed());
      const used = element("input", { type: "checkbox", title: `${name}: out, and back in` });
      used.setAttribute("aria-label", `Use ${name}`);
      const widget = { used, input, output, last: 1 };
      used.onchange = () => mix(model.shares.map((share, i) => (i === k ? (used.checked ? widget.last : 0) : share)));
      widget.box = element("div", { className: "control" }, used, element("label", { htmlFor: id, textContent: name }), output, input);
      widgets.push(widget);
      $("sliders").append(widget.box);
    });
    const presets = { "None: the model alone": 0, "0.3 of each": 0.3, "1 of each": 1 };
    for (const [text, share] of Object.entries(presets)) {
      const button = element("button", { type: "button", textContent: text });
      button.onclick = () => mix(Array(size).fill(share));
      $("presets").append(button);
    }
    for (const text of READY) {
      const button = element("button", { type: "button" }, element("code", { textContent: text }));
      button.onclick = () => (($("score").value = text), judge());
      $("ready").append(button);
    }
    model.corners.forEach((_, k) => {
      const select = element("select", {}, ...names.map((name, value) => element("option", { value, textContent: name })));
      select.setAttribute("aria-label", `Expert ${k + 1} of the plane`);
      select.value = model.corners[k];
      select.onchange = () => corner(k, Number(select.value));
      $("cornerBox").append(select);
    });
  };

  const sliders = () => widgets.forEach((widget, k) => {
    const share = model.shares[k];
    widget.input.value = share;
    widget.output.textContent = shown(share);
    widget.used.checked = share !== 0;
    if (share) widget.last = share; // what it has again when it is back
    widget.box.classList.toggle("off", !share);
  });

  // Another expert at a corner; if it is one of the other corners already, the two change places.
  const corner = (k, expert) => {
    const other = model.corners.indexOf(expert);
    if (other >= 0) model.corners[other] = model.corners[k];
    model.corners[k] = expert;
    $("cornerBox").querySelectorAll("select").forEach((select, i) => (select.value = model.corners[i]));
    again();
  };

  const judge = () => {
    try {
      model.score = Mixtures.scoreOf($("score").value);
      model.text = $("score").value;
      $("scoreSaid").textContent = "";
      again();
    } catch (error) {
      $("scoreSaid").textContent = error.message;
    }
  };

  const ask = () => {
    const prompt = `Question: ${$("own").value.trim().replace(/^Question:\s*/, "")}`;
    const [reply] = write(model.space, model.shares, [{ prompt }]);
    $("ownSaid").textContent = `It writes: ${reply || "(nothing)"}`;
  };

  const lookAside = () => {
    model.looks++;
    const often = model.looks === 1 ? "once" : `${model.looks} times`;
    $("heldoutSaid").textContent = `On ${heldout.length} held-out prompts: ${shown(value(model.shares, heldout))}; on dev: ${shown(value(model.shares, dev))}. ` +
      `You have looked ${often}: whoever chooses by these prompts makes them dev prompts.`;
  };

  const save = () => {
    $("command").textContent = Mixtures.command(names, model.shares, SPACES[model.space]);
    $("exported").hidden = false;
  };

  const chooseSpace = (space) => {
    if (model.space === space) return;
    model.space = $("space").value = space;
    model.tried = [];
    forget();
    heights();
  };

  // ---- chapters ----

  // mixture: a number for each expert by name, or one number for all.
  const line = (mixture) => names.map((name) => (typeof mixture === "number" ? mixture : mixture[name] ?? 0));

  const tryIt = (question) => {
    if (!question.mixture) return startButton();
    const button = element("button", { type: "button", textContent: "Try it" });
    button.onclick = () => {
      chooseSpace(question.space);
      mix(line(question.mixture));
      $("status").scrollIntoView({ block: "nearest" });
    };
    return button;
  };

  const startButton = () => {
    const button = element("button", { type: "button", textContent: "Start the race" });
    button.onclick = () => {
      $("race").scrollIntoView({ block: "nearest" });
      race();
    };
    return button;
  };

  // Of the plane alone, whose heights are known: there a reader's line moves a swarm within a second.
  const inThePlane = () => ({ ...Race.SETTINGS, ...settings(), particles: 9, repel: Race.SETTINGS.repel });

  const open = (number) => {
    model.number = number;
    const chapter = DATA.chapters[number];
    $("number").textContent = `Chapter ${number + 1} of ${DATA.chapters.length}`;
    $("title").textContent = chapter.title;
    $("text").replaceChildren(...chapter.text.map((text) => rich("p", text)));
    $("questions").replaceChildren(...chapter.questions.map((question, k) => Ask.question(question, k, tryIt(question))));
    Write.open({ ...chapter, settings: inThePlane() });
    document.querySelectorAll("[data-chapter]").forEach((part) => (part.hidden = Number(part.dataset.chapter) !== number));
    $("exercises").replaceChildren(...chapter.exercises.map(Ask.exercise));
    [...$("chapters").querySelectorAll("button")].forEach((button, k) => {
      if (k === number) button.setAttribute("aria-current", "step");
      else button.removeAttribute("aria-current");
    });
    legend(number);
    mix(number === 0 ? line(chapter.mixture) : model.shares);
    follow(model.t, model.followed);
  };

  const LEGENDS = [
    [["●", "accent", "this mixture"], ["◇", "cognitive", "the best so far"], ["□", "ink", "experts"], ["■", "low", "higher score"]],
    [["●", "accent", "followed particle"], ["◇", "cognitive", "its best, p"], ["○", "social", "the best, g"], ["×", "repel", "the worst, w"],
      ["→", "inertia", "inertia"], ["→", "cognitive", "cognitive"], ["→", "social", "social"], ["→", "repel", "repel"], ["⇢", "sum", "the move"]],
  ];

  const legend = (number) => $("legend").replaceChildren(...LEGENDS[number].map(([mark, paint, text]) =>
    element("li", {}, element("i", { textContent: mark, style: `color: var(--${paint})` }), text)));

  // ---- wiring ----

  const go = (point) => mix(Mixtures.candidateAt(point, model.corners, size).map((share) => Math.round(share * 100) / 100));

  const onPress = (event) => {
    const box = $("view").getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top].map((a) => (a / box.width) * 2 * EDGE - EDGE);
    go([x, -y]);
  };

  const STEPS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

  const onKey = (event) => {
    if (!(event.key in STEPS)) return;
    event.preventDefault();
    shift(event.key);
  };

  const shift = (key) => {
    const step = STEPS[key], from = Mixtures.pointOf(model.shares, model.corners);
    go(from.map((a, d) => Math.min(Math.max(a + 0.6 * step[d], LOW), HIGH)));
  };

  const theme = (name) => {
    document.documentElement.dataset.theme = name;
    draw();
  };

  // The first reply comes before all scores: research/benchmarks/models_page.py reads when.
  const start = async () => {
    open(asked === "2" ? 1 : 0);
    try {
      await load();
    } catch (error) {
      $("badge").textContent = "the models cannot be unpacked";
      $("status").textContent = `This browser is too old for the page, or the file is damaged: ${error.message}.`;
      return;
    }
    ask();
    document.querySelector("main").inert = false;
    const replied = Math.round(performance.now());
    await pause();
    settle();
    document.documentElement.dataset.ready = replied;
    heights();
  };

  Swarm.define(() => NaN); // no height is known yet
  build();
  Contest.legend();
  DATA.chapters.forEach((chapter, k) => {
    const button = element("button", { type: "button", textContent: `${k + 1}  ${chapter.title}` });
    button.onclick = () => open(k);
    $("chapters").append(element("li", {}, button));
  });
  $("scoreBox").onsubmit = (event) => (event.preventDefault(), judge());
  $("ownBox").onsubmit = (event) => (event.preventDefault(), ask());
  $("space").onchange = () => (chooseSpace($("space").value), mix(model.shares));
  $("race").onclick = race;
  $("luck").onclick = () => (model.seed++, race());
  $("take").onclick = () => {
    const shares = ahead().best.map((share) => Math.round(share * 100) / 100);
    open(0);
    mix(shares);
  };
  $("back").onclick = () => follow(model.t - 1, model.followed);
  $("next").onclick = () => follow(model.t + 1, model.followed);
  $("another").onclick = () => follow(model.t, model.followed + 1);
  $("heldout").onclick = lookAside;
  $("export").onclick = save;
  $("view").onclick = onPress;
  $("view").onkeydown = onKey;
  Object.keys(STEPS).forEach((key) => ($(key).onclick = () => shift(key)));
  $("theme").onclick = () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  Dock.watch(draw);
  const [asked, look] = location.hash.slice(1).split("."); // #2 opens chapter 2, #2.dark in dark colours
  theme(look || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
  start();
})();
