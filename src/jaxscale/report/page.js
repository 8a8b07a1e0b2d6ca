"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const state = { experiment: 0, observable: 0, picks: [], cell: null };
// the plotting library reads a little markup in labels: what users called things must stay text
const text = (value) => String(value).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const short = (value) => value === null || value === undefined ? "none" : typeof value === "number" ? String(+value.toPrecision(4)) : String(value);
const dark = matchMedia("(prefers-color-scheme: dark)");

function element(tag, content, parent) {
  const made = document.createElement(tag);
  if (content !== undefined) made.textContent = content;
  if (parent) parent.append(made);
  return made;
}

function layout(more) {
  const ink = getComputedStyle(document.body).getPropertyValue("--ink").trim() || "#1b1b1b";
  const line = getComputedStyle(document.body).getPropertyValue("--line").trim();
  const axis = { gridcolor: line, zerolinecolor: line, linecolor: line };
  return Object.assign({ paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink }, showlegend: false,
    margin: { l: 60, r: 20, t: 30, b: 50 } }, more, { xaxis: Object.assign({}, axis, more.xaxis), yaxis: Object.assign({}, axis, more.yaxis) });
}

const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["sendDataToCloud", "lasso2d", "select2d"] };
const now = () => data.experiments[state.experiment];
const seen = () => now().observables[state.observable];

/* which axes span the diagram: the two longest; the others are picked */
function spans() {
  const order = now().axes.map((a, i) => i).filter((i) => now().axes[i].values.length > 1);
  order.sort((i, j) => now().axes[j].values.length - now().axes[i].values.length);
  return [order[0], order[1]];
}

function flat(indices) {
  return now().axes.reduce((sum, axis, i) => sum * axis.values.length + indices[i], 0);
}

function cellAt(x, y) {
  const indices = state.picks.slice();
  const [ax, ay] = spans();
  if (ax !== undefined) indices[ax] = x;
  if (ay !== undefined) indices[ay] = y;
  return flat(indices);
}

function name(axis) { return text(axis.name) + (axis.unit && axis.unit !== "1" ? " (" + text(axis.unit) + ")" : ""); }

function describe(cell, x, y) {
  const [ax, ay] = spans(), o = seen(), e = now();
  const where = [[ax, x], [ay, y]].filter(([a]) => a !== undefined).map(([a, i]) => e.axes[a].name + " = " + short(e.axes[a].values[i]));
  const range = o.low[cell] === null ? "" : " [" + short(o.low[cell]) + ", " + short(o.high[cell]) + "]";
  return [where.join(", "), o.name + " " + short(o.mean[cell]) + range,
    o.count[cell] + " of " + e.runs + " seeds, " + e.diverged[cell] + " diverged, " + e.unfinished[cell] + " unfinished"];
}

function positive(values) { return values.every((v) => typeof v === "number" && v > 0) && Math.max(...values) >= 8 * Math.min(...values); }
function scale(values) { return positive(values) ? "log" : values.every((v) => typeof v === "number") ? "linear" : "category"; }

function draw() {
  const [ax, ay] = spans(), e = now(), o = seen();
  const xs = ax === undefined ? [0] : e.axes[ax].values, ys = ay === undefined ? [0] : e.axes[ay].values;
  const label = text(o.name) + (o.unit && o.unit !== "1" ? " (" + text(o.unit) + ")" : "");
  const shown = (values) => values.map((v) => typeof v === "number" ? v : text(v));
  const info = (j, i) => describe(cellAt(i, j), i, j).map(text).join("<br>");
  const xaxis = { title: { text: ax === undefined ? "" : name(e.axes[ax]) }, type: ax === undefined ? "category" : scale(xs) };
  let trace, yaxis;
  if (ay !== undefined) {
    trace = { type: "heatmap", x: shown(xs), y: shown(ys), z: ys.map((_, j) => xs.map((_, i) => o.mean[cellAt(i, j)])), colorscale: "Cividis",
      colorbar: { title: { text: label, side: "right" } }, hoverinfo: "text", hovertext: ys.map((_, j) => xs.map((_, i) => info(j, i))) };
    yaxis = { title: { text: name(e.axes[ay]) }, type: scale(ys) };
  } else {
    const cells = xs.map((_, i) => cellAt(i, 0)), means = cells.map((c) => o.mean[c]);
    trace = { type: "scatter", mode: "lines+markers", x: ax === undefined ? [text(e.name)] : shown(xs), y: means, line: { color: "#0072B2" },
      error_y: { type: "data", array: cells.map((c) => o.high[c] === null ? 0 : o.high[c] - o.mean[c]) }, hoverinfo: "text", hovertext: xs.map((_, i) => info(0, i)) };
    yaxis = { title: { text: label }, type: scale(means.filter((v) => v !== null)) };
  }
  Plotly.react("diagram", [trace], layout({ xaxis, yaxis }), config).then(() => {
    const box = at("diagram");
    if (!box.dataset.ready) {
      box.dataset.ready = "yes";
      box.on("plotly_click", (event) => {
        const p = event.points[0], index = p.pointIndex ?? p.pointNumber;
        if (Array.isArray(index)) show(index[1], index[0]); else show(index, 0);
      });
    }
  });
  at("notes").replaceChildren();
  for (const note of e.notes) element("li", note, at("notes"));
  if (state.cell) show(...state.cell);
}

function show(x, y) {
  state.cell = [x, y];
  const cell = cellAt(x, y), o = seen(), e = now();
  at("cell").textContent = describe(cell, x, y).join("; ");
  const values = o.seeds[cell].filter((v) => v !== null), colour = "#0072B2";
  Plotly.react("seeds", [{ type: "histogram", x: values, marker: { color: colour } }],
    layout({ xaxis: { title: { text: text(o.name) } }, yaxis: { title: { text: "seeds" } } }), config);
  Plotly.react("curves", o.curves[cell].map((curve) => ({ type: "scatter", mode: "lines", x: e.times, y: curve, line: { width: 1, color: colour }, opacity: .6 })),
    layout({ xaxis: { title: { text: "step" }, type: positive(e.times.filter((t) => t > 0)) ? "log" : "linear" }, yaxis: { title: { text: text(o.name) } } }), config);
}

function choose(label, options, value, act) {
  const box = element("label", label, at("controls")), select = element("select", undefined, box);
  options.forEach((option, i) => { const made = element("option", short(option), select); made.value = String(i); });
  select.value = String(value);
  select.addEventListener("change", () => act(Number(select.value)));
  select.dataset.control = label;
}

function controls() {
  at("controls").replaceChildren();
  if (data.experiments.length > 1) choose("experiment", data.experiments.map((e) => e.name), state.experiment, (i) => { state.experiment = i; reset(); });
  choose("observable", now().observables.map((o) => o.name), state.observable, (i) => { state.observable = i; draw(); });
  now().axes.forEach((axis, i) => {
    if (!spans().includes(i) && axis.values.length > 1) choose(axis.name, axis.values, state.picks[i], (k) => { state.picks[i] = k; draw(); });
  });
}

function reset() {
  state.picks = now().axes.map((a) => a.values.length - 1);
  state.observable = 0;
  state.cell = null;
  at("cell").textContent = "";
  controls();
  provenance();
  draw();
}

at("diagram").addEventListener("keydown", (event) => {
  const [ax, ay] = spans(), step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
  const sizes = [ax, ay].map((a) => a === undefined ? 1 : now().axes[a].values.length);
  if (step) {
    const [x, y] = state.cursor ?? [0, 0];
    state.cursor = [Math.min(Math.max(x + step[0], 0), sizes[0] - 1), Math.min(Math.max(y + step[1], 0), sizes[1] - 1)];
    at("cell").textContent = describe(cellAt(...state.cursor), ...state.cursor).join("; ");
    event.preventDefault();
  } else if (event.key === "Enter") show(...(state.cursor ?? [0, 0]));
});

function provenance() {
  at("provenance").replaceChildren();
  for (const [key, value] of Object.entries(now().provenance)) {
    const row = element("tr", undefined, at("provenance"));
    element("th", key, row).scope = "row";
    element("td", value, row);
  }
}

function tables() {
  document.title = data.title;
  at("title").textContent = data.title;
  const rows = data.claims.concat(Object.entries(data.found).map(([key, value]) => ({ says: key, range: "", found: value, verdict: "no claim", where: "" })));
  at("claims-section").hidden = !rows.length;
  const head = element("tr", undefined, at("claims"));
  for (const title of ["claimed", "range", "found", "verdict", "where"]) element("th", title, head).scope = "col";
  for (const claim of rows) {
    const row = element("tr", undefined, at("claims"));
    for (const key of ["says", "range", "found", "verdict", "where"]) {
      const cell = element("td", claim[key], row);
      if (key === "verdict") cell.className = claim[key] === "met" ? "met" : claim[key] === "NOT MET" ? "not-met" : "";
    }
  }
  at("fits-section").hidden = !data.fits.length;
  for (const fit of data.fits) {
    element("h3", (fit.label || "y") + " = " + fit.formula + " [" + fit.status + "]", at("fits"));
    const list = element("ul", undefined, at("fits"));
    for (const [key, value] of Object.entries(fit.estimates)) element("li", key + " " + value, list);
    for (const reason of fit.reasons) element("li", reason, list);
  }
}

tables();
reset();
dark.addEventListener("change", draw);
