"""Without a name, the BiLSTM runs what was measured to win on the card, else the scan."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import pytest

from axml_jax.models import bilstm, bilstm_choice, bilstm_cudnn
from axml_jax.models.bilstm_parameters import BiLSTMParameters
from axml_kernels import compiling_for

CARD = "NVIDIA H200"
Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """run(dtype, precision) says which implementation was called; only float32 is cuDNN's."""
    called: list[str] = []

    def implementation(name: str) -> Callable[..., jax.Array]:
        def states(x: jax.Array, *_: object) -> jax.Array:
            called.append(name)
            return jnp.zeros((*x.shape[:2], 6), x.dtype)

        return states

    monkeypatch.setattr(bilstm.bilstm_scan, "bilstm", implementation("scan"))
    monkeypatch.setattr(bilstm_cudnn, "bilstm", implementation("cudnn"))
    monkeypatch.setattr(
        bilstm_cudnn, "unavailable", lambda dtype: None if dtype == jnp.float32 else "no"
    )

    def run(dtype: str, precision: str | None, name: str | None = None, *, hidden: int = 3) -> str:
        shapes = (2, 4, 4 * hidden), (2, hidden, 4 * hidden), (2, 4 * hidden)
        parameters = BiLSTMParameters(*map(jnp.zeros, shapes))
        x, lengths = jnp.ones((2, 5, 4), dtype), jnp.array([5, 2], jnp.int32)
        bilstm.bilstm(x, lengths, parameters, implementation=name, precision=precision)
        return called.pop()

    return run


def test_the_winner_of_this_card_precision_and_width_runs(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {
        CARD: {"float32": {"3": "scan"}, "tf32": {"3": "cudnn"}, "bfloat16": {"3": "cudnn"}},
        "another": {"float32": {"3": "cudnn"}},
    }
    monkeypatch.setattr(bilstm_choice, "table", lambda: made)
    with compiling_for(CARD):
        assert run("float32", None) == "cudnn"
        assert run("float32", "highest") == "scan"
        assert run("float32", None, "scan") == "scan"
        # Whatever the table says, what cannot run does not.
        assert run("bfloat16", None) == "scan"
    made[CARD]["float32"]["3"] = "cudnn"
    with compiling_for(CARD):
        assert run("float32", "highest") == "cudnn"
    assert run("float32", None) == "scan"  # the device that is here has no row
    del made[CARD]
    with compiling_for(CARD):
        assert run("float32", None) == "scan"


def test_a_width_that_was_not_measured_is_scanned(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {CARD: {"tf32": {"2": "cudnn", "4": "cudnn", "5": "scan"}}}
    monkeypatch.setattr(bilstm_choice, "table", lambda: made)
    with compiling_for(CARD):
        chosen = {hidden: run("float32", None, hidden=hidden) for hidden in range(1, 7)}
    assert [hidden for hidden, name in chosen.items() if name == "cudnn"] == [2, 4]


def test_the_table_in_the_package_can_be_read() -> None:
    for card, precisions in bilstm_choice.table().items():
        assert set(precisions) <= set(bilstm_choice.PRECISIONS), card
        for winners in precisions.values():
            assert all(width.isdecimal() for width in winners), card
            assert set(winners.values()) <= set(bilstm.IMPLEMENTATIONS), card
