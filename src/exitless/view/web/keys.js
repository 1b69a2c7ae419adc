// The list of keys.

const KEYS = [
  ["W S | wheel with Ctrl", "zoom in and out at the pointer, else at the cursor"], ["A D | drag | Shift-wheel", "pan"],
  ["← →", "cursor to the event before, after"], ["↑ ↓", "choose a lane; ← → then walk on it"],
  [", .", "previous, next step of the selected interrupt"], ["[ ]", "previous, next exit on this pCPU"],
  ["N | Shift-N", "next, previous interrupt of this source"], ["F", "fit the selection; again: the whole window"],
  ["/", "search a vector, source or exit reason; Enter next, Shift-Enter previous"], ["1–9", "mechanism, same time"],
  ["( )", "previous, next change of the bit clicked in a register"], ["M", "measure: once to begin, again to end"],
  ["C", "compare mechanisms: 1–9 add or take out; C again leaves"], ["T", "tour: the questions, answered from this run"],
  ["Y", "copy the address of this exact state"], ["Esc", "close, then end the measure, leave comparison or tour, deselect"],
  ["?", "this list"],
];

function showKeys() {
  const dialog = document.getElementById("keys");
  dialog.innerHTML = `<h2>Keys</h2><table><tbody>${KEYS.map(([k, d]) => `<tr><td>${k.split(" | ").map((x) => `<kbd>${escaped(x)}</kbd>`).join(" ")}</td><td>${d}</td></tr>`).join("")}</tbody></table><form method="dialog"><button class="plain">Close</button></form>`;
  dialog.showModal();
}
