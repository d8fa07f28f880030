// The trial player. All runs on the page show the same problem, at the same step.
const SOURCES = [
  ["exploration", "the exploration", "Testing mode: the decoder reads z from what the agent saw."],
  ["id", "the problem id", "Training mode: the encoder is told which problem it is."],
  ["other", "another problem", "z belongs to another problem, so the agent acts as if it were there."],
  ["zero", "zero", "z carries nothing."],
];

function frameSvg(run, index) {
  const [box, description, shapes] = run.frames[index];
  const svg = shape("svg", { viewBox: box, role: "img", "aria-label": description });
  svg.innerHTML = shapes.map((i) => run.shapes[i]).join("");
  return svg;
}

function trialKey(trial) {
  return JSON.stringify([trial.problem, trial.key]);
}

function player(section, runs, onStep) {
  const shown = runs.map((run, i) => ({ run, i })).filter(({ run }) => run.trials && run.trials.length);
  if (!shown.length) return;
  section.hidden = false;
  const lead = shown[0].run;
  const state = { problem: lead.trials[0].problem, key: trialKey(lead.trials[0]), source: "exploration", at: 0, playing: null };
  const goals = element("span", {});
  const problems = [...new Map(lead.trials.map((t) => [String(t.problem), `${t.split} problem ${t.problem}: ${t.words}`]))];
  const sourceBox = element("span", {});
  section.append(element("div", { class: "controls" },
    menu("Problem", problems, String(state.problem), (value) => {
      state.problem = Number(value);
      state.key = trialKey(lead.trials.find((t) => t.problem === state.problem));
      restart();
    }), goals));
  section.append(element("div", { class: "controls" }, element("label", { id: "z-label" }, "z of exploitation from"), sourceBox));
  const stages = element("div", { class: "stages" });
  const boxes = shown.map(({ run, i }) => stage(run, i, shown.length === 1));
  stages.append(...boxes.map((box) => box.root));
  const slider = element("input", { type: "range", min: 0, value: 0, "aria-label": "step of the trial", id: "step" });
  slider.addEventListener("input", () => go(Number(slider.value)));
  const play = element("button", { type: "button", class: "play", id: "play", onclick: () => toggle() }, "Play");
  section.append(stages, element("div", { class: "transport" },
    element("button", { type: "button", id: "first", "aria-label": "to the start", title: "to the start", onclick: () => go(0) }, "|◀"),
    element("button", { type: "button", id: "back", "aria-label": "one step back", title: "one step back", onclick: () => go(state.at - 1) }, "◀"),
    play,
    element("button", { type: "button", id: "next", "aria-label": "one step on", title: "one step on", onclick: () => go(state.at + 1) }, "▶"),
    element("button", { type: "button", id: "skip", title: "to exploitation", onclick: () => go(lengths().explore + 1) }, "To exploitation"),
    slider));
  section.append(element("p", { class: "hint" }, "Keys: ", element("kbd", {}, "←"), " ", element("kbd", {}, "→"), " step, ", element("kbd", {}, "space"), " plays, ", element("kbd", {}, "1"), " to ", element("kbd", {}, "4"), " choose z."));

  function trialOf(run) {
    return run.trials.find((t) => trialKey(t) === state.key) || null;
  }
  function episodesOf(trial) {
    return trial.exploitation[state.source] || trial.exploitation.exploration;
  }
  // The longest of all runs: shorter ones wait at the end of their phase.
  function lengths() {
    let explore = 0, exploit = 0;
    for (const { run } of shown) {
      const trial = trialOf(run);
      if (!trial) continue;
      explore = Math.max(explore, trial.exploration.frames.length - 1);
      exploit = Math.max(exploit, episodesOf(trial).reduce((sum, e) => sum + e.frames.length, 0) - 1);
    }
    return { explore, exploit, total: explore + 1 + exploit };
  }
  function go(at) {
    const { total } = lengths();
    state.at = Math.max(0, Math.min(total, at));
    slider.max = total;
    slider.value = state.at;
    draw();
    if (state.at === total) stop();
  }
  function restart() {
    const own = lead.trials.filter((t) => t.problem === state.problem).map((t) => [trialKey(t), t.instructions.join(" · ")]);
    goals.replaceChildren(menu("Instruction", own, state.key, (value) => { state.key = value; go(0); }));
    sources();
    go(0);
  }
  function sources() {
    const there = SOURCES.filter(([key]) => shown.some(({ run }) => { const t = trialOf(run); return t && t.exploitation[key]; }));
    if (!there.some(([key]) => key === state.source)) state.source = "exploration";
    sourceBox.replaceChildren(segments("z of exploitation from", there, state.source, (key) => choose(key)));
  }
  function choose(key) {
    state.source = key;
    sources();
    go(Math.max(state.at, lengths().explore + 1) > lengths().total ? lengths().total : state.at);
  }
  function stop() {
    clearInterval(state.playing);
    state.playing = null;
    play.textContent = "Play";
  }
  function toggle() {
    if (state.playing) { stop(); return; }
    if (state.at >= lengths().total) go(0);
    play.textContent = "Pause";
    state.playing = setInterval(() => go(state.at + 1), 650);
  }
  function place(trial) {
    const { explore } = lengths();
    if (state.at <= explore) return { exploring: true, episode: trial.exploration, t: Math.min(state.at, trial.exploration.frames.length - 1), n: 0 };
    const list = episodesOf(trial);
    let t = state.at - explore - 1;
    for (let n = 0; n < list.length; n++) {
      if (t < list[n].frames.length) return { exploring: false, episode: list[n], t, n };
      t -= list[n].frames.length;
    }
    const n = list.length - 1;
    return { exploring: false, episode: list[n], t: list[n].frames.length - 1, n };
  }
  function draw() {
    for (const box of boxes) {
      const trial = trialOf(box.run);
      box.draw(trial, trial ? place(trial) : null, state.source);
    }
    onStep(shown.map(({ run }) => {
      const trial = trialOf(run);
      if (!trial) return null;
      const at = place(trial);
      return { run, trial, t: at.exploring ? at.t : trial.exploration.frames.length - 1 };
    }));
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(SELECT|INPUT|TEXTAREA)$/.test(event.target.tagName)) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) { event.preventDefault(); go(state.at + step); }
    else if (event.key === " " && event.target.tagName !== "BUTTON" && event.target.tagName !== "SUMMARY") { event.preventDefault(); toggle(); }
    else if (/^[1-4]$/.test(event.key)) {
      const key = SOURCES[Number(event.key) - 1][0];
      if (sourceBox.querySelector(`[data-value="${key}"]`)) choose(key);
    }
  });
  restart();
}

// One run: its picture, and what the agent thinks.
function stage(run, i, alone) {
  const scene = element("div", { class: "scene" });
  const caption = element("div", { class: "caption", "aria-live": "polite" });
  const now = element("div", { class: "now" });
  const panel = element("div", { class: "panel" });
  const title = alone ? null : element("h3", {}, element("span", { class: "swatch", style: `background:${runColour(i)}` }), run.name);
  const left = element("div", {}, title, caption, scene, now);
  const root = element("div", { class: `card stage${alone ? " alone" : ""}`, "data-run": i }, left, panel);

  function draw(trial, at, source) {
    if (!trial) {
      caption.replaceChildren("This run has no such trial.");
      scene.replaceChildren();
      now.replaceChildren();
      panel.replaceChildren();
      return;
    }
    const { exploring, episode, t, n } = at;
    const many = trial.instructions.length > 1 ? ` ${n + 1}` : "";
    caption.replaceChildren(
      element("span", { class: `badge ${exploring ? "explore" : "exploit"}` }, exploring ? "EXPLORE" : `EXPLOIT${many}`),
      element("span", { class: "goal" }, exploring ? "no instruction yet: find out what differs here" : trial.instructions[n]));
    scene.replaceChildren(frameSvg(run, episode.frames[t]));
    const did = t ? run.actions[episode.actions[t - 1]] : "start";
    const left = (exploring ? trial.longest : trial.horizon) - t;
    const total = episode.rewards.slice(0, t).reduce((a, b) => a + b, 0);
    const told = exploring
      ? (t ? `${episode.information_name} ${signed(episode.information[t - 1])}` : "")
      : (t ? `reward ${signed(episode.rewards[t - 1])}, return ${signed(total)}` : "return +0.00");
    now.replaceChildren(element("span", { class: "did" }, did), element("span", { class: "num told" }, told), element("span", { class: "num" }, `${left} steps left`));
    root.dataset.actions = episode.actions.join(",");
    root.dataset.return = total.toFixed(4);
    panel.replaceChildren(...parts(trial, at, source));
  }

  function parts(trial, { exploring, episode, t }, source) {
    const found = [];
    const q = episode.q[Math.min(t, episode.q.length - 1)];
    if (q && t < episode.q.length) found.push(group("Q-values of the next action", qBars(q)));
    else found.push(group("Q-values", element("span", { class: "note" }, "the episode is over")));
    const exploration = trial.exploration;
    const upTo = exploring ? t : exploration.frames.length - 1;
    found.push(group(exploration.information_name === "gain" ? "Information gain of each step" : `Each step: ${exploration.information_name}`, steps(exploration.information, upTo)));
    if (exploration.distance) found.push(group("Distance of the decoder’s reading to the encoding, |f(μ) − g(τ)|²", falling(exploration.distance, upTo)));
    if (exploration.nearest) found.push(group("What the decoder believes: nearest encodings, and how far they are", belief(exploration.nearest[upTo], trial.problem)));
    if (!exploring && !trial.exploitation[source]) found.push(group("z of exploitation", element("span", { class: "no-z" }, "this agent has no z to choose: it acts on what it saw")));
    else if (!exploring && source === "other") found.push(group("z of another problem", element("span", {}, words(trial.other))));
    if (!exploring && source === "id" && trial.split !== "train") found.push(group("z of the problem id", element("span", {}, "the encoder was never trained on this problem")));
    return found;
  }
  function group(name, ...content) {
    return element("div", {}, element("h4", {}, name), ...content);
  }
  function qBars(q) {
    const low = Math.min(...q, 0), high = Math.max(...q, 0), best = q.indexOf(Math.max(...q));
    const span = high - low || 1;
    const bars = element("div", { class: "bars" });
    q.forEach((value, a) => {
      const from = (100 * (Math.min(value, 0) - low)) / span, size = (100 * Math.abs(value)) / span;
      const mark = a === best ? "best" : "";
      bars.append(element("span", { class: mark }, run.actions[a]),
        element("span", { class: "track" }, element("span", { class: `fill ${mark}`, style: `left:${from}%;width:${Math.max(size, 0.5)}%` })),
        element("span", { class: mark }, value.toFixed(2)));
    });
    return bars;
  }
  function steps(values, upTo) {
    const width = 320, height = 64, slot = width / Math.max(values.length, 1);
    const most = Math.max(...values.map(Math.abs), 1e-9), low = Math.min(0, ...values);
    const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "information of each step" });
    const span = Math.max(...values, 0) - low || most;
    const zero = height - 2 - ((0 - low) / span) * (height - 4);
    values.forEach((value, k) => {
      const size = (Math.abs(value) / span) * (height - 4);
      svg.append(shape("rect", {
        x: k * slot + 1, width: Math.max(1, slot - 2), y: value >= 0 ? zero - size : zero, height: Math.max(size, 0.8), rx: 1.5,
        style: `fill:var(${k < upTo ? "--explore" : "--bar"});opacity:${k < upTo ? 1 : 0.5}`,
      }));
    });
    return element("div", { class: "chart" }, svg);
  }
  function falling(values, upTo) {
    const width = 320, height = 70, most = Math.max(...values) || 1;
    const px = (k) => 4 + (k / Math.max(1, values.length - 1)) * (width - 8), py = (v) => height - 4 - (v / most) * (height - 10);
    const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "distance of the reading to the encoding" });
    const line = (list) => list.map((v, k) => `${k ? "L" : "M"}${px(k).toFixed(1)},${py(v).toFixed(1)}`).join("");
    svg.append(shape("line", { class: "axis", x1: 4, x2: width - 4, y1: height - 4, y2: height - 4 }));
    svg.append(shape("path", { d: line(values), fill: "none", style: "stroke:var(--bar)", "stroke-width": 1.5 }));
    svg.append(shape("path", { d: line(values.slice(0, upTo + 1)), fill: "none", style: "stroke:var(--explore)", "stroke-width": 2.4, "stroke-linejoin": "round" }));
    svg.append(shape("circle", { cx: px(upTo), cy: py(values[upTo]), r: 4, style: "fill:var(--explore)" }));
    return element("div", { class: "chart", "data-distance": values[upTo] }, svg, element("span", { class: "note" }, number(values[upTo], 3)));
  }
  function belief(nearest, problem) {
    const list = element("ol", { class: "belief" });
    for (const [other, distance] of nearest) {
      list.append(element("li", { class: other === problem ? "true" : "" }, element("span", {}, words(other)), element("span", {}, number(distance, 3))));
    }
    return list;
  }
  function words(problem) {
    const place = run.encodings ? run.encodings.problems.indexOf(problem) : -1;
    return place < 0 ? `problem ${problem}` : run.encodings.words[place];
  }
  return { root, run, draw };
}
