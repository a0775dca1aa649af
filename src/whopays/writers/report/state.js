/* What the page knows: the codebook, the index of documents, and what the reader has chosen. */

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const about = read("about");
const labels = about.labels;

/* What a document is called: its title, else its file and, if it is one of several in a file, its id. */
function nameOf(title, source, id, place) {
  const file = source.split(/[\\/]/).pop();
  if (title) return title;
  if (!file) return id || `text ${place + 1}`;
  return id && id !== file && id !== source ? `${file} › ${id}` : file;
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

const rows = read("index").map(([title, source, id, given, scores, quotes, flows, content, notices], place) => ({
  number: place + 1,
  name: nameOf(title, source, id, place),
  source,
  id,
  labels: given,
  scores,
  top: Math.max(0, ...scores),
  quotes,
  flows,
  content,
  notices,
}));
const [WHOLE, PASSAGES, QUOTES, NOTHING] = [0, 1, 2, 3];

/* Every flat reading of the codebook, such as who pays, with its labels. */
const fields = about.groups.flatMap((group) =>
  group.fields.map((field) => ({
    ...field,
    group: group.id,
    labels: labels.flatMap((label, index) => (label.group === group.id && label.stance === field.stance ? [index] : [])),
  })),
);

const state = {
  words: [],
  labels: new Set(),
  claims: "all",
  flow: null,
  mechanism: null,
  sort: { key: "number", down: false },
  page: 0,
};

/* An element with properties, attributes ("aria-...", "data-..."), listeners and children. Texts are set as text. */
function make(name, properties = {}, ...children) {
  const element = typeof name === "string" ? document.createElement(name) : name;
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (key.startsWith("aria-")) element.setAttribute(key, String(value));
    else if (value === false) continue;
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.setAttribute("class", value);
    else if (key === "color") element.style.setProperty("--color", `var(--label-${value})`);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

const counted = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

function chip(index, text = labels[index].value) {
  return make("span", { class: "chip", color: index, title: labels[index].id }, text);
}

/* What the page holds of a document's text, or null. */
function details(row) {
  const block = document.getElementById(`t${row.number}`);
  return block ? JSON.parse(block.textContent) : null;
}

/* What is searched of a document: its names, and as much of its text as the page holds. Kept once it was needed. */
function haystack(row) {
  if (row.haystack === undefined) {
    const held = details(row);
    const texts = held ? held.passages.map((passage) => passage[1]) : [];
    row.haystack = [row.name, row.source, row.id, ...texts].join("\n").replace(/\s+/g, " ").toLowerCase();
  }
  return row.haystack;
}

const hasFlow = (row, [mechanism, source, target]) =>
  row.flows.some((flow) => flow[0] === mechanism && flow[1] === source && flow[2] === target);

/* The documents that the search finds; overviews count these. */
function searched() {
  return rows.filter(
    (row) =>
      (state.claims === "all" || (state.claims === "with") === row.labels.length > 0) &&
      state.words.every((word) => haystack(row).includes(word)),
  );
}

/* The documents that have all chosen labels, too; the table shows these. */
function chosen(found) {
  return found.filter(
    (row) =>
      [...state.labels].every((label) => row.labels.includes(label)) && (state.flow === null || hasFlow(row, state.flow)),
  );
}

function choose(wanted) {
  state.labels = new Set(wanted);
  state.flow = null;
  state.page = 0;
  render();
}

function toggle(label) {
  if (!state.labels.delete(label)) state.labels.add(label);
  state.page = 0;
  render();
}

function chooseFlow(flow) {
  const same = state.flow !== null && state.flow.every((part, place) => part === flow[place]);
  state.flow = same ? null : flow;
  state.page = 0;
  render();
}

const flowName = ([mechanism, source, target]) =>
  `${labels[mechanism].value}: ${partyName(source)} → ${partyName(target)}`;
const partyName = (label) => (label < 0 ? "not named" : labels[label].value);
