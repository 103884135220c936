/* Draws every [data-figure], which holds a Plotly figure as JSON ({% chart %} writes it). Figures name colours as
   "var(--band)"; they are looked up in the style sheet here, so a chart follows the theme. */
"use strict";
(() => {
  const probe = document.createElement("span");
  probe.hidden = true;

  function colour(name) {
    probe.style.color = name;
    return getComputedStyle(probe).color;
  }
  function paint(value) {
    if (Array.isArray(value)) return value.map(paint);
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, paint(inner)]));
    return typeof value === "string" && value.startsWith("var(--") ? colour(value) : value;
  }
  function frame(layout) {
    const font = { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("var(--text)") };
    const axis = { gridcolor: colour("var(--border)"), zerolinecolor: colour("var(--control)"), linecolor: colour("var(--control)"), tickcolor: colour("var(--control)"), automargin: true };
    const axes = Object.keys(layout).filter((key) => /^[xy]axis/.test(key)).concat("xaxis", "yaxis");
    const titled = ({ title, ...rest } = {}) => ({ ...axis, ...rest, title: { standoff: 8, ...title, font: { size: 12, color: colour("var(--muted)") } } });
    const framed = Object.fromEntries(axes.map((key) => [key, titled(layout[key])]));
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { l: 8, r: 12, t: 8, b: 36 }, showlegend: false,
      hoverlabel: { bgcolor: colour("var(--surface)"), bordercolor: colour("var(--control)"), font: { ...font }, align: "left" },
      ...layout, ...framed, font, autosize: true,
    };
  }
  function draw(element) {
    const figure = JSON.parse(element.dataset.figure);
    const first = element.classList.contains("plain");
    if (first) {
      element.style.height = `${element.offsetHeight}px`; // as high as what kept its place
      element.replaceChildren();
    }
    element.classList.remove("plain");
    document.body.append(probe);
    Plotly.react(element, paint(figure.data), frame(paint(figure.layout || {})), {
      displaylogo: false, scrollZoom: false, responsive: true, displayModeBar: "hover",
      modeBarButtons: [["resetScale2d", "toImage"]], toImageButtonOptions: { format: "svg" }, // a PNG would need blob: in the CSP
    });
    probe.remove();
    // The label says what it is and the table what it says; the buttons stay reachable, as inside role="img" they would not.
    for (const drawing of element.querySelectorAll(".main-svg")) drawing.setAttribute("aria-hidden", "true");
    if (first) element.on("plotly_click", follow);
  }
  // A mark whose customdata ends in a path opens the page that its row in the table opens.
  function follow({ points }) {
    const url = [points[0].customdata].flat().at(-1);
    if (typeof url === "string" && url.startsWith("/") && !url.startsWith("//")) location.assign(url);
  }
  const all = (root) => [...(root.matches?.("[data-figure]") ? [root] : []), ...root.querySelectorAll("[data-figure]")];
  const drawAll = (root) => all(root).forEach(draw);

  document.fonts.ready.then(() => drawAll(document));
  document.addEventListener("themechange", () => drawAll(document));
  document.addEventListener("htmx:afterSettle", ({ target }) => drawAll(target));
  document.addEventListener("htmx:beforeCleanupElement", ({ target }) => { if (target.matches?.("[data-figure]")) Plotly.purge(target); });
  addEventListener("beforeprint", () => all(document).forEach((element) => Plotly.Plots.resize(element)));
})();
