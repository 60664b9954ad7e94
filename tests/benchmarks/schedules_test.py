"""What is read from the text of compiled programs."""

import pytest

from benchmarks.schedules import collectives, loop_kernels


@pytest.mark.parametrize(
    ("line", "kind", "shapes", "size"),
    [
        ("f32[] all-reduce(%loss), to_apply=%add", "all-reduce", ["f32[]"], 4),
        ("(f32[8]{0}, bf16[2,3]{1,0}) all-reduce-start(%a, %b)", "all-reduce",
         ["f32[8]", "bf16[2,3]"], 44),
        ("s32[8,5]{1,0} all-gather(%ids), dimensions={0}", "all-gather", ["s32[8,5]"], 160),
        ("(s32[5]{0}, s32[40]{0}) all-gather-start(%ids)", "all-gather", ["s32[40]"], 160),
        ("(bf16[40,4]{1,0}, bf16[5,4]{1,0}) reduce-scatter-start(%rows)", "reduce-scatter",
         ["bf16[5,4]"], 40),
        ("bf16[5,4]{1,0} reduce-scatter(%rows)", "reduce-scatter", ["bf16[5,4]"], 40),
    ],
)  # fmt: skip
def test_bytes_of_a_collective_are_those_of_its_result(
    line: str, kind: str, shapes: list[str], size: int
) -> None:
    program = f"ENTRY %main {{\n  %x = f32[8]{{0}} add(%a, %b)\n  ROOT %told.1 = {line}\n}}\n"
    assert collectives(program) == [{"kind": kind, "shapes": shapes, "bytes": size}]


def test_what_only_ends_a_collective_is_not_counted_again() -> None:
    assert collectives("%y = f32[8]{0} all-reduce-done(%told.1)\n") == []


def test_kernels_of_a_loop_are_what_its_body_starts() -> None:
    program = """
%body.1 (state: (s32[], f32[8])) -> (s32[], f32[8]) {
  %state = (s32[], f32[8]{0}) parameter(0)
  %i = s32[] get-tuple-element(%state), index=0
  %x = f32[8]{0} get-tuple-element(%state), index=1
  %next = s32[] fusion(%i), kind=kLoop, calls=%add_one
  %y = f32[8]{0} custom-call(%x), custom_call_target="__cublas$gemm"
  ROOT %both = (s32[], f32[8]{0}) tuple(%next, %y)
}

ENTRY %main (x: f32[8]) -> f32[8] {
  %before = f32[8]{0} fusion(%x), kind=kLoop, calls=%scale
  %loop = (s32[], f32[8]{0}) while(%start), condition=%less.1, body=%body.1
}
"""
    assert loop_kernels(program) == [2]
