"""The page of attention in a headless Chromium: clicks, keys, colours, and that texts stay texts.

Needs the extra `browser` and a Chromium, playwright's own or the system's; .ci/run installs both.
With AXML_TEST_BROWSER=1 it is an error to have none.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from axml_jax.explain_page import LEVELS, write_page
from tests.explained import explained

SYSTEMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
IS_REQUIRED = os.environ.get("AXML_TEST_BROWSER") == "1"

LABELS = [("sport", 0.75, True, True), ("money", 0.25, True, False), ("law", 0.01, False, True)]
TEXT = "Keeper saves penalty, club spends money and more"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)></script><!--<script>"

# Contrast of the text of each element with what lies behind it: WCAG 2, 1.4.3.
CONTRASTS = """elements => elements.map(element => {
  const parts = text => {
    const numbers = text.match(/[\\d.]+(e-\\d+)?/g).map(Number);
    return text.startsWith("rgb") ? numbers.map((n, i) => i < 3 ? n / 255 : n) : numbers;
  };
  const linear = x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
  const luminance = color =>
    [0.2126, 0.7152, 0.0722].reduce((sum, share, i) => sum + share * linear(color[i]), 0);
  let behind = element;
  while (behind && parts(getComputedStyle(behind).backgroundColor)[3] === 0)
    behind = behind.parentElement;
  const pair = [parts(getComputedStyle(element).color),
                parts(getComputedStyle(behind || document.body).backgroundColor)].map(luminance);
  return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
})"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A running browser."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        assert not IS_REQUIRED, "AXML_TEST_BROWSER=1, but playwright is not installed"
        pytest.skip("needs playwright (pip install -e '.[browser]') and a Chromium; see .ci/run")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch()
        except Error:
            found = next(filter(None, map(shutil.which, SYSTEMS)), None)
            if found is None:
                if IS_REQUIRED:
                    raise
                pytest.skip("needs a Chromium (python -m playwright install chromium); see .ci/run")
            browser = playwright.chromium.launch(executable_path=found)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """visit(*explanations, **settings of the browser) opens their page.

    At the end nothing else may have been loaded, and no dialog, error or complaint have come.
    """
    seen: list[str] = []
    contexts = []
    path = tmp_path / "page.html"

    def refuse(dialog: Any) -> None:
        seen.append(dialog.message)
        dialog.dismiss()

    def visit(*explanations: Any, **settings: Any) -> Any:
        pieces = list(write_page(explanations, "Title"))
        path.write_text("".join(pieces), encoding="utf-8")
        contexts.append(chromium.new_context(**settings))
        page = contexts[-1].new_page()
        page.on("request", lambda request: seen.append(request.url))
        page.on("dialog", refuse)
        page.on("pageerror", lambda error: seen.append(str(error)))
        page.on("console", lambda message: seen.append(message.text))
        page.goto(path.as_uri())
        return page

    yield visit
    for context in contexts:
        context.close()
    assert seen == [path.as_uri()] * len(contexts)


def shades(page: Any) -> dict[str, str]:
    """Backgrounds of the words that can be seen."""
    return dict(
        page.locator("article:visible .text .t").evaluate_all(
            "words => words.map(w => [w.textContent, getComputedStyle(w).backgroundColor])"
        )
    )


def pressed(page: Any) -> list[str]:
    names: list[str] = page.locator("article:visible [aria-pressed=true] bdi").all_text_contents()
    return names


def test_a_click_on_a_label_shades_the_words_anew(visit: Callable[..., Any]) -> None:
    page = visit(explained(TEXT, LABELS, unknown=["club"]))
    before = shades(page)
    assert pressed(page) == ["sport"]
    strong, faint = before["Keeper"], before["penalty"]
    assert strong != faint
    page.get_by_role("button", name="law").click()
    after = shades(page)
    assert pressed(page) == ["law"]
    assert (after["Keeper"], after["penalty"], after["club"]) == (faint, strong, faint)
    assert page.locator(".t.u").all_text_contents()[0] == "club"
    assert page.locator(".words").text_content().startswith("penalty 90.0 %, keeper 1.4 %, ")
    assert page.locator(".text .t").nth(2).get_attribute("title") == "90.00 %"
    page.get_by_role("button", name="sport").click()
    assert shades(page) == before


def test_without_javascript_the_first_label_shades_the_same(visit: Callable[..., Any]) -> None:
    documents = [explained(TEXT, LABELS), explained("another text", LABELS)]
    alive = visit(*documents)
    assert shades(alive) == {
        word: shade
        for word, shade in shades(visit(*documents, java_script_enabled=False)).items()
        if word not in ("another", "text")
    }


def test_labels_are_chosen_with_the_keyboard_alone(visit: Callable[..., Any]) -> None:
    page = visit(explained(TEXT, LABELS))

    def type_and_look(key: str) -> tuple[list[str], list[str]]:
        page.keyboard.press(key)
        focused = page.locator("button:focus bdi").all_text_contents()
        return pressed(page), focused

    assert type_and_look("Tab") == (["sport"], ["sport"])
    # The focus can be seen.
    assert page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 2
    assert type_and_look("ArrowRight") == (["money"], ["money"])
    assert shades(page)["saves"] != shades(page)["Keeper"]
    assert type_and_look("ArrowDown") == (["law"], ["law"])
    assert type_and_look("ArrowRight") == (["sport"], ["sport"])
    assert type_and_look("ArrowLeft") == (["law"], ["law"])
    assert type_and_look("Home") == (["sport"], ["sport"])
    assert type_and_look("End") == (["law"], ["law"])
    # One stop for all labels: the next one leaves them, and the way back leads to the chosen one.
    assert type_and_look("Tab") == (["law"], [])
    assert type_and_look("Shift+Tab") == (["law"], ["law"])


def test_one_document_is_shown_at_a_time_and_the_others_can_be_reached(
    visit: Callable[..., Any],
) -> None:
    page = visit(*(explained(f"{name} document", LABELS) for name in ("first", "second", "third")))

    def text() -> list[str]:
        found: list[str] = page.locator(".text:visible").all_text_contents()
        return found

    assert text() == ["first document"]
    assert page.locator("#previous").is_disabled()
    page.locator("#next").focus()
    page.keyboard.press("Enter")
    assert text() == ["second document"]
    assert page.locator("#choice").input_value() == "2. second document"
    page.locator("#choice").select_option(index=2)
    assert text() == ["third document"]
    assert page.locator("#next").is_disabled()
    page.locator("#previous").click()
    page.get_by_role("button", name="money").click()
    assert text() == ["second document"]
    assert pressed(page) == ["money"]
    # An address names its document.
    page.evaluate("location.hash = 'document-3'")
    page.wait_for_function("!document.getElementById('document-3').hidden")
    assert text() == ["third document"]


def test_a_single_document_needs_no_way_to_others(visit: Callable[..., Any]) -> None:
    assert visit(explained(TEXT, LABELS)).locator("nav:visible").count() == 0


def test_markup_in_texts_and_names_stays_text(visit: Callable[..., Any]) -> None:
    labels = [(HOSTILE, 0.5, True, True), ("other", 0.4, True, False)]
    documents = [explained(f"a text of {HOSTILE}", labels), explained("a text", LABELS)]
    page = visit(documents[0]._replace(unknown_labels=(HOSTILE,)), documents[1])
    page.get_by_role("button", name="other").click()
    page.get_by_role("button", name="alert").click()
    assert page.locator(".text:visible").text_content() == f"a text of {HOSTILE}"
    assert pressed(page) == [HOSTILE]
    name = page.locator("#choice option").first.text_content()
    assert name == f"1. a text of {HOSTILE}"[:72] + "…"
    # Two documents' data and the page's own script; no picture, and no handler of events.
    assert page.locator("script").count() == 3
    assert page.locator("img, [onerror]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read_in_light_and_in_dark(
    visit: Callable[..., Any], scheme: str
) -> None:
    text = " ".join(f"word{i}" for i in range(LEVELS + 40))
    about = explained(text, LABELS, unknown=["word1"], max_tokens=LEVELS + 1)
    about = about._replace(unknown_labels=("stranger",))
    page = visit(about, about, color_scheme=scheme)
    page.evaluate(
        "document.querySelectorAll('article:not([hidden]) .text .t')"
        ".forEach((word, level) => { word.className = 't a' + level; })"
    )
    assert len(set(shades(page).values())) == LEVELS + 1
    read = (
        "h1, h2, li, button:enabled, select, bdi, .number, .scale, .note, .most, .t, .end, .unread"
    )
    contrasts = page.locator(f":is({read}):visible").evaluate_all(CONTRASTS)
    assert len(contrasts) > 50
    assert min(contrasts) >= 4.5
    (background,) = page.locator("body").evaluate_all(
        "bodies => bodies.map(body => getComputedStyle(body).backgroundColor)"
    )
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
