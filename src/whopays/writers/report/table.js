/* The filters, and the table of all documents, fifty at a time. */

const PER_PAGE = 50;
const MOST_PRINTED = 2000;

const columns = [
  { key: "name", title: "Document", value: (row) => row.name.toLowerCase() },
  ...fields.map((field, place) => ({
    key: `field${place}`,
    title: capital(field.title),
    field,
    value: (row) => ownLabels(row, field).map((label) => String(label).padStart(4, "0")).join() || "~",
  })),
  { key: "quotes", title: "Quotes", number: true, value: (row) => row.quotes },
  { key: "top", title: "Best score", number: true, value: (row) => row.top },
];

const ownLabels = (row, field) => row.labels.filter((label) => field.labels.includes(label));

function sorted(found) {
  const column = columns.find((one) => one.key === state.sort.key);
  if (!column) return found;
  const values = new Map(found.map((row) => [row, column.value(row)]));
  const sign = state.sort.down ? -1 : 1;
  return [...found].sort((a, b) => {
    const [x, y] = [values.get(a), values.get(b)];
    return x < y ? -sign : x > y ? sign : a.number - b.number;
  });
}

function buildFilters() {
  let waiting = 0;
  const search = make("input", {
    id: "search",
    type: "search",
    autocomplete: "off",
    placeholder: "a title, a file, words of the text",
    oninput: () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => {
        state.words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
        state.page = 0;
        render();
      }, 120);
    },
  });
  const claims = make(
    "select",
    {
      id: "claims",
      onchange: () => {
        state.claims = claims.value;
        state.page = 0;
        render();
      },
    },
    make("option", { value: "all" }, "all documents"),
    make("option", { value: "with" }, "with claims"),
    make("option", { value: "without" }, "without claims"),
  );
  const facets = fields.map((field) =>
    make(
      "div",
      { class: "facet", role: "group", "aria-label": `Filter: ${field.title}` },
      make("span", { class: "facet-title" }, capital(field.title)),
      field.labels.map((label) =>
        make(
          "button",
          { type: "button", class: "chip toggle", color: label, "data-label": label, title: labels[label].definition, onclick: () => toggle(label) },
          labels[label].value,
          make("span", { class: "count" }),
        ),
      ),
    ),
  );
  return make(
    "div",
    { class: "filters" },
    make("div", { class: "search" }, make("label", { for: "search" }, "Search"), search, make("label", { for: "claims" }, "Show"), claims),
    facets,
    make("div", { id: "active", class: "active" }),
  );
}

function buildTable() {
  const heads = columns.map((column) =>
    make(
      "th",
      { scope: "col", "data-key": column.key, class: column.number ? "number" : "" },
      make(
        "button",
        {
          type: "button",
          class: "sort",
          onclick: () => {
            const again = state.sort.key === column.key;
            state.sort = { key: column.key, down: again ? !state.sort.down : Boolean(column.number) };
            state.page = 0;
            render();
          },
        },
        column.title,
      ),
    ),
  );
  return make(
    "div",
    { class: "scroll", role: "region", "aria-label": "Table of documents", tabindex: "0" },
    make("table", { id: "documents" }, make("thead", {}, make("tr", {}, heads)), make("tbody", {})),
  );
}

function buildPager() {
  const turn = (step) => {
    state.page += step;
    render();
    document.getElementById("list").scrollIntoView({ block: "start" });
  };
  return make(
    "div",
    { class: "pager" },
    make("button", { type: "button", id: "previous", onclick: () => turn(-1) }, "Previous"),
    make("span", { id: "where" }),
    make("button", { type: "button", id: "next", onclick: () => turn(1) }, "Next"),
  );
}

function tableRow(row) {
  const cells = columns.map((column) => {
    if (column.key === "name") {
      const link = make("a", { href: `#d${row.number}` }, row.name);
      const source = row.source && row.source !== row.name ? make("span", { class: "source" }, row.source) : null;
      const notice = row.notices.length ? make("span", { class: "notice" }, row.notices[0]) : null;
      return make("th", { scope: "row" }, link, source, notice);
    }
    if (column.field) return make("td", {}, ownLabels(row, column.field).map((label) => chip(label)));
    if (column.key === "quotes") return make("td", { class: "number" }, row.quotes || "–");
    return make("td", { class: "number" }, row.labels.length ? row.top.toFixed(2) : "–");
  });
  return make("tr", {}, cells);
}

function renderFilters(found) {
  const counts = labels.map((_, label) => found.filter((row) => row.labels.includes(label)).length);
  for (const button of document.querySelectorAll(".toggle[data-label]")) {
    const label = Number(button.dataset.label);
    button.setAttribute("aria-pressed", state.labels.has(label));
    button.querySelector(".count").textContent = counts[label].toLocaleString("en");
  }
  const active = document.getElementById("active");
  active.replaceChildren();
  if (state.flow) {
    active.append(make("button", { type: "button", onclick: () => chooseFlow(state.flow) }, `${flowName(state.flow)} ✕`));
  }
  if (state.flow || state.labels.size) {
    active.append(make("button", { type: "button", id: "clear", onclick: () => choose([]) }, "Clear filters"));
  }
}

/* Returns the rows in the order of the table. */
function renderTable(found, printing = false) {
  const ordered = sorted(chosen(found));
  const pages = Math.max(1, Math.ceil(ordered.length / PER_PAGE));
  state.page = Math.min(state.page, pages - 1);
  const from = printing ? 0 : state.page * PER_PAGE;
  const shown = ordered.slice(from, from + (printing ? MOST_PRINTED : PER_PAGE));
  const body = document.querySelector("#documents tbody");
  body.replaceChildren(...shown.map(tableRow));
  if (!shown.length) {
    body.append(make("tr", {}, make("td", { colspan: columns.length, class: "none" }, "No document fits these filters.")));
  }
  for (const head of document.querySelectorAll("#documents thead th")) {
    const sorts = head.dataset.key === state.sort.key;
    if (sorts) head.setAttribute("aria-sort", state.sort.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  document.getElementById("previous").disabled = state.page === 0;
  document.getElementById("next").disabled = state.page === pages - 1;
  document.getElementById("where").textContent = ordered.length
    ? `${(from + 1).toLocaleString("en")}–${(from + shown.length).toLocaleString("en")} of ${counted(ordered.length, "document")}`
    : "no documents";
  return ordered;
}
