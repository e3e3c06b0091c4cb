"""Jupyter's own tests of a kernel, on the CodeAct kernel with a scripted model."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import jupyter_kernel_test
import pytest
from jupyter_client.manager import KernelManager
from jupyter_kernel_test.msgspec_v5 import validate_message

from tests.frontends.front_end import DEADLINE_S, SPEC

pytestmark = pytest.mark.kernel
TASK = "what is seven times six?"


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The kernelspec, and a model for it, where Jupyter finds them."""
    folder = tmp_path_factory.mktemp("jupyter")
    place = folder / "data" / "kernels" / "codeact"
    place.mkdir(parents=True)
    spec = json.loads(SPEC.read_text())
    spec["argv"][0] = sys.executable
    (place / "kernel.json").write_text(json.dumps(spec))
    (folder / "script.jsonl").write_text('{"code": "print(\'hm\')\\nfinal_answer(6 * 7)"}\n' * 20)
    (folder / "config").mkdir()
    model = f"scripted:{folder / 'script.jsonl'}"
    (folder / "config" / "codeact_config.py").write_text(f"c.CodeActKernel.model = {model!r}\n")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("data", "config", "runtime"):
            patch.setenv(f"JUPYTER_{name.upper()}_DIR", str(folder / name))
        patch.chdir(folder)
        yield


def started(cls: Any) -> None:
    """As the harness does it, on sockets of its own, and with patience for a slow machine."""
    cls.sockets = Path(tempfile.mkdtemp(prefix="ck-"))
    cls.km = KernelManager(kernel_name="codeact", transport="ipc", ip=str(cls.sockets / "k"))
    cls.km.start_kernel()
    cls.kc = cls.km.client()


def ended(cls: Any) -> None:
    cls.kc.stop_channels()
    cls.km.shutdown_kernel()
    shutil.rmtree(cls.sockets)


class TestCodeAct(jupyter_kernel_test.KernelTests):
    kernel_name = "codeact"
    language_name = "codeact"
    file_extension = ".md"
    code_hello_world = "%%python\nprint('hello, world')"
    code_stderr = "%%python\nimport warnings\nwarnings.warn('oh')"
    completion_samples: ClassVar = [
        {"text": "%li", "matches": {"%limits"}},
        {"text": "%%python\nzi", "matches": {"zip"}},
    ]
    complete_code_samples: ClassVar = [TASK, "%limits", "%%python\n1 + 1"]
    incomplete_code_samples: ClassVar = ["first this, \\", "```\nx = 1", "%%python\nfor i in range(3):"]
    invalid_code_samples: ClassVar = ["%%python\nx = )"]
    code_page_something = "?%tools"
    code_generate_error = "%%python\nraise ValueError"
    code_execute_result: ClassVar = [
        {"code": "%%python\n6 * 7", "result": "42", "mime": "text/plain"},
        {"code": TASK, "result": "42", "mime": "text/plain"},
    ]
    code_display_data: ClassVar = [
        {
            "code": "%%python\nfrom IPython.display import HTML, display\ndisplay(HTML('<b>x</b>'))",
            "mime": "text/html",
        },
        {"code": TASK, "mime": "text/html"},
    ]
    code_history_pattern = "what is*"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "%tools"
    code_clear_output = "%%python\nfrom IPython.display import clear_output\nclear_output()"

    @classmethod
    def setUpClass(cls) -> None:
        started(cls)
        cls.kc.start_channels()
        cls.kc.wait_for_ready(timeout=DEADLINE_S)
        # The sandbox is there before the harness, which waits 15 s for it, counts.
        cls.kc.execute_interactive("%%python\npass", timeout=DEADLINE_S, output_hook=lambda _: None)

    @classmethod
    def tearDownClass(cls) -> None:
        ended(cls)

    def execute_helper(self, code: str, **options: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The harness's own waits 0.1 s for each message, which a busy machine may take longer for."""
        options.pop("timeout", None)
        asked = self.kc.execute(code=code, **options)
        reply = self.get_non_kernel_info_reply(timeout=DEADLINE_S)
        assert reply is not None
        validate_message(reply, "execute_reply", asked)
        outputs: list[dict[str, Any]] = []
        states: list[str] = []
        while states != ["busy", "idle"]:
            message = self.kc.get_iopub_msg(timeout=DEADLINE_S)
            validate_message(message, message["msg_type"], asked)
            if message["msg_type"] == "status":
                states.append(message["content"]["execution_state"])
            elif message["msg_type"] == "execute_input":
                assert message["content"]["code"] == code
            else:
                outputs.append(message)
        return reply, outputs


class TestWelcome(jupyter_kernel_test.IopubWelcomeTests):
    kernel_name = "codeact"
    support_iopub_welcome = True

    @classmethod
    def setUpClass(cls) -> None:
        started(cls)

    @classmethod
    def tearDownClass(cls) -> None:
        ended(cls)
