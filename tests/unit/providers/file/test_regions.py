"""The table ``[regions]`` of the providers file, and providers that are bound to regions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.providers.file.test_reader import problems_of
from wavecom.core.regions import Region, Regions
from wavecom.errors import ProvidersFileError
from wavecom.providers.file import declared_regions, parse_providers

PROVIDERS = """\
[providers.a]
type = "sandbox"
regions = ["eu"]
[providers.b]
type = "sandbox"
[routes]
sms = ["a", "b"]
"""
LINES = PROVIDERS.count("\n")
REGIONS = """\
[regions]
default = "eu"
[regions.eu]
country = ["DE", "AT"]
client = "bank"
takeover = ["us"]
[regions.us]
country = "US"
"""


def test_regions_have_rules_a_policy_and_providers_of_their_own() -> None:
    config = parse_providers(PROVIDERS + REGIONS, {})

    assert config.regions == Regions(
        {
            "eu": Region(name="eu", countries=frozenset({"DE", "AT"}), clients=frozenset({"bank"}), takeover=("us",)),
            "us": Region(name="us", countries=frozenset({"US"})),
        },
        "eu",
    )
    assert (config.providers["a"].regions, config.providers["b"].regions) == (frozenset({"eu"}), frozenset())


def test_a_file_without_the_table_has_no_regions() -> None:
    assert parse_providers(PROVIDERS.replace('regions = ["eu"]\n', ""), {}).regions is None


@pytest.mark.parametrize(
    ("table", "line", "message"),
    [
        ("[regions]", 1, "declares no region"),
        ("[regions.eu]\n", 1, "default: must name the region of jobs that no rule gives to another"),
        ('[regions]\ndefault = "us"\n[regions.eu]', 2, "there is no region 'us'"),
        ('[regions]\ndefault = "EU"\n[regions.EU]', 3, "a region's name has up to 32 small letters"),
        ('[regions]\ndefault = "sms"\n[regions.sms]', 3, "channels, test, dead, dlx and notifications are taken"),
        ('[regions]\ndefault = "notifications"\n[regions.notifications]', 3, "notifications are taken"),
        ('[regions]\ndefault = "eu"\n[regions.eu]\ncountry = "UK"', 4, 'did you mean "GB"?'),
        ('[regions]\ndefault = "eu"\n[regions.eu]\ncountries = "DE"', 4, "country"),
        ('[regions]\ndefault = "eu"\n[regions.eu]\ntakeover = ["eu"]', 4, "names the region itself"),
        ('[regions]\ndefault = "eu"\n[regions.eu]\ntakeover = ["us"]', 4, 'there is no region "us"'),
        ('[regions]\ndefault = "eu"\n[regions.eu]\ntakeover = "us"', 4, "must be a list of the regions"),
        (
            '[regions]\ndefault = "eu"\n[regions.eu]\ncountry = "DE"\n[regions.us]\ncountry = ["DE"]',
            6,
            "DE belongs to the region eu already",
        ),
    ],
)
def test_a_wrong_table_is_told_by_line(table: str, line: int, message: str, tmp_path: Path) -> None:
    source = PROVIDERS.replace('regions = ["eu"]\n', "") + table
    problems = problems_of(source)

    assert any(where == f"providers.toml:{LINES - 1 + line}" and message in text for where, text in problems), problems
    # A web process, which reads nothing else of the file, must not accept by wrong rules either.
    path = tmp_path / "providers.toml"
    path.write_text(source, encoding="utf-8")
    with pytest.raises(ProvidersFileError):
        declared_regions(path)


@pytest.mark.parametrize(
    ("regions", "message"),
    [("", "the file has no regions"), (REGIONS.replace("eu", "de"), 'there is no region "eu"')],
)
def test_a_provider_is_bound_to_regions_that_there_are(regions: str, message: str) -> None:
    [(where, text)] = problems_of(PROVIDERS + regions)

    assert where == "providers.toml:3"
    assert message in text
