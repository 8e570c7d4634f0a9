from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavecom.core.keywords import KEYWORDS, Keyword, Keywords, normalised


@pytest.mark.parametrize(
    ("text", "keyword"),
    [
        ("STOP", Keyword.STOP),
        (" stop. ", Keyword.STOP),
        ("“Stop!” 🛑", Keyword.STOP),
        ("ＳＴＯＰ", Keyword.STOP),
        ("Opt-out", Keyword.STOP),
        ("Stopp", Keyword.STOP),
        ("ARRÊT", Keyword.STOP),
        ("arre\u0302t", Keyword.STOP),
        ("baja", Keyword.STOP),
        ("START", Keyword.START),
        ("unstop", Keyword.START),
        ("Help?", Keyword.HELP),
        ("AYUDA", Keyword.HELP),
    ],
)
def test_a_word_is_understood_however_it_is_written(text: str, keyword: Keyword) -> None:
    assert Keywords().find(text) is keyword


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "!!!",
        "stop by the shop at five",
        "please don't stop",
        "nonstop",
        "I need help with my order",
        # They answer a question, such as that of a fraud alarm, and lift no STOP.
        "YES",
        "Ja",
        "oui",
        "Sí",
        "sì",
        "sim",
        "tak",
        "stop" * 9,
    ],
)
def test_anything_else_asks_for_nothing(text: str) -> None:
    assert Keywords().find(text) is None


def test_only_the_languages_asked_for_count() -> None:
    keywords = Keywords(["en"])

    assert keywords.find("stop") is Keyword.STOP
    assert keywords.find("stopp") is None


def test_further_words_count_too() -> None:
    keywords = Keywords(["en"], {Keyword.STOP: ["No more, please!"], Keyword.HELP: ["Was?"]})

    assert keywords.find("no more please") is Keyword.STOP
    assert keywords.find("WAS") is Keyword.HELP


def test_a_word_of_two_meanings_stops() -> None:
    keywords = Keywords(["en"], {Keyword.START: ["stop"], Keyword.HELP: ["STOP"]})

    assert keywords.find("stop") is Keyword.STOP


@pytest.mark.parametrize("language", KEYWORDS)
def test_every_word_of_the_table_is_found_as_it_stands(language: str) -> None:
    for keyword, words in KEYWORDS[language].items():
        assert all(Keywords([language]).find(word.upper()) is keyword for word in words)


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)
    Keywords().find(text)


@pytest.mark.parametrize("text", ["Fine", "fine!", "ok", "thanks"])
def test_what_people_answer_every_day_asks_for_nothing(text: str) -> None:
    assert Keywords().find(text) is None
