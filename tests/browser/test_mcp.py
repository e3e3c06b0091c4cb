"""What an MCP server returns, in JupyterLab: a picture is seen, calls have the names of their modules."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from .desk import Desk
from .lab import Lab

pytestmark = pytest.mark.kernel
SERVER = Path(__file__).parents[1] / "frontends" / "mcp_shop.py"
PICTURE = "from mcp_servers import shop\nprint(shop.refund(order_id=2))\nshop.picture()"


def test_a_picture_of_a_server_is_seen(desk: Desk, lab: Lab) -> None:
    model = lab.script(
        "mcp",
        {"thought": "I refund the order, and look at the chart.", "code": PICTURE},
        {"answer": "Order 2 is refunded."},
    )
    server = {"command": sys.executable, "args": [str(SERVER)]}
    (lab.folder / "mcp.json").write_text(json.dumps({"mcpServers": {"shop": server}}))
    setting = f"%load_ext codeact_kernel\n%config CodeActMagics.model = {model!r}\n%mcp mcp.json"
    book = desk.open(lab.notebook("mcp", setting, "%codeact Refund order 2", "%mcp", kernel="python3"))
    expect(book.run(0)).to_contain_text("shop starts with the first task")
    shown = book.run(1)
    expect(shown).to_contain_text("→ shop.refund(order_id=2) = 'refunded 2'")
    expect(shown).to_contain_text("Order 2 is refunded.")
    image = shown.locator("img")
    expect(image).to_be_visible()
    assert image.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [240, 120]
    desk.picture("mcp", book.cells.nth(1))
    expect(book.run(2)).to_contain_text("shop there · 6 tools · 2 calls")
