"""Findings that most providers' account checks have in common, worded once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wavecom.providers.account import AccountAnswer, AccountAspect, AccountFinding


def fields_of(answer: AccountAnswer) -> Mapping[str, Any]:
    """The fields of an answer of status 2xx that holds a JSON object; empty for any other."""
    is_good = 200 <= answer.status < 300
    return answer.content if is_good and isinstance(answer.content, dict) else {}


def credentials_finding(answer: AccountAnswer) -> AccountFinding:
    """Whether the provider knows us, by the status of an answer. None: it is in trouble, or too busy to say."""
    status = answer.status
    if 200 <= status < 300:
        return AccountFinding(AccountAspect.CREDENTIALS, True, "accepted")
    if status == 429 or status >= 500:
        return AccountFinding(AccountAspect.CREDENTIALS, None, f"can't be asked now: HTTP {status}")
    return AccountFinding(AccountAspect.CREDENTIALS, False, f"refused: HTTP {status}")


def balance_finding(amount: object, unit: object = "") -> AccountFinding:
    """Whether there is money: ``amount`` is a number or a text of one. None: it is neither."""
    text = f"balance: {amount} {unit}".strip()
    try:
        return AccountFinding(AccountAspect.QUOTA, float(str(amount)) > 0, text)
    except ValueError:
        return AccountFinding(AccountAspect.QUOTA, None, "the balance is not told")


def prepaid_findings(answer: AccountAnswer, amount: object, unit: object = "") -> list[AccountFinding]:
    """Of an API that tells the balance and nothing of senders: by the status of its answer, and the amount in it."""
    credentials = credentials_finding(answer)
    if not credentials.is_good:
        return [credentials]
    return [credentials, balance_finding(amount, unit), sender_finding(None, "senders can't be asked about")]


def sender_finding(is_good: bool | None, text: str, *answers: AccountAnswer) -> AccountFinding:
    """Whether the sender may be used, as ``answers`` tell.

    A sender that was not found is a bad one only where each of them says so: by its content, or by status 404. Any
    other status says that the provider can't be asked, or not by us.
    """
    silent = [answer.status for answer in answers if not (200 <= answer.status < 300 or answer.status == 404)]
    if silent and not is_good:
        return AccountFinding(AccountAspect.SENDER, None, f"can't be asked about: HTTP {silent[0]}")
    return AccountFinding(AccountAspect.SENDER, is_good, text)
