// In one column the picture stays in sight: it is docked to the top of the screen, small, once most of it has left. Its place
// in the page, the berth, stays as tall as it was.
"use strict";

const Dock = (() => {
  const { $ } = Dom;
  const oneColumn = matchMedia("(max-width: 62rem)");

  const place = (redraw) => {
    const berth = $("berth"), docked = $("dock").classList.contains("docked");
    const { bottom, height } = berth.getBoundingClientRect();
    const gone = oneColumn.matches && bottom < innerHeight / 3;
    if (gone === docked) return;
    berth.style.height = gone ? `${height}px` : "";
    $("dock").classList.toggle("docked", gone);
    redraw();
  };

  // redraw: draws the picture in the size that it has now.
  const watch = (redraw) => {
    addEventListener("scroll", () => place(redraw), { passive: true });
    addEventListener("resize", () => {
      place(redraw);
      redraw();
    });
  };

  return { watch };
})();
