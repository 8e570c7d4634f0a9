"""How hard a secret would be to guess, for secrets that people set: not less than 128 bits.

Nobody can measure chance from its outcome, so this is an estimate that errs on two sides on purpose. What the usual
generators make of 128 random bits or more (``openssl rand``, ``secrets``, password managers) is taken; what people make
up is not: one character or one pattern again and again, keyboard rows and alphabets, words, sentences.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

LEAST_BITS = 128
#: Makes 256 bits on any machine that has OpenSSL.
COMMAND = "openssl rand -base64 32"

#: A word of a sentence: one of some eight thousand, as in Diceware.
_WORD_BITS = 13.0
#: A letter of plain language without spaces (Shannon's estimates are lower still).
_PLAIN_LETTER_BITS = 2.0
#: A secret that loses no more than this by looking like a pattern here and there does so by chance.
_BY_CHANCE = 0.15

#: Rows of keyboards and other orders in which nothing is chosen.
_ROWS = (
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "yxcvbnm",
    "azertyuiop",
    "qazwsxedcrfvtgbyhnujmikolp",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
)
_SEQUENCES = tuple(row for each in ("abcdefghijklmnopqrstuvwxyz", "01234567890", *_ROWS) for row in (each, each[::-1]))
_SHORTEST_SEQUENCE, _SHORTEST_REPEAT = 4, 4

#: Words that stand in secrets more often than chance puts them there; any of them counts as one choice.
_COMMON = (
    "password", "passwort", "passwd", "passphrase", "secret", "admin", "administrator", "wavecom", "changeme",
    "changeit", "change", "letmein", "welcome", "default", "example", "sample", "testing", "production", "staging",
    "development", "operator", "notification", "master", "private", "public", "security", "secure", "random", "token",
    "login", "system", "server", "service", "company", "bank", "money", "dragon", "monkey", "football", "sunshine",
    "princess", "iloveyou", "superman", "batman", "trustno", "correct", "horse", "battery", "staple", "hunter",
    "summer", "winter", "spring", "autumn", "january", "february", "march", "april", "august", "september", "october",
    "november", "december", "monday", "friday", "berlin", "london", "paris", "hello", "world", "please", "replace",
    "insert", "your", "here", "this", "that", "with", "from", "long", "very", "enough", "should", "must",
)  # fmt: skip
#: The fifty pairs of letters that make up half of an English text and much of its relatives; of chance, a fourteenth.
_PAIRS = frozenset(
    re.findall(
        "..",
        "thheineranreonatenndtiesorteofedisitalarsttontngsehaasouiolevecomedehiriroicneearacelichllbemasiomur",
    )
)
_LEET = str.maketrans("0134578@$!", "oleastbasi")
_SEPARATORS = re.compile(r"[\s._,;:!?/|+-]+")
#: Its version 4 has 122 bits of chance.
_UUID = re.compile(r"(?i)[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
#: What generators put before a secret to say what it is.
_PREFIX = re.compile(r"wc_(?:live|test)_")


def estimated_bits(secret: str) -> float:
    """The logarithm of the number of guesses, to the base 2."""
    text = _PREFIX.sub("", secret, count=1)
    if not text:
        return 0.0
    if _UUID.fullmatch(text):
        return 122.0
    full = len(text) * _bits_of_a_character(text)
    least = min(full - _lost_to_patterns(text), _as_words(text), _as_plain_language(text, full))
    return full if least >= full * (1 - _BY_CHANCE) else max(0.0, least)


def _bits_of_a_character(text: str) -> float:
    """By the smallest of the usual alphabets that has them all; by those used, if they are far fewer than by chance."""
    size = _alphabet(text)
    distinct = len(set(text))
    expected = size * (1 - (1 - 1 / size) ** len(text))
    return math.log2(size if distinct >= 0.65 * expected else distinct)


def _alphabet(text: str) -> int:
    if re.fullmatch("[0-9]+", text):
        return 10
    if re.fullmatch("[0-9a-f]+|[0-9A-F]+", text):
        return 16
    if re.fullmatch("[a-z]+|[A-Z]+", text):
        return 26
    if re.fullmatch("[a-z0-9]+=*|[A-Z0-9]+=*", text):
        return 32
    if re.fullmatch("[A-Za-z0-9_+/-]+=*", text):
        return 64
    return 94 if text.isascii() else 128


def _lost_to_patterns(text: str) -> float:
    """Bits that a guesser saves who tries repetitions, orders and common words first."""
    per_character = _bits_of_a_character(text)
    folded = text.lower()
    # Two patterns may be woven into one another: a1b2c3d4.
    woven = [*_patterns(folded[::2]), *_patterns(folded[1::2])]
    # What is left to choose where a pattern begins, which one and how long, is worth two characters.
    return max(sum(max(0.0, (length - 2) * per_character) for length in each) for each in (_patterns(folded), woven))


def _patterns(folded: str) -> Iterator[int]:
    """Lengths of the parts, from left to right, that follow from something else; each character is in one at most."""
    unleeted = folded.translate(_LEET)
    at = 0
    while at < len(folded):
        length = max(_run(folded, at), _repeat(folded, at), _sequence(folded, at), _common(unleeted, at))
        if length:
            yield length
        at += length or 1


def _run(text: str, at: int) -> int:
    end = at
    while end < len(text) and text[end] == text[at]:
        end += 1
    return end - at if end - at >= 3 else 0


def _repeat(text: str, at: int) -> int:
    length = 0
    while at + length < len(text) and text.find(text[at : at + length + 1], 0, at + length) >= 0:
        length += 1
    return length if length >= _SHORTEST_REPEAT else 0


def _sequence(text: str, at: int) -> int:
    longest = 0
    for row in _SEQUENCES:
        length = 0
        while at + length < len(text) and text[at : at + length + 1] in row:
            length += 1
        longest = max(longest, length)
    return longest if longest >= _SHORTEST_SEQUENCE else 0


def _common(text: str, at: int) -> int:
    return max((len(word) for word in _COMMON if text.startswith(word, at)), default=0)


def _as_words(text: str) -> float:
    """As a sentence: each word of letters one choice of many thousands; infinite for what is none."""
    parts = [part for part in _SEPARATORS.split(text) if part]
    words = [part for part in parts if re.fullmatch("[^\\W\\d_]?[^\\W\\d_A-Z]{1,15}|[A-Z]{2,15}", part)]
    if len(words) < 3 or len(words) < 0.6 * len(parts):
        return math.inf
    others = "".join(part for part in parts if part not in words)
    return len(words) * _WORD_BITS + len(others) * math.log2(94)


def _as_plain_language(text: str, full: float) -> float:
    """As words without spaces: letters with as many vowels among them as a language has, and never by chance."""
    per_character = full / len(text)
    lost = 0.0
    for run in re.findall("[a-z]{12,}", text.lower()):
        vowels = len(re.findall("[aeiouy]", run))
        common = sum(run[at : at + 2] in _PAIRS for at in range(len(run) - 1))
        if 0.28 <= vowels / len(run) <= 0.6 and common > 0.3 * len(run):
            lost += len(run) * max(0.0, per_character - _PLAIN_LETTER_BITS)
    return full - lost
