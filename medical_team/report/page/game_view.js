// One game: what was changed, what was said, who was right, who got what.

/** A note is written from the left or from the right, as its own first letter says. */
const NOTE = { class: "note", dir: "auto" };
/** What we add to a note for screen readers: it says nothing of the note's direction. */
const UNSEEN = { class: "unseen", dir: "ltr" };

/** The game as elements. `about` is its index row by name, `texts` and `caseRow` its rows of those tables. */
function gameElements(about, texts, caseRow) {
  const [seedNote, errorSentence, correctedSentence, caseId] = caseRow;
  return [
    make("h3", {}, ...visible(about.id)),
    make("p", { class: "facts" }, ...factSpans([...gameFacts(about, texts), `case ${caseId}`])),
    ...noteElements(about, texts, seedNote, errorSentence, correctedSentence),
    ...turnElements("Attacker", texts.attacker, texts.hasNote ? null : "Its answer, which is no note"),
    make("h4", {}, "Assessor's verdict"),
    make("p", {}, verdictText(texts)),
    ...correctionElements(texts),
    ...turnElements("Assessor", texts.assessor, texts.assessor && !texts.verdict ? "Its answer, which is no verdict" : null),
    make("h4", {}, "Judge"),
    make("p", {}, ...visible(rulingText(texts))),
    texts.reason && texts.reason !== texts.ruling?.reason ? make("p", {}, ...visible(`State: ${texts.reason}`)) : null,
    make("h4", {}, "Rewards"),
    texts.rewards.length ? rewardTable(texts.rewards) : make("p", {}, "None."),
  ];
}

function factSpans(facts) {
  return facts.map((fact) => make("span", {}, ...visible(fact)));
}

function gameFacts(about, texts) {
  const facts = [stepText(about.step), plainName(about.category), about.errorType, plainName(about.outcome), plainName(about.state)];
  if (about.runName) facts.unshift(about.runName);
  if (about.isHeldout) facts.push("held-out note");
  if (texts.assessor && !texts.assessor.isTrained) facts.push("assessor frozen");
  return facts;
}

function noteElements(about, texts, seedNote, errorSentence, correctedSentence) {
  const seed = wordsOf(seedNote);
  const errors = about.isHarmful ? errorWords(seed, errorSentence, correctedSentence) : new Set();
  const [wrong, right] = [errorSentence, correctedSentence].map((text) => make("bdi", {}, ...visible(text.trim())));
  const truth = about.isHarmful
    ? ["The seed note's error: “", wrong, "” should read “", right, "”"]
    : ["The seed note is correct. The case's error would be “", wrong, "” for “", right, "”"];
  const parts = [make("p", { class: "key" }, ...truth)];
  if (texts.note === null) {
    const title = about.isAdversarial && texts.hasNote ? "Note, which the attacker left unchanged" : about.isAdversarial ? "Seed note" : "Note, as the assessor read it";
    return [make("h4", {}, title), noteOf(seed, errors), ...parts];
  }
  const revision = wordsOf(texts.note);
  const runs = wordDiff(seed, revision);
  const apart = make(
    "details",
    {},
    make("summary", {}, "The two notes apart"),
    make("h5", {}, "Seed note"),
    noteOf(seed, errors),
    make("h5", {}, "As the assessor read it"),
    make("p", NOTE, ...visible(texts.note)),
  );
  if (runs === null) {
    apart.open = true;
    return [make("h4", {}, "Notes (too long for a diff)"), apart, ...parts];
  }
  const key = make("p", { class: "key" }, make("del", {}, "taken out"), " ", make("ins", {}, "put in"), errors.size ? " " : null, errors.size ? make("mark", {}, "the true error") : null);
  return [make("h4", {}, "From the seed note to the note that the assessor read"), key, diffNote(seed, revision, runs, errors), ...parts, apart];
}

/** A note with its error marked. */
function noteOf(words, errors) {
  return make("p", NOTE, ...markedRuns(words, 0, words.length, errors));
}

function diffNote(seed, revision, runs, errors) {
  const note = make("p", NOTE);
  for (const run of runs) {
    if (run.kind === "in") {
      note.append(change("ins", "put in: ", [...visible(textOf(revision, run.start, run.end).trimEnd())]));
    } else if (run.kind === "out") {
      note.append(change("del", "taken out: ", markedRuns(seed, run.start, run.end, errors)));
    } else {
      note.append(...markedRuns(seed, run.start, run.end, errors));
    }
    // White space behind an edit is no part of it, and the last word of a note has none.
    const words = run.kind === "in" ? revision : seed;
    const last = words[run.end - 1];
    note.append(last.slice(last.trimEnd().length) || (run.end === words.length ? " " : ""));
  }
  return note;
}

/** An edit that also a screen reader tells. */
function change(tag, told, nodes) {
  return make(tag, {}, make("span", UNSEEN, `[${told}`), ...nodes, make("span", UNSEEN, "] "));
}

/** Words `start` to `end` as nodes, those of the true error marked; without the white space behind the last. */
function markedRuns(words, start, end, errors) {
  const nodes = [];
  for (let i = start; i < end; ) {
    const isError = errors.has(i);
    let next = i;
    while (next < end && errors.has(next) === isError) next++;
    const text = next === end ? textOf(words, i, next).trimEnd() : textOf(words, i, next);
    if (isError) {
      const kept = text.trimEnd();
      nodes.push(make("mark", {}, make("span", UNSEEN, "[true error: "), ...visible(kept), make("span", UNSEEN, "]")), text.slice(kept.length));
    } else {
      nodes.push(...visible(text));
    }
    i = next;
  }
  return nodes;
}

function textOf(words, start, end) {
  return words.slice(start, end).join("");
}

function turnElements(name, turn, answerTitle) {
  if (!turn) return [];
  const remarks = [counted(turn.tokens, "token")];
  if (!turn.isFinished) remarks.push("cut at the token limit");
  if (turn.isFormatKept === true) remarks.push("format kept");
  if (turn.isFormatKept === false) remarks.push("format broken");
  const parts = [];
  if (answerTitle) {
    parts.push(make("h4", {}, `${name}: ${answerTitle.toLowerCase()}`), make("p", NOTE, ...visible(turn.answer || "(none)")));
  }
  if (turn.thinking) {
    parts.push(make("details", { class: "thinking" }, make("summary", {}, `${name}'s thinking, hidden from the other player and the judge`), make("p", NOTE, ...visible(turn.thinking))));
  }
  parts.push(make("p", { class: "key" }, `${name}'s reply: ${remarks.join(", ")}`));
  return parts;
}

function verdictText(texts) {
  if (!texts.assessor) return "It was not asked.";
  if (!texts.verdict) return "None that can be read.";
  const ruling = texts.ruling;
  const right = (isRight) => (isRight ? "right" : "wrong");
  const verdict = !ruling || ruling.errorPresent === undefined ? texts.verdict : `${texts.verdict}: ${right(ruling.errorPresent === ruling.errorDetected)}`;
  if (texts.location === null) return verdict;
  return `${verdict}, sentence ${texts.location}${texts.isLocated === null ? "" : `: ${right(texts.isLocated)}`}`;
}

/** The sentence that the assessor corrects, with what it takes out and puts in. */
function correctionElements(texts) {
  if (texts.correction === null) return [];
  const [before, after] = [texts.corrected, texts.correction].map(wordsOf);
  const runs = wordDiff(before, after);
  const told = { true: "Its correction: right", false: "Its correction: wrong", null: "Its correction, which nobody ruled on" }[texts.isCorrected];
  const note = runs === null ? make("p", NOTE, ...visible(texts.correction)) : diffNote(before, after, runs, new Set());
  return [make("h4", {}, told), note];
}

function rulingText(texts) {
  const ruling = texts.ruling;
  if (!ruling) return "It was not asked.";
  if (ruling.errorPresent === undefined) {
    return `${ruling.source}: ${ruling.isAbstention ? "can't tell" : "failed"}. ${ruling.reason}`;
  }
  const faithful = { true: " The revision is faithful.", false: " The revision is not what its category asks for." }[ruling.isFaithful] ?? "";
  const who = ruling.judge && ruling.judge !== ruling.source ? `${ruling.source} (${ruling.judge})` : ruling.source;
  const sure = ruling.confidence === null ? "" : ` Confidence ${shareText(ruling.confidence)}.`;
  return `${who}: the note contains ${ruling.errorPresent ? "an error" : "no error"}.${faithful}${sure} ${ruling.reason}`;
}

function rewardTable(rewards) {
  const cell = (value) => (value === null ? "–" : signed(value));
  const names = ["role", "core", "revision", "format", "location", "correction", "total"];
  const rare = ["location", "correction"];
  // A term that few rules have is a column only where somebody got it.
  const columns = [...names.keys()].filter((i) => !rare.includes(names[i]) || rewards.some((terms) => terms[i] !== null));
  const rows = rewards.map((terms) => columns.map((i) => (i === 0 ? terms[i] : cell(terms[i]))));
  const table = makeTable([columns.map((i) => names[i]), ...rows]);
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Rewards" }, table);
}
