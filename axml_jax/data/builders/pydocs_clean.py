r"""What would give a docstring's labels away leaves its text.

The labels are the parts of the module path and the targets of See Also sections (already cut, see
`pydocs_see_also`).  Removed, in this order, and why:

* import statements (`>>> from scipy import stats`) and `.. currentmodule::` lines: they are
  the path;
* URLs, e-mail addresses and `%(templates)s`: links to a package's manual are its name;
* reST role names (`:func:`, `:mod:`): only the packages that use Sphinx have them;
* dotted names and file paths (`np.linalg.svd`, `stats.norm.pdf`, `numpy/lib/x.py`) that start at
  one of the packages or an alias of one, or contain a part of the document's own path or one of
  its labels.  The rule for packages and aliases is the same in every document, so that neither
  the presence nor the absence of `np.` tells where a text comes from;
* the names of the packages and their aliases (NumPy, np, JAX, jnp, ...) wherever they stand, also
  inside of a word (`jax_debug_nans`, `jaxpr`);
* the object's own name, and the names of the classes around it, wherever they stand;
* the path's parts and the labels, where they are marked up as code or called, `svd(...)`, and
  anywhere if they are not ordinary words (see `ordinary_words`).

What remains are words: "signal" in a text of `scipy.signal`, "mean" in one whose See Also names
`mean`.  Knows nothing about files or splits.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

PACKAGE_NAMES = frozenset(
    {"numpy", "np", "scipy", "sp", "jax", "jaxlib", "jnp", "jsp", "lax"}
    | {"flax", "linen", "nnx", "optax", "orbax", "ocp", "absl"}
)
"""Names and customary aliases of the packages; the standard library has none."""

_IMPORT = re.compile(
    r"^\s*(?:>>>|\.\.\.|In \[\d+\]:|\$)?\s*"
    r"(?:from\s+(?P<source>[\w.]+)\s+import\b(?P<what>.*)"
    r"|import\s+(?P<modules>[\w.]+(?:\s+as\s+\w+)?(?:\s*,\s*[\w.]+(?:\s+as\s+\w+)?)*)\s*(?:[;#].*)?)$"
)
_MODULE_LINE = re.compile(r"^\s*\.\.\s+(?:py:)?(?:current)?module::.*$", re.IGNORECASE)
_URL = re.compile(
    r"(?:https?|ftp)://[^\s>`]+|\bwww\.\S+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
    r"|\b(?:[\w-]+\.)+(?:org|com|edu|gov)\b(?:/[^\s>`]*)?"
)
_TEMPLATE = re.compile(r"%\(\w+\)s|\$\{\w+\}")
_ROLE = re.compile(r":(?:\w+:)*\w+:(?=`)")
_CHAIN = re.compile(r"`*(?<!\w)[~!]?\.*[A-Za-z_]\w*(?:[./]+\w+)+(?:\(\))?`*")
_WORD = re.compile(r"\w+")
_CODE = re.compile(r"`+[~.!]*(\w+)(?:\(\))?`+|\b(\w+)(?=\()")
_NAMED_AFTER_PACKAGE = re.compile(r"numpy|scipy|jax|flax|optax|orbax")


class Entry(NamedTuple):
    """A docstring without its See Also sections, and what it must not name.

    `own`: the object's name and its classes' names.  `path`: the parts of the module path.
    `labels`: all labels of the document.  All as written; they are compared in lower case.
    """

    text: str
    own: Sequence[str]
    path: Sequence[str]
    labels: Sequence[str]


def variants(name: str) -> set[str]:
    """A name in lower case, bare of underscores, and without the suffixes of its implementation."""
    lowered = name.lower()
    bare = lowered.strip("_")
    found = {lowered, bare, bare.removesuffix("_gen"), bare.removesuffix("_impl")}
    return {n for n in found if n}


def _variants(names: Iterable[str]) -> set[str]:
    return {variant for name in names for variant in variants(name)}


def _cut_imports(text: str) -> tuple[str, set[str]]:
    """Removes import statements; returns the names by which they make the packages known."""
    kept, aliases = [], set()
    open_bracket = False
    for line in text.split("\n"):
        if open_bracket:
            aliases |= set(_WORD.findall(line.lower()))
            open_bracket = ")" not in line
            continue
        found = _IMPORT.match(line)
        if found:
            what = found["modules"] or found["what"]
            open_bracket = "(" in what and ")" not in what
            root = (found["source"] or found["modules"]).split(".")[0].strip().lower()
            if root in PACKAGE_NAMES:
                aliases |= set(_WORD.findall(what.partition("#")[0].lower())) - {"as"}
        elif not _MODULE_LINE.match(line):
            kept.append(line)
    return "\n".join(kept), aliases


def clean(entry: Entry, ordinary: frozenset[str] = frozenset()) -> str:
    """The text that is left when nothing in it gives the labels away.

    Args:
      entry: The docstring and the names concerned.
      ordinary: Words that stay even if they are a part of the path or a label, outside of code.

    Returns:
      The text on one line, words separated by single spaces.
    """
    own = _variants(entry.own)
    secret = own | _variants(entry.path) | _variants(entry.labels)
    text, aliases = _cut_imports(entry.text)
    text = _TEMPLATE.sub(" ", _URL.sub(" ", text))
    text = _ROLE.sub("", text)
    known = PACKAGE_NAMES | aliases

    def chain(match: re.Match[str]) -> str:
        parts = [part for part in _WORD.findall(match[0].lower()) if part]
        bare = {part.strip("_") for part in parts} | set(parts)
        return " " if parts[0] in known or bare & secret else match[0]

    def code(match: re.Match[str]) -> str:
        return " " if (match[1] or match[2]).lower() in secret else match[0]

    banned = PACKAGE_NAMES | own | (secret - ordinary)

    def word(match: re.Match[str]) -> str:
        lowered = match[0].lower()
        return "" if lowered in banned or _NAMED_AFTER_PACKAGE.search(lowered) else match[0]

    text = _WORD.sub(word, _CODE.sub(code, _CHAIN.sub(chain, text)))
    return " ".join(text.split())


def ordinary_words(entries: Iterable[Entry], minimum: int = 20) -> frozenset[str]:
    """Names that are also words: those which at least `minimum` texts use that have no tie to them.

    A text counts for a name if it uses it outside of code and the name is neither its own, nor in
    its path, nor among its labels.  "signal" and "mean" are words by this measure; "argparse" and
    "nanmean" are not.
    """
    entries = list(entries)
    names = {v for e in entries for v in _variants((*e.path, *e.labels))}
    uses: Counter[str] = Counter()
    for entry in entries:
        plain = _CODE.sub(" ", _CHAIN.sub(" ", _URL.sub(" ", _cut_imports(entry.text)[0])))
        mine = _variants((*entry.own, *entry.path, *entry.labels))
        uses.update((set(_WORD.findall(plain.lower())) & names) - mine)
    return frozenset(name for name, count in uses.items() if count >= minimum)
