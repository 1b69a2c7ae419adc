// Colours, glyphs, and what every canvas needs.

let C = {};
function readColours() {
  const style = getComputedStyle(document.documentElement);
  const get = (name) => style.getPropertyValue(`--${name}`).trim();
  C = {};
  for (const name of ["paper", "panel", "sunk", "rule", "fine", "ink", "second", "third", "guest", "guest-edge",
    "guest-text", "dom0", "dom0-hatch", "dom0-edge", "dom0-text", "xen", "xen-edge", "xen-text", "idle", "changed",
    "changed-edge", "chip", "chip-text", "on-reason", "on-reason-1", "on-reason-5", "focus"]) C[name] = get(name);
  C.reason = [0, 1, 2, 3, 4, 5, 6].map((n) => get(`reason-${n}`));
  C.on = [0, 1, 2, 3, 4, 5, 6].map((n) => (n === 1 || n === 5 ? C[`on-reason-${n}`] : n === 6 ? C.paper : C["on-reason"]));
  C.hatch = { dom0: hatch(C.dom0, C["dom0-hatch"], 7), paused: hatch(C.paper, C.ink, 6) };
}

function hatch(ground, line, step) {
  const scale = Math.max(1, Math.round(devicePixelRatio || 1));
  const tile = document.createElement("canvas");
  tile.width = tile.height = step * scale;
  const c = tile.getContext("2d");
  c.fillStyle = ground;
  c.fillRect(0, 0, tile.width, tile.height);
  c.strokeStyle = line;
  c.lineWidth = 1.3 * scale;
  c.beginPath();
  const s = step * scale;
  for (const d of [-s, 0, s]) { c.moveTo(d - 1, s + 1); c.lineTo(d + s + 1, -1); }
  c.stroke();
  const pattern = c.createPattern(tile, "repeat");
  pattern.setTransform(new DOMMatrix().scale(1 / scale));
  return pattern;
}

const SANS = "Inter, system-ui, sans-serif", MONO = '"JetBrains Mono", ui-monospace, monospace';
const FONT = {
  name: `620 11px ${SANS}`, text: `500 11.5px ${SANS}`, small: `500 10.5px ${SANS}`, mono: `400 11px ${MONO}`,
  tiny: `620 10px ${SANS}`,
};

// A canvas at the screen's own density, cleared; sizes in CSS pixels.
function prepare(canvas, width, height) {
  const scale = devicePixelRatio || 1;
  const w = Math.max(1, Math.round(width * scale)), h = Math.max(1, Math.round(height * scale));
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  if (canvas.style.width !== `${width}px`) canvas.style.width = `${width}px`;
  if (canvas.style.height !== `${height}px`) canvas.style.height = `${height}px`;
  const c = canvas.getContext("2d");
  c.setTransform(scale, 0, 0, scale, 0, 0);
  c.clearRect(0, 0, width, height);
  return c;
}

const widths = new Map();
function textWidth(c, text, font) {
  if (!widths.has(font)) widths.set(font, new Map());
  const known = widths.get(font);
  let wide = known.get(text);
  if (wide === undefined) {
    if (known.size > 4000) known.clear();
    c.font = font;
    wide = c.measureText(text).width;
    known.set(text, wide);
  }
  return wide;
}

// Seven signs, 9 px, about their centre: filled down, open square, filled up, two bars, diamond, dot, cross.
const GLYPHS = [
  "M-4.5 -4h9l-4.5 8z", "M-3.2 -3.2h6.4v6.4h-6.4z", "M-4.5 4h9l-4.5 -8z", "M-3.6 -4h2.6v8h-2.6zM1 -4h2.6v8h-2.6z",
  "M0 -4.8l4.8 4.8l-4.8 4.8l-4.8 -4.8z", "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", "M-3.5 -3.5l7 7M-3.5 3.5l7 -7",
];
const GLYPH_PATHS = GLYPHS.map((d) => new Path2D(d));

function glyph(c, sign, x, y) {
  c.save();
  c.translate(x, y);
  if (sign === 1 || sign === 6) {
    c.strokeStyle = C.reason[sign];
    c.lineWidth = 2;
    c.stroke(GLYPH_PATHS[sign]);
  } else {
    c.fillStyle = C.reason[sign];
    c.fill(GLYPH_PATHS[sign]);
  }
  c.restore();
}

function glyphSvg(sign, extra = "") {
  const open = sign === 1 || sign === 6;
  const colour = `var(--reason-${sign})`;
  const paint = open ? `fill="none" stroke="${colour}" stroke-width="2"` : `fill="${colour}"`;
  return `<svg class="glyph" viewBox="-7 -6 14 12" aria-hidden="true"${extra}><path d="${GLYPHS[sign]}" ${paint}/></svg>`;
}

// Where lanes are: heights by kind, squeezed evenly down to a floor when the room is short.
const HEIGHTS = {
  device: [31, 24], irte: [31, 26], pid: [34, 26], pcpu: [42, 38], chosen: [68, 60], vcpu: [36, 28], vector: [32, 25],
  port: [28, 24],
};
const HEAD = 19;

function layout(r, room) {
  const j = selected();
  const homes = new Set(j ? j.pcpus : []);
  const kinds = r.lanes.map((l) => (l.kind === "pcpu" && homes.has(l.number) ? "chosen" : l.kind));
  const heads = new Set(r.lanes.map((l) => l.group)).size * HEAD;
  const most = kinds.reduce((sum, k) => sum + HEIGHTS[k][0], heads);
  const least = kinds.reduce((sum, k) => sum + HEIGHTS[k][1], heads);
  const share = most <= room ? 1 : least >= room ? 0 : (room - least) / (most - least);
  const out = { lanes: [], heads: [], height: 0 };
  let y = 0, before = "";
  r.lanes.forEach((lane, n) => {
    if (lane.group !== before) {
      out.heads.push({ y, text: lane.group });
      y += HEAD;
      before = lane.group;
    }
    const [high, low] = HEIGHTS[kinds[n]];
    const h = Math.floor(low + (high - low) * share);
    out.lanes.push({ y, h, chosen: kinds[n] === "chosen" });
    y += h;
  });
  out.height = y + 6;
  return out;
}

// The bar's top and height on a lane.
function barOf(place, kind) {
  if (kind === "pcpu") return { y: place.y + place.h - (place.chosen ? 28 : 26), h: place.chosen ? 23 : 20 };
  if (kind === "vcpu") return { y: place.y + place.h - 15, h: 12 };
  if (kind === "pid") return { y: place.y + Math.round(place.h / 2) - 7, h: 13 };
  return { y: place.y + Math.round(place.h / 2) - 7, h: 14 };
}

// Where a step's badge stands on its lane.
function badgeY(place, kind) {
  if (kind === "pcpu") return place.y + (place.chosen ? 12 : 9);
  const bar = barOf(place, kind);
  return kind === "vcpu" ? bar.y - 6 : bar.y + bar.h / 2;
}
