"""The providers file: what it may say, and that a wrong one is told everything at once, by name and line."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal
from pathlib import Path

import pytest

from wavecom.core.breaker_settings import BreakerSettings
from wavecom.core.lanes import Channel
from wavecom.core.prices import PriceRange
from wavecom.core.routes import ChannelRoutes
from wavecom.errors import ProvidersFileError
from wavecom.providers.configuration import (
    BREAKER_CHECKS,
    ProvidersConfig,
)
from wavecom.providers.factory import load_config
from wavecom.providers.file import declared_prices, parse_providers, read_providers_file, served_routes

BOX = '[providers.box]\ntype = "sandbox"\n'
ROUTES = '[routes]\nemail = ["box"]\nsms = ["box"]\npush = ["box"]\n'


def problems_of(source: str, environment: dict[str, str] | None = None) -> list[tuple[str, str]]:
    with pytest.raises(ProvidersFileError) as caught:
        parse_providers(source, environment or {})
    return [(problem.where, problem.message) for problem in caught.value.problems]


def with_box(lines: str, environment: dict[str, str] | None = None) -> ProvidersConfig:
    return parse_providers(BOX + lines + "\n" + ROUTES, environment or {})


def test_without_a_file_the_sandbox_serves_every_channel() -> None:
    config = load_config(None, {})

    assert {provider.type for provider in config.providers.values()} == {"sandbox"}
    assert config.routes == dict.fromkeys(Channel, ChannelRoutes.of("sandbox"))


def test_keys_that_are_left_out_have_defaults() -> None:
    box = with_box("").providers["box"]

    assert box.channels == frozenset(Channel)
    assert box.timeout_seconds == 10
    assert box.rate_per_second is None
    assert box.breaker.failure_rate == 0.5
    assert box.options.latency_ms == 0


def test_the_file_leaves_the_breakers_own_defaults_alone() -> None:
    assert with_box("").providers["box"].breaker == BreakerSettings()


def test_every_key_of_the_breaker_is_read() -> None:
    defaults = asdict(BreakerSettings())
    keys = {name: (defaults[name] or 5) + 1 for name in BREAKER_CHECKS} | {"failure_rate": 0.25}
    table = ", ".join(f"{name} = {value}" for name, value in keys.items())

    assert asdict(with_box(f"breaker = {{ {table} }}").providers["box"].breaker) == defaults | keys


def test_every_common_key_is_read() -> None:
    lines = """
        channels = ["email", "sms"]
        timeout_seconds = 2.5
        rate_per_second = 200
        burst = 20
        max_concurrency = 8
        retry_floor_seconds = 900
        breaker = { failure_rate = 0.3, min_calls = 5, window_seconds = 60, open_seconds = 5, slow_seconds = 2 }
    """

    other = '[providers.other]\ntype = "sandbox"\n'

    config = parse_providers(BOX + lines + other + ROUTES.replace('push = ["box"]', 'push = ["other"]'), {})

    box = config.providers["box"]
    assert box.channels == {Channel.EMAIL, Channel.SMS}
    assert (box.timeout_seconds, box.rate_per_second, box.burst) == (2.5, 200, 20)
    assert (box.max_concurrency, box.retry_floor_seconds) == (8, 900)
    assert (box.breaker.failure_rate, box.breaker.min_calls, box.breaker.window_seconds) == (0.3, 5, 60)
    assert (box.breaker.open_seconds, box.breaker.slow_seconds) == (5, 2)


def test_a_mail_server_gets_no_more_connections_than_it_is_told_or_than_is_usual() -> None:
    mail = '[providers.box]\ntype = "smtp"\nhost = "mail.example.com"\nsender = "bank@example.com"\n'
    told = mail + "max_concurrency = 8\n"

    rest = '[providers.other]\ntype = "sandbox"\n[routes]\nemail = ["box"]\nsms = ["other"]\npush = ["other"]\n'

    configs = [parse_providers(text + rest, {}) for text in (mail, told)]
    sandbox = parse_providers(BOX + ROUTES, {})

    assert [config.providers["box"].max_concurrency for config in configs] == [128, 8]
    assert sandbox.providers["box"].max_concurrency is None


def test_whether_calls_may_take_minutes_is_said_by_the_type_and_not_by_the_file() -> None:
    mail = '[providers.box]\ntype = "smtp"\nhost = "mail.example.com"\nsender = "bank@example.com"\n'
    rest = '[providers.other]\ntype = "sandbox"\n[routes]\nemail = ["box"]\nsms = ["other"]\npush = ["other"]\n'

    config = parse_providers(mail + rest, {})

    assert {name: each.is_patient for name, each in config.providers.items()} == {"box": True, "other": False}
    with pytest.raises(ProvidersFileError, match="is_patient"):
        parse_providers(mail + "is_patient = false\n" + rest, {})


# --- Routes -------------------------------------------------------------------------------------------------------

TWO_MORE = '[providers.b]\ntype = "sandbox"\n[providers.c]\ntype = "sandbox"\n'
BOX_70 = '{ provider = "box", weight = 70 }'
B_30 = '{ provider = "b", weight = 30 }'


def route_of(route: str) -> tuple[tuple[tuple[str, int], ...], ...]:
    config = parse_providers(BOX + TWO_MORE + ROUTES.replace('email = ["box"]', f"email = {route}"), {})
    return tuple(
        tuple((item.provider, item.weight) for item in step.alternatives)
        for step in config.routes[Channel.EMAIL].routes[0].steps
    )


@pytest.mark.parametrize(
    ("route", "steps"),
    [
        ('["box", "b", "c"]', ((("box", 1),), (("b", 1),), (("c", 1),))),
        ('[{ provider = "box", weight = 100 }]', ((("box", 100),),)),
        ('[{ provider = "box" }, { provider = "b" }]', ((("box", 1),), (("b", 1),))),
        (
            '[{ provider = "box", weight = 70 }, { provider = "b", weight = 30 }, "c"]',
            ((("box", 70), ("b", 30)), (("c", 1),)),
        ),
        (
            '["c", { provider = "box", weight = 1 }, { provider = "b", weight = 2 }]',
            ((("c", 1),), (("box", 1), ("b", 2))),
        ),
        (
            '[{ provider = "box", weight = 1 }, "c", { provider = "b", weight = 2 }]',
            ((("box", 1),), (("c", 1),), (("b", 2),)),
        ),
    ],
)
def test_names_are_steps_in_order_and_neighbours_with_weights_share_one(
    route: str, steps: tuple[tuple[tuple[str, int], ...], ...]
) -> None:
    assert route_of(route) == steps


# --- Secrets ------------------------------------------------------------------------------------------------------


def test_a_dollar_name_is_taken_from_the_environment() -> None:
    config = with_box('latency_ms = "$LATENCY"\nburst = "$BURST"', {"LATENCY": "2.5", "BURST": "7"})

    assert config.providers["box"].options.latency_ms == 2.5
    assert config.providers["box"].burst == 7


@pytest.mark.parametrize("environment", [{}, {"LATENCY": ""}])
def test_a_variable_that_is_not_set_is_named_and_nothing_else_is_said_of_its_key(environment: dict[str, str]) -> None:
    problems = problems_of(BOX + 'latency_ms = "$LATENCY"\n' + ROUTES, environment)

    assert problems == [
        (
            "providers.toml:3",
            "providers.box.latency_ms: the environment variable LATENCY is not set; set it before the start",
        )
    ]


def header(value: str, environment: dict[str, str] | None = None) -> str:
    gateway = '[providers.box]\ntype = "http"\nurl = "http://127.0.0.1/"\n'
    config = parse_providers(f"{gateway}headers = {{ X = '{value}' }}\n{ROUTES}", environment or {})
    found: str = config.providers["box"].options.headers["X"]
    return found


ENVIRONMENT = {"TOKEN": "t0k$en", "_a1": "b", "OTHER_2": "${TOKEN}", "EMPTY": ""}


@pytest.mark.parametrize(
    ("value", "replaced"),
    [
        ("$TOKEN", "t0k$en"),
        ("${TOKEN}", "t0k$en"),
        ("Bearer ${TOKEN}", "Bearer t0k$en"),
        ("${TOKEN}${_a1}-${TOKEN}", "t0k$enb-t0k$en"),
        ("$OTHER_2", "${TOKEN}"),  # what a variable holds is not looked through again
        ("$$TOKEN", "$TOKEN"),
        ("$${TOKEN}", "${TOKEN}"),
        ("pa$$$${_a1}", "pa$${_a1}"),
        ("$$$$", "$$"),
        ("$$${_a1}", "$b"),
        ("5 $$ or {TOKEN}", "5 $ or {TOKEN}"),
    ],
)
def test_a_name_in_braces_is_replaced_within_text_and_two_dollars_are_one(value: str, replaced: str) -> None:
    assert header(value, ENVIRONMENT) == replaced


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("Bearer $TOKEN", 'holds $TOKEN within other text; write "${TOKEN}" for the variable, or "$$…" for a real $'),
        ("$TOKEN ", 'holds $TOKEN within other text; write "${TOKEN}"'),
        ("$TOKEN-${_a1}", 'holds $TOKEN within other text; write "${TOKEN}"'),
        ("Bearer $GATEWAY_TOKEN", 'holds $GATEWAY_TOKEN within other text; write "${GATEWAY_TOKEN}"'),
        # A piece of a password is not repeated.
        ("pass$word", 'holds a $ that begins no variable; write "${NAME}" for a variable, or "$$…" for a real $'),
        ("$1.50", "holds a $ that begins no variable"),
        ("costs 5$", "holds a $ that begins no variable"),
        ("${TOKEN", "holds a $ that begins no variable"),
        ("${}", "holds a $ that begins no variable"),
        ("${TOKEN:-x}", "holds a $ that begins no variable"),
        ("$$$", "holds a $ that begins no variable"),
        ("Bearer ${NONE}", "the environment variable NONE is not set; set it before the start"),
        ("Bearer ${EMPTY}", "the environment variable EMPTY is not set"),
    ],
)
def test_every_other_dollar_is_refused_with_the_fix(value: str, message: str) -> None:
    with pytest.raises(ProvidersFileError) as caught:
        header(value, ENVIRONMENT)

    [problem] = caught.value.problems
    assert problem.where == "providers.toml:4"
    assert problem.message.startswith(f"providers.box.headers.X: {message}")


def test_each_variable_that_is_not_set_is_named_once() -> None:
    with pytest.raises(ProvidersFileError) as caught:
        header("${A}:${B} ${A}")

    assert [problem.message.split()[4] for problem in caught.value.problems] == ["A", "B"]


# --- Mistakes -----------------------------------------------------------------------------------------------------


def box(lines: str) -> str:
    return f"{BOX}{lines}\n{ROUTES}"


def sms(route: str) -> str:
    return BOX + ROUTES.replace('sms = ["box"]', f"sms = {route}")


NOT_A_ROUTE = 'must be a list of providers, such as ["first", "second"]'
A_CHANNEL_LIST = "must be a list of: email, sms, push"
A_WHOLE_NUMBER = "must be a whole number from 1 to 100000"

#: (file, line, key, what is said of it)
MISTAKES = [
    ("", 1, "", "declares no provider"),
    (f"providers = 3\n{ROUTES}", 1, "providers", "must be a table: [providers]"),
    (f"[provider.box]\n{BOX}{ROUTES}", 1, "provider", 'is not known here; did you mean "providers"?'),
    (f"[providers]\nbox = 1\n{ROUTES}", 2, "providers.box", "must be a table: [providers.box]"),
    (f"[providers.box]\n\n{ROUTES}", 1, "providers.box", 'needs the key "type", one of: '),
    (
        f'[providers.box]\n\ntype = "sandbok"\n{ROUTES}',
        3,
        "providers.box.type",
        'there is no type "sandbok"; did you mean "sandbox"?',
    ),
    (f'[providers."a box"]\ntype = "sandbox"\n{BOX}{ROUTES}', 1, "providers.a box", "a provider's name has up to 40"),
    (box("latency = 5"), 3, "providers.box.latency", 'is not known here; did you mean "latency_ms"?'),
    (box("latency_ms = true"), 3, "providers.box.latency_ms", "must be a number from 0 to 10000"),
    (box("latency_ms = nan"), 3, "providers.box.latency_ms", "must be a number from 0 to 10000"),
    (box("failure_rate = 1.5"), 3, "providers.box.failure_rate", "must be a number from 0 to 1"),
    (box("# ten\ntimeout_seconds = 11"), 4, "providers.box.timeout_seconds", "must be a number from 0.1 to 10"),
    (box("burst = 2.5"), 3, "providers.box.burst", A_WHOLE_NUMBER),
    (box("burst = true"), 3, "providers.box.burst", A_WHOLE_NUMBER),
    (box('burst = "many"'), 3, "providers.box.burst", A_WHOLE_NUMBER),
    (box("channels = []"), 3, "providers.box.channels", A_CHANNEL_LIST),
    (box('channels = "sms"'), 3, "providers.box.channels", A_CHANNEL_LIST),
    (box('channels = ["email",\n "fax"]'), 4, "providers.box.channels", A_CHANNEL_LIST),
    (box("breaker = 1"), 3, "providers.box.breaker", "must be a table: [providers.box.breaker]"),
    (box("[providers.box.breaker]\nmin_calls = 0"), 4, "providers.box.breaker.min_calls", "must be a whole number"),
    (box("breaker = { mincalls = 5 }"), 3, "providers.box.breaker.mincalls", 'is not known here; did you mean "min_'),
    (BOX, 1, "routes", 'says for no channel who serves it; add, for instance, email = ["box"]'),
    (BOX + ROUTES.replace("sms", "sns"), 5, "routes.sns", 'is not known here; did you mean "sms"?'),
    (BOX + ROUTES + 'fax = ["box"]', 7, "routes.fax", "is not known here; there are: email, push, sms"),
    (box('channels = ["email", "push"]'), 6, "routes.sms", 'provider "box" doesn\'t send sms, only email, push'),
    (sms('"box"'), 5, "routes.sms", NOT_A_ROUTE),
    (sms("[]"), 5, "routes.sms", NOT_A_ROUTE),
    (sms('[\n"box",\n"bax"]'), 7, "routes.sms", 'there is no provider "bax"; did you mean "box"?'),
    (sms('["box", "box"]'), 5, "routes.sms", 'provider "box" stands here twice'),
    (sms("[7]"), 5, "routes.sms", "must be a provider's name or"),
    (sms('[{ provider = "box", wait = 3 }]'), 5, "routes.sms.wait", 'is not known here; did you mean "weight"?'),
    (sms('[{ provider = "box", weight = -1 }]'), 5, "routes.sms.weight", "must be a whole number from 0"),
    (sms("[{ weight = 1 }]"), 5, "routes.sms", 'needs the key "provider"'),
]


@pytest.mark.parametrize(("source", "line", "key", "message"), MISTAKES)
def test_a_mistake_is_named_with_its_line_and_its_cure(source: str, line: int, key: str, message: str) -> None:
    found = problems_of(source)

    start = f"{key}: {message}" if key else message
    assert any(where == f"providers.toml:{line}" and said.startswith(start) for where, said in found), found


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("[providers.box\n", 1),
        (BOX + "latency_ms =\n" + ROUTES, 3),
        (BOX + BOX + ROUTES, 3),
        (BOX + "latency_ms = 1\nlatency_ms = 2\n", 4),
        ('[routes]\nemail = ["a",\n', 3),
    ],
)
def test_what_is_not_toml_is_told_with_its_line(source: str, line: int) -> None:
    [(where, message)] = problems_of(source)

    assert where == f"providers.toml:{line}"
    assert message.startswith("is not TOML: ")


def test_all_mistakes_are_listed_at_once_in_the_order_of_the_file() -> None:
    source = (
        '[providers.a]\ntype = "pigeon"\n[providers.b]\ntype = "sandbox"\nlatency_ms = -1\n[routes]\nemail = ["c"]\n'
    )

    lines = [where for where, _ in problems_of(source)]

    assert lines == [f"providers.toml:{line}" for line in (2, 5, 7)]


def test_a_mistake_in_a_provider_is_not_told_again_at_each_route_that_names_it() -> None:
    problems = problems_of(BOX + "latency_ms = -1\n" + ROUTES)

    assert len(problems) == 1


@pytest.mark.parametrize("channels", [{Channel.EMAIL}, {Channel.SMS, Channel.PUSH}, set(Channel)])
def test_a_channel_without_a_route_is_not_served(channels: set[Channel], tmp_path: Path) -> None:
    routes = "".join(f'{channel} = ["box"]\n' for channel in channels)
    source = f'{BOX}latency_ms = "$UNSET"\n[routes]\n{routes}'
    file = tmp_path / "providers.toml"
    file.write_text("\ufeff" + source, encoding="utf-8")

    assert set(parse_providers(source, {"UNSET": "1"}).routes) == channels
    # Who only accepts needs none of the providers' secrets.
    assert set(served_routes(file)) == channels


@pytest.mark.parametrize("content", [None, b"x", b"\xff\xfe[", b"[routes\n"])
def test_who_only_accepts_is_told_of_a_file_that_can_not_be_read(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "providers.toml"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ProvidersFileError):
        served_routes(file)


def test_a_byte_order_mark_is_passed_by_and_lines_keep_their_count(tmp_path: Path) -> None:
    file = tmp_path / "providers.toml"
    file.write_bytes(b"\xef\xbb\xbf" + (BOX + ROUTES).replace("\n", "\r\n").encode())

    assert list(read_providers_file(file, {}).providers) == ["box"]
    assert problems_of("\ufeff" + BOX + "latency_ms = -1\n" + ROUTES)[0][0] == "providers.toml:3"


def test_windows_line_ends_keep_the_count() -> None:
    source = (BOX + "latency_ms = -1\n" + ROUTES).replace("\n", "\r\n")

    assert problems_of(source)[0][0] == "providers.toml:3"


def test_the_file_is_read_from_its_path_and_named_by_it(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(BOX + ROUTES, encoding="utf-8")

    assert list(read_providers_file(file, {}).providers) == ["box"]

    file.write_text("x", encoding="utf-8")
    with pytest.raises(ProvidersFileError, match=r"mine\.toml:1: is not TOML"):
        read_providers_file(file, {})


def test_a_file_that_can_not_be_read_is_a_mistake_like_others(tmp_path: Path) -> None:
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'[providers.a]\ntype = "\xe9"')

    with pytest.raises(ProvidersFileError, match="UTF-8"):
        read_providers_file(latin, {})
    with pytest.raises(ProvidersFileError, match="No such file"):
        read_providers_file(tmp_path / "none.toml", {})


def test_a_price_is_read_by_who_accepts_and_a_wrong_one_is_named_by_who_delivers(tmp_path: Path) -> None:
    path = tmp_path / "providers.toml"
    path.write_text(BOX + 'segment_price = "0.0079 to 0.0912 USD"\n' + ROUTES)

    assert declared_prices(path) == {"box": PriceRange("USD", Decimal("0.0079"), Decimal("0.0912"))}
    assert with_box('segment_price = "0.05 EUR"').providers["box"].segment_price == "0.05 EUR"
    [(where, message)] = problems_of(BOX + "segment_price = 0.05\n" + ROUTES)
    assert (where, message) == ("providers.toml:3", "providers.box.segment_price: must be text in quotes")
    [(_, message)] = problems_of(BOX + 'segment_price = "5 cents"\n' + ROUTES)
    assert "must be a price such as" in message
    path.write_text(BOX + 'segment_price = "5 cents"\n' + ROUTES)
    assert declared_prices(path) == {}
