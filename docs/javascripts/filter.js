// A box above each table of a page marked `data-filter`: rows that lack one of its words are hidden.
document$.subscribe(() => {
  if (!document.querySelector("[data-filter]")) return;
  for (const table of document.querySelectorAll("article table")) {
    const box = document.createElement("input");
    box.type = "search";
    box.placeholder = "Filter: torch cosine";
    box.className = "md-input md-input--stretch";
    box.setAttribute("aria-label", "Filter the table");
    box.addEventListener("input", () => {
      const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of table.tBodies[0].rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      }
    });
    const frame = table.closest(".md-typeset__scrollwrap") || table;
    frame.parentNode.insertBefore(box, frame);
  }
});
