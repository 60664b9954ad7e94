"""What orbax leaves behind where it fails: no error of ours."""

import pytest

# Where reading or writing an array fails, orbax closes its event loop while others are still under
# way; what these then call, TensorStore's threads report as ignored, at a moment of their own.
LEFT_BEHIND = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. None:pytest.PytestUnraisableExceptionWarning"
)
