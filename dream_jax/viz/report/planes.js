// The map of encodings, and the visits of exploration.
function encodings(section, runs) {
  const shown = runs.map((run, i) => ({ run, i })).filter(({ run }) => run.encodings);
  if (!shown.length) return () => {};
  section.hidden = false;
  const names = Object.keys(shown[0].run.encodings.groups);
  const state = { group: names[0] || null };
  section.append(element("p", { class: "note" },
    "Each dot is the encoding f(μ) of a training problem, in the two directions in which encodings differ most. " +
    "Dots of one colour that lie together: z keeps the property. Colours that mix: z dropped it, or keeps it in other directions or only together with other properties. " +
    "The line is the decoder’s reading g(τ) of the trial above, step by step."));
  if (names.length > 1) {
    section.append(element("div", { class: "controls" }, menu("Colour by", names.map((name) => [name, name]), state.group, (value) => { state.group = value; draw(); })));
  }
  const figures = element("div", { class: `figures${shown.length === 1 ? " one" : ""}` });
  section.append(figures);
  const maps = shown.map(({ run, i }) => plane(run, i, shown.length > 1));
  figures.append(...maps.map((map) => map.root));
  function draw() { for (const map of maps) map.draw(state.group); }
  draw();
  return (places) => {
    for (const map of maps) map.follow(places.find((place) => place && place.run === map.run) || null);
  };
}

function percent(share) {
  return `${Math.round(100 * share)}%`;
}

function plane(run, i, titled) {
  const size = 420, edge = 24, { points, problems, words, groups } = run.encodings;
  const box = element("div", { class: "chart" }), legend = element("div", { class: "legend" });
  const root = element("div", { class: "card" }, titled ? element("h3", {}, run.name) : null, box, legend);
  const svg = shape("svg", { viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": "map of encodings" });
  const dots = shape("g"), way = shape("g");
  svg.append(dots, way);
  const tip = element("div", { class: "tip", hidden: true });
  box.append(svg, tip);
  const paths = (run.trials || []).flatMap((trial) => trial.exploration.path || []);
  const all = points.concat(paths);
  const low = [0, 1].map((k) => Math.min(...all.map((p) => p[k]))), high = [0, 1].map((k) => Math.max(...all.map((p) => p[k])));
  const span = Math.max(high[0] - low[0], high[1] - low[1]) || 1;
  const at = (p) => [0, 1].map((k) => size / 2 + ((p[k] - (low[k] + high[k]) / 2) / span) * (size - 2 * edge));

  function draw(name) {
    const group = groups[name];
    dots.replaceChildren(...points.map((point, k) => {
      const [x, y] = at(point);
      const dot = shape("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: points.length > 150 ? 4 : 6, style: `fill:${group ? groupColour(group, k) : "var(--accent)"};stroke:var(--card);stroke-width:1` });
      dot.addEventListener("pointerenter", () => {
        tip.replaceChildren(element("b", {}, `problem ${problems[k]}`), element("div", {}, words[k]));
        tip.hidden = false;
        tip.style.left = x < size / 2 ? `${(100 * x) / size}%` : "auto";
        tip.style.right = x < size / 2 ? "auto" : `${100 - (100 * x) / size}%`;
        tip.style.top = `${(100 * y) / size}%`;
      });
      dot.addEventListener("pointerleave", () => { tip.hidden = true; });
      return dot;
    }));
    legend.replaceChildren();
    if (group) {
      const alone = group.explains === null ? "" : `${name}: alone it explains ${percent(group.explains)} of the variance of z. `;
      legend.append(element("span", { class: "note explains", style: "flex-basis:100%" },
        `${alone}The two directions show ${percent(run.encodings.shown)} of the variance.`));
    }
    if (group && group.labels.length <= 8) {
      group.labels.forEach((label, k) => legend.append(element("span", { class: "note" }, element("span", { class: "dot", style: `background:${groupColour({ labels: group.labels }, k)}` }), ` ${label} `)));
    } else if (group) legend.append(element("span", { class: "note" }, `${group.labels.length} values, one colour each`));
  }
  function follow(place) {
    way.replaceChildren();
    const path = place && place.trial.exploration.path;
    if (!path) return;
    const line = path.slice(0, place.t + 1).map(at);
    way.append(shape("polyline", { points: line.map((p) => p.map((v) => v.toFixed(1)).join(",")).join(" "), fill: "none", style: "stroke:var(--ink)", "stroke-width": 1.8, "stroke-linejoin": "round" }));
    for (const p of line) way.append(shape("circle", { cx: p[0].toFixed(1), cy: p[1].toFixed(1), r: 2, style: "fill:var(--ink)" }));
    const [x, y] = line[line.length - 1];
    way.append(shape("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: 6, fill: "none", style: "stroke:var(--ink);stroke-width:2.4" }));
    const own = problems.indexOf(place.trial.problem);
    if (own >= 0) {
      const [px, py] = at(points[own]);
      way.append(shape("circle", { cx: px.toFixed(1), cy: py.toFixed(1), r: 10, fill: "none", style: "stroke:var(--exploit);stroke-width:2.4" }));
    }
  }
  return { root, run, draw, follow };
}

function visits(section, runs) {
  const shown = runs.map((run, i) => ({ run, i })).filter(({ run }) => run.visits);
  if (!shown.length) return;
  section.hidden = false;
  const last = Math.max(...shown.map(({ run }) => run.visits.counts.length)) - 1;
  section.append(element("p", { class: "note" }, "How often exploration is in each cell, in the trials that this page shows." + (last > 0 ? " The slider goes from early to late in training." : "")));
  const slider = element("input", { type: "range", min: 0, max: last, value: last, "aria-label": "evaluation", id: "evaluation" });
  const text = element("span", { class: "note", id: "evaluation-text" });
  if (last > 0) section.append(element("div", { class: "controls" }, element("label", {}, "Evaluation", slider), text));
  const figures = element("div", { class: `figures${shown.length === 1 ? " one" : ""}` });
  section.append(figures);
  const grids = shown.map(({ run }) => {
    const box = element("div", { class: "chart heat" });
    figures.append(element("div", { class: "card" }, shown.length > 1 ? element("h3", {}, run.name) : null, box));
    return { run, box };
  });
  function draw() {
    for (const { run, box } of grids) {
      const { columns, rows, counts, env_steps } = run.visits;
      const k = Math.min(Number(slider.value), counts.length - 1);
      const grid = counts[k], most = Math.max(...grid.flat()) || 1;
      const svg = shape("svg", { viewBox: `0 0 ${columns} ${rows}`, role: "img", "aria-label": "visits of each cell" });
      svg.style.maxHeight = "22rem";
      grid.forEach((line, row) => line.forEach((count, column) => {
        const cell = shape("rect", { x: column, y: row, width: 1, height: 1, style: `fill:var(--explore);fill-opacity:${(0.06 + 0.94 * Math.sqrt(count / most)).toFixed(3)}`, "data-count": count });
        cell.append(shape("title", {}, `${count} visits`));
        svg.append(cell);
      }));
      box.replaceChildren(svg);
      text.textContent = `after ${number(env_steps[k])} environment steps`;
    }
  }
  slider.addEventListener("input", draw);
  draw();
}
