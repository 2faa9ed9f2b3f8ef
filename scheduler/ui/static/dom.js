// The few things that every view does with elements. Text only ever becomes
// text: nothing here, or anywhere on the page, makes markup of what a workload,
// an agent or a job file has said.

// h makes an element: h("a", {href: "/", class: "quiet"}, "text", child).
// Attributes that are null or false are left out; on… are listeners.
export function h(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value == null || value === false) continue;
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else e.setAttribute(name, value === true ? "" : value);
  }
  e.append(...children.flat(Infinity).filter((c) => c != null && c !== false));
  return e;
}

// put replaces what is in an element, unless it is that text already, so that a
// reader's selection and a screen reader's place are not lost.
export function put(e, ...children) {
  const only = children.length === 1 && typeof children[0] === "string" ? children[0] : null;
  if (only !== null && e.childElementCount === 0 && e.textContent === only) return;
  e.replaceChildren(...children.flat(Infinity).filter((c) => c != null && c !== false));
}

// pill shows a phase or state with its mood.
export function pill({ word, mood }, title) {
  return h("span", { class: `pill ${mood}`, title }, word);
}

// facts is a list of names and values; values that are empty are left out.
export function facts(list) {
  return h("dl", { class: "facts" }, list.filter(([, v]) => v != null && v !== "" && v !== false && v.length !== 0)
    .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

// grid is a table, and row makes rows of it, a cell for each column. Cells carry the
// names of their columns, which stand before them where a window is narrow.
//
//   columns  [{name, class, head}], head being for the cells that name their rows
export function grid(caption, columns, attributes) {
  const body = h("tbody");
  const element = h("table", attributes, h("caption", { class: "unseen" }, caption),
    h("thead", {}, h("tr", {}, columns.map((c) => h("th", { scope: "col", class: c.class }, c.name)))), body);
  const row = (cells = [], attributes = {}) => h("tr", attributes, columns.map((c, i) =>
    h(c.head ? "th" : "td", { class: c.class, scope: c.head ? "row" : null, "data-name": c.name }, cells[i])));
  return { element, body, row };
}

// bar shows counts side by side, each as wide as its part of the whole.
export function bar(parts, whole, label) {
  const e = h("div", { class: "bar-chart", role: "img", "aria-label": label });
  for (const { count, mood, word } of parts) {
    if (!count) continue;
    const part = h("span", { class: mood, title: `${count} ${word}` });
    part.style.width = `${Math.max(0.5, (100 * count) / Math.max(1, whole))}%`;
    e.append(part);
  }
  return e;
}

// when is a time that says how long ago it was, and is kept up by main.js.
export function when(timestamp) {
  if (!timestamp) return "";
  const at = new Date(timestamp);
  return h("time", { datetime: timestamp, title: at.toLocaleString(), "data-ago": at.getTime() }, ago(at.getTime()));
}

// due is a time that says how long it is until then, and nothing afterwards.
export function due(timestamp) {
  const at = new Date(timestamp);
  return h("time", { datetime: timestamp, title: at.toLocaleString(), "data-due": at.getTime() }, until(at.getTime()));
}

export const until = (ms) => (ms > Date.now() ? `again in ${length(ms - Date.now())}: ` : "");

export const ago = (ms) => length(Date.now() - ms);

function length(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m`;
  if (s < 48 * 3600) return `${Math.floor(s / 3600)}h`;
  return `${Math.floor(s / 86400)}d`;
}

// external is a link that leaves this page.
export function external(href, text) {
  return h("a", { href, rel: "noreferrer", class: "external" }, text);
}
