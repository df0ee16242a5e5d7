"""A browser, as the tests of the page use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PATIENCE = 120
"""Seconds that a page may take on a busy machine; a page that is ready sooner is not waited for."""


class Browser:
    """Opens pages and looks at them."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, address: str | Path, *, width: int = 1280, is_dark: bool = False, ready: str = "search") -> None:
        """Open a file or an address and wait until it says that it is ready."""
        self.show_as(width=width, is_dark=is_dark)
        self.driver.get("about:blank")
        # What an earlier page complained of is not this one's.
        self.complaints()
        self.driver.get(address.as_uri() if isinstance(address, Path) else address)
        self.wait(f"document.documentElement.dataset.ready === {ready!r}")

    def show_as(self, *, width: int, is_dark: bool) -> None:
        """Take a width of the window, in pixels, and a colour scheme."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def run(self, script: str, *arguments: Any) -> Any:
        """What ``script``, a function's body, returns."""
        return self.driver.execute_script(script, *arguments)

    def wait(self, expression: str) -> None:
        """Wait until ``expression`` is true."""
        from selenium.webdriver.support.wait import WebDriverWait

        WebDriverWait(self.driver, PATIENCE, poll_frequency=0.05).until(lambda _: self.run(f"return {expression}"))

    def one(self, selector: str) -> Any:
        """The element at ``selector``."""
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        """The elements at ``selector``."""
        return self.driver.find_elements("css selector", selector)

    def text(self, selector: str) -> str:
        """All text of the first element at ``selector``, folded parts too."""
        return self.run("return document.querySelector(arguments[0]).textContent", selector)

    def complaints(self) -> list[str]:
        """What the page logged since the last call: errors, and what its policy forbade."""
        return [entry["message"] for entry in self.driver.get_log("browser")]
