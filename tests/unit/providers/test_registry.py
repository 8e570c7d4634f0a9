"""Files, registry, documentation and the example file agree; the documented example works."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from statistics import median
from textwrap import dedent
from types import ModuleType
from typing import TYPE_CHECKING, Any

import orjson
import pytest

import wavecom.providers
from tests.adapter_lines import adapter_lines
from wavecom.core.job import Outcome, ProviderResult
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message
from wavecom.errors import ProvidersFileError
from wavecom.providers.base import BaseProvider
from wavecom.providers.base_http import BaseHttpProvider
from wavecom.providers.configuration import ProviderConfig
from wavecom.providers.configuration.options import checks_of, load
from wavecom.providers.configuration.verification import VERIFIED_WITH
from wavecom.providers.factory import build_providers, build_sandbox
from wavecom.providers.file import parse_providers
from wavecom.providers.http import STATUSES
from wavecom.providers.registry import CLASSES, RECEIPTS, provider_class
from wavecom.providers.responses import AnswerTable
from wavecom.providers.transport import HttpVersion, Response

if TYPE_CHECKING:
    from tests.unit.providers.conftest import Environment

ROOT = Path(__file__).resolve().parents[3]
GUIDE = (ROOT / "docs" / "adding-a-provider.md").read_text("utf-8")
EXAMPLE = (ROOT / "providers.example.toml").read_text("utf-8")
#: Modules beside the providers that are none.
SUPPORT = {"__init__", "base", "base_http", "factory", "registry"}


def test_every_file_is_registered_under_its_name() -> None:
    [folder] = wavecom.providers.__path__
    files = {path.stem for path in Path(folder).glob("*.py")} - SUPPORT

    assert files == set(CLASSES)


def test_an_adapter_holds_little_beside_what_is_its_own() -> None:
    [folder] = wavecom.providers.__path__
    sizes = {name: adapter_lines((Path(folder) / f"{name}.py").read_text("utf-8")) for name in CLASSES}

    assert median(sizes.values()) <= 80, sizes


@pytest.mark.parametrize("type_name", sorted(set(CLASSES) - {"apprise", "http", "sandbox", "smtp"}))
def test_an_adapters_table_of_answers_names_the_page_that_it_comes_from(type_name: str) -> None:
    [folder] = wavecom.providers.__path__
    source = (Path(folder) / f"{type_name}.py").read_text("utf-8")

    comments = re.findall(r"((?:^#: .*\n)+)^\w*ANSWERS\b.*= AnswerTable\(", source, re.MULTILINE)

    assert len(comments) == source.count("= AnswerTable(") > 0
    assert all("https://" in comment for comment in comments)


def test_what_counts_as_a_line_of_an_adapter() -> None:
    source = '''
        """A docstring
        of two lines."""

        import answers  # counted

        _KEY = account("counted by nobody: the table alone uses it")
        LIMIT = 7  # counted
        #: A comment.
        ANSWERS = AnswerTable(
            {401: _KEY, 429: LIMIT}
        )


        class Adapter:  # counted
            """A docstring."""
            limit = LIMIT  # counted
    '''

    assert adapter_lines(dedent(source)) == 4


@pytest.mark.parametrize("type_name", CLASSES)
def test_a_registered_class_is_a_provider_with_options(type_name: str) -> None:
    cls = provider_class(type_name)

    assert issubclass(cls, BaseProvider)
    assert cls.__name__ == f"{type_name.title()}Provider"
    assert cls.channels
    # Each option is one that the file can set, and hides its value.
    assert {field.name for field in fields(cls.options_class)} == set(checks_of(cls.options_class))
    assert cls.options_class.__repr__ is object.__repr__


def test_every_api_can_be_called_elsewhere_and_with_another_authority() -> None:
    keys = {
        name: set(checks_of(provider_class(name).options_class))
        for name in CLASSES
        if issubclass(provider_class(name), BaseHttpProvider)
    }

    # A gateway has its own address, and a browser's subscription that of its service.
    assert {name for name, each in keys.items() if "base_url" not in each} == {"http", "webpush"}
    assert {name for name, each in keys.items() if "ca_file" not in each} == set()


def test_the_guide_lists_every_provider_with_its_channels_and_keys() -> None:
    table = GUIDE.partition("## The providers there are")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([\w, ]+) \| .* \| (.*) \|$", table, re.MULTILINE)
    documented = {
        name: (frozenset(channels.split(", ")), sorted(re.findall(r"`(\w+)`", keys)))
        for name, channels, keys in rows[1:]
    }

    assert documented == {
        name: (provider_class(name).channels, sorted(checks_of(provider_class(name).options_class))) for name in CLASSES
    }


def test_the_guide_names_every_common_key() -> None:
    for key in (*checks_of(ProviderConfig), "breaker"):
        assert f"`{key}`" in GUIDE


def test_the_example_file_is_right_and_shows_every_key_of_its_types() -> None:
    config = parse_providers(EXAMPLE, {"GATEWAY_TOKEN": "t"})

    types = {provider.type for provider in config.providers.values()}
    assert types == {"http", "sandbox", "smtp"}
    shown = set(re.findall(r"^(?:# )?(\w+) = ", EXAMPLE, re.MULTILINE))
    keys = {"breaker", *checks_of(ProviderConfig)}
    for name in types:
        keys |= set(checks_of(provider_class(name).options_class))
    assert keys <= shown


def test_the_lines_that_the_example_file_leaves_out_are_right_too() -> None:
    source = re.sub(r"^# (\w+ = )", r"\1", EXAMPLE, flags=re.MULTILINE).replace("WAVECOM_PROVIDERS = ", "# ")
    source = re.sub(
        r'^ca_file = .*$|^client = .*$|^rejected = .*$|^regions = .*$|^request = .*$|^tls = "starttls".*$',
        "",
        source,
        flags=re.MULTILINE,
    )
    source = source.replace('channels = ["email", "sms", "push"]', 'channels = ["push", "sms", "email"]')

    config = parse_providers(
        source.replace('host = "127.0.0.1"', 'host = "mail.example"'),
        {"GATEWAY_TOKEN": "t", "SMTP_PASSWORD": "p", "GATEWAY_RECEIPTS": "a long secret of receipts"},
    )

    assert config.providers["gateway"].rate_per_second == 200
    assert config.providers["mail"].options.username == "wavecom"


def test_what_statuses_mean_is_told_as_the_table_has_it() -> None:
    section = GUIDE.partition("### What a status of the http type means")[2].partition("\n#")[0]
    rows = dict(re.findall(r"^\| (.*?) \| (rejected|unavailable|unknown|accepted) \|", section, re.MULTILINE))
    documented = {status: Outcome(outcome) for text, outcome in rows.items() for status in _statuses_in(text)}
    example = EXAMPLE.partition("# What a status means, unless changed here:")[2].partition("# Each list")[0]

    exact = {key: AnswerTable({key: each}).outcome(key) for key, each in STATUSES.items() if isinstance(key, int)}
    assert documented.items() <= {status: AnswerTable(STATUSES).outcome(status) for status in range(600)}.items()
    assert {key for key, outcome in exact.items() if outcome is not Outcome.UNAVAILABLE} <= documented.keys()
    [rejected] = re.findall(r"rejected +([\d, ]+)", example)
    assert {int(each) for each in rejected.split(", ")} == {
        key for key, each in documented.items() if each is Outcome.REJECTED
    }


def _statuses_in(text: str) -> set[int]:
    ranges = re.findall(r"(\d{3})–(\d{3})", text)
    singles = {int(each) for each in re.findall(r"\b\d{3}\b", text)}
    return singles.union(*(range(int(low), int(high) + 1) for low, high in ranges))


def test_providers_are_built_by_name(environment: Environment) -> None:
    config = parse_providers(EXAMPLE, {"GATEWAY_TOKEN": "t"})

    providers = build_providers(config, environment.dependencies())

    assert set(providers) == {"gateway", "mail", "sandbox"}
    for name, provider in providers.items():
        assert provider.name == name
        assert provider.channels == config.providers[name].channels
        provider.close()
        provider.close()


def test_a_provider_whose_http_version_nobody_speaks_is_refused_at_the_start(environment: Environment) -> None:
    config = parse_providers(EXAMPLE, {"GATEWAY_TOKEN": "t"})
    environment.transport.http_versions = frozenset({HttpVersion.HTTP_2})

    with pytest.raises(ProvidersFileError) as caught:
        build_providers(config, environment.dependencies())

    [problem] = caught.value.problems
    assert problem.where == "providers.gateway"
    assert problem.message.startswith("needs HTTP/1.1, which this Python can't speak: install pycurl")


def test_without_a_file_there_is_a_sandbox_that_delivers(
    environment: Environment, new_message: Callable[..., Message]
) -> None:
    provider = build_sandbox("sandbox", environment.dependencies())

    assert provider.send(new_message()).outcome is Outcome.ACCEPTED
    assert len(environment.outbox.entries) == 1


# --- The guide's example --------------------------------------------------------------------------------------------


@pytest.fixture
def birds(environment: Environment) -> Any:
    """Makes a provider of the guide's, by the name of its class."""
    blocks = [textwrap.dedent(block) for block in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)]
    pigeon, gull = (next(block for block in blocks if f"class {name}" in block) for name in ("Pigeon", "Gull"))
    code = pigeon.replace("import Outcome\n", "import Outcome, ProviderResult\n") + "\n\n" + gull
    module = ModuleType("pigeon_of_the_guide")
    sys.modules[module.__name__] = module  # dataclasses look their module up
    exec(compile(code, "docs/adding-a-provider.md", "exec"), module.__dict__)
    options = load(module.PigeonOptions, {"token": "t0ken"}).value
    config: ProviderConfig[Any] = ProviderConfig(name="pigeon", type="pigeon", options=options)
    yield lambda name: getattr(module, name)(config, environment.dependencies())
    del sys.modules[module.__name__]


@pytest.fixture
def pigeon(birds: Any) -> Any:
    return birds("PigeonProvider")


@pytest.mark.parametrize(
    ("body", "outcome"), [(b'{"flight": "f-1"}', Outcome.ACCEPTED), (b'{"error": "no wind"}', Outcome.REJECTED)]
)
def test_the_guides_example_of_a_deciding_body_holds_by_both_ways(
    birds: Any, environment: Environment, new_message: Callable[..., Message], body: bytes, outcome: Outcome
) -> None:
    gull = birds("GullProvider")
    environment.transport.script = Response(200, {}, body)
    heard: list[ProviderResult] = []

    assert gull.start(new_message(Channel.SMS), heard.append)

    assert [answer.outcome for answer in heard] == [outcome]
    assert gull.send(new_message(Channel.SMS)) == heard[0]


def test_the_guides_example_sends_what_it_says(
    pigeon: Any, environment: Environment, new_message: Callable[..., Message]
) -> None:
    environment.transport.script = Response(201, {}, b'{"flight": "f-1"}')

    answer = pigeon.send(new_message(Channel.SMS))

    assert answer == ProviderResult(Outcome.ACCEPTED, "http_201", message_id="f-1")
    [request] = environment.transport.requests
    assert orjson.loads(request.body)["text"] == "Your code is 123456."
    assert request.headers["Authorization"] == "Bearer t0ken"


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(402, Outcome.UNAVAILABLE), (404, Outcome.REJECTED), (500, Outcome.UNKNOWN), (503, Outcome.UNAVAILABLE)],
)
def test_the_guides_example_reads_answers_by_its_table(
    pigeon: Any, environment: Environment, new_message: Callable[..., Message], status: int, outcome: Outcome
) -> None:
    environment.transport.script = Response(status, {}, b"")

    assert pigeon.send(new_message(Channel.SMS)).outcome is outcome


def test_every_type_that_reports_says_by_which_of_its_keys_reports_are_verified() -> None:
    assert RECEIPTS.keys() <= VERIFIED_WITH.keys()
    for name in RECEIPTS:
        assert VERIFIED_WITH[name] in checks_of(provider_class(name).options_class), name
