// Curves over steps as SVG. Curves differ by colour and by dash; every chart also has its numbers as a table.

const SVG = "http://www.w3.org/2000/svg";
const COLOURS = 7;
const HEIGHT = 190;
const MARGIN = { top: 10, right: 12, bottom: 24, left: 52 };
const TABLE_ROWS = 40;
const FEW_POINTS = 30;

function makeSvg(tag, attributes = {}, text = null) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== null) element.textContent = text;
  return element;
}

/** A short piece of a curve for a legend. */
function curveSample(style) {
  const sample = makeSvg("svg", { viewBox: "0 0 26 10", "aria-hidden": "true" });
  sample.append(makeSvg("line", { x1: 0, y1: 5, x2: 26, y2: 5, class: style, "stroke-width": 2 }));
  return sample;
}

/** One chart. Give it curves with `show`; they may change while a run goes on. */
class Chart {
  constructor(title, unit) {
    this.title = title;
    this.unit = unit;
    this.curves = [];
    this.drawing = makeSvg("svg", { role: "img" });
    this.readout = make("p", { class: "readout" });
    this.legend = make("ul", { class: "legend" });
    this.table = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title}: numbers` });
    this.details = make("details", {}, make("summary", {}, "Numbers", make("span", { class: "unseen" }, ` of ${title}`)), this.table);
    this.details.addEventListener("toggle", () => this.fillTable());
    this.drawing.addEventListener("pointermove", (event) => this.point(event));
    this.drawing.addEventListener("pointerleave", () => this.unpoint());
    this.element = make("figure", {}, make("figcaption", {}, title), this.drawing, this.readout, this.legend, this.details);
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  /** Shows curves {label, steps, values, style}, each drawn point the mean of `span` steps. */
  show(curves, span) {
    this.curves = curves;
    this.drawn = curves.map((curve) => smoothed(curve, span));
    this.element.hidden = curves.length === 0;
    fill(this.legend, ...curves.map((curve) => make("li", {}, curveSample(curve.style), ...visible(curve.label))));
    this.drawing.setAttribute("aria-label", this.summary());
    this.draw();
    this.fillTable();
  }

  summary() {
    const ends = this.curves.map((curve) => {
      const last = curve.values.length - 1;
      const first = numberText(curve.values[0], this.unit);
      return `${curve.label} from ${first} at step ${curve.steps[0]} to ${numberText(curve.values[last], this.unit)} at step ${curve.steps[last]}`;
    });
    return `${this.title}: ${ends.join("; ")}`;
  }

  draw() {
    const width = this.drawing.clientWidth;
    if (!width || !this.curves.length) return;
    this.scale = scaleOf(this.drawn, this.unit, width);
    this.drawing.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.drawing.replaceChildren(...this.axes(width), ...this.drawn.flatMap((curve) => this.line(curve)));
    this.cursor = makeSvg("line", { class: "cursor", y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom, visibility: "hidden" });
    this.drawing.append(this.cursor);
  }

  axes(width) {
    const { x, y, xTicks, yTicks } = this.scale;
    const parts = [];
    for (const tick of yTicks) {
      parts.push(makeSvg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(tick), y2: y(tick) }));
      const label = this.unit === "share" ? shareText(tick) : rounded(tick);
      parts.push(makeSvg("text", { x: MARGIN.left - 6, y: y(tick) + 4, "text-anchor": "end" }, label));
    }
    for (const tick of xTicks) {
      parts.push(makeSvg("text", { x: x(tick), y: HEIGHT - 6, "text-anchor": "middle" }, tick.toLocaleString("en")));
    }
    return parts;
  }

  line(curve) {
    const { x, y } = this.scale;
    const points = curve.steps.map((step, i) => `${x(step).toFixed(1)},${y(curve.values[i]).toFixed(1)}`);
    const parts = [makeSvg("polyline", { class: `curve ${curve.style}`, points: points.join(" ") })];
    // A few points are shown as such: held-out notes are read every so many steps.
    if (points.length <= FEW_POINTS) {
      for (const point of points) {
        const [cx, cy] = point.split(",");
        parts.push(makeSvg("circle", { class: `dot ${curve.style}`, cx, cy, r: 3 }));
      }
    }
    return parts;
  }

  point(event) {
    if (!this.scale) return;
    const box = this.drawing.getBoundingClientRect();
    const step = this.scale.stepAt(event.clientX - box.left);
    this.cursor.setAttribute("visibility", "visible");
    this.cursor.setAttribute("x1", this.scale.x(step));
    this.cursor.setAttribute("x2", this.scale.x(step));
    const parts = this.curves.map((curve) => {
      const value = valueAt(curve, step);
      return value === null ? null : `${curve.label} ${numberText(value, this.unit)}`;
    });
    fill(this.readout, ...visible(`Step ${step}: ${parts.filter((part) => part !== null).join(", ")}`));
  }

  unpoint() {
    this.cursor?.setAttribute("visibility", "hidden");
    fill(this.readout);
  }

  fillTable() {
    if (!this.details.open) return;
    const all = [...new Set(this.curves.flatMap((curve) => curve.steps))].sort((a, b) => a - b);
    const stride = Math.ceil(all.length / TABLE_ROWS);
    const steps = all.filter((_, i) => (all.length - 1 - i) % stride === 0);
    const head = ["step", ...this.curves.map((curve) => curve.label)];
    const rows = steps.map((step) => [
      String(step),
      ...this.curves.map((curve) => {
        const value = valueAt(curve, step);
        return value === null ? "–" : numberText(value, this.unit);
      }),
    ]);
    fill(this.table, makeTable([head, ...rows]));
  }
}

/** A table of strings; the first row is the head. */
function makeTable(rows) {
  const [head, ...body] = rows;
  return make(
    "table",
    {},
    make("thead", {}, make("tr", {}, ...head.map((cell) => make("th", { scope: "col" }, ...visible(cell))))),
    make("tbody", {}, ...body.map((row) => make("tr", {}, ...row.map((cell) => make("td", {}, ...visible(cell)))))),
  );
}

/** The curve with each value averaged with those of the steps before it. One of a few points stays as it is. */
function smoothed(curve, span) {
  if (span === 1 || curve.values.length <= FEW_POINTS) return curve;
  let first = 0;
  let sum = 0;
  const values = curve.values.map((value, i) => {
    sum += value;
    for (; curve.steps[first] <= curve.steps[i] - span; first++) sum -= curve.values[first];
    return sum / (i - first + 1);
  });
  return { ...curve, values };
}

function valueAt(curve, step) {
  const place = curve.steps.indexOf(step);
  return place < 0 ? null : curve.values[place];
}

function scaleOf(curves, unit, width) {
  const steps = [...new Set(curves.flatMap((curve) => curve.steps))].sort((a, b) => a - b);
  const values = curves.flatMap((curve) => curve.values);
  const [low, high] = unit === "share" ? [0, 1] : valueRange(values);
  const yTicks = ticks(low, high, 4);
  const bottom = Math.min(low, yTicks[0]);
  const top = Math.max(high, yTicks[yTicks.length - 1]);
  const first = steps[0];
  const last = steps[steps.length - 1];
  const span = Math.max(1, last - first);
  const plot = width - MARGIN.left - MARGIN.right;
  const x = (step) => MARGIN.left + ((step - first) / span) * plot;
  const y = (value) => HEIGHT - MARGIN.bottom - ((value - bottom) / (top - bottom)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const xTicks = ticks(first, Math.max(last, first + 1), 4).filter((tick) => Number.isInteger(tick) && tick >= first && tick <= last);
  const stepAt = (place) => {
    const wanted = first + ((place - MARGIN.left) / plot) * span;
    return steps.reduce((best, step) => (Math.abs(step - wanted) < Math.abs(best - wanted) ? step : best));
  };
  return { x, y, xTicks, yTicks, stepAt };
}

/** From the least to the greatest value, with 0 where it is near. */
function valueRange(values) {
  let low = Math.min(...values);
  let high = Math.max(...values);
  if (low > 0 && low < high * 0.7) low = 0;
  if (high < 0 && high > low * 0.7) high = 0;
  if (low === high) [low, high] = [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
  return [low, high];
}

/** About `count` round numbers from below `low` to above `high`. */
function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999);
  const found = [];
  for (let i = Math.floor(low / step + 1e-9); i * step <= high + step * 0.999; i++) {
    found.push(Number((i * step).toPrecision(12)));
    if (i * step >= high - step * 1e-9) break;
  }
  return found;
}

// All of the page but its games: runs, criteria, alarms, curves, and what a run was made from.

const STATUS_MARKS = { pass: "✓", fail: "✗", "not enough data": "?" };

/** Draws the overview, and draws what changed again while a run goes on. */
class Overview {
  constructor() {
    this.charts = new Map();
    this.drawn = new Map();
    this.runs = [];
    this.smoothing = document.querySelector("#smoothing select");
    this.smoothing.addEventListener("change", () => this.showCharts(this.runs));
  }

  show(runs) {
    if (!this.runs.length) this.smoothing.value = usualSmoothing(runs);
    this.runs = runs;
    this.part("runs", runs.map((run) => [run.name, run.state, run.summary, run.criteria, run.alarms]), () => runs.map(runCard));
    this.part("criteria-body", runs.map((run) => run.criteria), () => runs.flatMap((run) => criteriaCards(run, runs)));
    this.part("alarms-body", runs.map((run) => run.alarms), () => alarmCards(runs));
    this.part("facts-body", runs.map((run) => [run.tables, run.config]), () => runs.flatMap((run) => runFacts(run, runs)));
    this.showCharts(runs);
  }

  /** Fills an element when its data is new, so that an open part stays open and a screen reader is not disturbed. */
  part(id, data, build) {
    const text = JSON.stringify(data);
    if (this.drawn.get(id) === text) return;
    this.drawn.set(id, text);
    const element = document.getElementById(id);
    const open = new Set([...element.querySelectorAll("details[open]")].map((part) => part.dataset.key));
    fill(element, ...build());
    for (const part of element.querySelectorAll("details")) part.open = open.has(part.dataset.key);
  }

  showCharts(runs) {
    const isAlone = runs.length === 1;
    const titles = [...new Set(runs.flatMap((run) => run.charts.map((chart) => chart.title)))];
    const body = document.getElementById("curves-body");
    for (const title of titles) {
      const ofRuns = runs.map((run) => run.charts.find((chart) => chart.title === title));
      if (!this.charts.has(title)) {
        const chart = new Chart(title, ofRuns.find(Boolean).unit);
        this.charts.set(title, chart);
        body.append(chart.element);
      }
      this.charts.get(title).show(ofRuns.flatMap((chart, number) => styledCurves(chart, number, runs)), Number(this.smoothing.value));
    }
    const absent = titles.filter((title) => this.charts.get(title).element.hidden);
    const isEmpty = absent.length === titles.length;
    this.part("curves-key", isEmpty ? "none" : runs.map((run) => run.name), () =>
      isEmpty ? [make("p", {}, "No step is on record yet.")] : isAlone ? [] : [runsKey(runs)],
    );
    const hasOthers = runs.some((run) => run.hasOtherCurves);
    this.part("curves-absent", [absent, hasOthers], () => [
      isEmpty || !absent.length ? null : make("p", {}, `No numbers are on record for: ${absent.join(", ")}.`),
      hasOthers ? make("p", {}, "The engine's own curves, such as its loss, are in the run's TensorBoard files: tensorboard --logdir RUN/tensorboard") : null,
    ]);
  }
}

/** As many steps as give a long run readable curves. */
function usualSmoothing(runs) {
  const lengths = runs.flatMap((run) => run.charts.flatMap((chart) => chart.curves.map((curve) => curve.steps.length)));
  const longest = Math.max(0, ...lengths);
  return longest <= FEW_POINTS ? "1" : longest <= 150 ? "5" : "20";
}

/** Of one run each curve has its colour and dash; of several the colour says which run, the dash which curve. */
function styledCurves(chart, number, runs) {
  const labels = [...new Set(runs.flatMap((run) => run.charts.find((other) => other.title === chart?.title)?.curves ?? []).map((curve) => curve.label))];
  return (chart?.curves ?? []).map((curve) => {
    const place = labels.indexOf(curve.label);
    if (runs.length === 1) return { ...curve, style: `c${place % COLOURS} d${place % COLOURS}` };
    return { ...curve, label: `${runs[number].name}: ${curve.label}`, style: `c${number % COLOURS} d${place % COLOURS}` };
  });
}

function runsKey(runs) {
  const items = runs.map((run, number) => make("li", {}, curveSample(`c${number % COLOURS}`), ...visible(run.name)));
  return make("ul", { class: "legend" }, ...items);
}

/** What to know first: how the run stands, how many criteria pass, whether an alarm is up. */
function runCard(run) {
  const summary = [["Criteria", criteriaText(run.criteria)], ["Alarms", alarmsText(run.alarms)], ...run.summary];
  const items = summary.map(([term, text]) => make("div", {}, make("dt", {}, term), make("dd", {}, ...visible(text))));
  return make("div", {}, make("h2", {}, ...visible(run.name)), make("p", {}, run.state), make("dl", {}, ...items));
}

function criteriaText(criteria) {
  const counts = Object.keys(STATUS_MARKS).map((status) => [criteria.filter((criterion) => criterion.status === status).length, status]);
  return counts.filter(([count]) => count).map(([count, status]) => `${count} ${status}`).join(", ");
}

function alarmsText(alarms) {
  const up = alarms.filter((alarm) => alarm.isUp).length;
  return `${up || "none"} up` + (alarms.length > up ? `, ${alarms.length - up} over` : "");
}

function criteriaCards(run, runs) {
  const cards = run.criteria.map((criterion, number) => {
    const kind = criterion.status === "not enough data" ? "unknown" : criterion.status;
    return make(
      "div",
      { class: "card criterion" },
      make("h3", {}, `${number + 1}. ${criterion.name}`),
      make("p", { class: `status ${kind}` }, make("span", { "aria-hidden": "true" }, `${STATUS_MARKS[criterion.status]} `), criterion.status),
      make("p", {}, ...visible(criterion.figure.replaceAll(" %", "\u00a0%"))),
      make("details", { "data-key": `${run.name}/${number}` }, make("summary", {}, "The rule", make("span", { class: "unseen" }, ` of criterion ${number + 1}`)), make("p", {}, criterion.rule)),
    );
  });
  return [runTitle(run, runs), make("div", { class: "cards" }, ...cards)];
}

function alarmCards(runs) {
  return runs.flatMap((run) => {
    const cards = run.alarms.map((alarm) => {
      const when = alarm.isUp ? `Since step ${alarm.from}` : alarm.from === alarm.to ? `Over: step ${alarm.from}` : `Over: steps ${alarm.from} to ${alarm.to}`;
      return make("div", { class: alarm.isUp ? "card alarm" : "card alarm past" }, make("p", { class: "status" }, when), make("p", {}, ...visible(alarm.sentence)));
    });
    const body = cards.length ? make("div", { class: "cards" }, ...cards) : make("p", {}, "No sign of trouble.");
    return [runTitle(run, runs), body];
  });
}

function runFacts(run, runs) {
  const label = (title) => (runs.length > 1 ? `${run.name}: ${title}` : title);
  const tables = Object.entries(run.tables).map(([title, rows]) => make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label(title) }, make("h3", {}, title), makeTable(rows)));
  const licences = run.licences.map((text) => make("li", {}, ...visible(text)));
  return [
    runTitle(run, runs),
    make("div", { class: "tables" }, ...tables),
    make("h3", {}, "Licences"),
    make("ul", { class: "licences" }, ...licences),
    make("details", { "data-key": run.name }, make("summary", {}, "The configuration, which reruns it"), make("pre", { tabindex: "0" }, ...visible(run.config))),
  ];
}

/** The name of a run above its part, where the page shows several. */
function runTitle(run, runs) {
  return runs.length > 1 ? make("h3", {}, ...visible(run.name)) : null;
}
