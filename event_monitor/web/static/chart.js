// Draws what stands in `data-chart` of each `.chart`. The page works without it.
"use strict";

const Charts = (() => {
  const HEIGHT = 150; // without the legend
  const drawn = new WeakMap(); // element → {plot, text}

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const seconds = (value) => {
    if (value === null || value === undefined) return "–";
    if (value < 1) return `${Math.round(value * 1000)} ms`;
    if (value < 60) return `${Number(value.toPrecision(3))} s`;
    if (value < 3600) return `${Math.floor(value / 60)} min`;
    return `${Number((value / 3600).toPrecision(3))} h`;
  };

  const whole = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en"));

  const bars = (label, name, fill) => ({
    label, scale: "y", fill, stroke: fill, width: 0, points: { show: false },
    paths: uPlot.paths.bars({ size: [0.75, 40] }),
    value: (plot, value, series, index) => (index === null ? "–" : whole(plot.shown[name][index])),
  });

  const line = (label, stroke) => ({
    label, scale: "s", stroke, width: 2, spanGaps: true, points: { show: false },
    value: (plot, value) => seconds(value),
  });

  const minute = { label: "at", value: (plot, value) => (value === null ? "–" : Clock.text(value, "clock")) };

  const kinds = {
    // Those that failed are drawn over all that ended, so that both show.
    tasks: (data) => ({
      data: [data.at, data.succeeded.map((n, i) => n + data.failed[i]), data.failed, data.wait],
      series: () => [
        minute, bars("succeeded", "succeeded", colour("--bar")), bars("failed", "failed", colour("--red")),
        line("95 % waited at most", colour("--amber")),
      ],
    }),
    queue: (data) => ({
      data: [data.at, data.ready, data.oldest],
      series: () => [minute, bars("waiting", "ready", colour("--bar")), line("oldest", colour("--amber"))],
    }),
  };

  const axis = (more) => ({
    stroke: colour("--dim"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false },
    font: "11px system-ui, sans-serif", ...more,
  });

  const draw = (element) => {
    const text = element.dataset.chart;
    const known = drawn.get(element);
    const shown = JSON.parse(text);
    const made = kinds[element.dataset.kind](shown);
    if (known) {
      known.plot.shown = shown;
      if (known.text !== text) known.plot.setData(made.data);
      known.text = text;
      return;
    }
    const plot = new uPlot({
      width: element.clientWidth, height: HEIGHT, series: made.series(),
      legend: { live: true }, cursor: { y: false, drag: { x: false, y: false } }, padding: [8, 0, 0, 0],
      scales: {
        x: { time: true, range: (plot, min, max) => [min - 40, max + 40] },
        y: { range: (plot, min, max) => [0, Math.max(1, max * 1.1)] },
        s: { range: (plot, min, max) => [0, Math.max(0.1, (max || 0) * 1.1)] },
      },
      axes: [
        axis({ size: 26, grid: { show: false }, values: (plot, ticks) => ticks.map((t) => Clock.text(t, "clock")) }),
        axis({ size: 52, values: (plot, ticks) => ticks.map((t) => (Number.isInteger(t) ? whole(t) : "")) }),
        axis({ size: 52, scale: "s", side: 1, grid: { show: false }, values: (plot, ticks) => ticks.map(seconds) }),
      ],
    }, made.data, element);
    plot.shown = shown;
    drawn.set(element, { plot, text });
  };

  const drawAll = () => document.querySelectorAll(".chart").forEach(draw);

  const redrawAll = () => document.querySelectorAll(".chart").forEach((element) => {
    drawn.get(element)?.plot.destroy();
    drawn.delete(element);
    draw(element);
  });

  return { drawAll, redrawAll };
})();
