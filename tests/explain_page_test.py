"""The page of attention as text: what it says, that it is well-formed, that texts stay texts."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from axml_jax.explain_page import LEVELS, full_shade, percent, write_page
from tests.explained import explained

VOID = {"meta", "link", "br", "hr", "img", "input", "!doctype"}
HOSTILE = '</script><script>alert("x")</script> <img src=x onerror=alert(1)> & \'quotes" $title'
LABELS = [("sport", 0.75, True, True), ("money", 0.25, True, False), ("law", 0.00001, False, True)]


class Page(HTMLParser):
    """Elements in order with what they say; refuses tags that do not match."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.elements: list[tuple[str, dict[str, str | None], str]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        assert len(attributes) == len(attrs), f"{tag} has an attribute twice"
        if tag in VOID:
            self.elements.append((tag, attributes, ""))
        else:
            self.open.append((tag, attributes, []))

    def handle_data(self, data: str) -> None:
        for _, _, said in self.open:
            said.append(data)

    def handle_endtag(self, tag: str) -> None:
        begun, attributes, said = self.open.pop()
        assert begun == tag
        self.elements.append((tag, attributes, "".join(said)))

    def all(self, tag: str, name: str = "") -> list[tuple[dict[str, str | None], str]]:
        """Attributes and text of the elements with this tag and, if given, this class."""
        return [
            (attributes, said)
            for found, attributes, said in self.elements
            if found == tag and (not name or name in (attributes.get("class") or "").split())
        ]


def page_of(*documents: object, title: str = "Title") -> Page:
    return Page("".join(write_page(documents, title)))  # type: ignore[arg-type]


def test_the_text_stands_as_it_was_shaded_for_the_first_label_without_any_script() -> None:
    text = "  Two  goals,\nin\tSão Paulo! "
    page = page_of(explained(text, LABELS, unknown=["goals"]))
    assert [said for _, said in page.all("div", "text")] == [text]
    words = page.all("span", "t")[:5]
    assert [said for _, said in words] == ["Two", "goals", "in", "São", "Paulo"]
    classes = [(attributes["class"] or "").split() for attributes, _ in words]
    low = round(LEVELS * 0.025 / 0.9)
    assert classes == [["t", f"a{LEVELS}"], ["t", f"a{low}", "u"], *3 * [["t", f"a{low}"]]]
    assert [attributes["title"] for attributes, _ in words] == ["90.00 %", *4 * ["2.50 %"]]
    assert (
        page.all("span", "words")[0][1]
        == "two 90.0 %, goals 2.5 %, in 2.5 %, são 2.5 %, paulo 2.5 %"
    )
    assert page.all("span", "full") == [
        ({"class": "full"}, "90.0 % of the label’s attention (an even share is 20.0 %)")
    ]


def test_labels_are_told_apart_by_sign_and_word_and_line() -> None:
    page = page_of(explained("a goal", LABELS))
    assert [(attributes["class"], said) for attributes, said in page.all("button")[-3:]] == [
        ("hit", "✓ sport75.0 %, predicted and true"),
        ("wrong", "✗ money25.0 %, predicted, but not a true label"),
        ("missed", "○ law<0.1 %, missed: true, but not among the best that were asked for"),
    ]
    assert [attributes["aria-pressed"] for attributes, _ in page.all("button")[-3:]] == [
        "true",
        "false",
        "false",
    ]
    (style,) = [said for _, said in page.all("style")]
    lines = [re.search(rf"\.{name}\b.*border-style: (\w+)", style) for name in
             ("hit", "wrong", "missed")]  # fmt: skip
    assert len({line[1] for line in lines if line}) == 3
    assert "✓ predicted and true." in [said for _, said in page.all("li")]
    # Without true labels nothing is called right, wrong or missed.
    page = page_of(explained("a goal", [("sport", 0.75, True, None)]))
    assert "✓" not in "".join(said for _, said in page.all("body"))


def test_a_label_is_shown_with_its_title() -> None:
    about = explained("a goal", [("2771", 0.5, True, True)])
    about = about._replace(labels=[about.labels[0]._replace(title="oil & gas")])
    assert page_of(about).all("button", "hit")[0][1].startswith("✓ oil & gas (2771)50.0 %")


def test_what_was_not_read_is_marked_and_cut() -> None:
    text = "one two (three). " + "more, " * 1000
    page = page_of(explained(text, LABELS, max_tokens=3))
    assert [said for _, said in page.all("span", "t")][:-1] == ["one", "two", "three"]
    assert page.all("span", "end")[0][1] == (
        "The model reads the first 3 words only; the 1,000 that follow changed nothing."
    )
    assert page.all("div", "text")[0][1].startswith("one two (three).The model reads")
    assert page.all("span", "unread")[0][1] == (" " + "more, " * 1000)[:2000] + "…"


def test_labels_that_cannot_be_shown_are_named() -> None:
    about = explained("a goal", LABELS)._replace(unknown_labels=("<new>", "other"), num_left_out=7)
    assert [said for _, said in page_of(about).all("p", "note")] == [
        "7 more true labels, beyond 20, are not shown.",
        "True, but unknown to the model, which has not seen them in training: <new>, other.",
    ]


def test_the_data_of_the_script_are_the_weights() -> None:
    about = explained("Two goals, two!", LABELS)
    page = page_of(about, about)
    data = [json.loads(said) for attributes, said in page.all("script") if "type" in attributes]
    assert len(data) == 2
    assert [label["weights"] for label in data[0]] == [
        [9000, 500, 500],
        [500, 9000, 500],
        [500, 500, 9000],
    ]
    # Of a word that stands twice, both shares together.
    assert [label["most"][0] for label in data[0]] == [
        ["two", "95.0 %"],
        ["goals", "90.0 %"],
        ["two", "95.0 %"],
    ]


def test_the_data_of_the_script_hold_no_angle_bracket() -> None:
    about = explained(" ".join(f"w{i}" for i in range(300)), LABELS[:1])
    (data,) = [said for attributes, said in page_of(about).all("script") if "type" in attributes]
    assert "<" not in data
    assert json.loads(data)[0]["most"][1] == ["w1", "<0.1 %"]


def test_nothing_of_a_text_or_a_name_becomes_markup() -> None:
    plain = page_of(explained("two words", [("name", 0.5, True, True)]))
    labels = [(HOSTILE, 0.5, True, True)]
    about = explained(f"{HOSTILE} \x00\x1b\ud800\x85", labels)._replace(unknown_labels=(HOSTILE,))
    written = "".join(write_page([about], HOSTILE))
    written.encode()
    page = Page(written)
    assert [said for _, said in page.all("h1")] == [HOSTILE]
    assert [said for _, said in page.all("title")] == [HOSTILE]
    assert page.all("div", "text")[0][1] == f"{HOSTILE} \\x00\\x1b\\ud800\\x85"
    assert HOSTILE in page.all("button", "hit")[0][1]
    assert HOSTILE in page.all("p", "note")[0][1]
    for tag in {element[0] for element in page.elements} - {"span", "bdi", "p"}:
        assert len(page.all(tag)) == len(plain.all(tag)), tag
    assert not [
        name for _, attributes, _ in page.elements for name in attributes if name[:2] == "on"
    ]


def test_what_turns_the_direction_of_a_text_is_seen() -> None:
    turned = "safe\u202etxt.exe\u2066\x9b"
    shown = r"safe\u202etxt.exe\u2066\x9b"
    about = explained(f"שלום {turned}", [(turned, 0.5, True, True)])
    written = "".join(write_page([about], turned))
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x80-\x9f]", written)
    page = Page(written)
    assert [said for _, said in page.all("h1")] == [shown]
    assert page.all("div", "text")[0][1] == f"שלום {shown}"
    assert shown in page.all("button", "hit")[0][1]


def test_only_the_pages_own_style_and_script_are_allowed_and_nothing_is_loaded() -> None:
    page = page_of(explained("a goal", LABELS))
    (policy,) = [
        attributes["content"] or ""
        for attributes, _ in page.all("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules.pop("default-src") == "'none'"
    (script,) = [said for attributes, said in page.all("script") if "type" not in attributes]
    for kind, said in (("script", script), ("style", page.all("style")[0][1])):
        digest = base64.b64encode(hashlib.sha256(said.encode()).digest()).decode()
        assert rules.pop(f"{kind}-src") == f"'sha256-{digest}'"
    assert rules == {"base-uri": "'none'", "form-action": "'none'"}
    assert not [a for _, attributes, _ in page.elements for a in attributes if a in ("src", "href")]


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0.0, "0.0 %"), (1e-9, "<0.1 %"), (0.00051, "0.1 %"), (0.1234, "12.3 %"),
     (0.99949, "99.9 %"), (0.9996, ">99.9 %"), (1.0, "100.0 %")],
)  # fmt: skip
def test_percentages(share: float, shown: str) -> None:
    assert percent(share) == shown


def test_even_attention_is_shaded_faintly() -> None:
    assert full_shade(np.full(100, 0.01)) == pytest.approx(0.04)
    assert full_shade(np.array([0.9, 0.05, 0.05])) == 1.0  # four even shares would be more than all
    assert full_shade(np.array([0.7, *12 * [0.025]])) == pytest.approx(0.7)
    assert full_shade(np.ones(1)) == 1.0
