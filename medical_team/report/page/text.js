// Making elements and writing text. Everything that comes from a run goes through text nodes, never through markup.

/** An element with attributes and children; a string child becomes a text node, null is left out. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** Text as nodes, in which characters that can't be seen, or that turn the writing direction, are written out. */
function visible(text) {
  const nodes = [];
  let start = 0;
  for (const match of text.matchAll(HIDDEN)) {
    if (match[0] === "\n" || match[0] === "\t") continue;
    if (match.index > start) nodes.push(text.slice(start, match.index));
    const code = match[0].codePointAt(0).toString(16).padStart(4, "0");
    nodes.push(make("span", { class: "hidden-character", dir: "ltr" }, `\\u${code}`));
    start = match.index + match[0].length;
  }
  if (start < text.length) nodes.push(text.slice(start));
  return nodes;
}

/** Replaces what an element holds. */
function fill(element, ...children) {
  element.replaceChildren(...children.filter((child) => child !== null));
}

/** A name from the data for a person: `adversarial_harmful` as "adversarial harmful". */
function plainName(name) {
  return name.replaceAll("_", " ");
}

/** When a game was played. Evaluations before the first step are of step -1. */
function stepText(step) {
  return step < 0 ? "before training" : `step ${step}`;
}

/** A number for a person, in the unit of its chart. */
function numberText(value, unit) {
  if (unit === "share") return shareText(value);
  if (unit === "tokens") return rounded(value) + " tokens";
  if (unit === "seconds") return rounded(value) + " s";
  if (unit === "GiB") return rounded(value) + " GiB";
  if (unit === "nats") return rounded(value) + " nats";
  return rounded(value);
}

function shareText(share) {
  const percent = Math.round(share * 100);
  if (percent === 0 && share > 0) return "under 1 %";
  if (percent === 100 && share < 1) return "over 99 %";
  return percent + " %";
}

/** Three significant digits, or all that stand before the point. */
function rounded(value) {
  const size = Math.abs(value);
  if (size >= 100) return Math.round(value).toLocaleString("en");
  if (size > 0 && size < 0.001) return value.toExponential(1).replace("e", " × 10^");
  return String(Number(value.toPrecision(3)));
}

/** A reward with its sign. */
function signed(value) {
  return (value > 0 ? "+" : value < 0 ? "−" : "") + Math.abs(Number(value.toPrecision(4)));
}

function counted(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}
