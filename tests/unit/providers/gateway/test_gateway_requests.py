from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import pytest

from tests.unit.providers.file.test_reader import problems_of
from wavecom.core.job import JobId
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message
from wavecom.providers.base import UnsendableError
from wavecom.providers.file import parse_providers
from wavecom.providers.gateway.requests import BuiltRequest

HEAD = '[providers.gw]\ntype = "http"\nurl = "https://gw.example/send?v=1"\nchannels = ["sms"]\n'
ROUTES = '[routes]\nsms = ["gw"]\n'
AT = 1_793_000_000


def built(request: str, payload: dict[str, Any] | None = None) -> BuiltRequest:
    options = (
        parse_providers(f"{HEAD}[providers.gw.request]\n{request}\n{ROUTES}", {"KEY": "s3cret"}).providers["gw"].options
    )
    words = payload or {"text": "Grüße & more"}
    message = Message(JobId("job-1"), "key-1", Channel.SMS, {"phone": "+447700900123"}, words, {}, 1)
    return options.request.build(options.url, message, words, AT)


def test_json_is_written_after_its_templates_are_filled_in() -> None:
    found = built('json = { to = "{{ to.phone }}", text = "{{ payload.text }}" }', {"text": '"}, {"'})

    assert found.body == b'{"to":"+447700900123","text":"\\"}, {\\""}'
    assert found.headers == {"Content-Type": "application/json"}
    assert found.url == "https://gw.example/send?v=1"


def test_a_form_and_a_query_are_encoded() -> None:
    form = built('form = { text = "{{ payload.text }}", flash = false }')
    query = built('method = "GET"\nquery = { text = "{{ payload.text }}" }')

    assert form.body == b"text=Gr%C3%BC%C3%9Fe+%26+more&flash=false"
    assert form.headers == {"Content-Type": "application/x-www-form-urlencoded"}
    assert (query.url, query.body) == ("https://gw.example/send?v=1&text=Gr%C3%BC%C3%9Fe+%26+more", b"")
    assert query.headers == {}


def test_any_other_body_is_a_text_of_its_own_type() -> None:
    found = built('body = "<sms>{{ payload.text | e }}</sms>"\ncontent_type = "application/xml"')

    assert found.body.decode() == "<sms>Grüße &amp; more</sms>"
    assert found.headers == {"Content-Type": "application/xml"}


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [("hex", bytes.hex), ("base64", lambda digest: base64.b64encode(digest).decode())],
)
@pytest.mark.parametrize("algorithm", ["sha256", "sha512", "sha1"])
def test_what_is_signed_is_what_is_sent(encoding: str, encode: Any, algorithm: str) -> None:
    found = built(
        'form = { text = "{{ payload.text }}" }\n'
        f'sign = {{ secret = "$KEY", header = "X-Sig", algorithm = "{algorithm}", encoding = "{encoding}", '
        'prefix = "v1=", timestamp_header = "X-At", '
        'text = "{{ method }} {{ path }} {{ timestamp }} {{ delivery_key }} {{ body }}" }'
    )

    signed = f"POST /send?v=1 {AT} key-1 ".encode() + found.body
    expected = encode(hmac.new(b"s3cret", signed, getattr(hashlib, algorithm)).digest())
    assert found.headers["X-Sig"] == f"v1={expected}"
    assert found.headers["X-At"] == str(AT)


@pytest.mark.parametrize(
    ("content_type", "escaped"),
    [
        ("text/xml", True),
        ("application/xml; charset=utf-8", True),
        ("Application/SOAP+XML", True),
        ("text/plain", False),
        ("application/xml-dtd", False),
    ],
)
def test_a_message_can_not_break_out_of_its_place_in_xml(content_type: str, escaped: bool) -> None:
    request = f'body = "<sms><to>{{{{ to.phone }}}}</to>{{{{ payload.text }}}}</sms>"\ncontent_type = "{content_type}"'

    body = built(request, {"text": "a<b & 'c'"}).body.decode()

    text = "a&lt;b &amp; &#39;c&#39;" if escaped else "a<b & 'c'"
    assert body == f"<sms><to>+447700900123</to>{text}</sms>"


def test_a_body_that_is_one_value_is_escaped_in_xml_too() -> None:
    assert built('body = "{{ payload.text }}"\ncontent_type = "text/xml"', {"text": "1<2"}).body == b"1&lt;2"


def test_what_is_escaped_already_or_is_xml_itself_is_not_escaped_again() -> None:
    request = """body = "{{ payload.text | e }}{{ '<a/>' | safe }}"\ncontent_type = "text/xml\""""

    assert built(request, {"text": "1<2"}).body == b"1&lt;2<a/>"


def test_by_default_the_body_alone_is_signed() -> None:
    found = built('json = { text = "{{ payload.text }}" }\nsign = { secret = "$KEY", header = "X-Sig" }')

    assert found.headers["X-Sig"] == hmac.new(b"s3cret", found.body, hashlib.sha256).hexdigest()


def test_basic_credentials_go_with_every_request() -> None:
    found = built('json = { text = "{{ payload.text }}" }\nbasic = { user = "shop", password = "$KEY" }')

    assert found.headers["Authorization"] == "Basic " + base64.b64encode(b"shop:s3cret").decode()


def test_a_field_that_no_template_sends_is_refused_before_the_call_unless_it_may_be_ignored() -> None:
    template = 'json = { text = "{{ payload.text }}" }\n'
    payload = {"text": "a", "senderId": "BANK"}

    with pytest.raises(UnsendableError) as caught:
        built(template, payload)
    ignoring = built(template + 'ignore = ["senderId"]', payload)

    assert "payload.senderId" in str(caught.value)
    assert caught.value.is_final_here
    assert ignoring.body == b'{"text":"a"}'


def test_a_message_that_a_template_can_not_be_filled_in_with_is_unsendable_here() -> None:
    with pytest.raises(UnsendableError) as caught:
        built('json = { text = "{{ payload.text }}", n = "{{ 1 / (payload.text | length - 3) }}" }', {"text": "abc"})

    assert "ZeroDivisionError" in str(caught.value)
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize(
    ("request_lines", "line", "message"),
    [
        ('json = { to = "{{ to.phon }}" }', 6, "request.json.to: for type sms: can't be filled in: there is no phon"),
        ('json = { a = [{ b = "{{ tp }}" }] }', 6, "request.json.a.b: uses tp, which is not known"),
        ('form = { a = { b = "c" } }', 6, "request.form.a: must be text"),
        ('form = "a"', 6, "request.form: must be a table"),
        ('json = { a = "b" }\nform = { a = "b" }', 7, "request.form: stands beside json"),
        ('method = "GET"\njson = { a = "b" }', 7, "request.json: goes with POST or PUT"),
        ('method = "DELETE"\njson = { a = "b" }', 6, "request.method: must be one of"),
        ('jsn = { a = "b" }', 6, 'request.jsn: is not known here; did you mean "json"?'),
        ('json = { a = "b" }\nsign = { header = "X" }', 7, 'request.sign: needs the key "secret"'),
        (
            'json = { a = "b" }\nsign = { secret = "a", header = "a b" }',
            7,
            "request.sign.header: is not a header's name",
        ),
        (
            'json = { a = "b" }\nsign = { secret = "a", header = "a", text = "{{ to }}" }',
            7,
            "uses to, which is not known",
        ),
        ('json = { a = "b" }\nbasic = { user = "a" }', 7, 'request.basic: needs the key "password"'),
    ],
)
def test_a_mistake_in_a_request_is_named_with_its_line(request_lines: str, line: int, message: str) -> None:
    found = problems_of(f"{HEAD}[providers.gw.request]\n{request_lines}\n{ROUTES}")

    assert any(where == f"providers.toml:{line}" and message in text for where, text in found), found


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('[[providers.gw.answers]]\noutcome = "fine"', "answers.outcome: must be one of: accepted"),
        ('[[providers.gw.answers]]\nstatus = "2x"\noutcome = "accepted"', "answers.status: must be a status"),
        ('[[providers.gw.answers]]\ntext = "("\noutcome = "accepted"', "answers.text: is no regular expression"),
        ('[[providers.gw.answers]]\nat = "a"\nmatches = "b"\noutcome = "accepted"', "answers.at: must be a place"),
        ('[[providers.gw.answers]]\nat = "/a"\noutcome = "accepted"', "answers.at: at and matches belong together"),
        ("code = { }", "code.at: needs one of the keys"),
        ('code = { text = "a" }', "code.text: must have one group"),
    ],
)
def test_a_mistake_in_what_answers_mean_is_named(lines: str, message: str) -> None:
    found = problems_of(f"{HEAD}{lines}\n{ROUTES}")

    assert any(message in text for _, text in found), found


def test_a_password_is_not_sent_over_plain_http_unawares() -> None:
    source = HEAD.replace("https://", "http://") + (
        '[providers.gw.request]\njson = { a = "b" }\nbasic = { user = "a", password = "b" }\n' + ROUTES
    )

    [(_, text)] = problems_of(source)

    assert "the password in request.basic" in text


def test_nothing_secret_is_shown() -> None:
    source = (
        f'{HEAD}[providers.gw.request]\njson = {{ a = "b" }}\nbasic = {{ user = "a", password = "$KEY" }}\n'
        f'sign = {{ secret = "$KEY", header = "X" }}\n{ROUTES}'
    )

    assert "s3cret" not in repr(parse_providers(source, {"KEY": "s3cret"}))
