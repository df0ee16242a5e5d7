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

// A word diff: which words of one text were taken out, kept or put in to make another.

const MAX_CELLS = 16e6;

// Scripts without spaces between words: there a character with its marks is a word, as in medical_team/words.py.
const UNSPACED = "\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Bopomofo}\\p{Script=Thai}\\p{Script=Lao}\\p{Script=Khmer}\\p{Script=Myanmar}";
const IS_UNSPACED = new RegExp(`[${UNSPACED}]`, "u");
const UNSPACED_OR_OTHER = new RegExp(`[${UNSPACED}]\\p{M}*|(?:(?![${UNSPACED}])[\\p{L}\\p{N}]\\p{M}*)+`, "gu");

/** The words of a text, each with the white space behind it. */
function wordsOf(text) {
  const tokens = text.match(/\S+\s*/g) ?? [];
  return IS_UNSPACED.test(text) ? tokens.flatMap(wordsOfToken) : tokens;
}

/** The words of what stands between white space, each with the punctuation behind it. */
function wordsOfToken(token) {
  const starts = IS_UNSPACED.test(token) ? [...token.matchAll(UNSPACED_OR_OTHER)].map((match) => match.index) : [];
  return [0, ...starts.slice(1)].map((start, i) => token.slice(start, starts[i + 1]));
}

/**
 * The changes from `before` to `after`, two lists of words, as runs {kind: "kept" | "out" | "in", start, end}.
 * Runs that are "in" count words of `after`, the others words of `before`. White space doesn't matter.
 * Null when the texts are too long to compare.
 */
function wordDiff(before, after) {
  const a = before.map((word) => word.trimEnd());
  const b = after.map((word) => word.trimEnd());
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const middle = middleDiff(a.slice(head, a.length - tail), b.slice(head, b.length - tail));
  if (middle === null) return null;
  const runs = [];
  const add = (kind, start, end) => {
    const last = runs[runs.length - 1];
    if (start === end) return;
    if (last && last.kind === kind && last.end === start) last.end = end;
    else runs.push({ kind, start, end });
  };
  add("kept", 0, head);
  for (const run of middle) add(run.kind, run.start + head, run.end + head);
  add("kept", a.length - tail, a.length);
  return runs;
}

/** The same for lists without a common beginning or end: the longest common subsequence, by dynamic programming. */
function middleDiff(a, b) {
  const width = b.length + 1;
  if ((a.length + 1) * width > MAX_CELLS) return null;
  const common = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      common[i * width + j] =
        a[i] === b[j]
          ? common[(i + 1) * width + j + 1] + 1
          : Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
    }
  }
  const runs = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    const start = i;
    while (i < a.length && j < b.length && a[i] === b[j]) (i++, j++);
    runs.push({ kind: "kept", start, end: i });
    const outStart = i;
    const inStart = j;
    // Between two kept runs, what was taken out stands before what was put in.
    while ((i < a.length || j < b.length) && !(i < a.length && j < b.length && a[i] === b[j])) {
      if (j >= b.length || (i < a.length && common[(i + 1) * width + j] >= common[i * width + j + 1])) i++;
      else j++;
    }
    runs.push({ kind: "out", start: outStart, end: i }, { kind: "in", start: inStart, end: j });
  }
  return runs.filter((run) => run.end > run.start);
}

/**
 * Which words of `note` are the true error: those of the wrong sentence that its correction changes, or all of the
 * sentence where the correction only adds words. Empty where the note doesn't hold the sentence.
 */
function errorWords(note, wrongSentence, rightSentence) {
  const words = note.map((word) => word.trim());
  const wrong = wordsOf(wrongSentence);
  const start = positionOf(wrong.map((word) => word.trim()), words);
  if (start === null) return new Set();
  const changes = wordDiff(wrong, wordsOf(rightSentence)) ?? [];
  const changed = changes.filter((run) => run.kind === "out");
  const spans = changed.length ? changed : [{ start: 0, end: wrong.length }];
  const found = new Set();
  for (const span of spans) for (let i = span.start; i < span.end; i++) found.add(start + i);
  return found;
}

function positionOf(part, whole) {
  if (!part.length) return null;
  const last = part[part.length - 1];
  for (let start = 0; start + part.length <= whole.length; start++) {
    if (part.slice(0, -1).every((word, i) => whole[start + i] === word) && isWordOrBegins(last, whole[start + part.length - 1])) return start;
  }
  return null;
}

/** Whether `found` is `word`, also with punctuation behind it: some files leave out the full stop of a wrong sentence. */
function isWordOrBegins(word, found) {
  return found.startsWith(word) && !/[\p{L}\p{N}]/u.test(found.slice(word.length));
}
