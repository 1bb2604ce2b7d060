// A question whose choices are explained once one is pressed, and an exercise with its answer.
"use strict";

const Ask = (() => {
  const { element, rich } = Dom;

  // tryIt: the button below the explanation.
  const question = ({ ask, choices, answer, why }, number, tryIt) => {
    const told = element("div", { className: "why", hidden: true });
    told.setAttribute("aria-live", "polite");
    const verdict = element("strong");
    const buttons = choices.map((text, k) => {
      const button = element("button", { type: "button", textContent: text });
      button.onclick = () => {
        buttons.forEach((other, j) => {
          other.classList.toggle("right", j === answer);
          other.classList.toggle("wrong", j === k && k !== answer);
          other.setAttribute("aria-pressed", String(j === k));
        });
        told.hidden = false;
        verdict.textContent = k === answer ? "Right. " : `No; the answer is “${choices[answer]}”. `;
      };
      return button;
    });
    told.append(element("p", {}, verdict, rich("span", why)), tryIt);
    const box = element("div", { className: "choices" }, ...buttons);
    return element("fieldset", {}, element("legend", { textContent: `${number + 1}. ${ask}` }), box, told);
  };

  const exercise = ({ task, answer }) =>
    element("li", {}, task, element("details", {}, element("summary", { textContent: "Answer" }), rich("p", answer)));

  return { question, exercise };
})();
