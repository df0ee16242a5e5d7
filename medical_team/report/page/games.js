// Tables of many rows that come in compressed chunks: from elements of this file, or from the server of a live run.

const KEPT_CHUNKS = 8;

/** Rows by number. A chunk is unpacked when one of its rows is asked for; the last few stay unpacked. */
class Table {
  /**
   * @param length how many rows there are
   * @param chunkRows how many rows a full chunk has
   * @param loadChunk an asynchronous function from a chunk's number to its rows
   */
  constructor(length, chunkRows, loadChunk) {
    this.length = length;
    this.chunkRows = chunkRows;
    this.loadChunk = loadChunk;
    this.chunks = new Map();
  }

  async row(number) {
    return (await this.chunk(Math.floor(number / this.chunkRows)))[number % this.chunkRows];
  }

  /** The rows of one chunk. One that may still grow is asked for again once it has. */
  async chunk(number) {
    const wanted = Math.min(this.chunkRows, this.length - number * this.chunkRows);
    const known = this.chunks.get(number);
    if (known && known.wanted >= wanted) return known.rows;
    const rows = this.loadChunk(number);
    this.chunks.set(number, { wanted, rows });
    if (this.chunks.size > KEPT_CHUNKS) this.chunks.delete(this.chunks.keys().next().value);
    try {
      return await rows;
    } catch (error) {
      this.chunks.delete(number);
      throw error;
    }
  }
}

/** A table that stands in this file, all of it once `isThere` is fulfilled. */
function embeddedTable(name, { rows, chunkRows }, isThere) {
  return new Table(rows, chunkRows, async (number) => {
    await isThere;
    const element = document.getElementById(`chunk-${name}-${number}`);
    if (!element) throw new Error("this file is not complete; copy it or write it again");
    return JSON.parse(await unpacked(element.textContent));
  });
}

/** Fulfilled when the browser has read this file to its end. */
function fileRead() {
  if (document.readyState !== "loading") return Promise.resolve();
  return new Promise((resolve) => document.addEventListener("DOMContentLoaded", resolve, { once: true }));
}

/** The text in base64 of a gzip file. */
async function unpacked(base64) {
  const stream = new Blob([bytesOf(base64)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const binary = atob(base64);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

// Which games are listed: the columns to filter by, the form, and the search through what was said.

const COLUMNS = ["run", "heldout", "step", "category", "errorType", "state", "outcome", "source"];
const RIGHT = ["error_found", "rightly_safe"];
const WRONG = ["error_missed", "false_alarm"];

/** What is known of every game without reading its texts: a column of numbers for each property. */
class GameIndex {
  constructor() {
    this.length = 0;
    this.ids = [];
    this.columns = Object.fromEntries(COLUMNS.map((name) => [name, new Int32Array(1024)]));
  }

  append(rows) {
    for (const row of rows) {
      if (this.length === this.columns.run.length) this.grow();
      COLUMNS.forEach((name, place) => (this.columns[name][this.length] = row[place]));
      this.ids.push(row[COLUMNS.length]);
      this.length++;
    }
  }

  grow() {
    for (const name of COLUMNS) {
      const larger = new Int32Array(this.columns[name].length * 4);
      larger.set(this.columns[name]);
      this.columns[name] = larger;
    }
  }

  /** The numbers of the games that fit `wanted`, in the order of the file. */
  matching(wanted, textMatches) {
    const tests = COLUMNS.filter((name) => wanted[name]).map((name) => [this.columns[name], wanted[name]]);
    const found = [];
    for (let game = 0; game < this.length; game++) {
      const step = this.columns.step[game];
      if (step < wanted.firstStep || step > wanted.lastStep) continue;
      if (!tests.every(([column, allowed]) => allowed.has(column[game]))) continue;
      if (textMatches && !textMatches(game)) continue;
      found.push(game);
    }
    return found;
  }
}

/** Every text of every game in lower case, read once, for the search. */
class SearchTexts {
  constructor(index, texts, cases) {
    this.index = index;
    this.texts = texts;
    this.cases = cases;
    this.ofGame = [];
    this.ofCase = [];
    this.caseOfGame = [];
    this.reading = null;
  }

  get isComplete() {
    return this.ofGame.length >= this.texts.length && this.ofCase.length >= this.cases.length;
  }

  /** Reads what is not read yet. Calls that overlap share the work. */
  async read() {
    this.reading ??= this.readNew().finally(() => (this.reading = null));
    return this.reading;
  }

  async readNew() {
    await eachNewRow(this.cases, this.ofCase, (row) => row.join("\n").toLowerCase());
    await eachNewRow(this.texts, this.ofGame, (row, game) => {
      this.caseOfGame[game] = row.case;
      return searchable(row).toLowerCase();
    });
  }

  /** A test whether a game holds `phrase` in its id or in any text. */
  matcher(phrase) {
    const wanted = phrase.toLowerCase();
    const cases = this.ofCase.map((text) => text.includes(wanted));
    return (game) =>
      cases[this.caseOfGame[game]] || (this.ofGame[game] ?? "").includes(wanted) || this.index.ids[game].toLowerCase().includes(wanted);
  }
}

async function eachNewRow(table, target, build) {
  while (target.length < table.length) {
    const rows = await table.chunk(Math.floor(target.length / table.chunkRows));
    for (const row of rows.slice(target.length % table.chunkRows)) target.push(build(row, target.length));
  }
}

function searchable(row) {
  const parts = [row.note, row.reason, row.ruling?.reason, row.verdict];
  for (const turn of [row.attacker, row.assessor]) parts.push(turn?.thinking, turn?.answer);
  return parts.filter(Boolean).join("\n");
}

/** The form above the list. `onChange` is called when something else is wanted. */
class Filters {
  constructor(form, vocabulary, runNames, onChange) {
    this.form = form;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", onChange);
    this.search = make("input", { type: "search", name: "search", autocomplete: "off", spellcheck: "false" });
    this.fields = {
      run: choice("run", runNames.map((name, number) => [[number], name])),
      heldout: choice("heldout", [[[0], "training games"], [[1], "held-out games"]]),
      category: choice("category", named(vocabulary.categories)),
      errorType: choice("errorType", named(vocabulary.errorTypes)),
      outcome: choice("outcome", outcomeOptions(vocabulary.outcomes)),
      state: choice("state", named(vocabulary.states)),
      source: choice("source", []),
    };
    this.firstStep = make("input", { type: "number", name: "firstStep", step: "1" });
    this.lastStep = make("input", { type: "number", name: "lastStep", step: "1" });
    this.order = make("select", { name: "order" }, make("option", { value: "oldest" }, "oldest first"), make("option", { value: "newest" }, "newest first"));
    const reset = make("button", { type: "button" }, "Clear all");
    reset.addEventListener("click", () => {
      form.reset();
      onChange();
    });
    fill(
      form,
      labelled("Search", this.search, "wide"),
      runNames.length > 1 ? labelled("Run", this.fields.run.element) : null,
      labelled("Played in", this.fields.heldout.element),
      labelled("Category", this.fields.category.element),
      labelled("Error type", this.fields.errorType.element),
      labelled("Outcome", this.fields.outcome.element),
      labelled("State", this.fields.state.element),
      labelled("Judge", this.fields.source.element),
      labelled("From step", this.firstStep),
      labelled("To step", this.lastStep),
      labelled("Order", this.order),
      make("div", {}, reset),
    );
    this.updateSources(vocabulary.sources);
  }

  /** Judges appear as a run goes on. */
  updateSources(sources) {
    const field = this.fields.source;
    const options = sources.map((name, number) => [[number], name || "not asked"]);
    if (options.length !== field.options.length) field.setOptions(options);
  }

  get phrase() {
    return this.search.value.trim();
  }

  get isNewestFirst() {
    return this.order.value === "newest";
  }

  /** What is wanted: for each column the allowed numbers, or null for any; and the range of steps. */
  wanted() {
    const wanted = Object.fromEntries(Object.entries(this.fields).map(([name, field]) => [name, field.allowed()]));
    wanted.firstStep = this.firstStep.value === "" ? -Infinity : Number(this.firstStep.value);
    wanted.lastStep = this.lastStep.value === "" ? Infinity : Number(this.lastStep.value);
    return wanted;
  }
}

/** A select whose options stand for sets of numbers. */
function choice(name, options) {
  const element = make("select", { name });
  const field = {
    element,
    options: [],
    setOptions(changed) {
      const chosen = element.value;
      field.options = changed;
      fill(element, make("option", { value: "" }, "any"), ...changed.map(([, label], place) => make("option", { value: String(place) }, ...visible(label))));
      element.value = chosen;
      if (element.selectedIndex < 0) element.value = "";
    },
    allowed: () => (element.value === "" ? null : new Set(field.options[Number(element.value)][0])),
  };
  field.setOptions(options);
  return field;
}

function named(names) {
  return names.map((name, number) => [[number], plainName(name)]);
}

function outcomeOptions(outcomes) {
  const numbers = (names) => names.map((name) => outcomes.indexOf(name));
  return [[numbers(RIGHT), "right verdict"], [numbers(WRONG), "wrong verdict"], ...named(outcomes)];
}

function labelled(text, input, kind = null) {
  return make("label", { class: kind }, text, input);
}

// The list of games: only the rows in sight are in the page, however many games there are.

const ROW_HEIGHT = 52;
const SPARE_ROWS = 8;
const OUTCOME_MARKS = { error_found: "✓", rightly_safe: "✓", error_missed: "✗", false_alarm: "✗", undecided: "–" };

class GameList {
  constructor(element, index, vocabulary, onChoose) {
    this.element = element;
    this.index = index;
    this.vocabulary = vocabulary;
    this.onChoose = onChoose;
    this.games = [];
    this.place = -1;
    this.filler = make("div", { class: "filler", role: "presentation" });
    fill(element, this.filler);
    element.addEventListener("scroll", () => this.draw());
    element.addEventListener("keydown", (event) => this.key(event));
    element.addEventListener("click", (event) => {
      const row = event.target.closest(".row");
      if (row) this.choose(Number(row.dataset.place), { isSought: true });
    });
    new ResizeObserver(() => this.draw()).observe(element);
  }

  get chosenGame() {
    return this.games[this.place] ?? null;
  }

  /** Lists other games. What was chosen stays chosen where it is still listed. */
  show(games) {
    const chosen = this.chosenGame;
    this.games = games;
    this.place = chosen === null ? -1 : games.indexOf(chosen);
    this.filler.style.height = `${games.length * ROW_HEIGHT}px`;
    this.draw();
  }

  /**
   * Chooses the game at `place`. `isSought`: bring it into sight, which on a phone is below the list. `isEntered`: go
   * there with the keyboard too.
   */
  choose(place, { isSought = false, isEntered = false } = {}) {
    if (!this.games.length) return;
    this.place = Math.max(0, Math.min(place, this.games.length - 1));
    this.reveal();
    this.draw();
    this.onChoose(this.chosenGame, { isSought, isEntered });
  }

  reveal() {
    const top = this.place * ROW_HEIGHT;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + ROW_HEIGHT > scrollTop + clientHeight) this.element.scrollTop = top + ROW_HEIGHT - clientHeight;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.element.clientHeight / ROW_HEIGHT) - 1);
    const targets = {
      ArrowDown: this.place + 1,
      ArrowUp: this.place - 1,
      PageDown: this.place + page,
      PageUp: this.place - page,
      Home: 0,
      End: this.games.length - 1,
    };
    if (event.key in targets) this.choose(targets[event.key]);
    else if (event.key === "Enter" || event.key === " ") this.choose(this.place, { isSought: true, isEntered: true });
    else return;
    event.preventDefault();
  }

  draw() {
    const first = Math.max(0, Math.floor(this.element.scrollTop / ROW_HEIGHT) - SPARE_ROWS);
    const count = Math.ceil(this.element.clientHeight / ROW_HEIGHT) + 2 * SPARE_ROWS;
    const rows = [];
    for (let place = first; place < Math.min(this.games.length, first + count); place++) rows.push(this.row(place));
    // A screen reader needs the chosen row in the page, also when it is scrolled out of sight.
    if (this.place >= 0 && (this.place < first || this.place >= first + count)) rows.push(this.row(this.place));
    this.filler.replaceChildren(...rows);
    if (this.place >= 0) this.element.setAttribute("aria-activedescendant", `row-${this.place}`);
    else this.element.removeAttribute("aria-activedescendant");
  }

  row(place) {
    const game = this.games[place];
    const { columns } = this.index;
    const { categories, errorTypes, outcomes } = this.vocabulary;
    const outcome = outcomes[columns.outcome[game]];
    const when = stepText(columns.step[game]) + (columns.heldout[game] ? ", held-out" : "");
    const row = make(
      "div",
      {
        class: "row",
        role: "option",
        id: `row-${place}`,
        "data-place": place,
        "aria-selected": String(place === this.place),
        "aria-setsize": this.games.length,
        "aria-posinset": place + 1,
        title: this.index.ids[game],
      },
      make("span", {}, make("span", { "aria-hidden": "true" }, `${OUTCOME_MARKS[outcome]} `), `${plainName(outcome)}, ${when}`),
      make("span", { class: "second" }, `${plainName(categories[columns.category[game]])}, ${errorTypes[columns.errorType[game]]}`),
    );
    row.style.top = `${place * ROW_HEIGHT}px`;
    return row;
  }
}
