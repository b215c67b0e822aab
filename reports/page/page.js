/* Sorting, filtering, opening details, downloads. The page reads without it; what needs it is made here. */
(function () {
    "use strict";

    const all = (selector, root) => Array.from((root || document).querySelectorAll(selector));
    const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

    /* ---- sorting ---- */

    function valueOf(row, column) {
        const cell = row.cells[column];
        if (cell.classList.contains("number"))
            return cell.dataset.v === undefined ? null : Number(cell.dataset.v);
        const text = cell.textContent.trim();
        return text === "–" ? null : text;
    }

    /* What is absent comes last in either direction; equals keep their order. */
    function sortRows(table, column, descending) {
        const body = table.tBodies[0];
        const rows = Array.from(body.rows).map((row) => ({ row: row, value: valueOf(row, column) }));
        rows.sort((a, b) => {
            if (a.value === null || b.value === null)
                return (a.value === null) - (b.value === null);
            const order = typeof a.value === "number" && typeof b.value === "number"
                ? a.value - b.value : collator.compare(String(a.value), String(b.value));
            return descending ? -order : order;
        });
        rows.forEach((r) => body.append(r.row));
    }

    function makeSortable(table) {
        const heads = Array.from(table.tHead.rows[0].cells);
        heads.forEach((head, column) => {
            const button = document.createElement("button");
            button.type = "button";
            button.append(...head.childNodes);
            head.append(button);
            head.setAttribute("aria-sort", "none");
            button.addEventListener("click", () => {
                const descending = head.getAttribute("aria-sort") === "ascending";
                heads.forEach((other) => other.setAttribute("aria-sort", "none"));
                head.setAttribute("aria-sort", descending ? "descending" : "ascending");
                sortRows(table, column, descending);
            });
        });
    }

    /* ---- filtering ---- */

    function fillSelect(select, rows) {
        const words = new Set(rows.map((row) => row.dataset[select.dataset.filter]));
        Array.from(words).sort(collator.compare).forEach((word) => {
            const option = document.createElement("option");
            option.value = word;
            option.textContent = word.length > 60 ? word.slice(0, 60) + "…" : word;
            select.append(option);
        });
    }

    function matches(row, text, selects) {
        return selects.every((s) => s.value === "" || row.dataset[s.dataset.filter] === s.value) &&
            text.every((word) => row.textContent.toLowerCase().includes(word));
    }

    function makeFilter(box) {
        const caption = document.getElementById(box.dataset.table);
        const table = caption && caption.closest("table");
        if (!table)
            return;
        const rows = Array.from(table.tBodies[0].rows), selects = all("select", box);
        const input = box.querySelector("input"), count = box.querySelector(".count");
        const apply = () => {
            const words = input.value.toLowerCase().split(/\s+/).filter((word) => word !== "");
            let shown = 0;
            rows.forEach((row) => {
                const fits = matches(row, words, selects);
                const details = row.dataset.details && document.getElementById(row.dataset.details);
                row.hidden = !fits;
                if (details)
                    details.hidden = !fits;
                shown += fits;
            });
            count.textContent = shown + " of " + rows.length + " rows";
        };
        selects.forEach((select) => {
            fillSelect(select, rows);
            select.addEventListener("change", apply);
        });
        input.addEventListener("input", apply);
        apply();
        box.hidden = false;
    }

    /* ---- details ---- */

    function openTarget() {
        const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
        if (target && target.tagName === "DETAILS") {
            target.hidden = false;
            target.open = true;
            target.scrollIntoView();
            target.querySelector("summary").focus({ preventScroll: true });
        }
    }

    /* ---- downloads ---- */

    /* The bytes of the native document: what kept it from ending its element is undone. */
    function nativeText(script) {
        const names = { u003c: "<", u003e: ">", u0026: "&", u2028: "\u2028", u2029: "\u2029" };
        return script.textContent.replace(/\\(u003c|u003e|u0026|u2028|u2029|[^])/g,
            (whole, word) => (word in names ? names[word] : whole));
    }

    function makeDownload(script, list) {
        const item = document.createElement("li"), link = document.createElement("a");
        const name = script.dataset.name;
        link.className = "download";
        link.download = name;
        link.textContent = "Download " + name;
        link.href = URL.createObjectURL(new Blob([nativeText(script)], { type: "application/json" }));
        item.append(link);
        list.append(item);
    }

    all("table.sort").forEach(makeSortable);
    all(".filter").forEach(makeFilter);
    const downloads = document.getElementById("downloads");
    all("script[type='application/json']").forEach((script) => makeDownload(script, downloads));
    downloads.hidden = false;
    all(".without").forEach((element) => element.remove());
    window.addEventListener("hashchange", openTarget);
    openTarget();
})();
