/* One document: its text with the evidence in place, and beside it the quotes, to be cited. */

function citation(row, span) {
  const names = [row.name, row.source && row.source !== row.name ? row.source : null];
  const page = span.page ? `p. ${span.page}` : null;
  const parts = [...names, page, `characters ${span.start}–${span.end}`].filter(Boolean);
  return `“${span.text.trim().replace(/\s+/g, " ")}” (${parts.join(", ")})`;
}

async function copy(text, button) {
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", { class: "off-screen", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    done = document.execCommand("copy");
    area.remove();
    button.focus();
  }
  document.getElementById("status").textContent = done ? "Quote and citation copied." : "The browser did not allow copying.";
  button.textContent = done ? "Copied" : "Not copied";
  setTimeout(() => {
    button.textContent = "Copy citation";
  }, 1600);
}

function goTo(number, article) {
  const element = article.querySelector(`mark[data-spans~="${number}"]`);
  if (!element) return;
  const stop = element.tabIndex === 0 ? element : [...article.querySelectorAll("mark[tabindex]")].findLast((one) => one.compareDocumentPosition(element) & 4);
  element.scrollIntoView({ block: "center" });
  (stop || element).focus({ preventScroll: true });
}

function quoteItem(row, span, article) {
  const button = make("button", { type: "button", class: "small", onclick: () => copy(citation(row, span), button) }, "Copy citation");
  return make(
    "li",
    { color: span.label },
    make("button", { type: "button", class: "quote", "data-span": span.number, onclick: () => goTo(span.number, article) }, span.text.trim()),
    make("div", { class: "meta" }, make("span", { class: "place" }, place(span)), button),
  );
}

function scoresTable(row, held) {
  const items = labels.map((label, index) => {
    const bar = make("span", { class: "bar", color: index });
    bar.style.setProperty("--share", `${Math.round(100 * held.scores[index])}%`);
    const given = row.labels.includes(index);
    return make("tr", { class: given ? "given" : "" }, make("th", { scope: "row" }, label.id), make("td", {}, bar), make("td", { class: "number" }, held.scores[index].toFixed(2)));
  });
  return make("details", {}, make("summary", {}, "Scores of all labels"), make("table", { class: "scores" }, make("tbody", {}, items)));
}

const CONTENT = {
  [PASSAGES]: "Only passages around the evidence are shown: the text is too long, or this report too large, to hold it whole.",
  [QUOTES]: "Only the quotes are shown: this report is too large, or the run too old, to hold the text around them.",
  [NOTHING]: "The quotes of this document are left out, since this report has as many as a browser can open at once; results.jsonl, or --format jsonl, has them.",
};

/* The document's section; `around` are the neighbours in the table, null while printing. */
function documentView(row, around) {
  const held = details(row) || { passages: [], spans: [], scores: labels.map(() => 0), pages: [], length: 0 };
  const { passages, spans } = prepare(held);
  const text = make("div", { class: "text", lang: held.language || null });
  const article = make("article", { class: "document", "data-number": row.number });
  passages.forEach((passage, place) => {
    if (row.content !== WHOLE && (place > 0 || passage.start > 0)) text.append(make("p", { class: "gap" }, `[… character ${passage.start.toLocaleString("en")}]`));
    text.append(...showPassage(passage, spans, held.pages));
  });
  const byLabel = row.labels.map((label) => {
    const own = spans.filter((span) => span.label === label);
    return make(
      "section",
      { class: "label-quotes" },
      make("h3", {}, chip(label, labels[label].id), make("span", { class: "score" }, row.scores[row.labels.indexOf(label)].toFixed(2))),
      make("ol", {}, own.map((span) => quoteItem(row, span, article))),
    );
  });
  const facts = [
    row.source && row.source !== row.name ? row.source : null,
    row.id && !row.source.endsWith(row.id) ? `id ${row.id}` : null,
    held.length ? counted(held.length, "character") : null,
    held.pages.length ? counted(held.pages.length, "page") : null,
  ].filter(Boolean);
  const step = (to, name, id) => make("a", to ? { href: `#d${to.number}`, id, class: "button" } : { class: "button", "aria-disabled": "true", role: "link" }, name);
  const bar = around
    ? make("nav", { class: "document-bar", "aria-label": "Documents" }, make("a", { href: "#top", class: "button", id: "back" }, "← All documents"), make("span", {}, step(around.before, "Previous", "before"), " ", step(around.after, "Next", "after")))
    : null;
  const notes = [...row.notices, CONTENT[row.content]].filter(Boolean).map((note) => make("p", { class: "note" }, note));
  article.append(
    ...[bar].filter(Boolean),
    make("header", {}, make("h2", { tabindex: "-1" }, row.name), make("p", { class: "facts" }, facts.join(" · ")), notes),
    make(
      "div",
      { class: "columns" },
      make("div", { class: "reading" }, around ? wireTip(text, spans) : null, text),
      make("aside", { "aria-label": "Evidence" }, byLabel.length ? byLabel : make("p", { class: "none" }, "No claim found."), details(row) ? scoresTable(row, held) : null),
    ),
  );
  if (around) wireSteps(article);
  return article;
}

/* With the focus in a document: j and k go through its quotes, Escape back to the table. */
function wireSteps(article) {
  article.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") location.hash = "#top";
    if (event.key !== "j" && event.key !== "k") return;
    const stops = [...article.querySelectorAll("mark[tabindex]")];
    if (!stops.length) return;
    const now = stops.indexOf(document.activeElement);
    const next = event.key === "j" ? now + 1 : now < 0 ? stops.length - 1 : now - 1;
    const stop = stops[(next + stops.length) % stops.length];
    stop.scrollIntoView({ block: "center" });
    stop.focus({ preventScroll: true });
  });
}
