"""Whatever is done to a saved notebook is found and named; computed anew, the signature tells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from codeact_kernel.frontends.verifying import CHANGED, INTACT, UNSIGNED, UNTRUSTED, judged
from codeact_kernel.notebook.chain_check import MAX_FINDINGS, check
from codeact_kernel.notebook.redact import Redactor
from codeact_kernel.notebook.signing import sign
from codeact_kernel.notebook.writer import write

from .tampering import TAMPERINGS, Notebook, Tampering, cover_up, ours, rich_run


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The JSON of a signed run."""
    folder = tmp_path_factory.mktemp("signed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_DATA_DIR", str(folder / "data"))
        path = folder / "run.ipynb"
        write(rich_run(), path, Redactor({}))
        sign(path)
    return path.read_text()


@pytest.fixture
def notebook(signed: str) -> Notebook:
    found: Notebook = json.loads(signed)
    return found


def exit_code(notebook: Notebook, folder: Path) -> tuple[int, str]:
    path = folder / "run.ipynb"
    path.write_text(json.dumps(notebook))
    judgement = judged(path, lambda key: "your key")
    return judgement.exit_code(), judgement.text


def test_nothing_is_found_where_nothing_was_done(notebook: Notebook, tmp_path: Path) -> None:
    assert check(notebook) == ()
    code, text = exit_code(notebook, tmp_path)
    assert code == INTACT
    assert text.startswith("intact: 7 steps, chain ")
    assert "signed by SHA256:" in text


def test_there_are_enough_kinds() -> None:
    assert len({one.name for one in TAMPERINGS}) == len(TAMPERINGS) >= 100


@pytest.mark.parametrize("one", TAMPERINGS, ids=lambda one: one.name.replace(" ", "_"))
def test_plainly(one: Tampering, notebook: Notebook, tmp_path: Path) -> None:
    one.change(notebook)
    found = check(notebook)
    assert one.place in {finding.place for finding in found}, [finding.text for finding in found]
    assert len(found) <= 6, "one change is not to look like many"
    assert exit_code(notebook, tmp_path)[0] in (CHANGED, UNTRUSTED)


@pytest.mark.parametrize("one", TAMPERINGS, ids=lambda one: one.name.replace(" ", "_"))
def test_with_the_chain_computed_anew(one: Tampering, notebook: Notebook, tmp_path: Path) -> None:
    one.change(notebook)
    cover_up(notebook)
    code, text = exit_code(notebook, tmp_path)
    if one.on_hashes:  # The record itself was left alone, so that this undoes it.
        assert code == INTACT
        return
    assert code == UNTRUSTED
    assert "its signature is wrong: it is not of this record" in text
    del ours(notebook)["signature"]
    code, text = exit_code(notebook, tmp_path)
    assert code in (INTACT, CHANGED)
    assert UNSIGNED in text


def test_a_hundred_thousand_findings_are_not_listed(notebook: Notebook) -> None:
    alien = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "!"}
    notebook["cells"] += [alien] * 100_000
    found = check(notebook)
    assert len(found) == MAX_FINDINGS
    assert found[-1].problem == "there is more, which is not listed"
