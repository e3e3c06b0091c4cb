"""A real setup cell: frames and arrays carry the digest that the model sees."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from codeact_kernel.exceptions import SandboxError

from .support import SLOW, Lab, OpenLab, setup_with

pytestmark = pytest.mark.kernel
DIGEST = "application/vnd.codeact.digest"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab(SLOW, setup_with()).start()
    yield lab
    lab.close()


def test_frame(lab: Lab) -> None:
    lab.run("import numpy as np, pandas as pd")
    bundle = lab.run("pd.DataFrame({'a': range(1000), 'b': 'x'})").bundle
    assert set(bundle) == {"text/plain", "text/html", DIGEST}
    digest = str(bundle[DIGEST])
    assert digest.startswith("DataFrame, 1000 rows × 2 columns; 'a': int64")
    assert digest.endswith("… 992 more rows")


def test_series_and_array(lab: Lab) -> None:
    assert "Series 'n', 100 × int64" in str(lab.run("pd.Series(range(100), name='n')").bundle[DIGEST])
    assert "ndarray, shape (3, 4), float64" in str(lab.run("np.zeros((3, 4))").bundle[DIGEST])


def test_setup_leaves_no_names_and_counts_as_the_first_cell(open_lab: OpenLab) -> None:
    lab = open_lab(setup=setup_with("fetch"))
    cell = lab.run("callable(fetch), callable(final_answer)")
    assert (cell.result, cell.finished.execution_count, cell.finished.names) == ("(True, True)", 2, ())


def test_setup_that_fails_is_a_failure_of_the_sandbox() -> None:
    lab = Lab(SLOW, "1 / 0")
    with pytest.raises(SandboxError, match="the setup cell failed: ZeroDivisionError: division by zero"):
        lab.start()
    lab.close()


def test_setup_has_time_of_its_own() -> None:
    from .support import impatient

    lab = Lab(impatient(step_timeout_s=0.2), "import time\ntime.sleep(0.5)").start()
    assert lab.run("6 * 7").result == "42"
    lab.close()
