"""``wavecom doctor callbacks``: a machine without the key that secrets were kept with is found, and mended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from tests.diagnosis_faults import faults
from tests.factories import NOW
from wavecom.core.callbacks import Callback, CallbackSecret
from wavecom.core.diagnosis import Severity
from wavecom.diagnosis.callbacks import check_callbacks
from wavecom.diagnosis.context import DiagnosisContext
from wavecom.services.callback_administration import KEY_FILE, callback_store_of
from wavecom.settings import Settings

SECRET = "whsec_" + "c2VjcmV0" * 5
OLD_KEY, NEW_KEY = "k0Xw9Zq8-old-key-of-callbacks-5tRb", "k1Xw9Zq8-new-key-of-callbacks-7uPd"


@pytest.fixture
def here(mongodb_uri: str, tmp_path: Path) -> Settings:
    return Settings(mongodb_uri=mongodb_uri, home=tmp_path / "here")


@pytest.fixture
def elsewhere(mongodb_uri: str, tmp_path: Path) -> Settings:
    return Settings(mongodb_uri=mongodb_uri, home=tmp_path / "elsewhere")


def add(settings: Settings, database: Database[dict[str, Any]], callback_id: str = "a" * 32, **fields: Any) -> None:
    """Keep a callback, as a process with these settings does."""
    made: dict[str, Any] = {"secrets": (CallbackSecret(SECRET, NOW),), **fields}
    callback_store_of(settings, database).add(
        Callback(
            callback_id=callback_id,
            account="acme",
            url="https://shop.example/hook",
            created_at=NOW,
            updated_at=NOW,
            **made,
        )
    )


def test_a_machine_with_a_key_file_of_its_own_is_found_and_the_other_ones_key_mends_it(
    here: Settings, elsewhere: Settings, database: Database[dict[str, Any]]
) -> None:
    add(elsewhere, database)
    add(elsewhere, database, "b" * 32)

    [without_file] = faults(check_callbacks, here)
    is_file_made = (here.home / KEY_FILE).exists()
    add(here, database, "c" * 32)
    [fault] = faults(check_callbacks, here)

    assert "2 of 2" in without_file.text
    assert not is_file_made
    assert (fault.subject, fault.severity) == ("WAVECOM_CALLBACK_KEYS", Severity.ERROR)
    assert "2 of 3" in fault.text
    assert fault.remedy.startswith("export WAVECOM_CALLBACK_KEYS=")
    assert SECRET not in str(fault)

    its_key, other_key = ((each.home / KEY_FILE).read_text().strip() for each in (here, elsewhere))
    environment = {"WAVECOM_HOME": str(here.home), "WAVECOM_CALLBACK_KEYS": f"{other_key},{its_key}"}
    mended = replace(Settings.from_environment(environment), mongodb_uri=here.mongodb_uri)
    assert faults(check_callbacks, mended) == []


def test_the_machine_that_made_them_is_well_and_says_that_it_alone_is(
    here: Settings, database: Database[dict[str, Any]]
) -> None:
    nobody = list(check_callbacks(DiagnosisContext(settings=here)))
    add(here, database)

    [found] = check_callbacks(DiagnosisContext(settings=here))

    assert [each.severity for each in nobody] == [Severity.OK]
    assert found.severity is Severity.OK
    assert "of this machine's callback-key alone" in found.text


def test_a_key_that_was_taken_out_too_early_is_found_until_its_secrets_have_ended(
    here: Settings, database: Database[dict[str, Any]]
) -> None:
    before, after = (replace(here, callback_keys=(key,)) for key in (OLD_KEY, NEW_KEY))
    add(before, database, "a" * 32)
    add(before, database, "b" * 32, secrets=(CallbackSecret(SECRET, NOW, expires_at=NOW),))
    add(after, database, "c" * 32)

    [fault] = faults(check_callbacks, after)

    assert "1 of 3" in fault.text
    assert fault.remedy.startswith("export WAVECOM_CALLBACK_KEYS=")
    assert OLD_KEY not in str(fault)
    assert NEW_KEY not in str(fault)
    assert faults(check_callbacks, replace(here, callback_keys=(NEW_KEY, OLD_KEY))) == []


def test_a_store_that_is_away_is_no_key_that_is_wrong(here: Settings) -> None:
    away = replace(here, mongodb_uri="mongodb://user:hunter2@127.0.0.1:1/wavecom")

    [fault] = faults(check_callbacks, away)

    assert (fault.severity, fault.remedy) == (Severity.WARNING, "wavecom doctor mongodb")
    assert "hunter2" not in str(fault)
