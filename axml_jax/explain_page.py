"""The page that shows attention: one HTML file that loads nothing and runs its own script only.

Texts and names of labels come from anywhere; here they become text and never markup.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib import resources
from string import Template
from typing import NamedTuple

import numpy as np

from axml_jax.explain import MOST_MISSED, Attention, Explanation
from axml_jax.tables import printable

LEVELS = 20
_SHOWN_WORDS = 5
_SHOWN_UNREAD = 2000
_NAME_LENGTH = 70
# What HTML has no way of writing, most control characters and halves of surrogate pairs; and what
# lets a text be read otherwise than it stands there, the overrides of direction.
_HIDDEN = re.compile(r"[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]|[\u202a-\u202e\u2066-\u2069]")


class Outcome(NamedTuple):
    """How a label fared: the class of its button, the sign on it, and what is said of it."""

    name: str
    sign: str
    meaning: str


HIT = Outcome("hit", "✓", "predicted and true")
WRONG = Outcome("wrong", "✗", "predicted, but not a true label")
MISSED = Outcome("missed", "○", "missed: true, but not among the best that were asked for")
PREDICTED = Outcome("predicted", "", "predicted; the true labels are not known")


def outcome(label: Attention) -> Outcome:
    """How a label fared."""
    if label.is_true is None:
        return PREDICTED
    if label.is_true:
        return HIT if label.is_predicted else MISSED
    return WRONG


def percent(share: float) -> str:
    """A share or a probability for people; what is neither 0 nor 1 is not shown as if it were."""
    if 0.0 < share < 0.0005:
        return "<0.1 %"
    if 0.9995 <= share < 1.0:
        return ">99.9 %"
    return f"{100 * share:.1f} %"


def full_shade(weights: np.ndarray) -> float:
    """The share of attention that gets the full colour.

    The greatest one; but where attention is nearly even, four times an even share, so that words
    that hardly differ do not look as if they did.
    """
    return max(float(weights.max()), min(4 / len(weights), 1.0))


def write_page(explanations: Iterable[Explanation], title: str) -> Iterator[str]:
    """Makes the page, a piece a document.

    Args:
      explanations: Of each document.
      title: The page's title.

    Yields:
      Pieces of the page in order; to be written as UTF-8.
    """
    folder = resources.files("axml_jax") / "page"
    parts = {
        name: (folder / f"explain.{kind}").read_text(encoding="utf-8")
        for name, kind in (("page", "html"), ("style", "css"), ("script", "js"))
    }
    policy = "; ".join(
        [
            "default-src 'none'",
            f"style-src '{_digest(parts['style'])}'",
            f"script-src '{_digest(parts['script'])}'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    before, after = parts.pop("page").split("$documents")
    shown = {**parts, "policy": policy, "title": escaped(title)}
    yield Template(before).substitute(shown)
    met: set[Outcome] = set()
    for number, explanation in enumerate(explanations, start=1):
        met.update(map(outcome, explanation.labels))
        yield _document(number, explanation)
    kinds = [kind for kind in (HIT, WRONG, MISSED) if kind in met]
    key = [f"<li><b>{kind.sign}</b> {escaped(kind.meaning)}.</li>" for kind in kinds]
    yield Template(after).substitute(shown, key="\n".join(key))


def escaped(text: str) -> str:
    """Text for HTML, between tags and in quoted attributes alike; control codes become visible."""
    return html.escape(_visible(text))


def _visible(text: str) -> str:
    return _HIDDEN.sub(lambda found: printable(found[0]), text)


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _document(number: int, about: Explanation) -> str:
    name = " ".join(about.text[: 4 * _NAME_LENGTH].split())
    name = name if len(name) <= _NAME_LENGTH else name[: _NAME_LENGTH - 1] + "…"
    shadings = [_shading(label, about) for label in about.labels]
    first = shadings[0]
    buttons = [_button(label, pressed=not i) for i, label in enumerate(about.labels)]
    notes = []
    if about.num_left_out:
        notes.append(f"{about.num_left_out} more true labels, beyond {MOST_MISSED}, are not shown.")
    if about.unknown_labels:
        names = "</bdi>, <bdi>".join(map(escaped, about.unknown_labels[:MOST_MISSED]))
        more = len(about.unknown_labels) - MOST_MISSED
        notes.append(
            "True, but unknown to the model, which has not seen them in training: "
            f"<bdi>{names}</bdi>{f' and {more} more' if more > 0 else ''}."
        )
    most = ", ".join(f"<bdi>{escaped(w)}</bdi> {escaped(share)}" for w, share in first.most)
    # In a script element nothing but "</script" and "<!--" is markup: without "<" there is neither.
    data = json.dumps([shading._asdict() for shading in shadings], separators=(",", ":"))
    data = data.replace("<", "\\u003c")
    return "\n".join(
        [
            f'<article id="document-{number}" data-name="{number}. {escaped(name)}">',
            f"<h2>Document {number}</h2>",
            f'<div class="labels" role="group" aria-label="Labels">{"".join(buttons)}</div>',
            *(f'<p class="note">{note}</p>' for note in notes),
            '<p class="scale"><span>0 %</span><span class="bar"></span>'
            f'<span class="full">{escaped(first.scale)}</span></p>',
            '<p class="most" aria-live="polite">Most attention: '
            f'<span class="words">{most}</span></p>',
            f'<div class="text" dir="auto">{_text(about, first)}</div>',
            f'<script type="application/json">{data}</script>',
            "</article>\n",
        ]
    )


class _Shading(NamedTuple):
    """What the script needs to shade by a label; weights in hundredths of a percent."""

    weights: list[int]
    full: int
    scale: str
    most: list[tuple[str, str]]


def _shading(label: Attention, about: Explanation) -> _Shading:
    full = full_shade(label.weights)
    by_word: Counter[str] = Counter()
    for token, weight in zip(about.tokens, label.weights.tolist(), strict=False):
        by_word[token.word] += weight
    even = percent(1 / len(label.weights))
    return _Shading(
        [round(10_000 * weight) for weight in label.weights.tolist()],
        round(10_000 * full),
        f"{percent(full)} of the label’s attention (an even share is {even})",
        [(_visible(word), percent(share)) for word, share in by_word.most_common(_SHOWN_WORDS)],
    )


def _button(label: Attention, pressed: bool) -> str:
    kind = outcome(label)
    sign = f'<span aria-hidden="true">{kind.sign}</span> ' if kind.sign else ""
    return (
        f'<button type="button" class="{kind.name}" title="{escaped(kind.meaning)}" '
        f'aria-pressed="{str(pressed).lower()}" disabled>{sign}<bdi>{escaped(label.shown)}</bdi>'
        f'<span class="number">{escaped(percent(label.probability))}</span>'
        f'<span class="hidden">, {escaped(kind.meaning)}</span></button>'
    )


def _text(about: Explanation, first: _Shading) -> str:
    """The text as it was given, each word that is read in an element of its own."""
    pieces, end = [], 0
    read = about.tokens[: about.num_read]
    for token, is_known, weight in zip(read, about.is_known, first.weights, strict=False):
        level = int(LEVELS * weight / first.full + 0.5)
        unknown = "" if is_known else " u"
        pieces.append(
            f"{escaped(about.text[end : token.start])}"
            f'<span class="t a{level}{unknown}" title="{weight / 100:.2f} %">'
            f"{escaped(about.text[token.start : token.end])}</span>"
        )
        end = token.end
    if len(about.tokens) > len(read):
        # What closes the last word that was read, a bracket or a full stop, stays with it.
        closing = re.split(r"\s", about.text[end : about.tokens[len(read)].start], maxsplit=1)[0]
        rest = about.text[end + len(closing) :]
        pieces.append(escaped(closing))
        cut = rest[:_SHOWN_UNREAD] + ("…" if len(rest) > _SHOWN_UNREAD else "")
        pieces.append(
            f'<span class="end">The model reads the first {len(read):,} words only; the '
            f"{len(about.tokens) - len(read):,} that follow changed nothing.</span>"
            f'<span class="unread">{escaped(cut)}</span>'
        )
    else:
        pieces.append(escaped(about.text[end:]))
    return "".join(pieces)
