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
