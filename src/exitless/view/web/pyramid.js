// Level of detail: what happens on a lane, summed up in bins by powers of two; built once a lane, when it is first drawn.

const PER_BIN = 6, MOST_BINS = 131072;

// The spans of one lane. `classOf(i)` tells which of `classes` a span counts as, -1 for none; `instants` have no length:
// their bins count them, the bins of spans hold the share of time.
function pyramid(flat, stride, classes, classOf, instants = false) {
  let bins = 64;
  while (bins * PER_BIN < flat.length / stride && bins < MOST_BINS) bins *= 2;
  const width = SPAN / bins, base = new Float32Array(bins * classes), longs = new Map();
  for (let i = 0; i < flat.length; i += stride) {
    const k = classOf(i);
    if (k < 0) continue;
    const a = flat[i], b = instants ? a : flat[i + 1];
    const first = Math.min(bins - 1, Math.floor(a / width)), last = Math.min(bins - 1, Math.floor(b / width));
    if (instants) { base[first * classes + k]++; continue; }
    for (let n = first; n <= last; n++) {
      base[n * classes + k] += Math.max(1e-6, (Math.min(b, (n + 1) * width) - Math.max(a, n * width)) / width);
    }
    const size = Math.floor(Math.log2(Math.max(1, b - a)));
    if (!longs.has(size)) longs.set(size, []);
    longs.get(size).push(i);
  }
  const levels = [base];
  for (let n = bins / 2; n >= 64; n /= 2) {
    const below = levels[levels.length - 1], here = new Float32Array(n * classes);
    for (let m = 0; m < n; m++) for (let k = 0; k < classes; k++) {
      const sum = below[2 * m * classes + k] + below[(2 * m + 1) * classes + k];
      here[m * classes + k] = instants ? sum : sum / 2;
    }
    levels.push(here);
  }
  return { flat, stride, classes, classOf, instants, width, levels, longs };
}

// Whether a pixel holds more than a bin, so that bins are drawn and not every span.
function isDeep(p) { return p.width <= (state.t1 - state.t0) / view.width; }

// Calls back for every span in view of at least `least` pixels, whatever else is there: by size, so that few are looked at.
function longOnes(p, least, wide) {
  const scale = view.width / (state.t1 - state.t0), shortest = least / scale;
  for (const [size, list] of p.longs) {
    const reach = Math.pow(2, size + 1);
    if (reach <= shortest) continue;
    for (let n = lowerBound(list, state.t0 - reach, (i) => p.flat[i]); n < list.length && p.flat[list[n]] < state.t1; n++) {
      const i = list[n], a = p.flat[i], b = p.flat[i + 1];
      if (b - a < shortest || b < state.t0) continue;
      view.marks++;
      wide(i, Math.max((a - state.t0) * scale, -4), Math.min((b - state.t0) * scale, view.width + 4));
    }
  }
}

// What each pixel of the view holds, class by class.
function columns(p) {
  const perPx = (state.t1 - state.t0) / view.width, { classes } = p, out = new Float32Array((Math.ceil(view.width) + 1) * classes);
  const level = Math.max(0, Math.min(p.levels.length - 1, Math.floor(Math.log2(perPx / p.width))));
  const width = p.width * Math.pow(2, level), from = p.levels[level], bins = from.length / classes;
  for (let x = 0; x < view.width; x++) {
    const t = state.t0 + x * perPx, a = Math.max(0, Math.floor(t / width)), b = Math.min(bins, Math.max(a + 1, Math.floor((t + perPx) / width)));
    if (t + perPx < 0 || a >= bins) continue;
    for (let n = a; n < b; n++) for (let k = 0; k < classes; k++) out[x * classes + k] += p.instants ? from[n * classes + k] : from[n * classes + k] / (b - a);
  }
  return out;
}

// Draws a lane's spans: those of at least `least` pixels themselves, the others as what each pixel holds of every class.
function drawSpans(c, p, least, wide, bar, colours, ink, solid = 99) {
  if (!p.flat.length) return;
  if (isDeep(p)) {
    c.globalAlpha = ink;
    drawShares(c, columns(p), p.classes, bar, colours, solid);
    longOnes(p, least, wide);
    return;
  }
  let bins = null;
  const { flat, stride, classes } = p, scale = view.width / (state.t1 - state.t0);
  for (let i = firstAt(flat, stride, state.t0); i < flat.length && flat[i] < state.t1; i += stride) {
    if (flat[i + 1] < state.t0) continue;
    const x0 = (flat[i] - state.t0) * scale, x1 = (flat[i + 1] - state.t0) * scale, k = p.classOf(i);
    if (x1 - x0 >= least) { view.marks++; wide(i, Math.max(x0, -4), Math.min(x1, view.width + 4)); continue; }
    if (k < 0) continue;
    bins = bins || new Float32Array((Math.ceil(view.width) + 1) * classes);
    for (let x = Math.max(0, Math.floor(x0)); x <= Math.min(view.width, x1); x++) {
      bins[x * classes + k] += Math.max(0.02, Math.min(x1, x + 1) - Math.max(x0, x));
    }
  }
  c.globalAlpha = ink;
  if (bins) drawShares(c, bins, classes, bar, colours, solid);
}

// A stack for every pixel, its height the share of time; from the class `solid` on at least one pixel high. They become
// one picture and one mark: thousands of little rectangles are what makes a canvas slow. The strip is no larger than a lane's
// bar, since the browser copies all of it each time that it is drawn and then written again.
const strip = document.createElement("canvas");
strip.width = strip.height = 1;
const stripImages = new Map();
function drawShares(c, bins, classes, bar, colours, solid, step = 1) {
  const wide = Math.floor(bins.length / classes), rows = Math.round(bar.h), inks = colours.map(wordOf);
  const to = strip.getContext("2d", { willReadFrequently: true });
  if (strip.width < wide || strip.height < rows) { strip.width = Math.max(strip.width, wide); strip.height = Math.max(strip.height, rows); }
  let image = stripImages.get(rows);
  if (!image || image.width !== wide) stripImages.set(rows, image = to.createImageData(wide, rows));
  const dots = new Uint32Array(image.data.buffer);
  let first = wide, last = -1;
  for (let x = 0; x < wide; x++) {
    let foot = rows;
    for (let k = 0; k < classes; k++) {
      const share = bins[x * classes + k];
      if (share <= 0) continue;
      const h = share * rows, top = Math.max(0, foot - (k >= solid || h >= 0.5 ? Math.max(1, Math.round(h)) : 0));
      for (let y = foot - 1; y >= top; y--) dots[y * wide + x] = inks[k];
      foot = top;
    }
    for (let y = foot - 1; y >= 0; y--) dots[y * wide + x] = 0;
    if (foot < rows) { last = x; if (first === wide) first = x; }
  }
  if (last < 0) return;
  to.putImageData(image, 0, 0, first, 0, last + 1 - first, rows);
  c.imageSmoothingEnabled = false;
  c.drawImage(strip, first, 0, last + 1 - first, rows, first * step, bar.y, (last + 1 - first) * step, bar.h);
  view.marks++;
}

// A colour as the four bytes of a pixel.
function wordOf(colour) {
  const n = parseInt(colour.slice(1), 16);
  return (0xff000000 | (n & 255) << 16 | n & 0xff00 | n >> 16) >>> 0;
}

// The pyramid of a lane, and of what stands beside the spans of a pCPU's lane.
function lod(r, name, make) {
  r.lods = r.lods || new Map();
  if (!r.lods.has(name)) r.lods.set(name, make());
  return r.lods.get(name);
}

function ownersOf(r, pcpu) {
  const flat = r.owners[pcpu] || [];
  return lod(r, `owners ${pcpu}`, () => pyramid(flat, 5, 10, (i) => {
    const owner = flat[i + 2];
    return owner === IDLE ? -1 : owner === XEN ? (flat[i + 3] >= 0 ? 3 + reasonOf(r, flat[i + 3])[1] : 2) : owner === DOM0 ? 1 : 0;
  }));
}

function exitRatesOf(r, pcpu) {
  return lod(r, `exits ${pcpu}`, () => {
    const flat = [];
    for (let i = 0; i < r.exits.length; i += 7) if (r.exits[i + 2] === pcpu) flat.push(r.exits[i], reasonOf(r, r.exits[i + 4])[1]);
    return pyramid(flat, 2, 7, (i) => flat[i + 1], true);
  });
}

function processingOf(r, pcpu) {
  return lod(r, `processing ${pcpu}`, () => {
    const flat = [];
    for (let i = 0; i < r.processing.length; i += 6) if (r.processing[i + 2] === pcpu) flat.push(r.processing[i], r.processing[i + 1]);
    return pyramid(flat, 2, 1, () => 0);
  });
}

function statesOf(r, vcpu) {
  const flat = r.states[vcpu] || [];
  return lod(r, `states ${vcpu}`, () => pyramid(flat, 4, 3, (i) => (flat[i + 2] <= RUNNABLE ? flat[i + 2] : -1)));
}

function vectorOf(r, lane) {
  const [flat] = flatOf(r, lane);
  return lod(r, `vector ${lane.n}`, () => pyramid(flat, 4, 3, (i) => flat[i + 2]));
}

function plainOf(r, lane) {
  const [flat, stride] = flatOf(r, lane);
  return lod(r, `${lane.kind} ${lane.n}`, () => pyramid(flat, stride, 1, () => 0));
}

// Assertions of one lane's sources, or all translations: moments, four or five numbers each.
function instantsOf(r, lane) {
  return lod(r, `instants ${lane.n}`, () => {
    const [all, stride] = flatOf(r, lane);
    const flat = lane.kind === "device" ? [] : all;
    if (lane.kind === "device") for (let i = 0; i < all.length; i += stride) if (lane.members.includes(all[i + 1])) flat.push(all[i], all[i + 1], all[i + 2], all[i + 3]);
    return pyramid(flat, stride, 1, () => 0, true);
  });
}

// Moments so close that they are one mark a pixel: as many as there are, the fuller the higher. Returns: whether it was so.
function crowd(c, p, y, h) {
  const first = firstAt(p.flat, p.stride, state.t0) / p.stride, last = firstAt(p.flat, p.stride, state.t1) / p.stride;
  if (last - first < view.width / 3 || !isDeep(p)) return false;
  const bins = columns(p), most = bins.reduce((a, b) => Math.max(a, b), 1);
  drawShares(c, bins.map((n) => n && 0.35 + 0.65 * n / most), 1, { y, h }, [C.ink], 0);
  return true;
}
