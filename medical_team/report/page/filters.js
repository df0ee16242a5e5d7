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
