/* Puts the page together, shows the table or a document by the address's hash, and prepares it for print. */

const MOST_DOCUMENTS_PRINTED = 30;
let ordered = [];

function render() {
  const found = searched();
  renderFilters(found);
  if (labels.length) renderMatrix(found);
  renderFlow(found);
  ordered = renderTable(found);
}

function tile(number, name) {
  return make("div", { class: "tile" }, make("strong", {}, number.toLocaleString("en")), make("span", {}, name));
}

function header() {
  const theme = make("button", { type: "button", id: "theme" });
  const claims = rows.filter((row) => row.labels.length).length;
  const quotes = rows.reduce((sum, row) => sum + row.quotes, 0);
  const head = make(
    "header",
    { class: "top" },
    make("div", { class: "title" }, make("h1", {}, about.title), theme),
    make("div", { class: "tiles" }, tile(about.documents, about.documents === 1 ? "document" : "documents"), tile(claims, "with claims"), tile(quotes, quotes === 1 ? "quote" : "quotes")),
  );
  wireTheme(theme);
  return head;
}

function contentNote() {
  const [, passages, quotes, nothing] = about.contents;
  const parts = [
    passages ? `${counted(passages, "document")} with passages around the evidence instead of the whole text` : null,
    quotes ? `${counted(quotes, "document")} with quotes alone` : null,
    nothing ? `${counted(nothing, "document")} in the table only` : null,
  ].filter(Boolean);
  return parts.length ? make("p", { class: "note", id: "left-out" }, `To stay quick to open, this report holds ${parts.join(", ")}.`) : null;
}

function footer() {
  const definitions = labels.map((label, index) => [make("dt", {}, chip(index, label.id)), make("dd", {}, label.definition)]);
  return make(
    "footer",
    {},
    make("details", {}, make("summary", {}, "What the labels mean"), make("dl", {}, definitions)),
    make(
      "details",
      {},
      make("summary", {}, "How to read this report"),
      make("p", {}, "A tag says what a text says, not what is true. Every tag has quotes that carry it; the model is wrong often enough that a person must read them. A score is the model's estimate of the probability that the label is right."),
      make("p", {}, "Keyboard: Tab goes through everything; in a document, j and k go to the next and the previous quote and Escape back to the table. Printing gives the table as it is filtered, and the documents too if they are few."),
    ),
    make("p", { class: "facts" }, `Made by whopays ${about.version} · model ${about.models.join(", ") || "–"} · codebook ${about.codebook}`),
  );
}

function build() {
  labels.forEach((label, index) => {
    document.documentElement.style.setProperty(`--label-${index}`, `light-dark(${label.color}, color-mix(in oklab, ${label.color} 62%, white))`);
  });
  const overview = make(
    "div",
    { class: "overview" },
    make(
      "section",
      { class: "card", "aria-labelledby": "matrix-title" },
      make("h2", { id: "matrix-title" }, about.groups.map(({ title }, place) => (place ? title.charAt(0).toLowerCase() + title.slice(1) : title)).join(", ")),
      make("p", { class: "note" }, "Documents that have both labels; a click shows them in the table."),
      make("table", { id: "matrix" }),
    ),
    about.flow ? buildFlow() : null,
  );
  const list = make("section", { id: "list", "aria-labelledby": "list-title" }, make("h2", { id: "list-title" }, "Documents"), buildFilters(), buildTable(), buildPager(), contentNote());
  document.getElementById("app").replaceChildren(
    header(),
    make("main", {}, make("div", { id: "all" }, overview, list), make("div", { id: "one", hidden: true }), make("div", { id: "print" })),
    footer(),
    make("div", { id: "status", class: "off-screen", role: "status" }),
  );
}

let opened = null;

/* Shows what the hash asks for. */
function route() {
  const number = /^#d(\d+)$/.exec(location.hash)?.[1];
  const row = rows[Number(number) - 1];
  const [all, one] = [document.getElementById("all"), document.getElementById("one")];
  all.hidden = Boolean(row);
  document.body.classList.toggle("opened", Boolean(row));
  one.hidden = !row;
  if (row) {
    const place = ordered.indexOf(row);
    one.replaceChildren(documentView(row, { before: place > 0 ? ordered[place - 1] : null, after: place >= 0 ? ordered[place + 1] : null }));
    document.title = `${row.name} – ${about.title}`;
    window.scrollTo(0, 0);
    one.querySelector("h2").focus();
    opened = row;
  } else {
    one.replaceChildren();
    document.title = about.title;
    if (opened) {
      const link = document.querySelector(`a[href="#d${opened.number}"]`);
      (link || document.getElementById("search")).focus();
      opened = null;
    }
  }
}

window.addEventListener("hashchange", route);
window.addEventListener("beforeprint", () => {
  if (opened) return;
  ordered = renderTable(searched(), true);
  if (ordered.length <= MOST_DOCUMENTS_PRINTED) document.getElementById("print").append(...ordered.map((row) => documentView(row, null)));
});
window.addEventListener("afterprint", () => {
  document.getElementById("print").replaceChildren();
  if (!opened) render();
});

build();
render();
route();
document.documentElement.dataset.ready = "true";
