"""Every page is sound HTML that a screen reader can use, loads nothing, and shows no number of an unverified case.

usage: check_html.py PAGES        exit 1 and one line for each fault
       check_html.py --self-test PAGES   plants faults in a page and demands that each is found
"""
import html.parser
import json
import pathlib
import re
import sys

VOID = {"meta", "img", "input", "br", "hr", "link", "source"}
ATTRIBUTES = {"role", "class", "id", "href", "src", "alt", "lang", "charset", "content", "name", "http-equiv", "scope",
              "title", "tabindex", "hidden", "type", "placeholder", "autocomplete", "value", "width", "height", "x", "y",
              "viewbox", "preserveaspectratio"}


class Page(html.parser.HTMLParser):
    """A tree of [name, attributes, children], and what is wrong with its nesting."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.faults = []
        self.root = ["#root", {}, []]
        self.open = [self.root]
        self.feed(text)
        self.close()
        if len(self.open) > 1:
            self.faults.append(f"<{self.open[-1][0]}> is never closed")

    def handle_starttag(self, name, attributes):
        node = [name, dict(attributes), []]
        self.open[-1][2].append(node)
        if name not in VOID:
            self.open.append(node)

    def handle_endtag(self, name):
        if self.open[-1][0] != name:
            self.faults.append(f"</{name}> closes <{self.open[-1][0]}> at {self.getpos()}")
        elif len(self.open) > 1:
            self.open.pop()

    def handle_data(self, text):
        self.open[-1][2].append(text)


def every(node, *names):
    for child in node[2]:
        if isinstance(child, list):
            if not names or child[0] in names:
                yield child
            yield from every(child, *names)


def text_of(node):
    return "".join(child if isinstance(child, str) else text_of(child) for child in node[2])


def table_faults(table):
    children = [child for child in table[2] if isinstance(child, list)]
    if not children or children[0][0] != "caption" or not text_of(children[0]).strip():
        yield "a table without a caption"
    heads = [th for part in every(table, "thead") for th in every(part, "th")]
    if not heads or any(th[1].get("scope") != "col" for th in heads):
        yield "a column's header without its scope"
    for row in (row for part in every(table, "tbody") for row in every(part, "tr")):
        cells = [cell for cell in row[2] if isinstance(cell, list)]
        if cells[0][0] != "th" or cells[0][1].get("scope") != "row":
            yield "a row without a header"
        if len(cells) != len(heads):
            yield f"a row of {len(cells)} cells below {len(heads)} headers"
        yield from number_faults(row, cells, [text_of(th).split(" ")[0] for th in heads])


def number_faults(row, cells, heads):
    """A case that isn't verified has a dash in every column from its time on."""
    if row[1].get("class") in ("failed", "skipped", "unknown") and "time" in heads:
        shown = [text_of(cell) for cell in cells[heads.index("time"):]]
        if set(shown) - {"–"}:
            yield f"a {row[1]['class']} case shows {shown}"


def loading_faults(page):
    for node in every(page.root):
        for name, value in node[1].items():
            if name not in ATTRIBUTES and not name.startswith(("data-", "aria-")):
                yield f"attribute {name} of <{node[0]}>"
            if name in ("src", "href") and not (value or "").startswith(("#", "data:image/svg+xml;base64,")):
                yield f"<{node[0]}> loads {value!r}"
        if node[0] in ("link", "iframe", "object", "embed", "form", "base", "audio", "video"):
            yield f"<{node[0]}>"
        if node[0] == "style" and re.search(r"url\(|@import", text_of(node)):
            yield "the style loads something"


def reference_faults(page):
    ids = [node[1]["id"] for node in every(page.root) if "id" in node[1]]
    for name in set(ids):
        if ids.count(name) > 1:
            yield f"id {name} stands {ids.count(name)} times"
    for node in every(page.root):
        target = node[1].get("aria-labelledby") or (node[1].get("href") or "")[1:]
        if target and target not in ids:
            yield f"<{node[0]}> points to #{target}, which isn't there"


def heading_faults(page):
    levels = [int(node[0][1]) for node in every(page.root, "h1", "h2", "h3", "h4")]
    if levels.count(1) != 1:
        yield f"{levels.count(1)} h1"
    for before, after in zip(levels, levels[1:]):
        if after > before + 1:
            yield f"h{after} follows h{before}"


def element_faults(page):
    names = [node[0] for node in every(page.root)]
    for name in ("main", "nav", "header", "footer", "head"):
        if names.count(name) != 1:
            yield f"{names.count(name)} <{name}>"
    if len(list(every(next(every(page.root, "head")), "title"))) != 1:
        yield "no title, or two"
    if next(every(page.root, "html"))[1].get("lang") != "en":
        yield "no language"
    for image in every(page.root, "img"):
        if not image[1].get("alt", "").strip():
            yield "a picture without alt"
    for svg in every(page.root, "svg"):
        if svg[1].get("role") != "img" or not any(every(svg, "title")):
            yield "an svg without role and title"
    labelled = [inner for label in every(page.root, "label") for inner in every(label, "input", "select")]
    if len(labelled) != sum(name in ("input", "select") for name in names):
        yield "a field without a label"
    policy = [node for node in every(page.root, "meta") if node[1].get("http-equiv") == "Content-Security-Policy"]
    if not policy or not policy[0][1]["content"].startswith("default-src 'none';") or "unsafe" in policy[0][1]["content"]:
        yield "no strict Content-Security-Policy"


def data_faults(page, files):
    """Each document stands in the page, once, and is the one that was given."""
    scripts = [node for node in every(page.root, "script") if node[1].get("type") == "application/json"]
    found = [json.loads(text_of(node)) for node in scripts]
    for path in files:
        document = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        if found.count(document) != 1:
            yield f"{path} stands {found.count(document)} times in the page"
    if len(scripts) != len(files):
        yield f"{len(scripts)} documents of {len(files)} files"


def faults(text, files):
    page = Page(text)
    yield from page.faults
    for table in every(page.root, "table"):
        yield from table_faults(table)
    for check in (loading_faults, reference_faults, heading_faults, element_faults):
        yield from check(page)
    yield from data_faults(page, files)
    if page.root[2] and not text.startswith("<!DOCTYPE html>\n"):
        yield "no doctype"


def pages(folder):
    for path in sorted(folder.glob("*/index.html")):
        files = json.loads((folder / "sources" / f"{path.parent.name}.list").read_text(encoding="utf-8"))
        yield path, path.read_text(encoding="utf-8"), files


def self_test(folder):
    _, text, files = next(pages(folder))
    for old, new in (("</caption>", ""), ('scope="row"', ""), ('scope="col"', ""), ('id="raw"', 'id="method"'),
                     ("<main", '<img src="https://example.org/x.png" alt="x"><main'), ("<h1>", "<h1></h1><h1>"),
                     ("<p ", '<p onclick="x()" '), ('"seed": 1', '"seed": 2'), ("</section>", ""), (' alt="', ' title="'),
                     ("default-src 'none';", "default-src 'self';"), ('<b class="status skipped">', "<th>")):
        if old not in text:
            sys.exit(f"nothing to plant in: {old}")
        if not list(faults(text.replace(old, new), files)):
            sys.exit(f"not caught: {old!r} became {new!r}")
    row = re.search(r'<tr class="failed".*?</tr>', text, re.S).group(0)
    if not list(faults(text.replace(row, row.replace(">–</td>", ">7654</td>")), files)):
        sys.exit("not caught: a number in a failed row")


def main():
    folder = pathlib.Path(sys.argv[-1])
    if sys.argv[1] == "--self-test":
        return self_test(folder)
    found = [f"{path}: {fault}" for path, text, files in pages(folder) for fault in faults(text, files)]
    for line in found[:40]:
        print(line)
    sys.exit(1 if found or not list(pages(folder)) else 0)


if __name__ == "__main__":
    main()
