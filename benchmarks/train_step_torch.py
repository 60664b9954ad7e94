"""AttentionXML in PyTorch, written from the paper's equations, as a rival of whole training steps.

Plain padded: the bidirectional LSTM runs over the padded batch.  Where documents have different
lengths it must not read padding on its way back, so padding is told to it by constant columns of
the input, whose weights close the gates i, f and o: states are exactly zero there, in one fused
call.  Packed: `pack_padded_sequence`, as the authors' own code does it.

Differences from axml_jax: PyTorch adds two biases to a gate (the second is zero and not trained);
the padded rival reads those columns; dropout draws other masks.  Knows nothing of time or memory.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from axml_jax.data.batches import Batch
from benchmarks.contenders import import_torch, torch_device
from benchmarks.label_attention_rivals import naive_torch
from benchmarks.train_step_data import Shape

# PyTorch's gates i, f, g, o among ours, which are i, f, o, g.  The order undoes itself.
GATES = (0, 1, 3, 2)
_CLOSED = -1e4
TOP_K = 5


class Style(NamedTuple):
    """How a rival computes."""

    packed: bool = False
    sparse: bool = False
    best: bool = False


STYLES = {
    "torch-padded": Style(),
    "torch-packed": Style(packed=True),
    # The word table's gradient as a list of rows, with SparseAdam.
    "torch-padded-sparse": Style(sparse=True),
    "torch-packed-sparse": Style(packed=True, sparse=True),
    # What PyTorch itself has to offer: compiled, with one fused kernel of Adam.
    "torch-compile": Style(best=True),
}


class AttentionXML(nn.Module):
    """Eqs. (1) to (5); logits."""

    def __init__(self, shape: Shape, style: Style, dropout: float, ragged: bool) -> None:
        super().__init__()
        width, hidden = shape.word_width, shape.hidden
        self.packed = style.packed
        # As many as make the input's width a multiple of 8, which GPUs like.
        self.stops = 8 - width % 8 if ragged and not style.packed else 0
        self.words = nn.Embedding(shape.num_words, width, padding_idx=0, sparse=style.sparse)
        self.lstm = nn.LSTM(width + self.stops, hidden, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        widths = (2 * hidden, *shape.layers)
        self.queries = nn.Parameter(torch.empty(shape.num_labels, 2 * hidden))
        self.kernels = nn.ParameterList(
            [torch.empty(n, m) for n, m in zip(widths, shape.layers, strict=False)]
        )
        self.biases = nn.ParameterList([torch.empty(m) for m in shape.layers])
        self.output = nn.Parameter(torch.empty(shape.layers[-1]))
        self.output_bias = nn.Parameter(torch.empty(()))

    def forward(self, token_ids: Any, lengths: Any, host_lengths: Any) -> Any:
        hidden = self.encode(self.words(token_ids), lengths, host_lengths)
        return self.head(self.dropout(hidden), lengths)

    def encode(self, words: Any, lengths: Any, host_lengths: Any) -> Any:
        """Eqs. (2) and (3): [B, T, 2H]."""
        if self.packed:
            rows = nn.utils.rnn.pack_padded_sequence(
                words, host_lengths, batch_first=True, enforce_sorted=False
            )
            rows, _ = self.lstm(rows)
            hidden, _ = nn.utils.rnn.pad_packed_sequence(
                rows, batch_first=True, total_length=words.shape[1]
            )
            return hidden
        if self.stops:
            padding = torch.arange(words.shape[1], device=words.device) >= lengths[:, None]
            columns = padding[:, :, None].expand(-1, -1, self.stops)
            words = torch.cat([words, columns.to(words.dtype)], dim=-1)
        return self.lstm(words)[0]

    def head(self, hidden: Any, lengths: Any) -> Any:
        """Eqs. (4) and (5): [B, L]."""
        return naive_torch(
            hidden,
            self.queries,
            lengths,
            tuple(self.kernels),
            tuple(self.biases),
            self.output,
            self.output_bias,
        )


def load_params(module: AttentionXML, params: Any) -> None:
    """Copies weights of axml_jax, NumPy arrays, into a module."""
    encoder, labels = params["encoder"], params["labels"]
    lstm = module.lstm
    with torch.no_grad():
        _copy(module.words.weight, params["words"]["vectors"])
        for direction, suffix in enumerate(("", "_reverse")):
            wide = _reordered(encoder["input_kernel"][direction])
            closed = np.repeat(
                np.array([_CLOSED, _CLOSED, 0, _CLOSED], np.float32), lstm.hidden_size
            )
            wide = np.concatenate([wide, np.tile(closed, (module.stops, 1))])
            _copy(getattr(lstm, f"weight_ih_l0{suffix}"), wide.T)
            narrow = _reordered(encoder["recurrent_kernel"][direction])
            _copy(getattr(lstm, f"weight_hh_l0{suffix}"), narrow.T)
            _copy(getattr(lstm, f"bias_ih_l0{suffix}"), _reordered(encoder["bias"][direction]))
            second = getattr(lstm, f"bias_hh_l0{suffix}")
            second.zero_()
            second.requires_grad_(False)
        _copy(module.queries, labels["queries"])
        for layer, (kernel, bias) in enumerate(zip(module.kernels, module.biases, strict=True)):
            _copy(kernel, labels[f"kernel_{layer}"])
            _copy(bias, labels[f"bias_{layer}"])
        _copy(module.output, labels["output"][:, 0])
        _copy(module.output_bias, labels["output_bias"])


def read_params(module: AttentionXML) -> Any:
    """The weights of a module in axml_jax's layout, NumPy arrays."""
    width = module.words.embedding_dim

    def both(name: str, columns: int | None = None) -> np.ndarray:
        found = [getattr(module.lstm, name + suffix) for suffix in ("", "_reverse")]
        return np.stack([_reordered(_array(one).T[:columns]) for one in found])

    labels = {"queries": _array(module.queries), "output": _array(module.output)[:, None]}
    for layer, (kernel, bias) in enumerate(zip(module.kernels, module.biases, strict=True)):
        labels |= {f"kernel_{layer}": _array(kernel), f"bias_{layer}": _array(bias)}
    labels["output_bias"] = _array(module.output_bias)
    return {
        "words": {"vectors": _array(module.words.weight)},
        "encoder": {
            "input_kernel": both("weight_ih_l0", width),
            "recurrent_kernel": both("weight_hh_l0"),
            "bias": both("bias_ih_l0"),
        },
        "labels": labels,
    }


def _reordered(array: np.ndarray) -> np.ndarray:
    """[..., 4H] with the gates in the other library's order."""
    gates = np.split(array, 4, axis=-1)
    return np.concatenate([gates[gate] for gate in GATES], axis=-1)


def _copy(tensor: Any, array: np.ndarray) -> None:
    tensor.copy_(torch.tensor(array))


def _array(tensor: Any) -> np.ndarray:
    return np.array(tensor.detach().float().cpu().numpy())


class Theirs:
    """A model in training with Adam."""

    def __init__(
        self, method: str, precision: str, shape: Shape, params: Any, dropout: float, ragged: bool
    ) -> None:
        import_torch()  # for its settings
        self._device, self.precision, self._shape = torch_device(), precision, shape
        style = STYLES[method]
        self.sparse = style.sparse
        self.module = AttentionXML(shape, style, dropout, ragged)
        load_params(self.module, params)
        self.module.to(self._device)
        self.scorer: Callable[..., Any] = self.module
        if style.best:
            # Beyond this number of shapes torch.compile would quietly stop compiling.
            limits = importlib.import_module("torch._dynamo").config
            limits.recompile_limit, limits.accumulated_recompile_limit = 1000, 10_000
            self.scorer = torch.compile(self.module, dynamic=False)
        trained = [weight for weight in self.module.parameters() if weight.requires_grad]
        table = self.module.words.weight
        if style.sparse:
            trained = [weight for weight in trained if weight is not table]
        self.optimizers = [torch.optim.Adam(trained, lr=1e-3, fused=style.best or None)]
        if style.sparse:
            self.optimizers.append(torch.optim.SparseAdam([table], lr=1e-3))

    def exactness(self) -> Any:
        """A context in which matrix products are as exact as the precision says."""
        exact = self.precision == "float32"
        torch.set_float32_matmul_precision("highest" if exact else "high")
        torch.backends.cudnn.allow_tf32 = not exact
        if self.precision == "bfloat16":
            return torch.autocast(self._device, dtype=torch.bfloat16)
        return contextlib.nullcontext()

    def place(self, batch: Batch) -> tuple[Any, Any, Any]:
        """Tensors of a batch: token ids and lengths on the device, lengths on the host."""
        lengths = torch.from_numpy(batch.lengths)
        token_ids = torch.from_numpy(batch.token_ids).to(self._device, non_blocking=True)
        return token_ids, lengths.to(self._device, non_blocking=True), lengths

    def targets(self, batch: Batch) -> Any:
        """[B, L] float32 on the device: labels travel as a list."""
        labels = torch.from_numpy(batch.label_ids).to(self._device, non_blocking=True).long()
        dense = torch.zeros(len(labels), self._shape.num_labels + 1, device=self._device)
        return dense.scatter_(1, labels, 1.0)[:, :-1]

    def loss(self, scores: Any, batch: Batch) -> Any:
        """Eq. (6)."""
        return nn.functional.binary_cross_entropy_with_logits(scores.float(), self.targets(batch))

    def update(self) -> None:
        """Adam on the gradients that are there."""
        for optimizer in self.optimizers:
            optimizer.step()

    def run(self, name: str, placed: Sequence[Batch]) -> Any:
        """Takes a step on each batch, or predicts it: the last loss, or all best labels."""
        if name == "training":
            self.module.train()
            for batch in placed:
                with self.exactness():
                    loss = self.loss(self.scorer(*self.place(batch)), batch)
                for optimizer in self.optimizers:
                    optimizer.zero_grad(set_to_none=True)
                loss.backward()
                self.update()
            return loss.detach()
        self.module.eval()
        with torch.inference_mode(), self.exactness():
            k = min(TOP_K, self._shape.num_labels)
            return [self.scorer(*self.place(batch)).float().topk(k) for batch in placed]

    def wait(self, result: Any) -> None:
        del result
        if self._device == "cuda":
            torch.cuda.synchronize()

    def scores(self, batch: Batch) -> np.ndarray:
        """Logits [B, L] without dropout."""
        self.module.eval()
        with torch.inference_mode(), self.exactness():
            return _array(self.scorer(*self.place(batch)))

    def best(self, batch: Batch) -> np.ndarray:
        """The ids of the best labels [B, K], as `run` predicts them."""
        return np.asarray(self.run("prediction", [batch])[0].indices.cpu())

    def params(self) -> Any:
        """The weights of the moment as NumPy arrays."""
        return read_params(self.module)

    def held_bytes(self, name: str) -> int:
        """What a pass starts from: weights, for training the optimizers' state as well."""
        held = list(self.module.parameters())
        for optimizer in self.optimizers if name == "training" else ():
            for state in optimizer.state.values():
                held += [one for one in state.values() if torch.is_tensor(one)]
        return sum(tensor.nbytes for tensor in held)
