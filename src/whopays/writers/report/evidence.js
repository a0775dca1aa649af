/* A text with its evidence in place: overlapping quotes each keep a line of their own under the words. */

/* Offsets are code points; strings here count UTF-16 units. Gives the unit at which a code point begins. */
function unitsOf(text) {
  if (!/[\ud800-\udbff]/.test(text)) return (offset) => offset;
  const units = [];
  let at = 0;
  for (const character of text) {
    units.push(at);
    at += character.length;
  }
  units.push(at);
  return (offset) => units[offset];
}

/* Puts spans that overlap in different lanes, and notes each span's words. Spans come in order of place. */
function prepare(held) {
  const lanes = [];
  const passages = held.passages.map(([start, text]) => ({ start, text, unit: unitsOf(text), end: start + [...text].length }));
  const spans = held.spans.map(([label, start, end, score, page], number) => {
    let lane = lanes.findIndex((until) => until <= start);
    if (lane < 0) lane = lanes.push(0) - 1;
    lanes[lane] = end;
    const passage = passages.find((one) => one.start <= start && end <= one.end);
    const text = passage ? passage.text.slice(passage.unit(start - passage.start), passage.unit(end - passage.start)) : "";
    return { number, label, start, end, score, page, lane, text };
  });
  return { passages, spans };
}

/* Where a passage is cut into paragraphs: behind blank lines that do not lie inside a quote. Units of the passage. */
function paragraphEnds(passage, spans) {
  const ends = [];
  const inside = spans.map((span) => [passage.unit(span.start - passage.start), passage.unit(span.end - passage.start)]);
  let next = 0;
  for (const match of passage.text.matchAll(/\n\s*\n/g)) {
    const end = match.index + match[0].length;
    while (next < inside.length && inside[next][1] <= end) next += 1;
    if (!inside.slice(next, next + 20).some(([from, to]) => from < end && end < to)) ends.push(end);
  }
  ends.push(passage.text.length);
  return ends;
}

function showPassage(passage, allSpans, pages) {
  const spans = allSpans.filter((span) => passage.start <= span.start && span.end <= passage.end);
  const at = (offset) => passage.unit(offset - passage.start);
  const marks = new Map();
  const pageAt = new Map();
  pages.forEach((start, page) => {
    if (start >= passage.start && start < passage.end) pageAt.set(at(start), page + 1);
  });
  const ends = paragraphEnds(passage, spans);
  const cuts = new Set([0, ...ends, ...pageAt.keys()]);
  for (const span of spans) {
    span.from = at(span.start);
    span.to = at(span.end);
    cuts.add(span.from).add(span.to);
  }
  const places = [...cuts].sort((a, b) => a - b);
  const paragraphs = [];
  let paragraph = make("p");
  let open = [];
  let next = 0;
  for (let place = 0; place + 1 < places.length; place += 1) {
    const [from, to] = [places[place], places[place + 1]];
    open = open.filter((span) => span.to > from);
    const begun = [];
    for (; next < spans.length && spans[next].from === from; next += 1) begun.push(spans[next]);
    open.push(...begun);
    if (pageAt.has(from)) paragraph.append(make("span", { class: "page", "data-page": `page ${pageAt.get(from)}` }));
    const words = passage.text.slice(from, to);
    paragraph.append(open.length ? mark(words, open, begun, marks) : words);
    if (ends.includes(to)) {
      paragraphs.push(paragraph);
      paragraph = make("p");
    }
  }
  return paragraphs;
}

/* A stretch of words with the same quotes over it. Where a quote begins there is a stop for the keyboard. */
function mark(words, open, begun) {
  const element = make(
    "mark",
    { "data-spans": open.map((span) => span.number).join(" "), tabindex: begun.length ? "0" : null },
    words,
  );
  if (begun.length) element.setAttribute("data-codes", begun.map((span) => labels[span.label].mark).join(" "));
  const depth = Math.max(...open.map((span) => span.lane)) + 1;
  const lines = open.map((span) => {
    const color = `var(--label-${span.label})`;
    return `linear-gradient(${color}, ${color}) 0 calc(100% - ${4 * (depth - 1 - span.lane)}px) / 100% 3px no-repeat`;
  });
  const first = open[0].label;
  element.style.background = `${lines.join(", ")}, color-mix(in srgb, var(--label-${first}) ${open.length > 1 ? 24 : 13}%, transparent)`;
  element.style.paddingBottom = `${4 * depth - 1}px`;
  element.dataset.first = begun.map((span) => span.number).join(" ");
  return element;
}

/* The card that says what stands under the pointer or has the focus. */
function wireTip(text, spans) {
  const tip = make("div", { id: "tip", role: "tooltip", hidden: true });
  const numbers = (element) => element.dataset.spans.split(" ").map(Number);
  const light = (wanted) => {
    for (const element of text.querySelectorAll("mark.lit")) element.classList.remove("lit");
    for (const number of wanted) {
      for (const element of text.querySelectorAll(`mark[data-spans~="${number}"]`)) element.classList.add("lit");
    }
  };
  const show = (element) => {
    tip.replaceChildren(
      ...numbers(element).map((number) =>
        make("div", {}, chip(spans[number].label, labels[spans[number].label].id), ` ${place(spans[number])}`),
      ),
    );
    tip.hidden = false;
    const box = element.getClientRects()[0];
    const frame = text.parentElement.getBoundingClientRect();
    tip.style.left = `${Math.max(0, Math.min(box.left - frame.left, frame.width - tip.offsetWidth))}px`;
    tip.style.top = `${box.top - frame.top - tip.offsetHeight - 6}px`;
    element.setAttribute("aria-describedby", "tip");
    light(numbers(element));
  };
  const hide = () => {
    tip.hidden = true;
    light([]);
  };
  const over = (event) => {
    const element = event.target.closest("mark");
    if (element) show(element);
    else hide();
  };
  text.addEventListener("mouseover", over);
  text.addEventListener("mouseleave", hide);
  text.addEventListener("focusin", over);
  text.addEventListener("focusout", hide);
  text.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !tip.hidden) {
      event.stopPropagation();
      hide();
    }
  });
  return tip;
}

function place(span) {
  const page = span.page ? `p. ${span.page}, ` : "";
  const score = span.score === null ? "" : `${span.score.toFixed(2)} · `;
  return `${score}${page}characters ${span.start.toLocaleString("en")}–${span.end.toLocaleString("en")}`;
}
