"""The "See Also" sections of docstrings: cut from the text and read for their targets.

Shapes read: NumPy's underlined section; Google's `See also:` with an indented block; Sphinx's
`.. seealso::`; and, in running text, a line that begins `See also ...`.
"""

from __future__ import annotations

import re

_UNDERLINE = re.compile(r"^\s*([-=~^\"'*+#])\1{2,}\s*$")
_HEAD = re.compile(
    r"^(?P<indent>\s*)(?:(?P<sphinx>\.\. seealso::)|see also\b(?P<colon>\s*:)?)(?P<rest>.*)$",
    re.IGNORECASE,
)
_ROLE = r":(?:\w+:)*\w+:`[^`]+`"
_NAME = r"[~.!]*[A-Za-z_]\w*(?:\.\w+)*(?:\(\))?"
_ITEM = rf"(?:{_ROLE}|`{{0,2}}{_NAME}`{{0,2}})"
# "a, b : what they do", where a colon, if there is one, ends the names.
_ITEMS = re.compile(
    rf"^\s*(?:[-*•]\s+)?({_ITEM}(?:\s*,\s*{_ITEM})*)\s*[,.;]?\s*(?:[:—–-]+(?:\s.*)?)?$"
)
_EACH = re.compile(_ITEM)
_MARKED = re.compile(rf"{_ROLE}|``?{_NAME}``?|\b{_NAME}(?<=\))")
_BARE = re.compile(r"^[A-Za-z_]\w*(?:\.\w+)*$")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def target_name(reference: str) -> str:
    """The dotted name a reference points at: ":func:`text <~a.b>`", "`a.b`" and "a.b()" are "a.b".

    Returns:
      The name, or "" where the reference is not a name.
    """
    inner = re.sub(r"^:(?:\w+:)*\w+:", "", reference.strip()).strip("`")
    titled = re.search(r"<([^<>]+)>\s*$", inner)
    name = (titled.group(1) if titled else inner).strip().removesuffix("()").lstrip("~.!")
    return name if _BARE.match(name) else ""


def _targets(lines: list[str], *, prose: bool = False) -> list[str]:
    """Targets of a section's body; in prose only what is marked up as code counts."""
    found: list[str] = []
    filled = [line for line in lines if line.strip()]
    base = min((_indent(line) for line in filled), default=0)
    for line in filled:
        names = None if prose else _ITEMS.match(line)
        if names and _indent(line) == base:
            found += _EACH.findall(names.group(1))
        elif prose or _indent(line) == base:
            found += _MARKED.findall(line)
    return [name for name in map(target_name, found) if name]


def _end_of_section(lines: list[str], start: int) -> int:
    """Index of the next underlined heading, or the end."""
    for index in range(start, len(lines) - 1):
        if lines[index].strip() and _UNDERLINE.match(lines[index + 1]):
            return index
    return len(lines)


def _end_of_block(lines: list[str], start: int, indent: int) -> int:
    """Index of the first line at or after `start` that is not indented by more than `indent`."""
    index = start
    while index < len(lines) and (not lines[index].strip() or _indent(lines[index]) > indent):
        index += 1
    return index


def _end_of_paragraph(lines: list[str], start: int) -> int:
    index = start
    while index < len(lines) and lines[index].strip() and not _UNDERLINE.match(lines[index]):
        index += 1
    return index


def cut_see_also(text: str) -> tuple[str, list[str]]:
    """Takes every See Also section out of a docstring.

    Args:
      text: A docstring with its indentation cleaned.

    Returns:
      The text without the sections, and their targets as written, in order, repeats included.
    """
    lines, kept, found = text.split("\n"), [], []
    index = 0
    while index < len(lines):
        head = _HEAD.match(lines[index])
        if not head:
            kept.append(lines[index])
            index += 1
            continue
        indent, rest, start = len(head["indent"]), head["rest"].strip(), index + 1
        underlined = start < len(lines) and _UNDERLINE.match(lines[start])
        if not rest and underlined:
            index = _end_of_section(lines, start + 1)
            found += _targets(lines[start + 1 : index])
        elif head["sphinx"]:
            index = _end_of_block(lines, start, indent)
            found += _targets([rest]) + _targets(lines[start:index])
        elif not rest:
            index = _end_of_block(lines, start, indent)
            if not "".join(lines[start:index]).strip():
                index = _end_of_paragraph(lines, start)
            found += _targets(lines[start:index])
        else:  # "See also `name` for ...": the paragraph from here on
            index = _end_of_paragraph(lines, start)
            names = bool(head["colon"]) and bool(_ITEMS.match(rest))
            found += _targets([rest], prose=not names)
            found += _targets(lines[start:index], prose=True)
    return "\n".join(kept), found
