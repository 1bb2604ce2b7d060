// What readers write themselves: a line of the update, whose swarm moves beside the right one, and answers to a test.
"use strict";

const Write = (() => {
  const { DATA, $, element, rich, pair } = Dom;
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const KINDS = {
    velocity: { label: "v′ =", names: ["v", "x", "p", "g", "worst", "w", "c1", "c2", "c3", "r0", "r1", "r2", "r3", "C"] },
    informants: { label: "informants of i:", names: ["i", "n"] },
  };
  let timer = null;

  const velocity = (text) => Formula.parse(text, KINDS.velocity.names, "v");

  // The settings of a swarm that moves by what was written.
  const rule = (kind, text, settings) => {
    if (kind === "velocity") return { ...settings, update: velocity(text) };
    const formulas = Formula.parseAll(text.replace(/^\s*[[{](.*)[\]}]\s*$/, "$1"), KINDS.informants.names);
    const topology = (i, n) => formulas.map((formula) => (((Math.round(formula({ i, n })) % n) + n) % n));
    return { ...settings, topology };
  };

  // Both swarms begin at the same points and draw the same random numbers.
  const race = (exercise, settings, text) => {
    const swarm = (own) => {
      const random = Swarm.generator(exercise.seed);
      const { x, v } = Swarm.populate(settings, random);
      return Swarm.run(x, v, own, exercise.moves, [], random);
    };
    return { right: swarm(settings), yours: swarm(rule(exercise.kind, text, settings)) };
  };

  // The first step and particle at which they part; null if they never do.
  const parting = ({ right, yours }) => {
    for (let t = 0; t < right.length; t++) {
      for (let i = 0; i < right[t].x.length; i++) {
        const apart = Math.hypot(...[0, 1].map((d) => right[t].x[i][d] - yours[t].x[i][d]));
        if (!(apart < 1e-9)) return { t, i };
      }
    }
    return null;
  };

  // Each term of the right line by its weight: what it is, and how a reader would know it.
  const TERMS = { w: "inertia, w*v", c1: "the pull to p, c1*r1*(p - x)", c2: "the pull to g, c2*r2*(g - x)", c3: "the push, c3*r3*(x - worst)" };

  // What is wrong with a line: terms of the right one that it has with the other sign, without their weight, or not at
  // all. "" where that is not the difference. Both are tried at random numbers.
  const fault = (text, right) => {
    const yours = velocity(text), whole = velocity(right), random = Swarm.generator(1);
    const weights = Object.keys(TERMS).filter((weight) => new RegExp(`\\b${weight}\\b`).test(right));
    const points = Array.from({ length: 12 }, () => Object.fromEntries(KINDS.velocity.names.map((name) => [name, random()])));
    const alone = (weight, s) => whole({ ...s, ...Object.fromEntries(weights.map((other) => [other, other === weight ? s[other] : 0])) });
    const changed = { right: alone, negative: (weight, s) => -alone(weight, s), bare: (weight, s) => alone(weight, { ...s, [weight]: 1 }), missing: () => 0 };
    const same = (faults) => points.every((s) => {
      const sum = weights.reduce((total, weight, k) => total + changed[faults[k]](weight, s), 0);
      return Math.abs(sum - yours(s)) < 1e-9;
    });
    const all = weights.reduce((lists) => lists.flatMap((list) => Object.keys(changed).map((fault) => [...list, fault])), [[]]);
    const found = all.find(same);
    if (!found) return "";
    const told = { negative: "Wrong sign", bare: "Without its weight", missing: "Missing" };
    const where = (fault) => weights.filter((_, k) => found[k] === fault).map((weight) => TERMS[weight]).join("; ");
    return Object.keys(told).filter(where).map((fault) => `${told[fault]}: ${where(fault)}.`).join(" ");
  };

  // The first particle that hears from others than on the right line.
  const misinformed = (text, right, n) => {
    const heard = (line, i) => [...new Set(rule("informants", line, {}).topology(i, n))].filter((k) => k !== i).sort((a, b) => a - b);
    const listed = (ks) => (ks.length ? ks.join(", ") : "nobody else");
    for (let i = 0; i < n; i++) {
      const [yours, wanted] = [heard(text, i), heard(right, i)].map(listed);
      if (yours !== wanted) return `With i = ${i} and n = ${n} it hears from ${yours}; with the correct line, from ${wanted}.`;
    }
    return "";
  };

  const verdict = (swarms, task, text) => {
    const first = parting(swarms);
    if (!first) return `Right: both swarms make the same ${swarms.right.length - 1} moves.`;
    const { t, i } = first;
    const at = (frames) => pair(frames[t].x[i]);
    const why = task.kind === "velocity" ? fault(text, task.right) : misinformed(text, task.right, swarms.right[0].x.length);
    const apart = `Your swarm and the correct one differ from step ${t} on: particle ${i + 1} goes to (${at(swarms.yours)}), ` +
      `the correct one to (${at(swarms.right)}).`;
    return why ? `${why} ${apart}` : apart;
  };

  const play = (canvases, swarms, settings) => {
    clearTimeout(timer);
    const last = swarms.right.length - 1;
    const optima = DATA.landscapes[settings.landscape].map((x) => x.map((a, d) => a + settings.shift[d]));
    const show = (t) => {
      for (const [name, canvas] of Object.entries(canvases)) {
        Draw.view(canvas, { settings, optima, frames: swarms[name], t, selected: 0, arrows: "none", progress: 0 });
      }
      if (t < last) timer = setTimeout(show, 220, t + 1);
    };
    show(still.matches ? last : 0);
  };

  const exercise = (task, settings) => {
    const own = { ...structuredClone(settings), ...task.settings };
    const { label } = KINDS[task.kind];
    const input = element("input", { type: "text", value: task.given, spellcheck: false, autocomplete: "off", autocapitalize: "off", className: "code" });
    const said = element("p", { className: "said" });
    said.setAttribute("aria-live", "polite");
    const canvases = { yours: element("canvas"), right: element("canvas") };
    const figure = (name, text) => element("figure", {}, canvases[name], element("figcaption", { textContent: text }));
    const pictures = element("div", { className: "pair", hidden: true }, figure("yours", "Yours"), figure("right", "Correct"));
    for (const canvas of Object.values(canvases)) canvas.setAttribute("role", "img");
    const run = () => {
      try {
        const swarms = race(task, own, input.value);
        pictures.hidden = false;
        said.textContent = verdict(swarms, task, input.value);
        canvases.yours.setAttribute("aria-label", `Your swarm. ${said.textContent}`);
        canvases.right.setAttribute("aria-label", "The swarm of the correct line.");
        play(canvases, swarms, own);
      } catch (error) {
        said.textContent = error.message;
      }
    };
    const form = element("form", { className: "line" }, element("label", {}, element("span", { textContent: label }), input),
      element("button", { type: "submit", textContent: "Run both" }));
    form.onsubmit = (event) => (event.preventDefault(), run());
    const answer = element("details", {}, element("summary", { textContent: "Answer" }), element("pre", { textContent: task.right }), rich("p", task.why));
    return element("div", { className: "writing" }, rich("p", task.task), form, said, pictures, answer);
  };

  // The exercises of a chapter, in their section; it is hidden where there are none.
  const open = (chapter) => {
    clearTimeout(timer);
    $("writeBox").hidden = !(chapter.writing || []).length;
    $("writing").replaceChildren(...(chapter.writing || []).map((task) => exercise(task, chapter.settings)));
  };

  // ---- the test ----

  // The first answer to each question, once it was marked: the one that counts.
  const first = DATA.test?.map(() => null) ?? [];

  const chosen = () => DATA.test.map((_, k) => {
    const marked = document.querySelector(`input[name="test-${k}"]:checked`);
    return marked ? Number(marked.value) : null;
  });

  const name = () => $("testName").value.trim().replace(/^[=+\-@]+/, ""); // so that no table computes it

  // A table with a line per question, for whoever teaches.
  const table = () => {
    const quoted = (text) => `"${String(text).replaceAll('"', '""')}"`;
    const time = new Date().toISOString().slice(0, 16);
    const lines = first.map((choice, k) => {
      const { ask, choices, answer } = DATA.test[k];
      return [name(), time, k + 1, ask, choice === null ? "" : choices[choice], choice === answer ? 1 : 0].map(quoted).join(",");
    });
    return ["name,time,number,question,answer,right", ...lines].join("\r\n");
  };

  // What was answered is explained and stays as it is; the rest stays open.
  const mark = () => {
    const now = chosen();
    document.querySelectorAll("#test fieldset").forEach((box, k) => {
      if (now[k] === null || first[k] !== null) return;
      first[k] = now[k];
      const { answer, why } = DATA.test[k], right = first[k] === answer;
      box.className = right ? "right" : "wrong";
      box.disabled = true;
      box.querySelector(".why").hidden = false;
      box.querySelector(".why").innerHTML = `${right ? "Right. " : "No. "}${why}`;
    });
    const right = first.filter((choice, k) => choice === DATA.test[k].answer).length;
    const open = first.filter((choice) => choice === null).length;
    const still = open ? ` ${open} not answered yet; their answers stay hidden.` : "";
    $("testResult").textContent = `${right} of ${DATA.test.length} right.${still}`;
  };

  const save = () => {
    if (!name()) {
      $("testResult").textContent = "Write your name first: it goes into the table and the file’s name.";
      return $("testName").focus();
    }
    mark();
    const file = `pso-test-${name().replace(/[^\p{L}\p{N}]+/gu, "-")}.csv`;
    const link = element("a", { href: URL.createObjectURL(new Blob(["\ufeff", table()], { type: "text/csv" })), download: file });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };

  const question = ({ ask, choices }, k) => {
    const options = choices.map((text, j) =>
      element("label", {}, element("input", { type: "radio", name: `test-${k}`, value: j }), ` ${text}`));
    return element("fieldset", {}, element("legend", { textContent: `${k + 1}. ${ask}` }), ...options, element("p", { className: "why", hidden: true }));
  };

  const build = () => {
    $("test").replaceChildren(...DATA.test.map(question));
    $("testMark").onclick = mark;
    $("testSave").onclick = save;
  };

  return { open, build, race, parting, verdict, rule, table };
})();
