"""Screenshot: plays the demo, and takes a picture of the page when it has something to tell."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from .chromium import Watched, chromium

_LOSS = "TasksOrphaned"  # what the demo prints once the killed worker's loss has been noticed


def take(picture: Path) -> int:
    """Save the first screen of the demo after its worker was killed; return the exit code."""
    command = [sys.executable, "-u", "-m", "event_monitor", "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        address = ""
        for line in demo.stdout or ():
            sys.stdout.write(line)
            found = re.search(r"http://127\.0\.0\.1:\d+$", line.strip())
            address = address or (found[0] if found else "")
            if _LOSS in line:
                _photograph(address, picture)
                break
        for line in demo.stdout or ():
            sys.stdout.write(line)
    return demo.returncode or (0 if picture.exists() else 1)


def _photograph(address: str, picture: Path) -> None:
    with chromium() as browser:
        size = {"width": 1280, "height": 900}
        watched = Watched(browser, address, viewport=size, color_scheme="light")
        watched.page.goto("/")
        watched.page.get_by_text("live", exact=True).wait_for()
        watched.page.get_by_text("unfinished").first.wait_for()
        watched.page.screenshot(path=picture, full_page=True)
        watched.close()


if __name__ == "__main__":
    sys.exit(take(Path(sys.argv[1])))
