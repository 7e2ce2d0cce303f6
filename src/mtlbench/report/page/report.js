"use strict";
(() => {
  const table = document.getElementById("main");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const heads = Array.from(table.querySelectorAll(".columns th"));
  const shown = document.getElementById("shown");
  const filter = document.getElementById("filter");
  const words = rows.map((row) => [row.cells[0].textContent, row.cells[1].textContent, row.dataset.names].join(" ").toLowerCase());

  // A number, or null for a dash: those go last whichever way the column is sorted.
  const value = (row, column) => {
    const number = parseFloat(row.cells[column].dataset.v);
    return Number.isNaN(number) ? null : number;
  };

  const compare = (column, text, sign) => (a, b) => {
    if (text) return sign * a.cells[column].textContent.localeCompare(b.cells[column].textContent);
    const x = value(a, column), y = value(b, column);
    if (x === null || y === null) return (x === null) - (y === null);
    return sign * (x - y);
  };

  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const text = head.dataset.kind === "text";
      // The first click puts the best on top, the second turns it round, the third restores the given order.
      const first = text || head.dataset.best === "low" ? "ascending" : "descending";
      const second = first === "ascending" ? "descending" : "ascending";
      const now = head.getAttribute("aria-sort");
      const next = now === null ? first : now === first ? second : null;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (next !== null) head.setAttribute("aria-sort", next);
      const order = next === null ? rows : rows.slice().sort(compare(column, text, next === "ascending" ? 1 : -1));
      body.append(...order);
    });
  });

  const apply = () => {
    const wanted = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    rows.forEach((row, i) => {
      const visible = wanted.every((word) => words[i].includes(word));
      row.hidden = !visible;
      count += visible;
    });
    shown.textContent = count === rows.length ? `${count} rows` : `${count} of ${rows.length} rows`;
  };
  filter.addEventListener("input", apply);
  apply();
})();
