// The ruler and the minimap.

function ticks() {
  const span = state.t1 - state.t0;
  const raw = span / Math.max(2, Math.min(12, view.width / 74));
  const power = Math.pow(10, Math.floor(Math.log10(raw)));
  const step = power * [1, 2, 5, 10].find((m) => m * power >= raw * 0.999);
  const out = [];
  for (let t = Math.ceil((LOW + state.t0) / step) * step; t <= LOW + state.t1; t += step) out.push({ time: t - LOW, step });
  return out;
}

function drawRuler(c, width, height) {
  const scale = scaleOf();
  const head = document.getElementById("rulerhead"), offset = offsetText(scale);
  if (head.textContent !== offset) head.textContent = offset;
  const chip = clock(state.cursor, scale);
  const chipWidth = textWidth(c, chip, FONT.mono) + 16;
  const at = xOf(state.cursor);
  const shown = at >= 0 && at <= width;
  const chipLeft = Math.max(2, Math.min(width - chipWidth - 2, at - chipWidth / 2));
  c.textBaseline = "middle";
  for (const tick of ticks()) {
    const x = Math.round(xOf(tick.time));
    c.fillStyle = C.third;
    c.fillRect(x, height - 6, 1, 6);
    const digits = Math.max(0, Math.ceil(-Math.log10(tick.step / scale.unit) - 1e-9));
    const text = group(((LOW + tick.time - scale.offset) / scale.unit).toFixed(Math.min(6, digits)));
    const w = textWidth(c, text, FONT.mono);
    const left = Math.max(4, x - w / 2);
    if (left + w > width - 4 || (shown && left < chipLeft + chipWidth + 5 && left + w > chipLeft - 5)) continue;
    c.font = FONT.mono;
    c.fillStyle = C.second;
    c.fillText(text, left, 10);
  }
  if (!shown) return;
  c.fillStyle = C.chip;
  c.beginPath();
  c.roundRect(chipLeft, 2, chipWidth, 18, 4);
  c.fill();
  c.font = FONT.mono;
  c.fillStyle = C["chip-text"];
  c.fillText(chip, chipLeft + 8, 11.5);
  c.fillStyle = C["changed-edge"];
  c.fillRect(Math.round(at) - 0.5, 20, 1.5, height - 20);
}

let miniBase = null;

// The whole window, one row a pCPU, exits above; drawn once for a record, a width and a theme.
function miniImage(r, width, height) {
  const key = [r.name, width, height, document.documentElement.dataset.theme, devicePixelRatio].join();
  if (miniBase && miniBase.key === key) return miniBase.canvas;
  const canvas = document.createElement("canvas");
  const c = prepare(canvas, width, height);
  const pcpus = Object.keys(r.owners).map(Number).sort((a, b) => a - b);
  const row = Math.max(2, Math.min(7, Math.floor((height - 14) / Math.max(1, pcpus.length))));
  const colours = [C.guest, C["dom0-hatch"], C.xen, ...C.reason];
  pcpus.forEach((pcpu, n) => {
    const flat = r.owners[pcpu], bins = new Float64Array((width + 1) * 10);
    for (let i = 0; i < flat.length; i += 5) {
      if (flat[i + 2] === IDLE) continue;
      const kind = flat[i + 2] === XEN ? (flat[i + 3] >= 0 ? 3 + reasonOf(r, flat[i + 3])[1] : 2) : flat[i + 2] === DOM0 ? 1 : 0;
      const x0 = flat[i] / SPAN * width, x1 = flat[i + 1] / SPAN * width;
      for (let x = Math.floor(x0); x <= Math.min(width, x1); x++) {
        bins[x * 10 + kind] += Math.max(0.02, Math.min(x1, x + 1) - Math.max(x0, x));
      }
    }
    for (let x = 0; x < width; x++) {
      let best = -1, most = 0, busy = 0;
      for (let k = 0; k < 10; k++) {
        busy += bins[x * 10 + k];
        if (bins[x * 10 + k] * (k >= 3 ? 4 : 1) > most) { most = bins[x * 10 + k] * (k >= 3 ? 4 : 1); best = k; }
      }
      if (best < 0) continue;
      c.fillStyle = colours[best];
      const h = Math.max(1, Math.min(row - 1, (row - 1) * Math.min(1, busy)));
      c.fillRect(x, 13 + n * row + (row - 1 - h), 1, h);
    }
  });
  const seen = new Map();
  for (let i = 0; i < r.exits.length; i += 7) {
    const x = Math.floor(r.exits[i] / SPAN * width / 2);
    const sign = reasonOf(r, r.exits[i + 4])[1];
    seen.set(x, seen.get(x) || new Set());
    seen.get(x).add(sign);
  }
  if (seen.size * 10 < width / 2) {
    c.globalAlpha = 0.75;
    for (const [x, signs] of seen) glyph(c, [...signs][0], x * 2 + 1, 7);
  } else {
    for (const [x, signs] of seen) {
      let y = 12;
      for (const sign of [...signs].sort()) { c.fillStyle = C.reason[sign]; c.fillRect(x * 2, y - 2, 1.5, 2); y -= 2; }
    }
  }
  miniBase = { key, canvas };
  return canvas;
}

function drawMini(c, width, height) {
  const r = rec();
  c.drawImage(miniImage(r, width, height), 0, 0, width, height);
  const x0 = state.t0 / SPAN * width, x1 = Math.max(x0 + 3, state.t1 / SPAN * width);
  c.fillStyle = C.sunk;
  c.globalAlpha = 0.6;
  c.fillRect(0, 0, x0, height);
  c.fillRect(x1, 0, width - x1, height);
  c.globalAlpha = 1;
  c.strokeStyle = C.ink;
  c.lineWidth = 1.5;
  c.strokeRect(x0 + 0.75, 1, Math.max(2, x1 - x0 - 1.5), height - 2);
  if (x1 - x0 > 12) {
    c.fillStyle = C.ink;
    c.fillRect(x0 - 1, height / 2 - 7, 4, 14);
    c.fillRect(x1 - 3, height / 2 - 7, 4, 14);
  }
  c.fillStyle = C["changed-edge"];
  c.fillRect(state.cursor / SPAN * width - 0.5, 1, 1.5, height - 2);
  const pcpus = Object.keys(r.owners).map(Number).sort((a, b) => a - b);
  const names = pcpus.length > 1 ? `pCPU${pcpus[0]}–${pcpus[pcpus.length - 1]}` : pcpus.length ? `pCPU${pcpus[0]}` : "no pCPU";
  const head = `${state.t1 - state.t0 < SPAN ? `${brief(state.t1 - state.t0)} of` : "all"} ${brief(SPAN)}\n${names} · exits`;
  const node = document.getElementById("minihead");
  if (node.dataset.head !== head) { node.dataset.head = head; node.innerText = head; }
}
