from __future__ import annotations

import pytest

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
    ],
)
def test_parts_that_do_not_fit_together_are_refused(source: str, layout: str | None, why: str) -> None:
    partials = {"round": "{% include 'round' %}", "bomb": "x" * 1000 + "{% include 'bomb' %}" * 10}

    with pytest.raises(TemplateSourceError, match=why):
        put_together(source, partials, layout)


@pytest.mark.parametrize("source", ["{% raw %}{{ name }}{% endraw %}", "wct1wct", "{{ name", "<p {{ '"])
def test_what_can_not_be_told_apart_is_refused(source: str) -> None:
    with pytest.raises(TemplateSourceError):
        text_of(source)
