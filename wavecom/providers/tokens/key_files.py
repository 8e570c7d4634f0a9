"""Private keys that the providers file names by their paths."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from marshmallow import ValidationError

from wavecom.providers.tokens.jwt import p256_key


def p256_key_in(path: str) -> ec.EllipticCurvePrivateKey:
    """The key in a file, in one of the forms that ``p256_key`` takes. Raises ``OSError`` and ``ValueError``."""
    return p256_key(Path(path).read_bytes())


def is_p256_file(path: str) -> None:
    """Check of an option (``configuration.options``). Raises ``ValidationError``, without anything from the file."""
    try:
        p256_key_in(path)
    except OSError:
        raise ValidationError("must be the path of a readable file") from None
    except ValueError as error:
        raise ValidationError(str(error)) from None
