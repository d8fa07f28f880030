// Small helpers. Text from data is only ever set as text; the shapes are SVG that the writer escaped.
const SVG = "http://www.w3.org/2000/svg";

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function shape(name, attributes = {}, text = null) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== null) made.textContent = text;
  return made;
}

function number(value, digits = 3) {
  if (value === null || value === undefined) return "none";
  const size = Math.abs(value);
  if (size >= 1e9) return trim(value / 1e9) + "G";
  if (size >= 1e6) return trim(value / 1e6) + "M";
  if (size >= 1e4) return trim(value / 1e3) + "k";
  if (size > 0 && size < 0.5 * 10 ** -digits) return value.toExponential(1);
  return Number.isInteger(value) ? String(value) : value.toFixed(digits);
}

function trim(value) {
  return String(Number(value.toPrecision(3)));
}

function signed(value, digits = 2) {
  return (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits);
}

// Buttons of which one is pressed. options: [value, text, title]
function segments(label, options, value, choose) {
  const group = element("span", { class: "segments", role: "group", "aria-label": label });
  const buttons = options.map(([key, text, title]) => {
    const button = element("button", { type: "button", "data-value": key, title: title || null }, text);
    button.addEventListener("click", () => set(key, true));
    group.append(button);
    return [key, button];
  });
  function set(key, told) {
    for (const [other, button] of buttons) button.setAttribute("aria-pressed", String(other === key));
    if (told) choose(key);
  }
  set(value, false);
  return group;
}

function menu(label, options, value, choose) {
  const select = element("select", { "aria-label": label });
  for (const [key, text] of options) select.append(element("option", { value: key }, text));
  select.value = value;
  select.addEventListener("change", () => choose(select.value));
  return element("label", {}, label, select);
}

function runColour(i) {
  return `var(--run${i % 6})`;
}

// Values that name something with a colour of its own have that colour.
const NAMED = {
  tomato: "#d64541", onion: "#9a6bb5", lettuce: "#5aa85f", cheese: "#e0a21b",
  red: "#d64541", blue: "#3f7fbf", green: "#3f9a55",
};

function groupColour(group, k) {
  const i = group.of === undefined ? k : group.of[k];
  return NAMED[group.labels[i].toLowerCase()] || wheel(i, group.labels.length);
}

function wheel(i, count) {
  // Few: colours that are easily told apart. Many: around the wheel, light and dark in turn.
  const few = ["#d64541", "#3f7fbf", "#3f9a55", "#d9930d", "#8e63c4", "#2aa5a0"];
  if (count <= few.length) return few[i];
  return `hsl(${Math.round((360 * i) / count)} 65% ${i % 2 ? 42 : 58}%)`;
}
