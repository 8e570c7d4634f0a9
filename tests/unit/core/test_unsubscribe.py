from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavecom.core.lanes import Channel
from wavecom.core.unsubscribe import UnsubscribeLinks, UnsubscribeTarget, problems, with_link, without_link

OLD, NEW = "an old secret for tests", "a new secret for tests"
AMINA = UnsubscribeTarget("acme", Channel.EMAIL, "amina@example.com")


def _token(links: UnsubscribeLinks, subscription: UnsubscribeTarget = AMINA) -> str:
    return links.url(subscription).rpartition("/")[2]


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), st.sampled_from(Channel))
def test_a_link_stands_for_what_it_was_made_for(recipient: str, channel: Channel) -> None:
    links = UnsubscribeLinks("https://notify.example", [NEW])
    subscription = UnsubscribeTarget("acme:test", channel, recipient)

    assert links.read(_token(links, subscription)) == subscription


def test_a_link_shows_nobody() -> None:
    url = UnsubscribeLinks("https://notify.example/wavecom", [NEW]).url(AMINA)

    assert url.startswith("https://notify.example/wavecom/unsubscribe/")
    assert not any(word in url for word in ("amina", "example.com", "acme", "%"))
    assert url == UnsubscribeLinks("https://notify.example/wavecom", [NEW]).url(AMINA)


def test_links_of_an_older_secret_work_until_it_is_taken_away() -> None:
    token = _token(UnsubscribeLinks("https://x", [OLD]))

    assert UnsubscribeLinks("https://x", [NEW, OLD]).read(token) == AMINA
    assert UnsubscribeLinks("https://x", [NEW]).read(token) is None
    assert _token(UnsubscribeLinks("https://x", [NEW, OLD])) == _token(UnsubscribeLinks("https://x", [NEW]))


def test_no_changed_link_is_taken() -> None:
    links = UnsubscribeLinks("https://x", [NEW])
    token = _token(links)
    changed = {
        f"{token[:place]}{'A' if token[place] != 'A' else 'B'}{token[place + 1 :]}" for place in range(len(token))
    }
    changed |= {token[:-4], token + "AAAA", token[4:], token[::-1]}

    # The last character has bits that mean nothing.
    taken = [each for each in changed if links.read(each) is not None]

    assert all(each[:-1] == token[:-1] and links.read(each) == AMINA for each in taken)


@given(st.text() | st.text("ABCabc123-_=", max_size=300))
def test_anything_else_is_none_of_ours(token: str) -> None:
    assert UnsubscribeLinks("https://x", [NEW]).read(token) is None


def test_the_headers_are_those_of_rfc_8058() -> None:
    links = UnsubscribeLinks("https://x", [NEW])

    assert links.headers(AMINA) == {
        "List-Unsubscribe": f"<{links.url(AMINA)}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def test_links_need_a_secret() -> None:
    with pytest.raises(ValueError, match="secret"):
        UnsubscribeLinks("https://x", [])


def test_a_mail_gets_the_headers_beside_its_own() -> None:
    links = UnsubscribeLinks("https://x", [NEW])
    payload = {"subject": "News", "text": "x", "headers": {"X-Campaign": "spring"}, "unsubscribe": True}

    found = with_link(payload, links, "acme", Channel.EMAIL, {"email": "Amina@Example.com", "name": "Amina"})

    assert found == {
        "subject": "News",
        "text": "x",
        "headers": {"X-Campaign": "spring", **links.headers(AMINA)},
    }
    assert "unsubscribe" in payload


def test_a_mail_that_wants_no_link_has_none() -> None:
    links = UnsubscribeLinks("https://x", [NEW])

    assert with_link({"unsubscribe": False}, links, "acme", Channel.EMAIL, {"email": "a@example.com"}) == {}
    assert problems({"unsubscribe": False}, None) == []
    assert problems({"unsubscribe": True}, links) == []
    assert [problem.where for problem in problems({"unsubscribe": True}, None)] == ["/payload/unsubscribe"]


def test_for_another_recipient_the_first_ones_link_goes_and_a_link_of_ours_is_asked_for_again() -> None:
    first = {"email": "amina@example.com"}
    asked = {"subject": "News", "text": "x", "headers": {"X-Campaign": "spring"}, "unsubscribe": True}
    links = UnsubscribeLinks("https://notify.example", ["a secret of this deployment"])
    sent = with_link(asked, links, "acme", Channel.EMAIL, first)

    assert without_link(sent, links) == asked


@pytest.mark.parametrize("name", ["List-Unsubscribe", "list-unsubscribe", "LIST-UNSUBSCRIBE-POST"])
def test_a_link_of_the_clients_own_is_the_first_recipients_too_and_goes(name: str) -> None:
    payload = {"subject": "News", "text": "x", "headers": {name: "<https://shop.example/unsubscribe/amina>"}}
    links = UnsubscribeLinks("https://notify.example", ["a secret of this deployment"])

    assert without_link(payload, links) == without_link(payload, None) == {"subject": "News", "text": "x"}
