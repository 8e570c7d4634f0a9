from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavecom.core.templates.compiled import CompiledSource
from wavecom.core.templates.language import Markup, TemplateSourceError
from wavecom.core.templates.mail_html import put_together, text_of, with_inlined_css
from wavecom.core.templates.variables import Variable, VariableType, values_of

T = VariableType
VARIABLES = {
    "name": Variable(T.TEXT, "Amina & Co"),
    "link": Variable(T.URL, "https://shop.example/o?a=1"),
    "lines": Variable(T.LIST, [], fields={"name": Variable(T.TEXT, "Pen")}),
}
MAIL = """<html><head><title>x</title><style>
p { color: red } td.name { padding: 4px }
@media (prefers-color-scheme: dark) { p { color: white } }
</style></head><body><h1>Hello {{ name }}</h1>
<p class="a">Thank you &amp; <a href="{{ link }}">see   it</a>{# a note #}</p>
<table>{% for line in lines %}<tr><td class="name">{{ line.name }}</td><td>x</td></tr>{% endfor %}</table>
<p>Or at <a href="https://shop.example/{{ name }}/{{ line_no | default('1') }}">the shop</a><br>Bye {{ '{{' }}</p>
</body></html>""".replace("/{{ line_no | default('1') }}", "")
VALUES, _ = values_of(
    VARIABLES, {"name": "Amina & Co", "link": "https://shop.example/o?a=1", "lines": [{"name": "Pen"}, {"name": "Ink"}]}
)


def test_rules_of_css_stand_at_their_elements_and_what_can_not_stays() -> None:
    source = with_inlined_css(MAIL)

    html = CompiledSource(source, VARIABLES, Markup.HTML).render(VALUES)

    assert '<p class="a" style="color: red;">Thank you &amp; <a href="https://shop.example/o?a=1">' in html
    assert html.count('<td class="name" style="padding: 4px;">') == 2
    assert "@media (prefers-color-scheme: dark)" in html
    assert "color: red }" not in html


def test_html_without_a_style_stays_as_it_is() -> None:
    assert with_inlined_css("<p>{{ name }}") == "<p>{{ name }}"


def test_braces_that_are_written_out_stay_braces() -> None:
    html = (
        "<style>p { color: red } @media print { #x{color:red} }</style><p title='&#123;% if %}'>&#123;&#123; n }}</p>"
    )

    source = with_inlined_css(html)

    assert (
        CompiledSource(source, {}, Markup.HTML)
        .render({})
        .endswith('<p title="&#123;% if %}" style="color: red;">&#123;{ n }}</p></body></html>')
    )


def test_css_for_too_many_elements_is_refused_before_it_is_tried() -> None:
    with pytest.raises(TemplateSourceError, match="too much CSS for so many elements"):
        with_inlined_css("<style>" + "*{a:b}" * 10_000 + "</style>" + "<p>" * 30_000)


@pytest.mark.parametrize("work", [with_inlined_css, text_of])
def test_what_is_too_long_is_refused_before_it_is_read(work: Callable[[str], str]) -> None:
    with pytest.raises(TemplateSourceError, match="must have at most 262144 characters"):
        work("<style></style>" + "<a>{{" * 100_000)


@pytest.mark.parametrize(
    ("href", "text"),
    [
        ("https://s.example/?t={{ name if ok else 'none' }}", "x (https://s.example/?t=1%26admin%3D1)\n"),
        ("https://s.example/?to={{ link }}", "x (https://s.example/?to=https%3A%2F%2Fs.example%2Fo%3Fa%3D1)\n"),
        ("https://s.example/{{ count }}/{{ day }}", "x (https://s.example/1234/2026-03-14)\n"),
        ("{% if ok %}{{ link }}{% else %}{{ other }}{% endif %}", "x (https://s.example/o?a=1)\n"),
        (
            "{% if not ok %}{{ link }}{% else %}{{ other }}{% endif %}&n={{ name }}",
            "x (https://o.example/?b&n=1%26admin%3D1)\n",
        ),
        ("https://s.example/{{ name -}}  ", "x (https://s.example/1%26admin%3D1)\n"),
    ],
)
def test_an_address_in_a_text_is_the_one_of_the_html(href: str, text: str) -> None:
    variables = {
        "name": Variable(T.TEXT, "1"),
        "ok": Variable(T.NUMBER, 1),
        "count": Variable(T.NUMBER, 1),
        "day": Variable(T.DATE, "2026-03-14"),
        "link": Variable(T.URL, "https://s.example/o?a=1"),
        "other": Variable(T.URL, "https://o.example/?b"),
    }
    given = {name: each.example for name, each in variables.items()} | {"name": "1&admin=1", "count": 1234}
    values, problems = values_of(variables, given)
    html = f'<a href="{href}">x</a>'

    rendered = CompiledSource(html, variables, Markup.HTML).render(values)

    assert not problems
    assert CompiledSource(text_of(html), variables, Markup.TEXT).render(values) == text
    assert text[3:-2] == unescape(rendered.split('"')[1])


def test_nothing_is_fetched() -> None:
    source = '<style>p{}</style><link rel="stylesheet" href="https://127.0.0.1:1/a.css"><p>x</p>'

    assert "<p>x</p>" in with_inlined_css(source)


def test_an_expression_that_html_would_move_is_refused() -> None:
    with pytest.raises(TemplateSourceError, match="between the rows"):
        with_inlined_css("<style>p{}</style><table>{% if name %}<tr><td>a</td></tr>{% endif %}{{ name }}</table>")


def test_a_text_says_what_the_html_says() -> None:
    text = CompiledSource(text_of(MAIL), VARIABLES, Markup.TEXT).render(VALUES)

    assert text == (
        "Hello Amina & Co\n\nThank you & see it (https://shop.example/o?a=1)\n\nPen x\nInk x\n\n"
        "Or at the shop (https://shop.example/Amina%20%26%20Co)\nBye {{\n"
    )


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<ul><li>a</li><li>b</li></ul>", "- a\n- b\n"),
        ('<a href="https://a.example">https://a.example</a>', "https://a.example\n"),
        ('<a href="mailto:a@a.example">a@a.example</a>', "a@a.example\n"),
        ('<img src="x.png" alt="{{ name }}">', "{{ name }}\n"),
        ("a<hr>b<script>c</script><style>d</style>", "a\n---\nb\n"),
        ("&#123;{ name }} &lt;b&gt;", "{{ '{{' }} name }} <b>\n"),
        ("a<!-- not this -->b", "ab\n"),
    ],
)
def test_parts_of_html_become_text(html: str, text: str) -> None:
    assert text_of(html) == text


@pytest.mark.parametrize(
    "html",
    [
        "You owe 1{% if name %} of{% endif %} 3 rates, dear{% if name %} {{ name }}{% endif %}.",
        "Since {%- if name -%} 1 {%- endif %} 2\n{% if link %}\n3 {%+ if name +%} 4{% endif %} 5{% endif %}",
        "<p>a</p>\n{%- if name -%}\n<p>b</p>{%- endif -%}<p>{{- name -}}</p>",
        "a{% if name %}c{% else %}<p>b</p>{% endif %}<p>d</p>",
        "{% for line in lines %}<p>{{ line.name }}</p>x{% endfor %}",
        "{% for line in lines %}<p>{{ line.name }}</p>{% else %}x{% endfor %}<b>c</b>",
    ],
)
@pytest.mark.parametrize("name", ["Amina", ""])
def test_a_statement_neither_joins_nor_parts_words(html: str, name: str) -> None:
    values = VALUES | {"name": name}

    text = CompiledSource(text_of(html), VARIABLES, Markup.TEXT).render(values)

    assert words(text) == words_of_html(CompiledSource(html, VARIABLES, Markup.HTML).render(values))


def words(text: str) -> list[str]:
    return [each for each in text.split() if each != "-"]


def words_of_html(html: str) -> list[str]:
    """The words that a reader sees: blocks and cells stand apart, everything else is part of a line."""
    return re.sub(r"<[^>]*>", "", re.sub(r"</?(?:p|div|ul|li|td|tr|table|br)>", " ", html)).split()


PIECES = st.recursive(
    st.sampled_from(["a", "1", " ", "\n", "{{ name }}", "<br>", " x "]),
    lambda inner: st.tuples(
        st.sampled_from(
            [
                *(("<p>", "</p>"), ("<b>", "</b>"), ("<div>", "</div>"), ("<ul><li>", "</li></ul>")),
                *(("{% if name %}", "{% endif %}"), ("{%- if link -%}", "{% endif %}\n"), ("{# x #}", "{#- x -#}")),
                *(("{% if name %}b{% else %}", "{% endif %}"), ("{% if name %}<p>b</p>{% else %}", "{% endif %}")),
                ("{% for line in lines %}", "{% endfor %}"),
                ("<table><tr><td>", "</td></tr></table>"),
            ]
        ),
        st.lists(inner, max_size=4),
    ).map(lambda made: made[0][0] + "".join(made[1]) + made[0][1]),
    max_leaves=12,
)


@given(st.lists(PIECES, max_size=4).map("".join), st.sampled_from(["", "Amina"]), st.integers(0, 2))
def test_a_text_made_of_html_has_its_words(html: str, name: str, items: int) -> None:
    if html.count("{% for") > 1:
        html = html.replace("{% for line in lines %}", "{% if name %}").replace("{% endfor %}", "{% endif %}")
    values = VALUES | {"name": name, "lines": [{"name": "Pen"}] * items}
    try:
        rendered = CompiledSource(html, VARIABLES, Markup.HTML).render(values)
    except TemplateSourceError:
        return

    assert words(CompiledSource(text_of(html), VARIABLES, Markup.TEXT).render(values)) == words_of_html(rendered)


def test_partials_and_a_layout_are_put_in_place() -> None:
    partials = {"foot": "<i>{% include 'name' %}</i>", "name": "{{ name }}"}

    assert put_together("a{% include 'foot' %}", partials, "<b>{{ content }}</b>") == "<b>a<i>{{ name }}</i></b>"


@pytest.mark.parametrize(
    ("source", "layout", "why"),
    [
        ("{% include 'head' %}", None, "no partial"),
        ("{% include 'round' %}", None, "circle"),
        ("{% include 'bomb' %}", None, "characters with its partials"),
        ("x", "<b></b>", "once where the content stands"),
        ("x", "{{ content }}{{ content }}", "once where the content stands"),
        ("x" * 200_000, "y" * 100_000 + "{{ content }}", "with its layout; it has 3000"),
        ("{% include 'large' %}" * 300, None, "with its partials; it has 60006300"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(source: str, layout: str | None, why: str) -> None:
    partials = {
        "round": "{% include 'round' %}",
        "bomb": "x" * 1000 + "{% include 'bomb' %}" * 10,
        "large": "x" * 200_000,
    }

    with pytest.raises(TemplateSourceError, match=why):
        put_together(source, partials, layout)


@pytest.mark.parametrize("source", ["{% raw %}{{ name }}{% endraw %}", "wct1wct", "{{ name", "<p {{ '"])
def test_what_can_not_be_told_apart_is_refused(source: str) -> None:
    with pytest.raises(TemplateSourceError):
        text_of(source)
