"""Nothing that names a label is left in a text; ordinary words are."""

from __future__ import annotations

import pytest

from axml_jax.data.builders.pydocs_clean import Entry, clean, ordinary_words, variants


def _clean(text: str, ordinary: frozenset[str] = frozenset()) -> str:
    entry = Entry(
        text,
        own=["Solver", "svd_gen"],
        path=["scipy", "linalg", "_decomp"],
        labels=["decomp", "linalg", "scipy", "lstsq", "mean"],
    )
    return clean(entry, ordinary)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (">>> import numpy as np\n>>> from scipy import stats\n>>> 1 + 1\n2", ">>> 1 + 1 2"),
        ("    from scipy.linalg import (svd,\n...     lstsq)\nafter", "after"),
        ("import jax, os  # both\nafter", "after"),
        ("Numbers import a lot.\nfrom the start", "Numbers import a lot. from the start"),
        (".. currentmodule:: scipy.linalg\nafter", "after"),
        ("at https://docs.example.org/scipy/svd.html or me@scipy.org.", "at or ."),
        ("see `docs <https://example.org/linalg>`_", "see `docs < >`_"),
        ("a %(before_notes)s b ${extra} c", "a b c"),
        ("call :func:`~scipy.stats.norm` or :class:`Thing`", "call or `Thing`"),
        ("np.linalg.norm(x) + jnp.sum(y) + x.shape", "(x) + (y) + x.shape"),
        ("scipy/linalg/_decomp.py says 1/2 and/or", "says 1/2 and/or"),
        ("other.linalg.norm and other.lstsq", "and"),
        ("NumPy, SciPy's JAX and jax_debug_nans, a jaxpr", ", 's and , a"),
        ("svd_gen(a, b) is SVD, as a Solver does", "(a, b) is , as a does"),
        ("svd_gender and resolver", "svd_gender and resolver"),
        ("the linalg way, _decomp, decomp", "the way, , ,".removesuffix(",")),
        ("`lstsq`, ``lstsq`` and lstsq(a)", ", and (a)"),
        ("No names at all.", "No names at all."),
    ],
)
def test_what_leaves_and_what_stays(text: str, left: str) -> None:
    assert _clean(text).split() == left.split()


def test_names_imported_from_a_package_are_known_afterwards() -> None:
    text = ">>> from scipy import stats as st\n>>> st.norm.pdf(0)\n>>> pd.norm.pdf(0)"
    assert _clean(text) == ">>> (0) >>> pd.norm.pdf(0)"


def test_ordinary_words_stay_outside_of_code() -> None:
    ordinary = frozenset({"mean", "lstsq"})
    assert _clean("The mean of x, `mean`, mean(x), a.mean", ordinary) == "The mean of x, , (x),"
    assert "mean" not in _clean("The mean of x")


def test_own_name_leaves_even_if_it_is_an_ordinary_word() -> None:
    assert "svd" not in _clean("the svd of a", frozenset({"svd", "svd_gen"}))


def test_the_text_is_one_line() -> None:
    assert _clean("a\n\n   b\tc\n") == "a b c"
    assert _clean("") == ""


def test_variants() -> None:
    assert variants("_Norm_gen") == {"_norm_gen", "norm_gen", "norm"}
    assert variants("_") == {"_"}


def test_ordinary_words_are_those_that_strangers_use() -> None:
    tied = Entry("signal and remez, np.remez", ["f"], ["signal"], ["signal", "remez"])
    stranger = Entry("A signal, `remez`, x.remez or remez().", ["g"], ["other"], ["other"])
    assert ordinary_words([tied, stranger, stranger], minimum=2) == {"signal"}
    assert ordinary_words([tied, tied, stranger], minimum=2) == frozenset()
