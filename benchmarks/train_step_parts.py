"""Where the time of a training step goes: each part alone, in axml_jax and in plain padded PyTorch.

Parts: `input` (documents become arrays on the device), `embedding`, `encoder` (the BiLSTM),
`dropout`, `head` (label attention, shared layers and the loss) and `update` (Adam; in axml_jax with
finding and gathering the rows of the words, from which `embedding` begins there, and with what its
step does before: the gradient's norms and whether all is finite).  Each has one batch and inputs of
the step's own shapes and types; with gradients all that training needs are computed, by the input
and by the weights.  Dropout has no weights; input and update no gradients.  On a GPU the encoder is
also timed by each of its implementations: `axml-scan` and `axml-cudnn`.

The parts do not add up to the step: compilers fuse over their borders, and what a part leaves in a
cache the next one finds.  Nor have all a floor: a perfect program makes the input beside the
device's work, and drops out within the parts around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from axml_jax.data.batches import Batch
from axml_jax.layout import norm_of_squares
from axml_jax.models.attention_xml import AttentionXML
from axml_jax.models.dropout import document_dropout
from benchmarks.contenders import PRECISIONS, Entry, failure_of
from benchmarks.timing import Clock, Ready, steady_seconds, time_all
from benchmarks.train_step_data import draw_documents, plain
from benchmarks.train_step_floors import add_shares, bytes_of_parts, operations_of_parts
from benchmarks.train_step_measure import CUDNN, DROPOUT, OURS, PADDED, Case
from benchmarks.train_step_ours import RECURRENCES, Ours, exactness, make_model

PARTS = ("input", "embedding", "encoder", "dropout", "head", "update")
Calls = dict[str, Callable[[], Any]]


class Parts:
    """The parts of one contender, as something to be timed: passes are "encoder forward"."""

    def __init__(self, calls: Calls, wait: Callable[[Any], None]) -> None:
        self.calls = calls
        self.wait = wait

    def run(self, name: str, placed: Any) -> Any:
        """One call of a part."""
        del placed
        return self.calls[name]()


def _input_calls(case: Case, put: Callable[[Batch], Any]) -> Calls:
    batches = plain(draw_documents(case.shape, case.shape.batch, case.ragged), case.shape)

    def forward() -> Any:
        return [put(batch) for batch in batches.from_step(0, 1)]

    return {"input forward": forward}


def of_ours(case: Case, precision: str) -> Parts:
    """Parts of axml_jax, each compiled by itself."""
    ours = Ours(case.shape, precision, case.params, DROPOUT)
    model, params = ours.model, jax.tree.map(jnp.asarray, case.params)
    batch = jax.tree.map(jnp.asarray, case.batches_of(PADDED)[0])
    keys = jax.random.split(jax.random.key(0), case.shape.batch)

    # As a step reads them: the rows of the batch's words, and where each token has its own.
    found, places = np.unique(np.append(0, batch.token_ids), return_inverse=True)
    token_places = jnp.asarray(places[1:].reshape(batch.token_ids.shape), jnp.int32)
    few = model.clone(num_words=len(found))
    params["words"] = {"vectors": params["words"]["vectors"][found]}

    def embedding(params: Any) -> Any:
        return few.apply({"params": params}, token_places, method=lambda m, ids: m.words(ids))

    def dropout(params: Any, hidden: Any) -> Any:
        del params
        return document_dropout(hidden, keys, 0, DROPOUT)

    def head(params: Any, hidden: Any) -> Any:
        given = hidden, batch.lengths, batch.label_ids, batch.weights
        return model.apply({"params": params}, *given, method="loss")

    _, hidden = _random_inputs(case, batch.token_ids.shape, PRECISIONS[precision][0])
    calls = _input_calls(case, lambda one: ours.layout.dealt(one, ours.devices))
    for name, compute, given, weights in (
        ("embedding", embedding, (), "words"),
        ("dropout", dropout, (hidden,), None),
        ("head", head, (hidden,), "labels"),
    ):
        used = {weights: params[weights]} if weights else {}
        calls |= _jax_calls(name, compute, (used, *given), precision)
    calls |= _encoder_calls(model, case, precision)
    calls["update forward"] = update_call(ours, case)
    return Parts(calls, jax.block_until_ready)


def of_encoder(case: Case, entry: Entry) -> Parts:
    """The recurrent layer alone, by a contender's implementation."""
    model = make_model(case.shape, entry.precision, DROPOUT, RECURRENCES[entry.method])
    return Parts(_encoder_calls(model, case, entry.precision), jax.block_until_ready)


def _encoder_calls(model: AttentionXML, case: Case, precision: str) -> Calls:
    batch = jax.tree.map(jnp.asarray, case.batches_of(PADDED)[0])

    def encoder(params: Any, words: Any) -> Any:
        return model.apply(
            {"params": params}, words, batch.lengths, method=lambda m, *given: m.encoder(*given)
        )

    words, _ = _random_inputs(case, batch.token_ids.shape, PRECISIONS[precision][0])
    params = {"encoder": jax.tree.map(jnp.asarray, case.params["encoder"])}
    return _jax_calls("encoder", encoder, (params, words), precision)


def _jax_calls(name: str, compute: Callable[..., Any], given: Any, precision: str) -> Calls:
    with exactness(precision):
        forward = jax.jit(compute).lower(*given).compile()
        result = forward(*given)
        gradient = jnp.ones_like(result)

        def both(gradient: Any, *given: Any) -> Any:
            result, backward = jax.vjp(compute, *given)
            return result, backward(gradient)

        backward = jax.jit(both).lower(gradient, *given).compile()
    return {
        f"{name} forward": lambda: forward(*given),
        f"{name} forward_backward": lambda: backward(gradient, *given),
    }


def update_call(ours: Ours, case: Case) -> Callable[[], Any]:
    """What axml_jax's step does with a gradient, and reading the words' rows, as one call."""

    def update(state: Any, gradient: Any, batch: Batch, key: Any) -> Any:
        del key
        layout, token_ids = ours.layout, jnp.asarray(batch.token_ids)
        reading = ours.optimizer.read(ours.model, state.params, token_ids, layout.axes)
        # As in `make_train_step`.
        gradient = layout.reduced(gradient)
        squares = layout.squares(gradient)
        norms = {name: norm_of_squares(group) for name, group in squares.items()}
        norms["all"] = norm_of_squares(squares)
        finite = jnp.isfinite(norms["all"])
        return ours.optimizer.update(state, reading, gradient, finite), norms

    run = ours.layout.compiled(update, ours.devices)
    params, batch = case.params, case.batches_of(PADDED)[0]
    rows = min(case.shape.num_words, batch.token_ids.size + 1)
    read = {**params, "words": {"vectors": params["words"]["vectors"][:rows]}}
    gradient = ours.layout.placed(
        jax.tree.map(lambda weight: jnp.full(weight.shape, 1e-6, jnp.float32), read), ours.devices
    )
    state = ours.optimizer.start(jax.tree.map(jnp.asarray, params))
    held = [ours.layout.placed(state, ours.devices)]
    dealt = ours.layout.dealt(batch, ours.devices)
    key = ours.layout.placed(jax.random.key(0), ours.devices)

    def forward() -> Any:
        held[0], norms = run(held[0], gradient, dealt, key)
        return held[0].step, norms

    return forward


def of_padded(case: Case, precision: str) -> Parts:
    """Parts of plain padded PyTorch; raises UnavailableError without it."""
    theirs: Any = case.contender(Entry(PADDED, precision))
    import torch

    module = theirs.module.train()
    batch = case.batches_of(PADDED)[0]
    token_ids, lengths, host_lengths = theirs.place(batch)

    def head(hidden: Any) -> Any:
        return theirs.loss(module.head(hidden, lengths), batch)

    def tensor(array: Any) -> Any:
        one = torch.tensor(np.asarray(array, np.float32), device=token_ids.device)
        return one.to(getattr(torch, PRECISIONS[precision][0])).requires_grad_()

    # The table's rows are float32 in PyTorch whatever the products are.
    words, hidden = _random_inputs(case, batch.token_ids.shape, PRECISIONS[precision][0])
    words, hidden = tensor(words).detach().float().requires_grad_(), tensor(hidden)
    layers = [*module.kernels, *module.biases, module.queries, module.output, module.output_bias]
    lstm = [weight for weight in module.lstm.parameters() if weight.requires_grad]
    calls = _input_calls(case, lambda one: (theirs.place(one), theirs.targets(one)))
    for name, compute, given, weights in (
        ("embedding", lambda: module.words(token_ids), [], [module.words.weight]),
        ("encoder", lambda: module.encode(words, lengths, host_lengths), [words], lstm),
        ("dropout", lambda: module.dropout(hidden), [hidden], []),
        ("head", lambda: head(hidden), [hidden], layers),
    ):
        calls |= _torch_calls(theirs, name, compute, [*given, *weights])
    for weight in module.parameters():
        weight.grad = torch.full_like(weight, 1e-6) if weight.requires_grad else None
    calls["update forward"] = theirs.update
    return Parts(calls, theirs.wait)


def _torch_calls(theirs: Any, name: str, compute: Callable[[], Any], leaves: Any) -> Calls:
    import torch

    def forward() -> Any:
        with torch.no_grad(), theirs.exactness():
            return compute()

    gradient = torch.ones_like(forward())

    def both() -> Any:
        with theirs.exactness():
            result = compute()
        return torch.autograd.grad(result, leaves, gradient)

    return {f"{name} forward": forward, f"{name} forward_backward": both}


def _random_inputs(case: Case, shape: tuple[int, ...], dtype: str) -> tuple[Any, Any]:
    random = np.random.default_rng(2)
    widths = case.shape.word_width, 2 * case.shape.hidden
    words, hidden = (random.standard_normal((*shape, width), np.float32) for width in widths)
    return jnp.asarray(words, dtype), jnp.asarray(hidden, dtype)


def time_parts(
    case: Case, precisions: Iterator[str] | list[str], repeats: int, clock: Clock
) -> dict[str, dict[str, Any]]:
    """Times the parts of axml_jax and of padded PyTorch in turn.

    Args:
      case: The shape; its documents' first batch is used.
      precisions: Names.
      repeats: Rounds.
      clock: The time there is.

    Returns:
      By contender, then by part: "forward" and "forward_backward" as `time_all` gives them, and in
      axml_jax's "time_over" its median divided by PyTorch's; or what became of a contender.
    """
    found: dict[str, dict[str, Any]] = {}
    for precision in precisions:
        ready: dict[Entry, Ready] = {}
        for entry in _entries(precision):
            try:
                if entry.method == PADDED:
                    parts = of_padded(case, precision)
                elif entry.method == OURS:
                    parts = of_ours(case, precision)
                else:
                    parts = of_encoder(case, entry)
                seconds = {
                    name: steady_seconds(lambda: parts.wait(parts.run(name, None)))  # noqa: B023
                    for name in parts.calls
                }
                ready[entry] = Ready(parts, None, seconds)
                found[str(entry)] = {name.split()[0]: {} for name in parts.calls}
            except Exception as error:  # what became of it is a result like others
                found[str(entry)] = failure_of(error)
        # Whoever has a part takes turns with the others that have it.
        names = {name: None for one in ready.values() for name in one.seconds}
        for done, name in enumerate(names):
            having = {entry: one for entry, one in ready.items() if name in one.seconds}
            share = Clock(clock.left() / (len(names) - done) / 60)
            part, kind = name.split()
            for entry, times in time_all(having, [name], repeats, share).items():
                found[str(entry)][part][kind] = times[name]
        _compare(found, precision)
    return found


def _entries(precision: str) -> list[Entry]:
    several = jax.default_backend() != "cpu" and precision != "bfloat16"
    return [
        Entry(method, precision)
        for method in (PADDED, OURS, *(("axml-scan", CUDNN) if several else ()))
    ]


def _compare(found: Mapping[str, Any], precision: str) -> None:
    theirs = found[f"{PADDED} {precision}"]
    for entry in _entries(precision)[1:]:
        for part, kinds in found[str(entry)].items():
            for kind, about in kinds.items() if part in PARTS else ():
                other = theirs.get(part, {}).get(kind, {})
                if "median_s" in about and "median_s" in other:
                    about["time_over"] = about["median_s"] / other["median_s"]


def add_floors(
    found: Mapping[str, Any], case: Case, matrix_rates: Mapping[str, Any], memory_rate: float
) -> None:
    """Adds to each part with a floor its "operations" or "bytes", and "share_of_floor".

    Args:
      found: As `time_parts` gives it.
      case: What it was given.
      matrix_rates: Operations a second of large products by precision.
      memory_rate: Bytes a second that a copy of a large array reads and writes.  A part whose data
        stay in a cache can be faster: its share is above 1 then.
    """
    batch = case.batches_of(PADDED)[0]
    weights = {name: part for name, part in case.params.items() if name != "words"}
    others = sum(np.size(leaf) for leaf in jax.tree.leaves(weights))
    for name, times in found.items():
        precision = name.split()[-1]
        itemsize = jnp.dtype(PRECISIONS[precision][0]).itemsize
        products = operations_of_parts(case.shape, [batch])
        moved = bytes_of_parts(case.shape, batch, others, itemsize)
        add_shares(times, products, "operations", matrix_rates[precision])
        add_shares(times, moved, "bytes", memory_rate)


def rows_of(results: Mapping[str, Any]) -> Iterator[list[str]]:
    """The table: a line for each shape, contender of ours, part and pass."""
    for case, about in results["cases"].items():
        found = about.get("parts") or {}
        for name, ours in found.items():
            method, precision = name.split()
            theirs = found.get(f"{PADDED} {precision}", {})
            for part in PARTS if method in RECURRENCES else ():
                for kind, one in ours.get(part, {}).items():
                    other = theirs.get(part, {}).get(kind, {}).get("median_s")
                    yield [
                        case,
                        name,
                        f"{part}, {kind.replace('_', ' + ')}",
                        format(1e3 * one["median_s"], ",.2f") if "median_s" in one else "",
                        format(1e3 * other, ",.2f") if other else "",
                        format(one["time_over"], ".2f") if "time_over" in one else "",
                        format(one["share_of_floor"], ".0%") if "share_of_floor" in one else "",
                    ]


COLUMNS = (
    "shape", "contender", "part", "ms", "padded ms", "time over padded", "share of floor",
)  # fmt: skip
