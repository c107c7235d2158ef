// Sorting and filtering of the table of files. Without scripts the page stays whole: the table stands as it is.
(() => {
  const table = document.getElementById("list");
  if (!table) return;
  const body = table.tBodies[0], rows = [...body.rows], heads = [...table.tHead.rows[0].cells];
  const form = document.getElementById("choose"), text = form.elements.words, kind = form.elements.kind;
  const shown = document.getElementById("shown");
  const words = rows.map(row => row.textContent.toLowerCase());
  const compare = new Intl.Collator(undefined, {numeric: true}).compare;
  const filter = () => {
    const wanted = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    rows.forEach((row, i) => {
      const fits = (!kind.value || row.className.split(" ").includes(kind.value)) && wanted.every(word => words[i].includes(word));
      row.hidden = !fits;
      count += fits;
    });
    shown.textContent = `${count} of ${rows.length} shown`;
  };
  const sort = (column, ascending) => {
    const numeric = heads[column].className.split(" ").includes("n"), sign = ascending ? 1 : -1;
    const key = row => row.cells[column].textContent.trim();
    const keyed = rows.map(row => [row, key(row)]);
    keyed.sort(([, a], [, b]) => !a || !b ? (a ? -1 : b ? 1 : 0) : sign * (numeric ? a - b : compare(a, b)));
    body.append(...keyed.map(([row]) => row)); // unknown ones last, either way
    heads.forEach((head, i) => i === column ? head.setAttribute("aria-sort", ascending ? "ascending" : "descending") : head.removeAttribute("aria-sort"));
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => sort(column, head.getAttribute("aria-sort") !== "ascending"));
  });
  form.addEventListener("input", filter);
  form.addEventListener("submit", event => event.preventDefault());
  form.hidden = false;
  filter();
})();
