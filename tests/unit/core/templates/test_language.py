from __future__ import annotations

from typing import Any

import pytest

from wavecom.core.templates.compiled import CompiledContent, CompiledSource, ContentError
from wavecom.core.templates.language import Markup, TemplateSourceError
from wavecom.core.templates.variables import Variable, VariableType, values_of

T = VariableType
ITEM = {
    "name": Variable(T.TEXT, "Pen"),
    "price": Variable(T.MONEY, {"amount": "2", "currency": "EUR"}),
    "items": Variable(T.NUMBER, 2),
}
VARIABLES = {
    "name": Variable(T.TEXT, "Amina"),
    "note": Variable(T.TEXT, "soon", is_required=False),
    "count": Variable(T.NUMBER, 3),
    "spare": Variable(T.NUMBER, 1, is_required=False),
    "total": Variable(T.MONEY, {"amount": "1234.5", "currency": "CHF"}),
    "due": Variable(T.DATE, "2026-03-14"),
    "link": Variable(T.URL, "https://shop.example/orders?a=1&b=2"),
    "deposit": Variable(T.MONEY, {"amount": "1", "currency": "CHF"}, is_required=False),
    "extras": Variable(T.LIST, [], is_required=False, items=Variable(T.TEXT, "a")),
    "tags": Variable(T.LIST, ["a", "b"], items=Variable(T.TEXT, "a")),
    "lines": Variable(T.LIST, [], fields=ITEM),
}
GIVEN: dict[str, Any] = {
    "name": "<Ann> & 'Bo'",
    "count": 3,
    "total": {"amount": "1234.5", "currency": "CHF"},
    "due": "2026-03-14T09:26:00+01:00",
    "link": "https://shop.example/orders?a=1&b=2",
    "tags": ["a", "b", "c"],
    "lines": [{"name": "Pen", "price": {"amount": 2, "currency": "EUR"}, "items": 7}],
}


def rendered(source: str, markup: Markup = Markup.TEXT, locale: str = "en", **more: Any) -> str:
    values, problems = values_of(VARIABLES, GIVEN | more)
    assert not problems
    return CompiledSource(source, VARIABLES, markup).render(values, locale)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ name }}", "<Ann> & 'Bo'"),
        ("{{ note }}|{{ note | default('none') }}", "|none"),
        ("{% if note %}yes{% else %}no{% endif %}", "no"),
        ("{% if count > 5 %}a{% elif count == 3 and not note %}b{% endif %}", "b"),
        ("{{ 'one' if count == 1 else 'more' }}", "more"),
        ("{{ count | plural(one='# parcel', other='# parcels') }}", "3 parcels"),
        ("{{ total }} {{ total.currency }} {{ total.amount | number(1) }}", "CHF\xa01,234.50 CHF 1,234.5"),
        ("{{ due }} {{ due | date('short') }} {{ due | time }}", "Mar 14, 2026 3/14/26 9:26\u202fAM"),
        ("{{ due | datetime('short') }}", "3/14/26, 9:26\u202fAM"),
        ("{{ tags }} {{ tags | join('/') }} {{ tags | length }} {{ tags | first }}", "a, b, and c a/b/c 3 a"),
        ("{% for tag in tags if tag != 'b' %}{{ loop.index }}{{ tag }}{% endfor %}", "1a2c"),
        ("{% for l in lines %}{{ l.name }} {{ l.price }} {{ l.items }}{% endfor %}", "Pen €2.00 7"),
        ("{{ name | upper | truncate(5) }}", "<ANN…"),
        ("{{ 0.256 | percent }} {{ -3 }}", "26% -3"),
        ("{{ name | urlencode }}", "%3CAnn%3E%20%26%20%27Bo%27"),
        ("{{ 'a' if total.amount == 1234.5 else 'b' }}{{ 'a' if 1234.50 >= total.amount else 'b' }}", "aa"),
        ("{{ 'a' if -1.5 < -1.25 else 'b' }}{{ -1.50 }}", "a-1.5"),
        ("{{ 0.0125 | percent }} {{ 0.0125 | percent(2) }}", "1% 1.25%"),
        ('{{ "it\'s john mc-kay’s" | title }}', "It's John Mc-Kay’s"),
        ("{{ 1.0 | plural(one='# parcel', other='# parcels') }}", "1 parcel"),
        ("{% if deposit %}{{ deposit.amount }}{% else %}none{% endif %}", "none"),
        ("{% if not deposit %}none{% elif deposit.amount > 1 %}a{% endif %}", "none"),
        ("{{ deposit.currency if deposit and deposit.amount > 1 else 'none' }}", "none"),
        ("{% if spare and spare > 3 %}a{% endif %}{% if not spare or spare > 3 %}b{% endif %}", "b"),
        ("{% if extras | length > 3 %}a{% else %}b{% endif %}", "b"),
        ("{# a note #}{% if true %}\nx\n{% endif %}\n", "x\n"),
    ],
)
def test_a_text_is_filled_in(source: str, text: str) -> None:
    assert rendered(source) == text


@pytest.mark.parametrize(
    "condition", ["total.amount == 19.9", "total.amount <= 19.9", "count >= 19.90", "count == total.amount"]
)
def test_figures_are_compared_as_they_are_written(condition: str) -> None:
    """19.9 has no exact form in binary digits, so a float would be another number."""
    source = f"{{{{ 'a' if {condition} else 'b' }}}}"

    assert rendered(source, total={"amount": "19.90", "currency": "CHF"}, count=19.9) == "a"


def test_a_subject_stays_one_line() -> None:
    assert rendered("For {{ note }}", Markup.LINE, note="a\r\nBcc: b@example.com") == "For a Bcc: b@example.com"


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("<p>{{ name }}</p>", "<p>&lt;Ann&gt; &amp; &#39;Bo&#39;</p>"),
        ('<p title="{{ name }}">', '<p title="&lt;Ann&gt; &amp; &#39;Bo&#39;">'),
        ("<title>{{ name }}</title>", "<title>&lt;Ann&gt; &amp; &#39;Bo&#39;</title>"),
        ('<a href="{{ link }}">x</a>', '<a href="https://shop.example/orders?a=1&amp;b=2">x</a>'),
        (
            '<a href="https://a.example/{{ name }}?c={{ count }}">x</a>',
            '<a href="https://a.example/%3CAnn%3E%20%26%20%27Bo%27?c=3">x</a>',
        ),
        ('<td {% if count > 1 %}class="many"{% endif %}>x</td>', '<td class="many">x</td>'),
        ("<ul>{% for tag in tags %}<li>{{ tag }}</li>{% endfor %}</ul>", "<ul><li>a</li><li>b</li><li>c</li></ul>"),
        ("<table>" + "<tr><td>x<td>y" * 150 + "</table>", "<table>" + "<tr><td>x<td>y" * 150 + "</table>"),
        ("<svg><path/></svg>{{ count }}", "<svg><path/></svg>3"),
        ('<p class="{% if note %}a{% else %}b{% endif %}">', '<p class="b">'),
    ],
)
def test_a_value_is_escaped_for_its_place(source: str, html: str) -> None:
    assert rendered(source, Markup.HTML) == html


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("<script>var x = '{{ name }}'</script>", "script, style"),
        ("<style>p { color: {{ name }} }</style>", "script, style"),
        ("<p style='color: {{ name }}'>", "script, style"),
        ('<p onclick="go({{ name }})">', "script, style"),
        ('<img srcset="{{ link }} 2x">', "script, style"),
        ("<p {{ name }}>", "tags' names"),
        ("<{{ name }}>", "write &lt;"),
        ("</{{ name }}>", "write &lt;"),
        ("<a{{ name }}>", "tags' names"),
        ("<a href={{ link }}>", "something is wrong"),
        ("<a href=x{{ name }}>", "in quotes"),
        ("<!-- {{ name }} -->", "tags' names"),
        ("<!DOCTYPE {{ name }}>", "declaration"),
        ('<a href="{{ name }}">', "declare the variable as url"),
        ("<a href='{{ name | urlencode }}'>", "declare the variable as url"),
        ("<scr{% if note %}ipt>{% endif %}", "within a tag's name"),
        ("<!-- {% if note %}-->{% endif %}", "within a tag's name"),
        ("{% if note %}<b>{% endif %}x</b>", "in each branch"),
        ("{% if note %}<p title='{% endif %}{{ name }}'>", "in each branch"),
        ("{% for tag in tags %}<b>{% endfor %}", "in each branch"),
        ("<ul>{% for tag in tags %}<li>{{ tag }}{% endfor %}</ul>", "in each branch"),
        ("<b>{% if note %}</b>{% else %}x{% endif %}", "in each branch"),
        ("<b><i></b></i>", "closes <b> before <i>"),
        ("x</b>", "which is not open"),
        ("<a href='x", "ends within a tag"),
        ("<style>", "ends within a tag"),
        ("<script/>{{ name }}", "into script"),
        ("<scr{# x #}ipt>{{ name }}</script>", "into script"),
        ("<style />{{ name }}</style>", "into script"),
        ("<title></title x><script>{{ name }}", "into script"),
        ("<!--><script>/*-->*/ {{ name }} //</script>", "into script"),
        ("<!--{# x #}->*/<script>{{ name }} //</script>", "into script"),
        ("<!-- --!><script>/*-->*/ {{ name }} //</script>", "into script"),
        ("<div/>{% if name %}</div>{% endif %}", "in each branch"),
        ("<b>" * 201, "200 elements within each other"),
    ],
)
def test_html_in_which_a_place_is_dangerous_or_unclear_is_refused(source: str, why: str) -> None:
    with pytest.raises(TemplateSourceError, match=why):
        CompiledSource(source, VARIABLES, Markup.HTML)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{{ firstname }}", "uses firstname, which is not declared"),
        ("{{ total.cents }}", "uses a field cents"),
        ("{{ name.first }}", "uses a field first"),
        ("{{ lines }}", "go through it with for"),
        ("{% for l in lines %}{{ l }}{% endfor %}", "no text, number"),
        ("{% for l in lines %}{{ l.cost }}{% endfor %}", "what has name, price, items"),
        ("{% for name in tags %}{% endfor %}", "which is a variable already"),
        ("{% for l in name %}{% endfor %}", "goes through what is no list"),
        ("{{ loop.index }}", "uses loop, which is not declared"),
        ("{{ count | plural('a', 'b') }}", "give plural its forms"),
        ("{{ count | plural(one='a') }}", "other is needed"),
        ("{{ count | plural(single='a', other='b') }}", "give plural its forms"),
        ("{{ name | plural(other='b') }}", "is for number"),
        ("{{ due | date('YYYY') }}", "one of short, medium, long, full"),
        ("{{ due | time('full') }}", "one of short, medium"),
        ("{{ count | number(7) }}", "from 0 to 6"),
        ("{{ total | number }}", "is for number"),
        ("{{ name | default(3) }}", "a text"),
        ("{{ due | default('x') }}", "for a text or a number"),
        ("{{ 'a' if note }}", "A if B else C"),
        ("{{ 'a' if note else 1 }}", "the same type"),
        ("{% if count == 'a' %}{% endif %}", "never equal"),
        ("{% if spare > 1 %}{% endif %}", "may be missing"),
        ("{% if name > 'a' %}{% endif %}", "no number"),
        ("{% if name in tags %}{% endif %}", "compares by in"),
        ("{% for t in tags if loop.index < 3 %}{{ t }}{% endfor %}", "not in the for's own if"),
        ("{{ -'a' }}", "has neg"),
        ("{{ -true }}", "has neg"),
        ("{{ deposit.amount }}", "within an if of the same variable"),
        ("{% if deposit or name %}{{ deposit.amount }}{% endif %}", "within an if of the same variable"),
        ("{% if deposit %}{% endif %}{{ deposit.amount }}", "within an if of the same variable"),
        ("{{ count | percent(7) }}", "from 0 to 6"),
        ("{{ lines | urlencode }}", "for lists of values"),
        ("{{ name", "is no template"),
        ("{% if name %}", "is no template"),
        ("{% include 'footer' %}", "no partial of this name"),
    ],
)
def test_a_source_says_what_is_wrong_with_it(source: str, why: str) -> None:
    with pytest.raises(TemplateSourceError, match=why) as refused:
        CompiledSource("\n" + source, VARIABLES, Markup.TEXT)

    assert refused.value.line == 2


def test_all_texts_of_a_content_are_filled_in_and_all_that_is_wrong_is_named() -> None:
    content = {
        "title": "{{ name }}",
        "body": "{{ count }}",
        "data": {"order": "{{ count }}", "kind": "order"},
        "ttl": 3,
    }
    values, _ = values_of(VARIABLES, GIVEN)

    assert CompiledContent(content, VARIABLES).render(values) == {
        "title": "<Ann> & 'Bo'",
        "body": "3",
        "data": {"order": "3", "kind": "order"},
        "ttl": 3,
    }
    with pytest.raises(ContentError) as refused:
        CompiledContent({"title": "{{ a }}", "data": {"order": "{{ b }}"}}, VARIABLES)
    assert [path for path, _ in refused.value.errors] == [("title",), ("data", "order")]
