"""Opens the pages in headless Chromium as a reader does: by file://, without a network, by mouse and by keyboard, on a
desktop and on a phone, in both themes, on paper, without JavaScript.

usage: /usr/bin/python3 check_chromium.py PAGES     exit 77 without Chromium, its driver or Selenium
"""
import base64
import json
import pathlib
import shutil
import sys
import tempfile
import time
import unittest

try:
    from selenium import webdriver
    from selenium.common.exceptions import NoAlertPresentException
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.select import Select
except ImportError:
    print("skipped: no Selenium (Debian: python3-selenium)")
    sys.exit(77)

PAGES = pathlib.Path(sys.argv.pop()).resolve()
DESKTOP, PHONE = (1300, 900), (375, 800)
NAMES = ("example", "gpu", "gemm", "counters", "comparison", "nothing", "hostile")

# The least contrast of all text that is shown, and where: WCAG's formula, the ground found upwards.
CONTRAST = """
const parse = (c) => c.match(/[\\d.]+/g).map(Number);
const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255;
    return v <= 0.04045 ? v / 12.92 : Math.pow((v + 0.055) / 1.055, 2.4); });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const ground = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
let worst = [99, ""];
for (const e of document.querySelectorAll("body *")) {
    const own = Array.from(e.childNodes).some((n) => n.nodeType === 3 && n.data.trim() !== "");
    if (!own || !e.checkVisibility() || e.closest("svg, option, script"))
        continue;
    const a = light(parse(getComputedStyle(e).color).slice(0, 3)), b = light(ground(e));
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < worst[0])
        worst = [contrast, e.tagName + "." + e.className];
}
return worst;
"""


def start(downloads):
    options = webdriver.ChromeOptions()
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(word)
    options.binary_location = shutil.which("chromium")
    options.add_experimental_option("prefs", {"download.default_directory": downloads,
                                              "download.prompt_for_download": False})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.browser = start(cls.folder.name)
        cls.browser.set_page_load_timeout(60)

    @classmethod
    def tearDownClass(cls):
        cls.browser.quit()
        cls.folder.cleanup()

    def command(self, name, **values):
        return self.browser.execute_cdp_cmd(name, values)

    def script(self, text, *arguments):
        return self.browser.execute_script(text, *arguments)

    def size(self, width_height):
        width, height = width_height
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                     mobile=width < 500)

    def theme(self, name):
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def open(self, name, size=DESKTOP):
        self.size(size)
        self.browser.get((PAGES / name / "index.html").as_uri())

    def setUp(self):
        self.theme("light")

    def tearDown(self):
        """Whatever a test did, the console stayed empty and nothing but the page was asked for."""
        said = [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] in ("WARNING", "SEVERE")]
        self.assertEqual(said, [])
        for entry in self.browser.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.assertRegex(message["params"]["request"]["url"], r"^(file:///|data:image/svg|blob:|data:,)")

    def rows(self, table="f0-cases"):
        """The rows that are shown, each the texts of its cells by the headers' first words."""
        return self.script("""
            const table = document.getElementById(arguments[0]).closest("table");
            const heads = Array.from(table.tHead.rows[0].cells, (c) => c.textContent.trim().split(" ")[0]);
            return Array.from(table.tBodies[0].rows).filter((r) => r.checkVisibility()).map((r) =>
                Object.fromEntries(Array.from(r.cells, (c, i) => [heads[i], c.textContent.trim()])));""", table)

    def head(self, word, table="f0-cases"):
        return self.script("""
            const table = document.getElementById(arguments[0]).closest("table");
            return Array.from(table.tHead.rows[0].cells).find((c) => c.textContent.trim().split(" ")[0] === arguments[1]);
            """, table, word)

    # ---- content

    def test_verdict_comes_first(self):
        for name, word in (("example", "FAILED"), ("gpu", "PASSED"), ("comparison", "SLOWER"), ("nothing", "NOTHING")):
            self.open(name)
            verdict = self.browser.find_element(By.CSS_SELECTOR, ".verdict")
            self.assertTrue(verdict.text.startswith(word), verdict.text)
            self.assertLess(verdict.rect["y"], 300)

    def test_synthetic_and_failed_rows_are_told_in_words(self):
        self.open("example")
        rows = self.rows()
        self.assertTrue(all("SYNTHETIC" in row["status"] for row in rows))
        failed = [row for row in rows if "FAILED" in row["status"]]
        self.assertEqual(len(failed), 2)
        self.assertTrue(all(row["time"] == "–" and row["speed-up"] == "–" for row in failed))
        self.open("gemm")
        self.assertIn("SYNTHETIC", self.browser.find_element(By.CSS_SELECTOR, ".banner").text)

    def test_comparison_tells_the_slowest_first(self):
        self.open("comparison")
        rows = self.rows("compare-slower")
        self.assertEqual([row["B/A"] for row in rows], ["1.2", "1.05"])
        self.assertEqual(self.rows("compare-wrong")[0]["B/A"], "–")
        self.assertIn("H200", self.rows("compare-refused")[0]["B"])
        self.assertIn("less exact", next(r for r in self.rows("compare-cases") if "fused" in r["case"])["verdict"])

    # ---- sorting, filtering, keyboard

    def test_sort_both_ways(self):
        self.open("example")
        head = self.head("time")
        self.assertEqual(head.get_attribute("aria-sort"), "none")
        for direction, reverse in (("ascending", False), ("descending", True)):
            head.find_element(By.TAG_NAME, "button").click()
            self.assertEqual(head.get_attribute("aria-sort"), direction)
            shown = [row["time"] for row in self.rows()]
            numbers = [float(text) for text in shown if text != "–"]
            self.assertEqual(numbers, sorted(numbers, reverse=reverse))
            self.assertEqual(shown[len(numbers):], ["–"] * (len(shown) - len(numbers)))
            self.assertLess(len(numbers), len(shown))
        self.head("variant").find_element(By.TAG_NAME, "button").click()
        self.assertEqual(head.get_attribute("aria-sort"), "none")
        names = [row["variant"] for row in self.rows()]
        self.assertEqual(names, sorted(names))

    def test_filter(self):
        self.open("example")
        box = self.browser.find_element(By.CSS_SELECTOR, ".filter[data-table='f0-cases']")
        everything = len(self.rows())
        Select(box.find_element(By.CSS_SELECTOR, "[data-filter=op]")).select_by_value("sieve")
        self.assertEqual({row["op"] for row in self.rows()}, {"sieve"})
        Select(box.find_element(By.CSS_SELECTOR, "[data-filter=op]")).select_by_value("")
        Select(box.find_element(By.CSS_SELECTOR, "[data-filter=status]")).select_by_value("failed")
        self.assertEqual(len(self.rows()), 2)
        self.assertEqual(box.find_element(By.CSS_SELECTOR, ".count").text, f"2 of {everything} rows")
        Select(box.find_element(By.CSS_SELECTOR, "[data-filter=status]")).select_by_value("")
        box.find_element(By.TAG_NAME, "input").send_keys("WARP l0.q" + Keys.ENTER)
        self.assertEqual({(row["variant"], row["slice"]) for row in self.rows()}, {("warp-per-row", "L0.q")})
        self.assertEqual(len(self.script("return Array.from(document.querySelectorAll('details.case'))"
                                         ".filter((d) => d.checkVisibility())")), len(self.rows()))

    def press(self, *keys):
        ActionChains(self.browser).send_keys(*keys).perform()

    def tab_to(self, selector, limit=60):
        for _ in range(limit):
            self.press(Keys.TAB)
            if self.script("return document.activeElement.matches(arguments[0])", selector):
                return
        self.fail(f"{limit} times Tab don't reach {selector}")

    def test_keyboard_alone(self):
        self.open("example")
        self.press(Keys.TAB)
        self.assertEqual(self.script("return document.activeElement.className"), "skip")
        self.press(Keys.ENTER)
        self.assertEqual(self.script("return document.activeElement.id"), "main")
        self.tab_to("#f0-fastest ~ thead button")
        self.assertNotEqual(self.script("return getComputedStyle(document.activeElement).outlineStyle"), "none")
        self.press(Keys.TAB, Keys.TAB, Keys.ENTER)
        self.assertEqual(self.head("time", "f0-fastest").get_attribute("aria-sort"), "ascending")
        self.press(Keys.SPACE)
        self.assertEqual(self.head("time", "f0-fastest").get_attribute("aria-sort"), "descending")
        self.tab_to(".cases tbody a")
        target = self.script("return document.activeElement.hash").lstrip("#")
        self.press(Keys.ENTER)
        time.sleep(0.3)
        self.assertTrue(self.script("return document.getElementById(arguments[0]).open", target))
        self.assertEqual(self.script("return document.activeElement.parentElement.id"), target)

    # ---- documents

    def test_download_is_the_file(self):
        for name in ("example", "gemm", "hostile"):
            self.open(name)
            links = self.browser.find_elements(By.CSS_SELECTOR, "#downloads a")
            files = json.loads((PAGES / "sources" / f"{name}.list").read_text(encoding="utf-8"))
            self.assertEqual(len(links), len(files))
            got = self.saved(links[0])
            if name != "hostile":
                self.assertEqual(got, pathlib.Path(files[0]).read_bytes())
            self.assertEqual(got, (PAGES / name / "results.json").read_bytes())

    def saved(self, link):
        """The bytes that a click on a download leaves behind. The browser makes a file of that name,
        empty, before the one that it downloads takes its place."""
        folder = pathlib.Path(self.folder.name)
        before = set(folder.iterdir())
        self.script("arguments[0].scrollIntoView()", link)
        link.click()
        for _ in range(200):
            new = [path for path in set(folder.iterdir()) - before
                   if path.suffix != ".crdownload" and not path.name.startswith(".")]
            if new and new[0].stat().st_size > 0:
                return new[0].read_bytes()
            time.sleep(0.05)
        self.fail("nothing was downloaded")

    # ---- hostile words

    def test_hostile_words_do_nothing(self):
        self.open("hostile")
        self.assertIsNone(self.script("return window.pwned === undefined ? null : window.pwned"))
        with self.assertRaises(NoAlertPresentException):
            self.browser.switch_to.alert.accept()
        self.assertEqual(self.script("return document.querySelectorAll('img:not([src^=\"data:image/svg\"])').length"), 0)
        self.assertEqual(self.script("return document.querySelectorAll('script').length"), 3)
        self.assertIn("window.pwned=1", self.browser.find_element(By.TAG_NAME, "main").text)
        self.assertNotIn("\u202e", self.browser.find_element(By.TAG_NAME, "main").text)
        self.assertTrue(self.rows())

    # ---- layout

    def widest(self):
        return self.script("document.querySelectorAll('details').forEach((d) => { d.open = true; });"
                           "return document.scrollingElement.scrollWidth")

    def test_no_page_is_wider_than_its_window(self):
        for name in NAMES:
            for size in (PHONE, DESKTOP):
                self.open(name, size)
                self.assertLessEqual(self.widest(), size[0], (name, size))

    def test_first_column_stays(self):
        self.open("example", PHONE)
        left = self.script("""
            const box = document.getElementById("f0-cases").closest(".scroll");
            box.scrollLeft = 300;
            return [box.scrollLeft, box.querySelector("tbody th").getBoundingClientRect().left
                    - box.getBoundingClientRect().left];""")
        self.assertGreater(left[0], 200)
        self.assertLess(left[1], 3)

    def test_contrast_in_both_themes(self):
        for name in ("example", "gpu", "comparison"):
            for theme in ("light", "dark"):
                self.theme(theme)
                self.open(name)
                self.script("document.querySelectorAll('details').forEach((d, i) => { d.open = i < 4; });")
                contrast, where = self.script(CONTRAST)
                self.assertGreaterEqual(contrast, 4.5, (name, theme, where))
                self.assertLess(contrast, 21, "no text was looked at")

    def test_themes_differ(self):
        grounds = set()
        for theme in ("light", "dark"):
            self.theme(theme)
            self.open("example")
            grounds.add(self.script("return getComputedStyle(document.body).backgroundColor"))
        self.assertEqual(len(grounds), 2)

    def test_plots_are_drawn(self):
        self.open("example")
        sizes = self.script("return Array.from(document.querySelectorAll('.plot img'), (i) => i.naturalWidth)")
        if not shutil.which("gnuplot"):
            self.skipTest("no gnuplot")
        self.assertGreaterEqual(len(sizes), 4)
        self.assertTrue(all(width > 100 for width in sizes))

    def test_print(self):
        self.open("example")
        paper = base64.b64decode(self.command("Page.printToPDF", preferCSSPageSize=True)["data"])
        self.assertTrue(paper.startswith(b"%PDF"))
        self.assertGreater(len(paper), 20000)
        self.command("Emulation.setEmulatedMedia", media="print")
        self.assertFalse(self.script("return document.querySelector('.filter').checkVisibility()"))
        wide = self.script("return document.getElementById('f0-cases').closest('table').getBoundingClientRect().width")
        self.command("Emulation.setEmulatedMedia", media="")
        self.assertLessEqual(wide, 1047)  # 277 mm at 96 dots an inch

    def test_without_javascript(self):
        self.command("Emulation.setScriptExecutionDisabled", value=True)
        try:
            self.open("example")
            found = lambda selector: self.browser.find_elements(By.CSS_SELECTOR, selector)
            self.assertEqual(len(found("th button")), 0)
            self.assertFalse(found(".filter")[0].is_displayed())
            self.assertTrue(found("table.cases tbody tr")[0].is_displayed())
            self.assertIn("end of its source", found("section[aria-labelledby=raw]")[0].text)
        finally:
            self.command("Emulation.setScriptExecutionDisabled", value=False)

    def test_screenshots(self):
        """Nobody's eye is a test; these are for one."""
        for name in ("example", "comparison"):
            for theme in ("light", "dark"):
                for size in (DESKTOP, PHONE):
                    self.theme(theme)
                    self.open(name, size)
                    clip = {"x": 0, "y": 0, "width": size[0], "height": 2000, "scale": 1}
                    picture = self.command("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
                    (PAGES / f"{name}-{theme}-{size[0]}.png").write_bytes(base64.b64decode(picture))


if __name__ == "__main__":
    if not shutil.which("chromium") or not shutil.which("chromedriver"):
        print("skipped: no Chromium (Debian: chromium, chromium-driver)")
        sys.exit(77)
    unittest.main(verbosity=2)
