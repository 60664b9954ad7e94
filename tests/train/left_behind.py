"""What orbax leaves behind where it fails: no error of ours."""

import pytest

# Where reading or writing an array fails, orbax closes its event loop while others are still under
# way; what these then call, TensorStore's threads report as ignored, at a moment of their own.
# A coroutine of its own that nobody has waited for is told when it is collected.
COROUTINE = "Store._get_array_metadatas"
LEFT_BEHIND = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. None:pytest.PytestUnraisableExceptionWarning",
    f"ignore:Exception ignored in. <coroutine object {COROUTINE}"
    ":pytest.PytestUnraisableExceptionWarning",
    f"ignore:coroutine '{COROUTINE}' was never awaited:RuntimeWarning",
)
