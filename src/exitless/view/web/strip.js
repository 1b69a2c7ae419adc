// Below the lanes: the legend of what this record contains, and the selected interrupt to its own scale.

// Who else has a pCPU: dom0 under Xen, the host's own tasks under KVM.
function hostTasks(r) { return r.host === "Xen" ? "dom0" : "host's tasks"; }

function drawLegend() {
  const r = rec();
  const box = (inner) => `<svg viewBox="0 0 14 12" aria-hidden="true">${inner}</svg>`;
  const owners = new Set(), phases = new Set(), states = new Set();
  for (const flat of Object.values(r.owners)) for (let i = 0; i < flat.length; i += 5) owners.add(flat[i + 2] * 2 + (flat[i + 3] >= 0 ? 1 : 0));
  for (const flat of Object.values(r.vectors)) for (let i = 0; i < flat.length; i += 4) phases.add(flat[i + 2]);
  for (const flat of Object.values(r.states)) for (let i = 0; i < flat.length; i += 4) states.add(flat[i + 2]);
  const parts = [];
  const bar = (name, text, fill) => parts.push(`<span>${box(`<rect width="14" height="12" fill="${fill || `var(--${name})`}"/><rect y="10.5" width="14" height="1.5" fill="var(--${name}-edge)"/>`)}${text}</span>`);
  if (owners.has(GUEST * 2)) bar("guest", "guest");
  if (owners.has(DOM0 * 2)) parts.push(`<span>${box('<rect width="14" height="12" fill="var(--dom0)"/><path d="M0 8L8 0M3 12L14 1M10 12L14 8" stroke="var(--dom0-hatch)" stroke-width="1.6"/><rect y="10.5" width="14" height="1.5" fill="var(--dom0-edge)"/>')}${hostTasks(r)}</span>`);
  if (owners.has(XEN * 2)) bar("xen", `${r.host}, no exit`);
  if (owners.has(IDLE * 2)) parts.push(`<span>${box('<path d="M0 11h14" stroke="var(--third)" stroke-width="1.2" stroke-dasharray="2 2"/>')}idle</span>`);
  const reasons = Object.values(r.reasons).filter((x) => x[2] > 0);
  if (reasons.length) parts.push("<i></i>");
  for (const [name, sign] of reasons.sort((a, b) => a[1] - b[1])) parts.push(`<span>${glyphSvg(sign)}${escaped(name.replace("INTERRUPT", "INT"))}</span>`);
  if (phases.size) parts.push("<i></i>");
  const posted = Object.values(r.registers).some((x) => x.posted);
  const virtual = Object.values(r.registers).some((x) => x.virtual);
  if (phases.has(PENDING)) parts.push(`<span>${box('<rect x="1" y="1" width="12" height="10" fill="none" stroke="var(--ink)" stroke-dasharray="1.5 2"/>')}${posted ? "in PIR" : "pending"}</span>`);
  if (phases.has(REQUESTED)) parts.push(`<span>${box('<rect x="1" y="1" width="12" height="10" fill="none" stroke="var(--ink)" stroke-width="1.4"/>')}${virtual ? "in VIRR" : "in IRR"}</span>`);
  if (phases.has(SERVICE)) parts.push(`<span>${box('<rect width="14" height="12" fill="var(--ink)"/>')}in service</span>`);
  if (phases.has(SERVICE) && states.has(IN_HOST)) parts.push(`<span>${box('<rect x=".5" y=".5" width="13" height="11" fill="none" stroke="var(--ink)"/><path d="M0 7L7 0M2 12L13 1M8 12L14 6" stroke="var(--ink)"/>')}not running</span>`);
  document.getElementById("legend").innerHTML = parts.join("");
}

// Whole ns that add up: every step is the difference of rounded moments.
function nsBetween(from, a, b) { return Math.round((b - from) / 1000) - Math.round((a - from) / 1000); }

function drawJourney() {
  const node = document.getElementById("journey");
  const j = selected(), r = rec();
  if (!j) {
    const wanted = state.sel ? `${r.name} has no such interrupt in this window. ` : "";
    node.innerHTML = `<h2>No interrupt selected</h2><p class="empty">${escaped(wanted)}Click an interrupt, or press <kbd>N</kbd>.</p>`;
    return;
  }
  const who = j.vector >= 0 ? `${hex(j.vector)} to ${vcpuName(r, j.vcpu)}. ` : j.vcpu >= 0 ? `For ${vcpuName(r, j.vcpu)}. ` : "";
  const wait = j.latency >= 0
    ? `${j.source >= 0 ? "Assert" : "First seen"} to handler <b>${lasting(j.latency)}</b>. `
    : j.merged ? "It became one with an earlier one that was not delivered yet. " : "Its handler is not in this record. ";
  const own = `Exits on its path <b>${j.exits.length}</b>. `;
  const other = j.touching.length ? `${j.touching.length === 1 ? "One other exit" : `${j.touching.length} other exits`} of its vCPU meanwhile.` : "";
  const scale = scaleOf(j.start);
  const cards = j.cards.map((card, n) =>
    `<button type="button" data-step="${n}"${n === state.sel.step ? ' aria-current="step"' : ""} title="${escaped(`${card.title}: ${card.detail}`)}" aria-label="Step ${n + 1} of ${j.cards.length}: ${escaped(card.title)}, ${escaped(card.detail)}">`
    + `<span class="no">${n + 1}</span><span class="mono at">${clock(card.time, scale)}</span><b>${escaped(card.title.replace("INTERRUPT", "INT"))}</b><em>${escaped(card.detail)}</em></button>`);
  const box = node.querySelector(".cards"), kept = box && node.dataset.key === `${r.name} ${state.sel.key}` ? box.scrollLeft : 0;
  node.dataset.key = `${r.name} ${state.sel.key}`;
  node.innerHTML = `<h2>${escaped(j.headline)}<span>${who}${wait}${own}${other}</span></h2>${stripSvg(j, Math.max(200, node.clientWidth - 28))}<div class="cards">${cards.join("")}</div>`;
  const row = node.querySelector(".cards"), now = row.querySelector("[aria-current]");
  row.scrollLeft = kept;
  if (now && (now.offsetLeft - row.offsetLeft < kept || now.offsetLeft - row.offsetLeft + now.offsetWidth > kept + row.clientWidth)) {
    row.scrollLeft = now.offsetLeft - row.offsetLeft - row.clientWidth / 2;
  }
}

function stripSvg(j, width) {
  const r = rec(), span = Math.max(1, j.end - j.start);
  const x = (t) => (t - j.start) / span * width;
  const inside = [...j.exits, ...j.touching];
  const exits = inside.map((time) => exitOfTime(r, j.pcpus, time)).filter(Boolean);
  let out = "";
  for (let n = 0; n + 1 < j.cards.length; n++) {
    const a = j.cards[n].time, b = j.cards[n + 1].time, w = x(b) - x(a);
    if (w <= 0) continue;
    const handler = j.handled >= 0 && n >= j.handled;
    const fill = handler ? "var(--ink)" : n % 2 ? "var(--xen)" : "var(--xen-edge)";
    out += `<rect x="${x(a).toFixed(1)}" y="17" width="${Math.max(0.5, w - 1).toFixed(1)}" height="10" fill="${fill}"/>`;
    const ns = group(String(nsBetween(j.start, a, b)));
    const label = handler && w > ns.length * 6.6 + 60 ? `handler ${ns}` : ns;
    const long = label.length * 6.8 + 4, middle = Math.min(x(a) + w / 2, width - 22 - long / 2);
    if (w > long && middle - long / 2 >= x(a)) out += `<text x="${middle.toFixed(1)}" y="11" text-anchor="middle">${label}</text>`;
  }
  for (const e of exits) {
    const a = Math.max(0, x(e.start)), b = Math.min(width, x(e.end));
    if (b - a < 1) continue;
    const sign = reasonOf(r, e.reason)[1];
    out += `<rect x="${a.toFixed(1)}" y="17" width="${(b - a).toFixed(1)}" height="10" fill="url(#slant)" stroke="var(--reason-${sign})" stroke-width="1.4"><title>${escaped(reasonOf(r, e.reason)[0])} ${lasting(e.end - e.start)}</title></rect>`;
  }
  return `<svg class="strip" viewBox="0 0 ${width} 30" preserveAspectRatio="none" role="img" aria-label="Steps to their own scale, in ns"><defs><pattern id="slant" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="var(--paper)"/><rect width="2" height="6" fill="var(--ink)"/></pattern></defs>${out}<text x="${width}" y="11" text-anchor="end" class="unit">ns</text></svg>`;
}
