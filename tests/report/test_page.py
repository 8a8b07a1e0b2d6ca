"""The page: its numbers, hostile labels, and a real browser that hovers, clicks, toggles and resizes."""

import json
import re
import shutil

import numpy as np
import pytest
import xarray

from jaxscale.cli import main
from jaxscale.cli.codes import BAD_INPUT, OK
from jaxscale.report import payload
from jaxscale.report.document import page, write_page

pytest.importorskip("plotly", reason="the report extra is not installed")
EVIL = "<script>window.hacked=1</script>"


def result(seeds=40, label="temperature"):
    rng = np.random.default_rng(0)
    loss = rng.normal(size=(4, 5, seeds, 3)) + np.arange(5)[None, :, None, None]
    runs = xarray.Dataset(
        {
            "loss": (("alpha", label, "seed", "time"), loss, {"units": "nats"}),
            "norm": (("alpha", label, "seed", "time"), loss**2),
            "stopped": (("alpha", label, "seed", "time"), loss > -10),
            "diverged_at": (("alpha", label, "seed"), np.where(np.arange(seeds) == 3, 7, -1) + np.zeros((4, 5, seeds), int)),
        },
        {"alpha": [0.5, 1.0, 2.0, 4.0], label: [1.0, 10.0, 100.0, 1e3, 1e4], "time": [0, 10, 100]},
        {"experiment": EVIL, "root": 0},
    )
    runs["loss"][2, 4] = np.nan
    runs["stopped"][1, 1, :9, -1] = False
    return runs


def data_of(html):
    return json.loads(re.search(r'type="application/json">(.*?)</script>', html, re.S).group(1))


def test_the_numbers_are_those_of_the_result():
    runs = result()
    found = data_of(page({"sweep": runs}, title="t"))["experiments"][0]
    loss = next(o for o in found["observables"] if o["name"] == "loss")
    last = runs["loss"].isel(time=-1)
    np.testing.assert_allclose(np.array(loss["mean"], float).reshape(4, 5), last.mean("seed").values, rtol=1e-4)
    assert loss["mean"][14] is None and loss["count"][14] == 0
    half = 1.96 * float(last[0, 0].std(ddof=1)) / 40**0.5
    assert loss["high"][0] - loss["mean"][0] == pytest.approx(half, rel=1e-3)
    assert found["diverged"] == [1] * 20 and found["unfinished"][6] == 9 and sum(found["unfinished"]) == 9
    assert len(loss["seeds"][0]) == 40 and len(loss["curves"][0]) == 12 and found["times"] == [0, 10, 100]


def test_large_results_are_thinned_and_say_so(monkeypatch):
    monkeypatch.setattr(payload, "MAX_NUMBERS", 4000)
    small = page({"sweep": result(seeds=500)}, title="t")
    found = data_of(small)["experiments"][0]
    assert any("of 500 seeds a cell are drawn" in note for note in found["notes"])
    assert len(found["observables"][0]["seeds"][0]) < 100 and found["observables"][0]["count"][0] == 500


def test_labels_are_text_wherever_they_come_from():
    html = page(
        {EVIL: result(label=EVIL)}, title=EVIL, claims=[dict(says=EVIL, range=EVIL, found=EVIL, verdict="met", where=EVIL)]
    )
    assert EVIL not in html and "window.hacked" in html  # escaped, and there


def test_commands(tmp_path, capsys):
    assert main(["report", "no-such-study", "-o", str(tmp_path / "r.html")]) == BAD_INPUT
    assert "no study" in capsys.readouterr().err
    assert main(["report", "sgd_noise", "--runs", str(tmp_path), "-o", str(tmp_path / "r.html")]) == BAD_INPUT
    assert "make them with: jaxscale run sgd_noise" in capsys.readouterr().err
    import jaxscale as js
    from jaxscale.models.perceptron import Perceptron

    store = tmp_path / "store"

    def experiment(learning_rate):
        return js.Descent(Perceptron(d=8, alpha=1.0), learning_rate=learning_rate)

    js.sweep(experiment, grid={"learning_rate": [0.1, 0.2]}, seeds=3, times=[0, 4], store=store, progress=False)
    assert main(["report", str(store), "-o", str(tmp_path / "new" / "r.html")]) == OK
    assert data_of((tmp_path / "new" / "r.html").read_text())["experiments"][0]["axes"][0]["name"] == "learning_rate"
    assert main(["watch", str(store), "--once"]) == OK
    assert "6 of 6 runs done" in capsys.readouterr().out


def test_a_store_that_is_still_being_written(tmp_path, capsys):
    """What is there is shown, with what is missing; the writer notices nothing."""
    import jaxscale as js
    from jaxscale.models.perceptron import Perceptron

    store, page_at, looks = tmp_path / "store", str(tmp_path / "r.html"), []

    def experiment(learning_rate):
        return js.Descent(Perceptron(d=8, alpha=1.0), learning_rate=learning_rate)

    def look(event):
        if event.name == "segment" and not looks:
            looks.append((main(["report", str(store), "-o", page_at]), main(["watch", str(store), "--once"])))
            looks.append((capsys.readouterr().out, data_of((tmp_path / "r.html").read_text())["experiments"][0]))

    how = dict(grid={"learning_rate": [0.1, 0.2]}, seeds=3, times=[0, 4], store=store, progress=False)
    js.sweep(experiment, **how, part=(0, 2))
    found = js.sweep(experiment, **how, listeners=[look])
    assert looks[0] == (OK, OK) and "of 6 runs done" in looks[1][0] and "6 of 6" not in looks[1][0]
    counts = next(o for o in looks[1][1]["observables"] if o["name"] != "diverged_at")["count"]
    assert 0 < sum(counts) < 6 and found.attrs["pending"] == 0


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    binary, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not binary or not driver:
        pytest.skip("no Chromium with its driver here (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1100,1000", "--disable-gpu"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield chrome
    chrome.quit()
    chrome.service.process = None  # or its finaliser asks the dead driver to stop, for seconds, in some other test


def opened(browser, tmp_path, runs, **more):
    from selenium.webdriver.support.ui import WebDriverWait

    path = write_page(tmp_path / "report.html", page({"sweep": runs}, title="A report", **more))
    browser.set_window_size(1100, 1000)
    browser.get(path.as_uri())
    WebDriverWait(browser, 20).until(
        lambda b: b.find_elements("css selector", "#diagram .plot .heatmaplayer image, #diagram .hm image")
    )


def test_moments_have_a_page_too(tmp_path):
    """`reduce=True` keeps no single runs: means with their intervals, and no histogram to click for."""
    import jaxscale as js
    from jaxscale.models.perceptron import TeacherStudent

    def experiment(alpha):
        return js.Descent(TeacherStudent(d=8, alpha=alpha), learning_rate=1.0)

    common = dict(grid={"alpha": [1.0, 2.0, 4.0]}, seeds=16, times=[0, 5, 20], progress=False)
    whole = js.sweep(experiment, **common)["error"].isel(time=-1)
    js.sweep(experiment, **common, reduce=True, store=tmp_path / "store")
    assert main(["report", str(tmp_path / "store"), "-o", str(tmp_path / "r.html")]) == OK
    found = data_of((tmp_path / "r.html").read_text())["experiments"][0]
    error = next(o for o in found["observables"] if o["name"] == "error")
    np.testing.assert_allclose(error["mean"], whole.mean("seed"), rtol=1e-3)
    half = 1.96 * whole.std("seed", ddof=1) / 4
    np.testing.assert_allclose(np.subtract(error["high"], error["mean"]), half, rtol=2e-2)
    assert (
        [axis["name"] for axis in found["axes"]] == ["alpha"] and found["runs"] == 16 and "no single runs" in found["notes"][0]
    )
    assert main(["watch", str(tmp_path / "store"), "--once"]) == OK


def test_fits_stand_in_the_page(tmp_path, capsys):
    import jaxscale as js
    from jaxscale.models.perceptron import TeacherStudent

    def experiment(alpha):
        return js.Descent(TeacherStudent(d=8, alpha=alpha), learning_rate=1.0)

    store, page_at = str(tmp_path / "store"), str(tmp_path / "r.html")
    js.sweep(experiment, grid={"alpha": [1.0, 2.0, 4.0, 8.0]}, seeds=16, times=[0, 50], store=store, progress=False)
    assert main(["report", store, "-o", page_at, "--law", "power", "--x", "alpha", "--y", "error"]) == OK
    (fit,) = data_of((tmp_path / "r.html").read_text())["fits"]
    assert "(seeds)" in fit["estimates"]["exponent"] and fit["status"] in ("ok", "weak", "failed")
    assert main(["report", store, "-o", page_at, "--law", "power", "--x", "alpha", "--y", "eror"]) == BAD_INPUT
    assert "--y, one of ['diverged_at', 'error'" in capsys.readouterr().err


def test_no_run_that_lived_and_runs_that_are_not_there():
    runs = result()
    runs["loss"][:] = np.nan
    runs["diverged_at"][:] = 3
    found = data_of(page({"sweep": runs}, title="t"))["experiments"][0]
    loss = next(o for o in found["observables"] if o["name"] == "loss")
    assert set(loss["mean"]) == {None} and set(loss["count"]) == {0} and found["diverged"] == [40] * 20
    many = xarray.Dataset({"y": (("name", "seed"), np.zeros((5000, 2)))}, {"name": [f"label {i}" for i in range(5000)]})
    found = data_of(page({"sweep": many}, title="t"))["experiments"][0]
    assert len(found["axes"][0]["values"]) == 5000


def point(browser, x, y):
    """Move to the centre of a cell."""
    from selenium.webdriver import ActionChains

    area = browser.find_element("css selector", "#diagram .nsewdrag")
    columns, rows = 5, 4
    offset = (int(area.rect["width"] * ((x + 0.5) / columns - 0.5)), int(area.rect["height"] * (0.5 - (y + 0.5) / rows)))
    ActionChains(browser).move_to_element_with_offset(area, 0, 0).pause(0.1).move_to_element_with_offset(
        area, *offset
    ).perform()
    return area, offset


def until(browser, found, seconds=10):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, seconds).until(lambda b: found())


def test_hover_click_toggle_keyboard_resize(browser, tmp_path):
    from selenium.webdriver import ActionChains, Keys
    from selenium.webdriver.support.ui import Select

    claims = [dict(says="it works", range="1 .. 2", found="1.5", verdict="met", where="eq. 1")]
    opened(browser, tmp_path, result(), claims=claims)
    area, offset = point(browser, 1, 1)
    hover = until(browser, lambda: browser.execute_script("return document.querySelector('#diagram .hoverlayer')?.textContent"))
    assert "40 of 40 seeds" in hover and "9 unfinished" in hover and "1 diverged" in hover and "alpha = 1" in hover
    ActionChains(browser).move_to_element_with_offset(area, *offset).click().perform()
    said = until(browser, lambda: browser.find_element("id", "cell").text)
    assert "alpha = 1" in said and "temperature = 10" in said
    assert until(browser, lambda: browser.find_elements("css selector", "#seeds .bars .point"))
    assert len(browser.find_elements("css selector", "#curves .scatterlayer .trace")) == 12
    Select(browser.find_element("css selector", "[data-control=observable]")).select_by_visible_text("norm")
    until(browser, lambda: "norm" in browser.find_element("id", "cell").text)
    browser.find_element("id", "diagram").send_keys(Keys.ARROW_UP, Keys.ARROW_RIGHT, Keys.ENTER)
    until(browser, lambda: "temperature = 10" in browser.find_element("id", "cell").text)
    browser.set_window_size(420, 900)
    until(browser, lambda: browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth + 1"))
    until(browser, lambda: browser.find_element("css selector", "#diagram .main-svg").rect["width"] < 420)
    assert "it works" in browser.find_element("id", "claims").text
    assert [e for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []


def test_hostile_labels_show_as_text_and_nothing_is_asked_of_the_network(browser, tmp_path):
    browser.get_log("performance")
    opened(browser, tmp_path, result(label=EVIL))
    assert browser.execute_script("return window.hacked") is None
    titles = browser.execute_script(
        "return [...document.querySelectorAll('#diagram .xtitle, #diagram .ytitle')].map(t => t.textContent)"
    )
    assert any(EVIL in title for title in titles), titles
    assert EVIL in browser.find_element("id", "provenance").text
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked), asked


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sgd_noise", "overparameterised_sensing"])
def test_reports_of_studies_are_opened_hovered_and_clicked(browser, tmp_path, name):
    from selenium.webdriver import ActionChains, Keys
    from selenium.webdriver.support.ui import Select

    assert main(["run", name, "--scale", "smoke", "--out", str(tmp_path / "runs"), "--no-figures"]) == OK
    assert main(["report", name, "--runs", str(tmp_path / "runs"), "-o", str(tmp_path / "r.html")]) == OK
    browser.set_window_size(1100, 1400)
    browser.get((tmp_path / "r.html").as_uri())
    until(browser, lambda: browser.find_elements("css selector", "#diagram .nsewdrag"), 30)
    area = browser.find_element("css selector", "#diagram .nsewdrag")
    ActionChains(browser).move_to_element_with_offset(area, 3, 3).pause(0.2).move_to_element(area).perform()
    diagram = browser.find_element("id", "diagram")
    diagram.send_keys(Keys.ARROW_RIGHT, Keys.ENTER)
    assert "seeds" in until(browser, lambda: browser.find_element("id", "cell").text)
    ActionChains(browser).move_to_element(area).click().perform()
    until(browser, lambda: browser.find_elements("css selector", "#curves .scatterlayer .trace"))
    claims = browser.find_element("id", "claims").text
    assert "met" in claims and "not tested here" in claims
    select = Select(browser.find_element("css selector", "[data-control=experiment]"))
    for option in [o.text for o in select.options]:  # every experiment's diagram draws
        Select(browser.find_element("css selector", "[data-control=experiment]")).select_by_visible_text(option)
        diagram.send_keys(Keys.ENTER)
        assert "seeds" in until(browser, lambda: browser.find_element("id", "cell").text)
    browser.save_screenshot(str(tmp_path / f"{name}.png"))
    assert [e for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []


def test_dark_mode_changes_the_colours(browser, tmp_path):
    opened(browser, tmp_path, result())
    paper = []
    for scheme in ("light", "dark"):
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        paper.append(until(browser, lambda: browser.execute_script("return getComputedStyle(document.body).backgroundColor")))
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert paper[0] != paper[1]
