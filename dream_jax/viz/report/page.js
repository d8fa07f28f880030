const { runs } = JSON.parse(document.getElementById("data").textContent);
for (const swatch of document.querySelectorAll("[data-swatch]")) {
  swatch.style.background = runColour(Number(swatch.dataset.swatch));
  swatch.hidden = runs.length === 1;
}
const follow = encodings(document.getElementById("encodings"), runs);
player(document.getElementById("player"), runs, follow);
learning(document.getElementById("learning"), runs);
visits(document.getElementById("visits"), runs);
if (runs.length > 1) document.querySelector(".pair").classList.add("many");
