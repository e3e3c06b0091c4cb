"""Owns the measurement of how long a page did not answer."""

from __future__ import annotations

from playwright.sync_api import Page

START = """() => {
    window.longest = 0
    let last = performance.now()
    const beat = now => {
        window.longest = Math.max(window.longest, now - last)
        last = now
        requestAnimationFrame(beat)
    }
    requestAnimationFrame(beat)
}"""


def start(page: Page) -> None:
    page.evaluate(START)


def longest(page: Page) -> float:
    """The longest time between two frames so far, in seconds."""
    gap: float = page.evaluate("() => window.longest")
    return gap / 1000
