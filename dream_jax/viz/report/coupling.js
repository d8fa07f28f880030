// The coupling cycle: RL2 beside DREAM on the same bandit, trial by trial.
const { actions, seeds } = JSON.parse(document.getElementById("data").textContent);
const STAR = actions - 1, RECENT = 50;
const state = { seed: 0, at: 0, playing: null };
const COLOURS = { rl2: "var(--run0)", dream: "var(--run1)" };
const stages = document.getElementById("stages");
const chartBox = document.getElementById("returns");
const slider = document.getElementById("trial");
const playButton = document.getElementById("play");

function actionName(a) {
  return a === STAR ? "a*" : `a${a + 1}`;
}

// The share of the last trials that explored with a*.
function share(run, t) {
  const recent = run.explored.slice(Math.max(0, t - RECENT), t);
  return recent.length ? recent.filter((a) => a === STAR).length / recent.length : 0;
}

function told(run, t) {
  if (!t) return "Before the first trial.";
  const a = run.explored[t - 1], arm = run.pulled[t - 1], mu = run.problem[t - 1];
  const saw = a === STAR ? `saw that arm ${mu + 1} pays` : "saw nothing";
  const known = run.method === "dream" ? ` Exploitation was told that arm ${mu + 1} pays.` : "";
  return `Trial ${t}: explored with ${actionName(a)}, ${saw}.${known} Pulled arm ${arm + 1}: ${arm === mu ? "paid 1" : "paid 0"}.`;
}

// Three boxes in a ring. parts: [x, y, title, value]
function ring(run, t) {
  const width = 380, height = 274, dream = run.method === "dream";
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${run.name}: what teaches what` });
  const q = run.exploration_q[t], other = Math.max(...q.slice(0, STAR));
  const boxes = {
    explore: [190, 34, `took a* in last ${RECENT}`, `${Math.round(100 * share(run, t))}%`],
    exploit: [303, 216, "right arm after a*", `${Math.round(100 * run.star_success[t])}%`],
    worth: [77, 216, "worth of a* : others", `${number(q[STAR], 2)} : ${number(other, 2)}`],
  };
  const arrow = (from, to, cut) => {
    const [x1, y1] = from, [x2, y2] = to, angle = Math.atan2(y2 - y1, x2 - x1);
    const style = `stroke:var(${cut ? "--line" : "--soft"})`;
    svg.append(shape("line", { x1, y1, x2, y2, style, "stroke-width": 2.2, "stroke-dasharray": cut ? "3 5" : "none" }));
    if (cut) return;
    const tip = [0, 2.6, -2.6].map((turn) => [x2 + (turn ? 11 * Math.cos(angle + turn) : 0), y2 + (turn ? 11 * Math.sin(angle + turn) : 0)]);
    svg.append(shape("polygon", { points: tip.map((p) => p.map((v) => v.toFixed(1)).join(",")).join(" "), style: "fill:var(--soft)" }));
  };
  const say = (x, y, anchor, ...lines) => lines.forEach((line, k) => svg.append(shape("text", { x, y: y + 15 * k, "text-anchor": anchor }, line)));
  arrow([98, 180], [142, 68]);
  say(106, 112, "end", "is chosen if it", "is worth more");
  if (dream) {
    arrow([190, 66], [190, 98]);
    arrow([152, 138], [128, 178]);
    svg.append(shape("rect", { x: 146, y: 102, width: 88, height: 34, rx: 10, style: "fill:var(--paper);stroke:var(--accent);stroke-width:1.6" }));
    say(190, 124, "middle", "decoder");
    say(148, 166, "start", "pays log q(μ | τ)");
    arrow([154, 216], [226, 216], true);
    say(375, 166, "end", "told μ in training");
  } else {
    arrow([238, 68], [282, 180]);
    say(276, 112, "start", "has to learn what", "a* shows");
    arrow([226, 216], [158, 216]);
    say(190, 264, "middle", "pays a* with what exploitation expects");
  }
  for (const [name, [x, y, title, value]] of Object.entries(boxes)) {
    const good = { explore: share(run, t) > 0.5, exploit: run.star_success[t] > 0.5, worth: q[STAR] > other }[name];
    svg.append(shape("rect", { x: x - 72, y: y - 30, width: 144, height: 58, rx: 10, "data-box": name, "data-good": good,
      style: `fill:var(--paper);stroke:var(${good ? "--exploit" : "--soft"});stroke-width:${good ? 2.6 : 1.2}` }));
    svg.append(shape("text", { x, y: y - 8, "text-anchor": "middle" }, title));
    svg.append(shape("text", { x, y: y + 15, "text-anchor": "middle", style: "fill:var(--ink);font-size:16px;font-weight:600" }, value));
  }
  return element("div", { class: "chart" }, svg);
}

// The longer, the better: up to 1, which RL2 can expect, or up to log 1 = 0.
function bars(run, t) {
  const q = run.exploration_q[t], best = Math.max(...q);
  const [low, high] = run.method === "dream" ? [-Math.log(actions), 0] : [0, 1];
  const box = element("div", { class: "bars" });
  q.forEach((value, a) => {
    const mark = value === best && best !== Math.min(...q) ? "best" : "";
    const part = Math.min(1, Math.max(0.005, (value - low) / (high - low)));
    box.append(element("span", { class: mark }, actionName(a)),
      element("span", { class: "track" }, element("span", { class: `fill ${mark}`, style: `left:0;width:${100 * part}%` })),
      element("span", { class: mark }, value.toFixed(2)));
  });
  return box;
}

function card(run, t) {
  const done = run.optimal_after !== null && t >= run.optimal_after;
  return element("article", { class: "card panel", "data-method": run.method },
    element("h3", {}, element("span", { class: "swatch", style: `background:${COLOURS[run.method]}` }), run.name),
    element("p", { class: "note story" }, told(run, t)),
    element("div", {}, ring(run, t)),
    element("div", {}, element("h4", {}, run.method === "dream" ? "Worth of each exploration action: Q of log q(μ | τ), 0 is best" : "Worth of each exploration action: Q of the return, 1 is best"), bars(run, t)),
    element("p", { class: "note verdict" }, done ? `Explores with a* since trial ${run.optimal_after}.` : "Does not explore with a* yet."));
}

function draw() {
  const { methods, trials } = seeds[state.seed];
  slider.max = trials;
  slider.value = state.at;
  document.getElementById("at").textContent = `after trial ${state.at} of ${trials}`;
  stages.replaceChildren(...methods.map((run) => card(run, state.at)));
  const series = methods.flatMap((run) => {
    const x = run.expected_return.map((_, t) => t);
    const line = { name: run.name, colour: COLOURS[run.method] };
    return [{ ...line, x, y: run.expected_return, faint: true }, { ...line, x: x.slice(0, state.at + 1), y: run.expected_return.slice(0, state.at + 1) }];
  });
  const width = Math.max(340, Math.min(1100, chartBox.clientWidth || 760));
  chartBox.replaceChildren(lineChart(series, [{ name: "optimal", y: 1, below: true }, { name: "no exploration", y: 1 / actions, below: true }],
    { label: "expected return of the greedy policies", x: "trials", width, height: width < 500 ? 220 : 260, zero: true }));
}

function go(at) {
  state.at = Math.max(0, Math.min(seeds[state.seed].trials, at));
  if (state.at === seeds[state.seed].trials) stop();
  draw();
}

function stop() {
  clearInterval(state.playing);
  state.playing = null;
  playButton.textContent = "Play";
}

// Slow while DREAM learns, then faster.
function play() {
  if (state.playing) return stop();
  if (state.at === seeds[state.seed].trials) state.at = 0;
  playButton.textContent = "Pause";
  state.playing = setInterval(() => go(state.at + (state.at < 40 ? 1 : 10)), 150);
}

document.getElementById("seed").append(menu("Seed", seeds.map((one, i) => [String(i), String(one.seed)]), "0", (value) => { state.seed = Number(value); go(0); }));
slider.addEventListener("input", () => { stop(); go(Number(slider.value)); });
playButton.addEventListener("click", play);
document.getElementById("back").addEventListener("click", () => { stop(); go(state.at - 1); });
document.getElementById("next").addEventListener("click", () => { stop(); go(state.at + 1); });
addEventListener("keydown", (event) => {
  if (event.target.closest("select, input")) return;
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step) { event.preventDefault(); stop(); go(state.at + step); }
  if (event.key === " " && !event.target.closest("button")) { event.preventDefault(); play(); }
});
let resized = null;
addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(draw, 120); });
draw();
