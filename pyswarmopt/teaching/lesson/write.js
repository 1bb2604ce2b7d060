// What readers write themselves: a line of the update, whose swarm moves beside the right one, and answers to a test.
"use strict";

const Write = (() => {
  const { DATA, $, element, rich, pair } = Dom;
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const KINDS = {
    velocity: { label: "v′ =", names: ["v", "x", "p", "g", "worst", "w", "c1", "c2", "c3", "r1", "r2", "r3"] },
    informants: { label: "informants of i:", names: ["i", "n"] },
  };
  let timer = null;

  // The settings of a swarm that moves by what was written.
  const rule = (kind, text, settings) => {
    if (kind === "velocity") return { ...settings, update: Formula.parse(text, KINDS.velocity.names) };
    const formulas = Formula.parseAll(text, KINDS.informants.names);
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

  const verdict = (swarms) => {
    const first = parting(swarms);
    if (!first) return `Right: both swarms make the same ${swarms.right.length - 1} moves.`;
    const { t, i } = first;
    const at = (frames) => pair(frames[t].x[i]);
    return `They part at step ${t}: particle ${i + 1} goes to (${at(swarms.yours)}), the right one to (${at(swarms.right)}).`;
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
    const input = element("input", { type: "text", value: task.given, spellcheck: false, autocomplete: "off", className: "code" });
    const said = element("p", { className: "said" });
    said.setAttribute("aria-live", "polite");
    const canvases = { yours: element("canvas"), right: element("canvas") };
    const figure = (name, text) => element("figure", {}, canvases[name], element("figcaption", { textContent: text }));
    const pictures = element("div", { className: "pair", hidden: true }, figure("yours", "Yours"), figure("right", "Right"));
    for (const canvas of Object.values(canvases)) canvas.setAttribute("role", "img");
    const run = () => {
      try {
        const swarms = race(task, own, input.value);
        pictures.hidden = false;
        said.textContent = verdict(swarms);
        canvases.yours.setAttribute("aria-label", `Your swarm. ${said.textContent}`);
        canvases.right.setAttribute("aria-label", "The swarm of the right line.");
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

  const chosen = () => DATA.test.map((_, k) => {
    const marked = document.querySelector(`input[name="test-${k}"]:checked`);
    return marked ? Number(marked.value) : null;
  });

  const rightOnes = () => chosen().filter((choice, k) => choice === DATA.test[k].answer).length;

  // A table with a line per question, for whoever teaches.
  const table = () => {
    const quoted = (text) => `"${String(text).replaceAll('"', '""')}"`;
    const lines = chosen().map((choice, k) => {
      const { ask, choices, answer } = DATA.test[k];
      return [k + 1, ask, choice === null ? "" : choices[choice], choice === answer ? 1 : 0].map(quoted).join(",");
    });
    return ["number,question,answer,right", ...lines].join("\r\n");
  };

  const mark = () => {
    document.querySelectorAll("#test fieldset").forEach((box, k) => {
      const [choice, { answer, why }] = [chosen()[k], DATA.test[k]];
      box.className = choice === answer ? "right" : "wrong";
      box.querySelector(".why").hidden = false;
      box.querySelector(".why").innerHTML = `${choice === answer ? "Right. " : ""}${why}`;
    });
    $("testResult").textContent = `${rightOnes()} of ${DATA.test.length} right.`;
  };

  const save = () => {
    const link = element("a", { href: URL.createObjectURL(new Blob([table()], { type: "text/csv" })), download: "pso-test.csv" });
    link.click();
    URL.revokeObjectURL(link.href);
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

  return { open, build, race, parting, rule, table };
})();
