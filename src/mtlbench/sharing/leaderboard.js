"use strict";
document.querySelectorAll(".board").forEach((board) => {
  const body = board.querySelector("tbody");
  const rows = Array.from(body.rows);
  const heads = Array.from(board.querySelectorAll("thead th"));
  const filters = Array.from(board.querySelectorAll("[data-filter]"));
  const shown = board.querySelector(".shown");

  // A number, or null for a dash: those go last whichever way the column is sorted.
  const value = (row, column) => {
    const number = parseFloat(row.cells[column].dataset.v);
    return Number.isNaN(number) ? null : number;
  };

  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const first = head.dataset.best === "high" ? "descending" : "ascending";
      const second = first === "ascending" ? "descending" : "ascending";
      const now = head.getAttribute("aria-sort");
      const next = now === null ? first : now === first ? second : null;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (next !== null) head.setAttribute("aria-sort", next);
      const sign = next === "ascending" ? 1 : -1;
      const order = next === null ? rows : rows.slice().sort((a, b) => {
        if (head.dataset.best === "text") return sign * a.cells[column].textContent.localeCompare(b.cells[column].textContent);
        const x = value(a, column), y = value(b, column);
        if (x === null || y === null) return (x === null) - (y === null);
        return sign * (x - y);
      });
      body.append(...order);
    });
  });

  const passes = (row, filter) => {
    const wanted = filter.value;
    if (filter.dataset.filter === "text") return row.textContent.toLowerCase().includes(wanted.toLowerCase());
    if (wanted === "") return true;
    if (filter.dataset.filter === "source") return JSON.parse(row.dataset.source).includes(wanted);
    return row.dataset[filter.dataset.filter] === wanted;
  };

  const apply = () => {
    rows.forEach((row) => { row.hidden = !filters.every((filter) => passes(row, filter)); });
    const count = rows.filter((row) => !row.hidden).length;
    shown.textContent = count === rows.length ? `${count} rows` : `${count} of ${rows.length} rows`;
  };
  filters.forEach((filter) => filter.addEventListener("input", apply));
  apply();
});
