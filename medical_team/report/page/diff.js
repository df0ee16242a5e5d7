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
