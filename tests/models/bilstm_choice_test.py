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
    parameters = BiLSTMParameters(*(jnp.zeros(s) for s in ((2, 4, 12), (2, 3, 12), (2, 12))))

    def run(dtype: str, precision: str | None, name: str | None = None) -> str:
        x, lengths = jnp.ones((2, 5, 4), dtype), jnp.array([5, 2], jnp.int32)
        bilstm.bilstm(x, lengths, parameters, implementation=name, precision=precision)
        return called.pop()

    return run


def test_the_winner_of_this_card_and_precision_runs(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {
        CARD: {"float32": "scan", "tf32": "cudnn", "bfloat16": "cudnn"},
        "another": {"float32": "cudnn"},
    }
    monkeypatch.setattr(bilstm_choice, "table", lambda: made)
    with compiling_for(CARD):
        assert run("float32", None) == "cudnn"
        assert run("float32", "highest") == "scan"
        assert run("float32", None, "scan") == "scan"
        # Whatever the table says, what cannot run does not.
        assert run("bfloat16", None) == "scan"
    made[CARD]["float32"] = "cudnn"
    with compiling_for(CARD):
        assert run("float32", "highest") == "cudnn"
    assert run("float32", None) == "scan"  # the device that is here has no row
    del made[CARD]
    with compiling_for(CARD):
        assert run("float32", None) == "scan"


def test_the_table_in_the_package_can_be_read() -> None:
    for card, winners in bilstm_choice.table().items():
        assert set(winners) <= set(bilstm_choice.PRECISIONS), card
        assert set(winners.values()) <= set(bilstm.IMPLEMENTATIONS), card
