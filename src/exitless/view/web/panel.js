// The right panel: registers, then the selected step explained, then the same arrival under the other mechanisms.

function drawPanel() {
  const node = document.getElementById("panel"), { field } = document.activeElement.dataset || {};
  const kept = node.scrollTop;
  if (state.tour >= 0) { setHtml(node, tourSection()); return; }
  node.dataset.html = "";
  const body = state.exit ? exitSection(state.exit) : stepSection();
  node.innerHTML = aboutSection() + registersSection() + body + elsewhereSection();
  node.scrollTop = kept;
  const grid = field && node.querySelector(`.grid[data-field="${field}"]`);
  if (grid) grid.focus({ preventScroll: true });
}

// What is simulated, and how this mechanism delivers: for who opens the page without having read of it.
function saysOf(r) { return ((LIVE || DATA).says || {})[r.name] || ""; }
function aboutSection() {
  const r = rec(), says = saysOf(r);
  return says ? `<section class="about wide"><p><b>${escaped(r.scenario)}</b>${escaped(r.title)}. <b>${escaped(r.name)}</b>${escaped(says)}</p></section>` : "";
}

function originKind(origin) {
  const kind = origin.split(":")[0].trim();
  return { guess: "illustrative, not measured" }[kind] || kind;
}

function chargesTable(charges) {
  const r = rec();
  if (!charges.length) return r.costs.length ? '<p class="quiet">No cost is charged between the step before and this one.</p>' : "";
  let sum = 0;
  const lines = charges.map(([cost, ps]) => {
    sum += ps;
    const [name, origin] = r.costs[cost] || ["?", ""];
    const text = origin.includes(":") ? origin.slice(origin.indexOf(":") + 1).trim() : origin;
    return `<tr><td class="mono">${escaped(name)}</td><td class="quiet one-line" title="${escaped(text)}">${escaped(text)}</td><td class="n">${lasting(ps)}</td></tr>`;
  });
  const kinds = [...new Set(charges.map(([cost]) => originKind((r.costs[cost] || ["", ""])[1])))].filter(Boolean);
  const cycles = r.clock ? ` <span class="mono quiet">${group(String(Math.round(sum / 1e12 * r.clock)))} cycles at ${(r.clock / 1e9).toFixed(1)} GHz</span>` : "";
  return `<p class="cost">Cost <b class="mono">${lasting(sum)}</b>${cycles}${kinds.map((k) => `<span class="chip">${escaped(k)}</span>`).join("")}</p>`
    + `<table><thead><tr><th>cost</th><th>what, and its origin</th><th class="n">time</th></tr></thead><tbody>${lines.join("")}</tbody></table>`;
}

function stepSection() {
  const j = selected(), r = rec();
  if (!j) {
    const say = state.sel ? `${r.name} has no interrupt ${labelOf(state.sel.key)} in this window.` : "Click an interrupt, or press N.";
    return `<section class="step"><h2>${state.sel ? "Not here" : "Nothing selected"}</h2><p>${escaped(say)}</p></section>`;
  }
  const n = Math.min(state.sel.step, j.cards.length - 1), card = j.cards[n], scale = scaleOf(card.time);
  const found = r.registers[j.vcpu];
  const told = card.rows.some((row) => [7, 8, 9, 11, 12, 13, 18, 20, 21, 23, 25, 26, 32, 36, 37].includes(row[0]));
  const changes = found && told ? changesAt(found, card.time) : [];
  const table = changes.length
    ? `<table class="fieldtable"><thead><tr><th>field</th><th>before</th><th>after</th></tr></thead><tbody>${changes.map(([f, a, b]) => `<tr><td class="mono">${f}</td><td class="mono quiet">${a}</td><td class="mono"><b>${b}</b></td></tr>`).join("")}</tbody></table>`
    : "";
  const rows = card.rows.map(([kind, pcpu, vcpu, a, b]) => {
    const k = DATA.kinds[kind] || [`kind ${kind}`, "a", "b", ""];
    const place = [pcpu >= 0 ? `pCPU${pcpu}` : "", vcpuName(r, vcpu)].filter(Boolean).join(", ");
    return `<tr><td class="mono">${escaped(k[0])}</td><td class="quiet">${escaped(place)}</td><td class="quiet">${k[1] ? `${escaped(k[1])} <b class="mono">${argument(k[1], a)}</b>` : ""}${k[2] ? `<br>${escaped(k[2].split(",")[0].split(";")[0])} <b class="mono">${argument(k[2], b)}</b>` : ""}</td></tr>`;
  });
  return `<section class="step"><div class="top"><h2>${n + 1}. ${escaped(card.title)}</h2><span class="mono">${clock(card.time, scale)} ${scale.name}</span></div>`
    + `<p>${escaped(card.sentence)}</p>${card.cite ? `<p class="cite">${escaped(card.cite)}</p>` : ""}${table}${chargesTable(card.charges)}`
    + `<details><summary>${card.rows.length === 1 ? "The row" : `The ${card.rows.length} rows`} behind this step</summary><table><tbody>${rows.join("")}</tbody></table></details></section>`;
}

function argument(name, value) { return /vector|RVI|VIRR/.test(name) && value >= 0 ? hex(value) : String(value); }

function exitSection(x) {
  const r = rec(), [name, sign, total] = reasonOf(r, x.reason), scale = scaleOf(x.start);
  const what = name === "EXTERNAL_INTERRUPT" ? `It took host vector ${exitText(r, x)}.` : name === "EOI_INDUCED" ? `The guest ended vector ${hex(x.argument)}, which the EOI-exit bitmap asks for.` : x.argument ? `Its qualification is ${hex(x.argument, 1)}.` : "";
  const long = x.closed ? `${lasting(x.end - x.start)} later a guest ran again or the pCPU went to another owner.` : "The record ends before the guest runs again.";
  return `<section class="step"><div class="top"><h2>${glyphSvg(sign)} ${escaped(name)}</h2><span class="mono">${clock(x.start, scale)} ${scale.name}</span></div>`
    + `<p>${escaped(vcpuName(r, x.vcpu))} exits on pCPU${x.pcpu}. ${escaped(what)} ${escaped(long)}</p>`
    + `<p class="quiet">${group(String(total))} exits of this reason in the whole record, ${group(String(exitsOn(r, x.pcpu).filter((e) => e.reason === x.reason).length))} in this window on this pCPU.</p></section>`;
}

function labelOf(key) {
  const [who, serial] = key.split(".");
  return /^\d+$/.test(who) ? `${rec().sources[who] || `source ${who}`} #${serial}` : key;
}

// The exits of an interrupt's own way, named in order.
function wayText(r, j) {
  const signs = j.exits.map((time) => {
    const x = exitOfTime(r, j.pcpus, time);
    return x ? reasonOf(r, x.reason) : null;
  }).filter(Boolean);
  const names = [];
  for (const s of signs) {
    const last = names[names.length - 1];
    if (last && last.name === s[0]) last.count++; else names.push({ name: s[0], sign: s[1], count: 1 });
  }
  if (!names.length) return j.merged ? '<span class="quiet">merged with an earlier one</span>' : "no exit";
  return names.map((s) => `<span class="one">${glyphSvg(s.sign)}${escaped(s.name)}${s.count > 1 ? ` ×${s.count}` : ""}</span>`).join(" ");
}

function elsewhereSection() {
  if (!state.sel || RECORDS.length < 2) return "";
  const lines = RECORDS.map((r, n) => {
    const j = r.byKey.get(state.sel.key);
    const wait = j ? (j.latency >= 0 ? lasting(j.latency) : "?") : "–";
    const body = j ? wayText(r, j) : '<span class="quiet">not in this window</span>';
    return `<tr class="go${n === state.rec ? " here" : ""}"><td><button type="button" class="link" data-rec="${n}">${escaped(r.name)}</button></td><td>${body}</td><td class="n">${wait}</td></tr>`;
  });
  return `<section class="elsewhere wide"><h2>The same arrival elsewhere</h2><table><thead><tr><th>mechanism</th><th>exits on its own path</th><th class="n">to handler</th></tr></thead><tbody>${lines.join("")}</tbody></table></section>`;
}
