"""The style sheet: readable in both themes, small, and nothing from elsewhere."""

import re
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[3] / "ims/web/static"
CSS = (STATIC / "ims.css").read_text()
TOKENS = dict(re.findall(r"--([a-z-]+): light-dark\((#[0-9a-f]{6}, #[0-9a-f]{6})\)", CSS))
MEANINGS = ("text", "muted", "critical", "high", "medium", "low", "healthy", "healing", "people")


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["background", "surface", "raised"])
@pytest.mark.parametrize("meaning", MEANINGS)
def test_every_colour_of_text_can_be_read(meaning: str, ground: str, theme: int) -> None:
    colours = [TOKENS[name].split(", ")[theme] for name in (meaning, ground)]
    assert contrast(*colours) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_segments_of_the_lifeline_stand_out(theme: int) -> None:
    ground = TOKENS["surface"].split(", ")[theme]
    for name in ("people-fill", "healing", "healthy"):
        assert contrast(TOKENS[name].split(", ")[theme], ground) >= 3


def test_colours_of_a_log_can_be_read() -> None:
    colours = re.findall(r"\.ansi-[a-z]+ \{ color: (#[0-9a-f]{6})", CSS)
    assert len(colours) == 8
    assert min(contrast(colour, "#0e1116") for colour in colours) >= 4.5


def test_styles_and_scripts_are_small_and_name_no_other_host() -> None:
    files = [path for path in STATIC.iterdir() if path.suffix in (".css", ".js")]
    assert sum(path.stat().st_size for path in files) < 40_000
    for path in files:
        assert not re.search(r"https?://|@import", path.read_text()), path.name
