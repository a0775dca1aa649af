/* Labels of groups that have parties, by labels of groups that have none: who pays, by which mechanism. */

const withParties = fields.filter((field) => field.stance !== null);
const withoutParties = fields.filter((field) => field.stance === null);
const matrixRows = withParties.length ? withParties : withoutParties;
const matrixColumns = (withParties.length ? withoutParties : []).flatMap((field) => field.labels);

function renderMatrix(found) {
  const size = labels.length;
  const pairs = new Uint32Array(size * size);
  for (const row of found) {
    for (const a of row.labels) {
      for (const b of row.labels) pairs[a * size + b] += 1;
    }
  }
  /* Of no label, one or two. A label with itself is the label alone. */
  const count = (wanted) => (wanted.length ? pairs[wanted[0] * size + wanted.at(-1)] : found.length);
  const most = Math.max(1, ...matrixRows.flatMap((field) => field.labels.flatMap((a) => matrixColumns.map((b) => count([a, b])))));
  const cell = (wanted, name, shade) => {
    const number = count(wanted);
    const pressed = !state.flow && state.labels.size === wanted.length && wanted.every((label) => state.labels.has(label));
    const button = make(
      "button",
      {
        type: "button",
        "aria-pressed": wanted.length ? pressed : null,
        "aria-label": `${counted(number, "document")}: ${name}`,
        "data-labels": wanted.join(" "),
        onclick: () => choose(pressed ? [] : wanted),
      },
      number.toLocaleString("en"),
    );
    if (shade) button.style.setProperty("--shade", `${Math.round((55 * number) / most)}%`);
    return make("td", { class: shade ? "shaded" : "total" }, button);
  };
  const head = make(
    "tr",
    {},
    make("td", {}),
    matrixColumns.map((label) => make("th", { scope: "col" }, chip(label))),
    make("th", { scope: "col" }, "all"),
  );
  const bodies = matrixRows.map((field) =>
    make(
      "tbody",
      {},
      make("tr", {}, make("th", { scope: "rowgroup", colspan: matrixColumns.length + 2, class: "stance" }, capital(field.title))),
      field.labels.map((party) =>
        make(
          "tr",
          {},
          make("th", { scope: "row" }, chip(party)),
          matrixColumns.map((label) => cell([party, label], `${field.title}, ${labels[party].value}, and ${labels[label].value}`, true)),
          cell([party], `${field.title}, ${labels[party].value}`, false),
        ),
      ),
    ),
  );
  const foot = make(
    "tbody",
    {},
    make(
      "tr",
      {},
      make("th", { scope: "row" }, "all"),
      matrixColumns.map((label) => cell([label], labels[label].value, false)),
      cell([], "all", false),
    ),
  );
  document.getElementById("matrix").replaceChildren(make("thead", {}, head), ...bodies, foot);
}
