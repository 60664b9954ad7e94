"""See Also sections of every shape are cut whole, and their targets read."""

from __future__ import annotations

import pytest

from axml_jax.data.builders.pydocs_see_also import cut_see_also, target_name

_BEFORE, _AFTER = "First line.\n\n", "\n\nNotes\n-----\nKept."


@pytest.mark.parametrize(
    ("section", "targets"),
    [
        ("See Also\n--------\nsvd : Singular values.\nlstsq", ["svd", "lstsq"]),
        (
            "See Also\n--------\nfft.ifft, fft2,\nfftn : Others, such as `rfft`.\n"
            "scipy.linalg.svd\n    Described below, like `qr`.",
            ["fft.ifft", "fft2", "fftn", "scipy.linalg.svd"],
        ),
        ("See also\n========\n:func:`numpy.mean`, :meth:`~a.B.c` : d", ["numpy.mean", "a.B.c"]),
        ("See Also\n--------\n`dot` : product\n``outer``", ["dot", "outer"]),
        ("See Also:\n  - :func:`jax.jit`: as :func:`pmap`.\n  - vmap", ["jax.jit", "vmap"]),
        ("See also:\n  :func:`title <jax.lax.scan>`", ["jax.lax.scan"]),
        (".. seealso:: :func:`optax.adam`, :func:`optax.adamw`.", ["optax.adam", "optax.adamw"]),
        (
            ".. seealso::\n    This is similar to :func:`tree_get`,\n    :func:`tree_set`.",
            ["tree_get", "tree_set"],
        ),
        ("See also: docs_of, other", ["docs_of", "other"]),
        (
            "See also the functions `solve` and det() for\nmore than `that`.",
            ["solve", "det", "that"],
        ),
        ("See also\nhttp://example.org/page\nfor more.", []),
    ],
)
def test_cuts_the_section_and_reads_its_targets(section: str, targets: list[str]) -> None:
    text, found = cut_see_also(_BEFORE + section + _AFTER)
    assert found == targets
    assert text.split() == (_BEFORE + _AFTER).split()


def test_a_section_at_the_end_and_one_alone() -> None:
    assert cut_see_also("See Also\n--------\nsvd") == ("", ["svd"])
    assert cut_see_also("Text.\n\nSee also:\n  svd") == ("Text.\n", ["svd"])
    assert cut_see_also("") == ("", [])


def test_a_text_without_a_section_is_left_alone() -> None:
    text = "Nothing to see.\n\nParameters\n----------\nalso : int\n    See all of it."
    assert cut_see_also(text) == (text, [])


def test_two_sections_are_both_cut() -> None:
    text, targets = cut_see_also(
        "A.\n\n.. seealso:: :func:`f`\n\nB.\n\nSee Also\n--------\ng : h\n"
    )
    assert text.split() == ["A.", "B."]
    assert targets == ["f", "g"]


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        (":py:func:`~a.b`", "a.b"),
        ("``f()``", "f"),
        (":class:`!C`", "C"),
        (":ref:`a title <a-page>`", ""),
        ("a b", ""),
        ("3", ""),
    ],
)
def test_target_name(reference: str, name: str) -> None:
    assert target_name(reference) == name
