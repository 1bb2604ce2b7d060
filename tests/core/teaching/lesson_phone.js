// The lesson on phones: each frame is one. Scrolls to the sliders, steps, and looks for the picture.
addEventListener("load", () => {
  const phones = [...document.querySelectorAll("iframe")].map((frame) => {
    const { contentWindow: page, contentDocument: text } = frame, $ = (id) => text.getElementById(id);
    const look = () => {
      page.dispatchEvent(new page.Event("scroll"));
      const { top, bottom, left, right } = $("view").getBoundingClientRect();
      return { top, bottom, left, right, page: text.documentElement.scrollHeight, clock: $("clock").textContent };
    };
    const start = look();
    $("set-inertia").scrollIntoView();
    look();
    $("set-inertia").scrollIntoView();
    const changing = { ...look(), slider: $("set-inertia").getBoundingClientRect().top };
    const pressed = {};
    for (const id of ["last", "back", "first"]) {
      $(id).click();
      pressed[id] = $("clock").textContent;
    }
    const followed = $("particle").value;
    $("another").click();
    pressed.another = $("particle").value - followed;
    const reachable = ["first", "back", "play", "next", "last", "another"].every((id) => {
      const { left, right, top, bottom } = $(id).getBoundingClientRect();
      return text.elementFromPoint((left + right) / 2, (top + bottom) / 2)?.closest("button") === $(id);
    });
    page.scrollTo(0, 0);
    return { height: page.innerHeight, wide: text.documentElement.scrollWidth > page.innerWidth, start, changing, pressed, reachable, back: look() };
  });
  document.documentElement.dataset.seen = JSON.stringify(phones);
});
