"""The smtp type's table in the providers file."""

from __future__ import annotations

from typing import Any

import pytest

from wavecom.errors import ProvidersFileError
from wavecom.providers.configuration import ProvidersConfig
from wavecom.providers.file import parse_providers
from wavecom.providers.smtp import SmtpOptions

OTHERS = """
[providers.box]
type = "sandbox"
[routes]
email = ["mail"]
sms = ["box"]
push = ["box"]
"""


def with_mail(lines: str, environment: dict[str, str] | None = None) -> ProvidersConfig:
    return parse_providers(f'[providers.mail]\ntype = "smtp"\n{lines}\n{OTHERS}', environment or {})


def test_host_and_port_are_enough() -> None:
    options = with_mail('host = "127.0.0.1"\nport = 2525').providers["mail"].options

    assert (options.host, options.port, options.security) == ("127.0.0.1", 2525, "none")


@pytest.mark.parametrize(
    ("fields", "security"),
    [
        ({"host": "mail.example"}, "starttls"),
        ({"host": "mail.example", "port": 465}, "implicit"),
        ({"host": "mail.example", "port": 465, "tls": "starttls"}, "starttls"),
        ({"host": "mail.example", "tls": "none"}, "none"),
        ({"host": "192.0.2.1", "port": 25}, "starttls"),
        ({"host": "localhost", "port": 25}, "none"),
        ({"host": "::1", "port": 465}, "implicit"),
        ({"host": "127.0.0.1", "tls": "starttls"}, "starttls"),
    ],
)
def test_mail_leaves_this_machine_encrypted_unless_the_file_says_otherwise(
    fields: dict[str, Any], security: str
) -> None:
    assert SmtpOptions(**fields).security == security


def test_the_password_comes_from_the_environment_and_is_never_shown() -> None:
    config = with_mail('host = "mail.example"\nusername = "wave"\npassword = "$MAIL"', {"MAIL": "s3cret"})

    assert config.providers["mail"].options.password == "s3cret"
    assert "s3cret" not in repr(config)
    assert "s3cret" not in repr(config.providers["mail"].options)


@pytest.mark.parametrize(
    ("lines", "line", "message"),
    [
        ("", 1, 'providers.mail: needs the key "host"'),
        ('host = "mail.example:25"', 3, "providers.mail.host: must be a host such as"),
        ('host = "smtp://mail.example"', 3, "providers.mail.host: must be a host such as"),
        ('host = "mail.example"\nport = 0', 4, "providers.mail.port: must be a whole number from 1 to 65535"),
        ('host = "mail.example"\ntls = "ssl"', 4, "providers.mail.tls: must be one of: starttls, implicit, none"),
        ('host = "mail.example"\nca_file = "/no/such"', 4, "providers.mail.ca_file: must be the path of a readable"),
        ('host = "mail.example"\nusername = "wave"', 4, "providers.mail.username: username and password go together"),
        ('host = "mail.example"\nusername = "wäve"\npassword = "x"', 4, "providers.mail.username: must be printable"),
        (
            'host = "mail.example"\nusername = "wave"\npassword = "x"\ntls = "none"',
            6,
            "providers.mail.tls: would let the password be read on its way",
        ),
        ('host = "mail.example"\nsender = "Bank"', 4, "providers.mail.sender: must be an address such as"),
        ('host = "mail.example"\nsender = "A\\nB <a@b.example>"', 4, "providers.mail.sender: must be an address such"),
        ('host = "mail.example"\nhelo_name = "a b"', 4, "providers.mail.helo_name: must be a host such as"),
        ('host = "mail.example"\nchannels = ["sms"]', 4, "providers.mail.channels: a provider of type smtp can't send"),
        ('host = "mail.example"\nuser = "wave"', 4, 'providers.mail.user: is not known here; did you mean "username"?'),
    ],
)
def test_a_wrong_table_is_told_by_line(lines: str, line: int, message: str) -> None:
    with pytest.raises(ProvidersFileError) as caught:
        with_mail(lines)

    found = [(problem.where, problem.message) for problem in caught.value.problems]
    assert any(where == f"providers.toml:{line}" and said.startswith(message) for where, said in found), found
