// A run that goes on: asks the server, on this machine, for what is new.

const POLL_MILLISECONDS = 2000;

/** A table whose rows the server has. */
function servedTable(name, { chunkRows }) {
  return new Table(0, chunkRows, (number) => served(`rows?table=${name}&from=${number * chunkRows}`));
}

async function served(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error(`the server says ${answer.status}: ${await answer.text()}`);
  return answer.json();
}

/** Polls the state of the run and hands each to `onState`, for as long as the page is open. */
async function followRun(onState) {
  const status = document.getElementById("live-status");
  status.hidden = false;
  let generation = null;
  for (;;) {
    let problem = null;
    try {
      const state = await served("state");
      if (generation !== null && state.generation !== generation) {
        // The run went back to an earlier checkpoint: what is shown here no longer holds.
        location.reload();
        return;
      }
      generation = state.generation;
      await onState(state);
      problem = state.problem;
      status.textContent = problem ?? `Live: ${state.runs[0].state}`;
    } catch (error) {
      problem = `Not live: ${error.message}. What is shown is what was last heard.`;
      if (status.textContent !== problem) status.textContent = problem;
    }
    // A screen reader tells of trouble, not of every step.
    if (problem === null) status.removeAttribute("role");
    else status.setAttribute("role", "alert");
    await new Promise((resolve) => setTimeout(resolve, POLL_MILLISECONDS));
  }
}

// Puts the page together.

const PAGE = JSON.parse(document.getElementById("page-data").textContent);

class Browser {
  constructor(tables, vocabulary, runNames) {
    this.tables = tables;
    this.vocabulary = vocabulary;
    this.runNames = runNames;
    this.index = new GameIndex();
    this.searchTexts = new SearchTexts(this.index, tables.texts, tables.cases);
    this.count = document.getElementById("games-count");
    this.article = document.getElementById("game");
    this.list = new GameList(document.getElementById("game-list"), this.index, vocabulary, (game, how) => this.open(game, how));
    this.filters = new Filters(document.getElementById("filters"), vocabulary, runNames, () => this.filter());
    this.wanted = 0;
    fill(this.article, make("p", {}, "Choose a game in the list."));
  }

  /** Takes in the rows of the index that are new. */
  async readIndex() {
    while (this.index.length < this.tables.index.length) {
      const rows = await this.tables.index.chunk(Math.floor(this.index.length / this.tables.index.chunkRows));
      this.index.append(rows.slice(this.index.length % this.tables.index.chunkRows));
    }
  }

  /** Lists what the form asks for; a later call overtakes an earlier one. */
  async filter() {
    const turn = ++this.wanted;
    const { phrase } = this.filters;
    if (phrase && !this.searchTexts.isComplete) {
      this.count.textContent = "Reading the texts …";
      await this.searchTexts.read();
      if (turn !== this.wanted) return;
    }
    const games = this.index.matching(this.filters.wanted(), phrase ? this.searchTexts.matcher(phrase) : null);
    if (this.filters.isNewestFirst) games.reverse();
    this.list.show(games);
    const text = games.length === this.index.length ? counted(games.length, "game") : `${games.length.toLocaleString("en")} of ${counted(this.index.length, "game")}`;
    if (this.count.textContent !== text) this.count.textContent = text;
  }

  /** The same, without a screen reader telling the new count, which nobody asked for. */
  async filterQuietly() {
    this.count.setAttribute("aria-live", "off");
    await this.filter();
    setTimeout(() => this.count.removeAttribute("aria-live"), 500);
  }

  async open(game, { isSought, isEntered }) {
    const elements = await this.elementsOf(game);
    if (this.list.chosenGame !== game) return;
    const back = make("button", { type: "button", class: "back" }, "Back to the list");
    back.addEventListener("click", () => this.list.element.focus());
    fill(this.article, back, ...elements);
    history.replaceState(null, "", `#game=${this.index.columns.run[game]}/${encodeURIComponent(this.index.ids[game])}`);
    if (isEntered) this.article.focus({ preventScroll: true });
    if (isSought) this.article.scrollIntoView({ block: this.article.getBoundingClientRect().top > innerHeight / 2 ? "start" : "nearest" });
  }

  async elementsOf(game) {
    try {
      const texts = await this.tables.texts.row(game);
      return gameElements(this.about(game), texts, await this.tables.cases.row(texts.case));
    } catch (error) {
      return [make("p", { class: "problem", role: "alert" }, `This game can't be shown: ${error.message}.`)];
    }
  }

  /** A game's row of the index by name. */
  about(game) {
    const { columns, ids } = this.index;
    const category = this.vocabulary.categories[columns.category[game]];
    return {
      id: ids[game],
      step: columns.step[game],
      category,
      isAdversarial: category.startsWith("adversarial"),
      isHarmful: category.endsWith("harmful"),
      isHeldout: Boolean(columns.heldout[game]),
      errorType: this.vocabulary.errorTypes[columns.errorType[game]],
      state: this.vocabulary.states[columns.state[game]],
      outcome: this.vocabulary.outcomes[columns.outcome[game]],
      runName: this.runNames.length > 1 ? this.runNames[columns.run[game]] : null,
    };
  }

  /** Opens the game that the address names, if it names one. */
  openNamed() {
    const named = /^#game=(\d+)\/(.+)$/.exec(location.hash);
    if (!named) return;
    const id = decodeURIComponent(named[2]);
    const game = this.index.ids.findIndex((other, i) => other === id && this.index.columns.run[i] === Number(named[1]));
    if (game >= 0) this.list.choose(this.list.games.indexOf(game), { isSought: true });
  }
}

function tablesOf(makeOne) {
  return Object.fromEntries(Object.entries(PAGE.tables).map(([name, sizes]) => [name, makeOne(name, sizes)]));
}

async function showReport() {
  const overview = new Overview();
  overview.show(PAGE.runs);
  // The index stands before this script, the texts come after it.
  const rest = fileRead();
  const tables = tablesOf((name, sizes) => embeddedTable(name, sizes, name === "index" ? null : rest));
  const browser = new Browser(tables, PAGE.vocabulary, PAGE.runs.map((run) => run.name));
  await browser.readIndex();
  await browser.filter();
  browser.openNamed();
  tellReady("games");
  // The search is ready before anybody has typed.
  await browser.searchTexts.read();
  tellReady("search");
}

async function watchRun() {
  const overview = new Overview();
  const tables = tablesOf(servedTable);
  const browser = new Browser(tables, PAGE.vocabulary, PAGE.runs.map((run) => run.name));
  let isFirst = true;
  await followRun(async (state) => {
    overview.show(state.runs);
    for (const [name, length] of Object.entries(state.lengths)) tables[name].length = length;
    browser.filters.updateSources(state.sources);
    if (isFirst || browser.index.length < tables.index.length) {
      await browser.readIndex();
      await browser.filterQuietly();
    }
    if (isFirst) browser.openNamed();
    isFirst = false;
    tellReady("games");
  });
}

/** For whoever measures or tests this page: what can be used from now on. */
function tellReady(what) {
  if (document.documentElement.dataset.ready === what) return;
  document.documentElement.dataset.ready = what;
  performance.mark(what);
}

function tellOfTrouble(error) {
  const text = `Not all of this page could be drawn: ${error.message}.`;
  document.querySelector("header").append(make("p", { class: "problem", role: "alert" }, text));
}

(PAGE.live ? watchRun() : showReport()).catch(tellOfTrouble);
