import { grid, h, put } from "./dom.js";

// pagedTable is a table that shows one page of any number of rows, with a field
// that filters them. Rows keep their elements while they are shown, and a cell
// is drawn again only when its row's record is another.
//
//   columns  [{name, class, draw(row)}], draw giving what is in a cell
//   key      a row's identity
//   text     what the filter looks through, in lower case
//   many     what the rows are, in small letters
//   title    its heading, if it needs one
//   caption  what the table is, for those who do not see it
//   empty    what is said when there is no row at all
export function pagedTable({ columns, key, text, many, title, caption, empty, label, perPage = 100 }) {
  let rows = [];
  let page = 0;
  let shown = new Map();

  const filter = h("input", { type: "search", placeholder: "Filter", "aria-label": label ?? "Filter", autocomplete: "off", spellcheck: "false", "data-filter": true });
  const count = h("span", { class: "quiet count", role: "status" });
  const back = h("button", { type: "button", onclick: () => turn(-1) }, "Previous");
  const on = h("button", { type: "button", onclick: () => turn(1) }, "Next");
  const pager = h("div", { class: "pager" }, back, on);
  const { element: table, body, row: made } = grid(caption, columns);
  const nothing = h("p", { class: "empty" });
  const tools = h("div", { class: "tools" }, filter);
  const element = h("div", { class: "paged" }, h("div", { class: "toolbar" }, title && h("h2", {}, title), tools, h("div", { class: "paging" }, count, pager)),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, table), nothing);

  filter.addEventListener("input", () => {
    page = 0;
    draw();
  });

  function turn(by) {
    page += by;
    draw();
    table.scrollIntoView({ block: "nearest" });
  }

  function draw() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = words.length ? rows.filter((r) => { const t = text(r); return words.every((w) => t.includes(w)); }) : rows;
    const pages = Math.max(1, Math.ceil(found.length / perPage));
    page = Math.min(Math.max(page, 0), pages - 1);
    const from = page * perPage;
    const visible = found.slice(from, from + perPage);

    const next = new Map();
    let at = body.firstElementChild;
    for (const row of visible) {
      const k = key(row);
      let entry = shown.get(k);
      if (!entry) entry = { tr: made(), row: null };
      if (entry.row !== row.of) {
        entry.row = row.of;
        columns.forEach((c, i) => put(entry.tr.children[i], ...[c.draw(row)].flat()));
      }
      if (entry.tr === at) at = at.nextElementSibling;
      else body.insertBefore(entry.tr, at);
      next.set(k, entry);
    }
    while (at) {
      const gone = at;
      at = at.nextElementSibling;
      gone.remove();
    }
    shown = next;

    const all = rows.length.toLocaleString("en");
    put(count, found.length > perPage
      ? `${(from + 1).toLocaleString("en")}–${(from + visible.length).toLocaleString("en")} of ${found.length.toLocaleString("en")} ${many}`
      : words.length ? `${found.length.toLocaleString("en")} of ${all} ${many}` : rows.length ? `${all} ${rows.length === 1 ? many.slice(0, -1) : many}` : "");
    pager.hidden = pages === 1;
    back.disabled = page === 0;
    on.disabled = page === pages - 1;
    table.hidden = visible.length === 0;
    put(nothing, visible.length ? "" : rows.length ? "Nothing matches the filter." : empty);
    nothing.hidden = visible.length > 0;
  }

  return {
    element,
    tools,
    // set replaces the rows: [{of, …}], of being the record that decides whether
    // a row is drawn again.
    set(list) {
      rows = list;
      draw();
    },
  };
}
