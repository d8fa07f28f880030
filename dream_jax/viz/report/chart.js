// Lines over a common axis. series: {name, colour, dash, faint, x: [], y: []}; references: {name, y}
function ticks(low, high, count) {
  const rough = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((k) => k * power).find((k) => k >= rough * 0.999);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-6; at += step) {
    found.push(Number(at.toPrecision(12)));
  }
  return found;
}

function lineChart(series, references, options) {
  const box = element("div", { class: "chart" });
  const width = options.width || 760, height = options.height || 300;
  const edge = { left: 52, right: 16, top: 14, bottom: 40 };
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": options.label });
  box.append(svg);
  const xs = series.flatMap((one) => one.x.filter((v, i) => one.y[i] !== null && v !== null));
  const ys = series.flatMap((one) => one.y.filter((v) => v !== null)).concat(references.map((r) => r.y));
  if (!xs.length) {
    svg.append(shape("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, "nothing to draw yet"));
    return box;
  }
  let [low, high] = [Math.min(...ys), Math.max(...ys)];
  if (options.zero) low = Math.min(0, low);
  const pad = (high - low || Math.abs(high) || 1) * 0.06;
  low -= options.zero && low === 0 ? 0 : pad;
  high += pad;
  const right = Math.max(...xs) || 1;
  const px = (x) => edge.left + (x / right) * (width - edge.left - edge.right);
  const py = (y) => height - edge.bottom - ((y - low) / (high - low)) * (height - edge.top - edge.bottom);
  for (const y of ticks(low, high, 5)) {
    svg.append(shape("line", { class: "gridline", x1: edge.left, x2: width - edge.right, y1: py(y), y2: py(y) }));
    svg.append(shape("text", { x: edge.left - 8, y: py(y) + 4, "text-anchor": "end" }, number(y, 2)));
  }
  for (const x of ticks(0, right, Math.max(2, Math.floor(width / 130)))) {
    svg.append(shape("text", { x: px(x), y: height - edge.bottom + 18, "text-anchor": "middle" }, number(x, 1)));
  }
  svg.append(shape("text", { x: width - edge.right, y: height - 4, "text-anchor": "end" }, options.x));
  for (const one of references) {
    svg.append(shape("line", { class: "reference", x1: edge.left, x2: width - edge.right, y1: py(one.y), y2: py(one.y) }));
    svg.append(shape("text", { x: width - edge.right, y: py(one.y) + (one.below ? 14 : -5), "text-anchor": "end" }, `${one.name} ${number(one.y)}`));
  }
  for (const one of series) {
    let path = "", open = false;
    one.y.forEach((y, i) => {
      if (y === null || one.x[i] === null) { open = false; return; }
      path += `${open ? "L" : "M"}${px(one.x[i]).toFixed(1)},${py(y).toFixed(1)}`;
      open = true;
    });
    const style = `stroke:${one.colour};opacity:${one.faint ? 0.35 : 1}`;
    svg.append(shape("path", {
      d: path, fill: "none", style, "stroke-width": one.faint ? 1 : 2.2, "stroke-linejoin": "round",
      "stroke-linecap": "round", "stroke-dasharray": one.dash || "none", "data-series": one.name,
    }));
    if (one.x.length === 1 && one.y[0] !== null) {
      svg.append(shape("circle", { cx: px(one.x[0]), cy: py(one.y[0]), r: 3.5, style: `fill:${one.colour}` }));
    }
  }
  hover(box, svg, series.filter((one) => !one.faint), { px, py, right, edge, width, height, unit: options.x });
  return box;
}

// The values nearest to the pointer, or to the arrow keys.
function hover(box, svg, series, plot) {
  const cursor = shape("line", { class: "cursor", y1: plot.edge.top, y2: plot.height - plot.edge.bottom, visibility: "hidden" });
  svg.append(cursor);
  const tip = element("div", { class: "tip", hidden: true });
  box.append(tip);
  const all = [...new Set(series.flatMap((one) => one.x))].filter((x) => x !== null).sort((a, b) => a - b);
  let place = all.length - 1;
  function show(x) {
    cursor.setAttribute("x1", plot.px(x));
    cursor.setAttribute("x2", plot.px(x));
    cursor.setAttribute("visibility", "visible");
    tip.replaceChildren(element("b", {}, `${number(x, 1)} ${plot.unit}`));
    for (const one of series) {
      let best = -1;
      one.x.forEach((v, i) => {
        if (one.y[i] !== null && (best < 0 || Math.abs(v - x) < Math.abs(one.x[best] - x))) best = i;
      });
      if (best >= 0) tip.append(element("div", {}, element("span", { style: `color:${one.colour}` }, one.name), element("span", {}, number(one.y[best]))));
    }
    tip.hidden = false;
    const share = plot.px(x) / plot.width;
    tip.style.left = share < 0.5 ? `calc(${100 * share}% + 10px)` : "auto";
    tip.style.right = share < 0.5 ? "auto" : `calc(${100 * (1 - share)}% + 10px)`;
  }
  function hide() {
    tip.hidden = true;
    cursor.setAttribute("visibility", "hidden");
  }
  svg.addEventListener("pointermove", (event) => {
    const bounds = svg.getBoundingClientRect();
    const at = ((event.clientX - bounds.left) / bounds.width) * plot.width;
    const x = ((at - plot.edge.left) / (plot.width - plot.edge.left - plot.edge.right)) * plot.right;
    place = all.reduce((best, v, i) => (Math.abs(v - x) < Math.abs(all[best] - x) ? i : best), 0);
    show(all[place]);
  });
  svg.addEventListener("pointerleave", hide);
  svg.setAttribute("tabindex", "0");
  svg.addEventListener("blur", hide);
  svg.addEventListener("focus", () => { if (svg.matches(":focus-visible")) show(all[place]); });
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    place = Math.min(all.length - 1, Math.max(0, place + step));
    show(all[place]);
  });
}

// Learning curves of all runs.
const METRICS = [
  ["return", "Return"],
  ["loss", "Losses"],
  ["length", "Exploration length"],
];
const AXES = [
  ["env_steps", "steps", "environment steps"],
  ["updates", "updates", "updates"],
  ["wall_s", "seconds", "seconds"],
];
const RETURNS = [
  ["test_return", "test", null],
  ["validation_return", "validation", "2 4"],
  ["train_return", "train", "7 4"],
  ["train_return_encoder", "train, told the problem id", "1 4"],
];

function learning(section, runs) {
  const drawn = runs.map((run, i) => ({ run, i })).filter(({ run }) => Object.values(run.curves).some((c) => (c.env_steps || []).length));
  if (!drawn.length) return;
  section.hidden = false;
  const state = { metric: "return", axis: "env_steps", seeds: true, off: new Set() };
  const card = element("div", { class: "card" });
  const chart = element("div", {});
  const legend = element("div", { class: "legend", role: "group", "aria-label": "lines" });
  const seeds = element("button", { type: "button", "aria-pressed": "true", id: "seeds" }, "Seeds");
  seeds.addEventListener("click", () => {
    state.seeds = !state.seeds;
    seeds.setAttribute("aria-pressed", String(state.seeds));
    draw();
  });
  const many = runs.some((run) => run.seeds.length > 1);
  section.append(element("div", { class: "controls" },
    segments("what is drawn", METRICS, state.metric, (key) => { state.metric = key; draw(); }),
    segments("horizontal axis", AXES, state.axis, (key) => { state.axis = key; draw(); }),
    many ? element("span", { class: "segments" }, seeds) : null));
  card.append(chart, legend);
  section.append(card);

  function columns() {
    if (state.metric === "return") return RETURNS;
    if (state.metric === "length") return [["exploration_length", "exploration steps", null]];
    const names = new Set(drawn.flatMap(({ run }) => Object.values(run.curves).flatMap((c) => Object.keys(c))));
    const dashes = [null, "7 4", "2 4", "9 3 2 3", "1 4", "12 5"];
    return [...names].filter((name) => name.startsWith("loss_")).sort()
      .map((name, k) => [name, name.slice(5).replaceAll("_", " "), dashes[k % dashes.length]]);
  }

  function draw() {
    const series = [];
    for (const { run, i } of drawn) {
      columns().forEach(([column, label, dash], k) => {
        const lines = Object.values(run.curves).filter((c) => c[column]).map((c) => ({ x: c[state.axis], y: c[column] }));
        if (!lines.length) return;
        const alone = drawn.length === 1;
        const name = alone ? label : `${run.name}: ${label}`;
        const colour = alone ? `var(--run${k % 6})` : runColour(i);
        const length = Math.min(...lines.map((line) => line.x.length));
        const average = (values) => values.some((v) => v === null) ? null : values.reduce((a, b) => a + b, 0) / values.length;
        const mean = { x: [], y: [] };
        for (let t = 0; t < length; t++) {
          mean.x.push(average(lines.map((line) => line.x[t])));
          mean.y.push(average(lines.map((line) => line.y[t])));
        }
        const extra = { name, colour, dash: alone ? null : dash };
        if (lines.length > 1 && state.seeds) for (const line of lines) series.push({ ...line, ...extra, faint: true });
        series.push({ ...mean, ...extra });
      });
    }
    const names = [...new Map(series.filter((one) => !one.faint).map((one) => [one.name, one]))];
    const on = series.filter((one) => !state.off.has(one.name));
    const references = state.metric === "return" ? bounds(drawn.map(({ run }) => run)) : [];
    const width = Math.max(340, Math.min(1100, chart.clientWidth || 760));
    chart.replaceChildren(lineChart(on, references, {
      label: "learning curves", x: AXES.find(([key]) => key === state.axis)[2], width, height: width < 500 ? 260 : 340, zero: state.metric !== "return",
    }));
    legend.replaceChildren(...names.map(([name, one]) => {
      const button = element("button", { type: "button", "aria-pressed": String(!state.off.has(name)) },
        element("span", { class: "key", style: `border-color:${one.colour};border-top-style:${one.dash ? "dashed" : "solid"}` }), name);
      button.addEventListener("click", () => {
        if (state.off.has(name)) state.off.delete(name); else state.off.add(name);
        draw();
      });
      return button;
    }));
  }
  draw();
  let resized = null;
  addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(draw, 120); });
}

function bounds(runs) {
  const found = new Map();
  for (const run of runs) {
    const known = run.bounds.test || {};
    if (known.optimal !== undefined) found.set(`optimal ${known.optimal}`, { name: "optimal", y: known.optimal });
    if (known.no_exploration !== undefined) found.set(`none ${known.no_exploration}`, { name: "no exploration", y: known.no_exploration, below: true });
    if (known.no_reading !== undefined) found.set(`no reading ${known.no_reading}`, { name: "no reading", y: known.no_reading, below: true });
    if (known.told !== undefined) found.set(`told ${known.told}`, { name: "told the problem (trained)", y: known.told });
    if (known.never_explores !== undefined) found.set(`never ${known.never_explores}`, { name: "never explores (trained)", y: known.never_explores, below: true });
  }
  return [...found.values()];
}
