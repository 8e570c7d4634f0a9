"""What people write to stop, start again, or ask for help: a text message in, what it asks for out. Pure.

STOP, END, CANCEL, UNSUBSCRIBE, QUIT, REVOKE and OPT OUT are what the FCC counts as an opt-out in any case
(47 CFR 64.1200(a)(10)); the other English words are those that Twilio answers by itself
(https://help.twilio.com/articles/223134027). Only a message that is nothing but such a word counts: "stop by at five"
asks for nothing. Nor does a word of mere assent, though Twilio takes YES for START: it answers a question, such as
whether a payment is one's own, and lifts nobody's STOP.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum


class Keyword(StrEnum):
    """What a message asks for."""

    STOP = "stop"
    START = "start"
    HELP = "help"


#: Language (ISO 639-1) → what it asks for → its words, as ``normalised`` writes them.
KEYWORDS: Mapping[str, Mapping[Keyword, frozenset[str]]] = {
    language: {keyword: frozenset(words.split(", ")) for keyword, words in table.items()}
    for language, table in {
        "en": {
            Keyword.STOP: "stop, stop all, stopall, end, cancel, unsubscribe, quit, revoke, opt out, optout",
            Keyword.START: "start, unstop, subscribe, opt in, optin",
            Keyword.HELP: "help, info",
        },
        "de": {
            Keyword.STOP: "stopp, ende, abmelden, abbestellen, beenden, widerruf, kündigen, stopp bitte, stop bitte",
            Keyword.START: "anmelden, starten",
            Keyword.HELP: "hilfe",
        },
        "fr": {
            Keyword.STOP: "arret, arrêt, arreter, arrêter, desabonner, désabonner, desinscrire, désinscrire, fin",
            Keyword.START: "abonner, demarrer, démarrer, reprendre",
            Keyword.HELP: "aide",
        },
        "es": {
            Keyword.STOP: "alto, parar, baja, cancelar, fin, detener",
            Keyword.START: "alta, comenzar, empezar",
            Keyword.HELP: "ayuda",
        },
        "it": {
            # Not "fine": who writes that in English is content.
            Keyword.STOP: "ferma, fermare, annulla, disiscrivi, basta",
            Keyword.START: "inizia, avvia, iscrivi",
            Keyword.HELP: "aiuto",
        },
        "nl": {
            Keyword.STOP: "stoppen, afmelden, einde, opzeggen, uitschrijven",
            Keyword.START: "beginnen, aanmelden",
            Keyword.HELP: "hulp",
        },
        "pt": {
            Keyword.STOP: "pare, parar, sair, cancelar, remover, fim",
            Keyword.START: "iniciar, começar, comecar",
            Keyword.HELP: "ajuda",
        },
        "pl": {
            Keyword.STOP: "koniec, wypisz, anuluj, rezygnuję, rezygnuje",
            Keyword.START: "zacznij, zapisz",
            Keyword.HELP: "pomoc",
        },
    }.items()
}


class Keywords:
    """The words that count here: those of ``languages`` (keys of ``KEYWORDS``), and ``further`` ones."""

    def __init__(
        self,
        languages: Collection[str] = tuple(KEYWORDS),
        further: Mapping[Keyword, Iterable[str]] | None = None,
    ) -> None:
        tables = [KEYWORDS[language] for language in languages] + [further or {}]
        #: What is a word of two things stops: nobody is written to against his will.
        self._words = {
            normalised(word): keyword
            for keyword in (Keyword.HELP, Keyword.START, Keyword.STOP)
            for table in tables
            for word in table.get(keyword, ())
        }

        #: Of a word of several languages the first that counts here.
        self._languages = {
            normalised(word): language
            for language in reversed(tuple(languages))
            for words in KEYWORDS[language].values()
            for word in words
        }

    def find(self, text: str) -> Keyword | None:
        """What this message asks for; None: nothing that we know."""
        return self._words.get(_word(text))

    def language_of(self, text: str) -> str | None:
        """Whose word the message is, as a key of ``KEYWORDS``; None: a further word, or none at all."""
        return self._languages.get(_word(text))


def _word(text: str) -> str:
    # No word is longer; what a message holds beyond costs nothing.
    return normalised(text[:200])


def normalised(text: str) -> str:
    """A word or two in lower case, without punctuation, signs and needless blanks: `` "Stop!" 🛑`` is ``stop``."""
    kept = (sign if unicodedata.category(sign)[0] in "LMN" else " " for sign in unicodedata.normalize("NFKC", text))
    return " ".join("".join(kept).casefold().split())
