"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const PAGE = 40;
  const state = { group: 0, axis: null, budget: null, from: 0, filters: {} };
  const drawn = new Map();

  // Text always enters the page through textContent, so nothing a model wrote is ever parsed as markup.
  const element = (tag, text, className) => {
    const made = document.createElement(tag);
    if (text !== undefined && text !== null) made.textContent = String(text);
    if (className) made.className = className;
    return made;
  };
  const options = (select, choices, chosen) => {
    select.replaceChildren(...choices.map(([value, text]) => {
      const option = element("option", text);
      option.value = String(value);
      option.selected = value === chosen;
      return option;
    }));
  };
  const unique = (values) => [...new Set(values)].filter((value) => value !== null && value !== "");

  // A name that is cut may be that of several series. 7 px is a wide letter of the legend's 12 px.
  const legend = (width, names) => {
    const longest = 7 * Math.max(0, ...names.map((name) => name.length));
    if (width >= 700 && names.length <= 18 && longest <= 260) return { orient: "right" };
    const room = width - 105;
    return {
      orient: "bottom", columns: Math.max(1, Math.floor((room + 30) / (longest + 30))), labelLimit: room,
      labelFontSize: Math.max(9, Math.min(12, 12 * room / longest)),
    };
  };
  const draw = async (id, spec, datasets, { names = [], hideLegend = false } = {}) => {
    const holder = byId(id);
    const theme = dark.matches ? "dark" : "light";
    const config = { ...data.themes[theme] };
    config.legend = { ...config.legend, ...legend(holder.clientWidth, names), ...(hideLegend ? { disable: true } : {}) };
    const turn = Symbol(id);
    const before = drawn.get(id);
    drawn.set(id, { turn, result: before && before.result });
    const result = await vegaEmbed(holder, { ...spec, datasets, autosize: { type: "fit-x", contains: "padding" } }, {
      ast: true,
      actions: { export: true, source: false, compiled: false, editor: false },
      renderer: "svg",
      config,
      downloadFileName: "tts-compare-" + id,
      tooltip: { theme },
    });
    if (before && before.result) before.result.finalize();
    if (drawn.get(id).turn === turn) drawn.set(id, { turn, result });
    holder.dataset.drawn = spec.name || id;
  };

  const currentGroup = () => data.groups[state.group];
  const currentAxis = () => currentGroup().axes.find((axis) => axis.id === state.axis) || currentGroup().axes[0];
  const drawFrontier = () => {
    const group = currentGroup();
    const axis = currentAxis();
    const ofAxis = (rows) => rows.filter((row) => row.axis === axis.id);
    const datasets = { points: group.points, frontier: ofAxis(group.frontiers), band: ofAxis(group.bands) };
    const shown = { names: group.series };
    byId("formula-x").textContent = axis.formula ? axis.title + ": " + axis.formula : "";
    byId("formula-accuracy").textContent = group.accuracyFormula ? "Accuracy: " + group.accuracyFormula : "";
    const single = { hideLegend: true };
    return Promise.all([
      draw("figure-frontier", { ...axis.spec, name: "frontier_" + axis.id }, datasets, shown),
      draw("figure-accuracy-curve", group.accuracyCurve, { points: group.points }, single),
      draw("figure-cost-curve", axis.curve, { points: group.points }, single),
    ]);
  };
  const buildSwitch = () => {
    const axes = currentGroup().axes;
    if (!axes.some((axis) => axis.id === state.axis)) state.axis = axes.length ? axes[0].id : null;
    byId("axis").replaceChildren(...axes.map((axis) => {
      const label = element("label");
      const input = element("input");
      Object.assign(input, { type: "radio", name: "axis", value: axis.id, checked: axis.id === state.axis });
      input.addEventListener("change", () => { state.axis = axis.id; drawFrontier(); });
      label.append(input, element("span", axis.title));
      return label;
    }));
  };

  const drawSpread = () => {
    const load = currentGroup().load;
    const here = data.spread.filter((row) => row.load === load);
    const budgets = unique(here.map((row) => row.budget)).sort((a, b) => b - a);
    byId("spread").hidden = budgets.length === 0;
    if (!budgets.length) return Promise.resolve();
    if (!budgets.includes(state.budget)) state.budget = budgets[0];
    options(byId("spread-budget"), budgets.map((tokens) => [tokens, here.find((row) => row.budget === tokens).budget_said]), state.budget);
    return Promise.all(["latency", "rate"].map((what) => {
      const quantiles = here.filter((row) => row.what === what && row.budget === state.budget);
      const spec = { ...data.spreadSpecs[what], height: 28 * quantiles.length + 8 };
      spec.encoding = { y: { ...spec.encoding.y, axis: { labelLimit: byId("figure-" + what).clientWidth * 0.55 } } };
      return draw("figure-" + what, spec, { quantiles });
    }));
  };

  const said = { correct: "correct", incorrect: "wrong", no_answer: "no answer", ungraded: "ungraded", failed: "failed" };
  const outcome = (row) => {
    if (!row.ok) return "failed";
    const graded = row.graded[currentGroup().policy];
    return graded ? graded.status : "ungraded";
  };
  const problemOf = (row) => data.responses.problems[row.problem];
  const FILTERS = [
    ["level", "Level", (row) => problemOf(row).level],
    ["subject", "Subject", (row) => problemOf(row).subject],
    ["outcome", "Outcome", outcome],
    ["series", "Setting", (row) => row.series],
  ];
  const matching = () => data.responses.rows.filter((row) =>
    row.load === currentGroup().load
    && FILTERS.every(([name, , value]) => !state.filters[name] || String(value(row)) === state.filters[name])
    && (!state.filters.search || problemOf(row).id.includes(state.filters.search)
      || row.text.includes(state.filters.search)));
  const buildFilters = () => {
    const here = data.responses.rows.filter((row) => row.load === currentGroup().load);
    const parts = FILTERS.map(([name, title, value]) => {
      const label = element("label", title + " ");
      const select = element("select");
      select.id = "filter-" + name;
      const values = unique(here.map(value)).sort((a, b) => (a > b) - (a < b));
      if (!values.map(String).includes(state.filters[name])) delete state.filters[name];
      const choices = values.map((one) => [String(one), said[one] || one]);
      options(select, [["", "all"], ...choices], state.filters[name] || "");
      select.addEventListener("change", () => { state.filters[name] = select.value; state.from = 0; listRows(); });
      label.append(select);
      return label;
    });
    const search = element("input");
    Object.assign(search, { type: "search", id: "filter-search", placeholder: "problem or text", value: state.filters.search || "" });
    search.setAttribute("aria-label", "Search problems and responses");
    search.addEventListener("input", () => { state.filters.search = search.value; state.from = 0; listRows(); });
    byId("filters").replaceChildren(...parts, search);
  };
  const detail = (row) => {
    const line = element("tr", null, "detail");
    const cell = element("td");
    cell.colSpan = 9;
    const problem = problemOf(row);
    const facts = [row.series, "budget " + row.budgetSaid, "sample " + row.sample, "repeat " + row.repeat];
    if (row.finish) facts.push("finish_reason " + row.finish);
    if (row.tokens !== null) facts.push(row.tokens + " tokens");
    if (row.latency !== null) facts.push(row.latency + " s");
    if (problem.level !== null) facts.push("level " + problem.level);
    if (problem.subject) facts.push(problem.subject);
    cell.append(element("div", facts.join(", "), "note"));
    if (problem.text) cell.append(element("h3", "Problem"), element("pre", problem.text));
    if (problem.gold) cell.append(element("h3", "Right answer"), element("pre", problem.gold));
    const graded = row.graded[currentGroup().policy];
    if (graded && graded.answer) cell.append(element("h3", "Answer read from the response"), element("pre", graded.answer));
    if (row.error) cell.append(element("h3", "Error"), element("pre", row.error));
    cell.append(element("h3", "Response"), element("pre", row.text || "(nothing)"));
    if (row.cut) cell.append(element("p", row.cut + " more characters are not in this file.", "note"));
    line.append(cell);
    return line;
  };
  const listRows = () => {
    const rows = matching();
    state.from = Math.min(state.from, Math.max(0, Math.floor((rows.length - 1) / PAGE) * PAGE));
    const shown = rows.slice(state.from, state.from + PAGE);
    byId("rows").replaceChildren(...shown.map((row) => {
      const problem = problemOf(row);
      const result = outcome(row);
      const line = element("tr", null, "row");
      const name = element("td");
      const open = element("button", problem.id);
      open.type = "button";
      open.setAttribute("aria-expanded", "false");
      name.append(open);
      const graded = row.graded[currentGroup().policy];
      const verdict = element("td");
      verdict.append(element("span", said[result] || result, "outcome " + result));
      if (row.finish === "length") verdict.append(" ", element("span", "cut off", "truncated"));
      line.append(
        name, element("td", problem.level, "wide"), element("td", problem.subject, "wide"), element("td", row.series),
        element("td", row.budgetSaid, "num"), verdict, element("td", row.tokens, "num wide"),
        element("td", row.latency === null ? "" : row.latency.toFixed(2), "num wide"),
        element("td", graded ? graded.answer : "", "wide"),
      );
      line.addEventListener("click", () => {
        const isOpen = line.nextSibling && line.nextSibling.className === "detail";
        if (isOpen) line.nextSibling.remove(); else line.after(detail(row));
        open.setAttribute("aria-expanded", String(!isOpen));
      });
      return line;
    }));
    const last = Math.min(rows.length, state.from + PAGE);
    byId("place").textContent = rows.length ? (state.from + 1) + " to " + last + " of " + rows.length : "no response matches";
    byId("earlier").disabled = state.from === 0;
    byId("later").disabled = last >= rows.length;
  };
  const buildResponses = () => {
    const { shown, total, problems, problems_total: every, first_only: firstOnly } = data.responses;
    byId("responses").hidden = shown === 0;
    byId("responses-note").textContent = shown === total
      ? "Responses: " + total + ", problems: " + every + ". Click a row to read it."
      : shown + " of " + total + " responses are in this file: those to " + problems.length + " of " + every
        + " problems, the same for every setting" + (firstOnly ? ", the first sample of each" : "") + ". The others are in records.jsonl. Click a row to read it.";
    byId("earlier").addEventListener("click", () => { state.from = Math.max(0, state.from - PAGE); listRows(); });
    byId("later").addEventListener("click", () => { state.from += PAGE; listRows(); });
  };

  const redraw = () => Promise.all([drawFrontier(), drawSpread()]).then(() => { document.body.dataset.ready = "yes"; });
  const choose = () => { buildSwitch(); buildFilters(); listRows(); return redraw(); };
  if (data.groups.length) {
    options(byId("group"), data.groups.map((group, i) => [i, group.title]), 0);
    byId("group-label").hidden = data.groups.length < 2;
    byId("group").addEventListener("change", (event) => { state.group = Number(event.target.value); choose(); });
    byId("spread-budget").addEventListener("change", (event) => { state.budget = Number(event.target.value); drawSpread(); });
    buildResponses();
    choose();
    dark.addEventListener("change", redraw);
    let narrow = innerWidth < 720;
    addEventListener("resize", () => {
      if (narrow !== innerWidth < 720) { narrow = !narrow; redraw(); }
    });
  }
})();
