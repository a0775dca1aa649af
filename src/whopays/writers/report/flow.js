/* From whom to whom: ribbons between parties that escape and parties that bear, for one mechanism. */

const CHART = { width: 640, top: 34, node: 14, gap: 16, least: 22, height: 230, left: 128, right: 512 };

/* The flows of a mechanism over documents: [{source, target, count, documents}], both sides unnamed left out. */
function flowsOf(mechanism, found) {
  const sums = new Map();
  let unnamed = 0;
  for (const row of found) {
    for (const [by, source, target, count] of row.flows) {
      if (by !== mechanism) continue;
      if (source < 0 && target < 0) unnamed += count;
      else {
        const key = `${source} ${target}`;
        const sum = sums.get(key) || { source, target, count: 0, documents: 0 };
        sum.count += count;
        sum.documents += 1;
        sums.set(key, sum);
      }
    }
  }
  const order = (label) => (label < 0 ? labels.length : label);
  const flows = [...sums.values()].sort((a, b) => order(a.source) - order(b.source) || order(a.target) - order(b.target));
  return { flows, unnamed };
}

/* The mechanism that most often has both sides named, which the picture begins with. */
function fullestMechanism() {
  const both = (mechanism) =>
    flowsOf(mechanism, rows).flows.reduce((sum, flow) => sum + (flow.source >= 0 && flow.target >= 0 ? flow.count : 0), 0);
  return matrixColumns.reduce((best, label) => (both(label) > both(best) ? label : best), matrixColumns[0]);
}

function buildFlow() {
  const [from, to] = about.flow.stances.map((stance) =>
    fields.find((field) => field.group === about.flow.group && field.stance === stance).title,
  );
  return make(
    "section",
    { class: "card", "aria-labelledby": "flow-title" },
    make("h2", { id: "flow-title" }, "From whom to whom"),
    make(
      "fieldset",
      { class: "choice" },
      make("legend", {}, "where the text speaks of"),
      matrixColumns.map((label) =>
        make(
          "label",
          { color: label },
          make("input", {
            type: "radio",
            name: "mechanism",
            value: label,
            onchange: () => {
              state.mechanism = label;
              render();
            },
          }),
          labels[label].value,
        ),
      ),
    ),
    make("div", { id: "flow" }),
    make("p", { id: "flow-note", class: "note" }),
    make("details", {}, make("summary", {}, "The same as a table"), make("table", { id: "flow-table" })),
    make(
      "details",
      {},
      make("summary", {}, "How this was built"),
      make(
        "p",
        {},
        `A ribbon counts the quotes of the mechanism that overlap, or stand in the same sentence as, a quote of who “${from}” ` +
          `and a quote of who “${to}”. Its width is the number of such quotes. One quote beside two parties of a side counts for both. ` +
          "It is read off from where quotes lie in the texts and is no finding of its own: the model tags each side by itself " +
          "and does not say that one shifts something onto the other. A click lists the documents.",
      ),
    ),
  );
}

function renderFlow(found) {
  if (!about.flow) return;
  state.mechanism ??= fullestMechanism();
  for (const radio of document.getElementsByName("mechanism")) radio.checked = Number(radio.value) === state.mechanism;
  const { flows, unnamed } = flowsOf(state.mechanism, found);
  const box = document.getElementById("flow");
  const before = document.activeElement?.closest?.(".ribbon")?.dataset.flow;
  box.replaceChildren(flows.length ? picture(flows) : make("p", { class: "none" }, "No quote of it stands beside a quote of a party."));
  if (before) box.querySelector(`[data-flow="${before}"]`)?.focus();
  document.getElementById("flow-note").textContent = unnamed
    ? `${counted(unnamed, "further quote")} of it stand${unnamed === 1 ? "s" : ""} beside no party of either side.`
    : "";
  const [from, to] = about.flow.stances.map((stance) => fields.find((f) => f.group === about.flow.group && f.stance === stance).title);
  document.getElementById("flow-table").replaceChildren(
    make("thead", {}, make("tr", {}, [from, to, "quotes", "documents"].map((title) => make("th", { scope: "col" }, title)))),
    make(
      "tbody",
      {},
      flows.map((flow) =>
        make(
          "tr",
          {},
          make("td", {}, partyName(flow.source)),
          make("td", {}, partyName(flow.target)),
          make("td", { class: "number" }, flow.count.toLocaleString("en")),
          make("td", { class: "number" }, flow.documents.toLocaleString("en")),
        ),
      ),
    ),
  );
}

/* The picture's elements are of the namespace of the empty one in the page. */
const drawing = document.getElementById("drawing");
const draw = (name, properties, ...children) =>
  make(document.createElementNS(drawing.namespaceURI, name), properties, ...children);

function picture(flows) {
  const total = flows.reduce((sum, flow) => sum + flow.count, 0);
  const sides = ["source", "target"].map((side) => {
    const nodes = new Map();
    for (const flow of [...flows].sort((a, b) => (a[side] < 0) - (b[side] < 0) || a[side] - b[side])) {
      const node = nodes.get(flow[side]) || { label: flow[side], count: 0 };
      node.count += flow.count;
      nodes.set(flow[side], node);
    }
    return nodes;
  });
  const scale = CHART.height / total;
  let bottom = 0;
  for (const nodes of sides) {
    let y = CHART.top;
    for (const node of nodes.values()) {
      node.y = node.used = y;
      node.height = Math.max(3, node.count * scale);
      y += Math.max(node.height, CHART.least) + CHART.gap;
    }
    bottom = Math.max(bottom, y);
  }
  const [sources, targets] = sides;
  const ribbons = flows.map((flow) => ribbon(flow, sources.get(flow.source), targets.get(flow.target), scale));
  /* Drawn last, and so on top, are those with both sides named. */
  ribbons.sort((a, b) => b.classList.contains("partial") - a.classList.contains("partial"));
  const [from, to] = about.flow.stances.map((stance) => fields.find((f) => f.group === about.flow.group && f.stance === stance).title);
  return draw(
    "svg",
    { viewBox: `0 0 ${CHART.width} ${bottom}`, role: "group", "aria-label": `From “${from}” to “${to}”, by ${labels[state.mechanism].value}` },
    draw("text", { x: CHART.left, y: 16, class: "axis", "text-anchor": "end" }, from),
    draw("text", { x: CHART.right, y: 16, class: "axis" }, to),
    ribbons,
    [...sources.values()].map((node) => nodeOf(node, CHART.left - CHART.node, "end", CHART.left - CHART.node - 8)),
    [...targets.values()].map((node) => nodeOf(node, CHART.right, "start", CHART.right + CHART.node + 8)),
  );
}

function nodeOf(node, x, anchor, textX) {
  const middle = node.y + Math.max(node.height, CHART.least) / 2;
  const shift = (Math.max(node.height, CHART.least) - node.height) / 2;
  return draw(
    "g",
    node.label < 0 ? { class: "node unnamed" } : { class: "node", color: node.label },
    draw("rect", { x, y: node.y + shift, width: CHART.node, height: node.height, rx: 2 }),
    draw("text", { x: textX, y: middle - 1, "text-anchor": anchor, class: "party" }, partyName(node.label)),
    draw("text", { x: textX, y: middle + 14, "text-anchor": anchor, class: "size" }, counted(node.count, "quote")),
  );
}

function ribbon(flow, source, target, scale) {
  const key = [state.mechanism, flow.source, flow.target];
  const height = Math.max(1.5, flow.count * scale);
  const shift = (node) => (Math.max(node.height, CHART.least) - node.height) / 2;
  const [y0, y1] = [source.used + shift(source), target.used + shift(target)];
  source.used += height;
  target.used += height;
  const [left, right, middle] = [CHART.left, CHART.right, (CHART.left + CHART.right) / 2];
  const path =
    `M${left} ${y0}C${middle} ${y0} ${middle} ${y1} ${right} ${y1}` +
    `V${y1 + height}C${middle} ${y1 + height} ${middle} ${y0 + height} ${left} ${y0 + height}Z`;
  const name = `${partyName(flow.source)} to ${partyName(flow.target)}: ${counted(flow.count, "quote")} in ${counted(flow.documents, "document")}`;
  const press = () => chooseFlow(key);
  const pressed = state.flow !== null && state.flow.every((part, place) => part === key[place]);
  const color = flow.source >= 0 ? flow.source : flow.target;
  return draw(
    "g",
    {
      class: `ribbon${flow.source < 0 || flow.target < 0 ? " partial" : ""}`,
      color,
      role: "button",
      tabindex: "0",
      "aria-label": name,
      "aria-pressed": pressed,
      "data-flow": key.join(" "),
      onclick: press,
      onkeydown: (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          press();
        }
      },
    },
    draw("title", {}, name),
    draw("path", { d: path }),
    height > 15
      ? draw("text", { x: left + 8, y: y0 + height / 2 + 5, class: "ribbon-size" }, flow.count.toLocaleString("en"))
      : null,
  );
}
