"""What is published about getting out of Jinja's templates, tried on ours: each is refused before anything runs.

Collected from PayloadsAllTheThings ("Server Side Template Injection", Jinja2), HackTricks ("Jinja2 SSTI") and the
advisories about Jinja's sandbox (CVE-2016-10745, CVE-2019-10906, CVE-2024-56201, CVE-2024-56326, CVE-2025-27516).
"""

from __future__ import annotations

import time

import pytest

from wavecom.core.templates.compiled import OUTPUT_LIMIT, CompiledSource, RenderingError
from wavecom.core.templates.language import Markup, TemplateSourceError
from wavecom.core.templates.variables import Variable, VariableType, values_of

TEXT = Variable(VariableType.TEXT, "Amina", max_length=20_000)
LIST = Variable(VariableType.LIST, [], items=TEXT, max_items=500)
VARIABLES = {"name": TEXT, "items": LIST, "count": Variable(VariableType.NUMBER, 3)}

ESCAPES = (
    "{{ config }}",
    "{{ config.items() }}",
    "{{ self }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ request }}",
    "{{ request.application.__globals__.__builtins__.__import__('os').popen('id').read() }}",
    "{{ request['__class__'] }}",
    "{{ request|attr('application') }}",
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''['__class__']['__mro__'][1]['__subclasses__']() }}",
    "{{ ''|attr('__class__') }}",
    "{{ ''|attr('\\x5f\\x5fclass\\x5f\\x5f') }}",
    "{{ ()|attr('__class__')|attr('__base__') }}",
    "{{ [].__class__.__base__.__subclasses__() }}",
    "{{ {}.__class__ }}",
    "{{ dict.__base__.__subclasses__() }}",
    "{{ (1).__class__.__bases__[0] }}",
    "{{ name.__class__ }}",
    "{{ name['__class__'] }}",
    "{{ name|attr('format') }}",
    "{{ name.format }}",
    "{{ name.format(name) }}",
    "{{ '{0.__class__}'.format(name) }}",
    "{{ '{0.__class__}'|format(name) }}",
    "{{ '%s'|format(name) }}",
    "{{ name.format_map({}) }}",
    "{{ ['{0.__class__}'.format]|map('call')|list }}",
    "{{ items|map(attribute='__class__')|list }}",
    "{{ items|map('format')|list }}",
    "{{ items|groupby('__class__') }}",
    "{{ items|selectattr('__class__')|list }}",
    "{{ items|sort(attribute='__class__') }}",
    "{{ items|sum(attribute='__class__') }}",
    "{{ items.append('x') }}",
    "{{ items.__add__ }}",
    "{{ items[0] }}",
    "{{ items[name] }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ lipsum.__globals__['os'].popen('id').read() }}",
    "{{ lipsum() }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{{ url_for.__globals__.current_app }}",
    "{{ g.pop.__globals__ }}",
    "{{ range(10**9) }}",
    "{{ 10**10**10 }}",
    "{{ 'a' * 1000000000 }}",
    "{{ name ~ name }}",
    "{{ name + name }}",
    "{{ name % name }}",
    "{{ name|replace('a', name) }}",
    "{{ name|xmlattr }}",
    "{{ {'a': name}|xmlattr }}",
    "{{ name|center(1000000000) }}",
    "{{ name|indent(1000000000) }}",
    "{{ '%1000000000d'|format(1) }}",
    "{{ name|safe }}",
    "{{ name|pprint }}",
    "{{ name|tojson }}",
    "{{ name|wordwrap(1) }}",
    "{{ name|truncate(1000000000) }}",
    "{{ name|default(config) }}",
    "{{ caller() }}",
    "{{ varargs }}",
    "{{ loop }}",
    "{% for i in range(100000000) %}x{% endfor %}",
    "{% for c in name %}{{ c }}{% endfor %}",
    "{% for i in items recursive %}{{ loop(items) }}{% endfor %}",
    "{% for i in items %}{{ loop.__class__ }}{% endfor %}",
    "{% for i in items %}{{ loop.cycle('a') }}{% endfor %}",
    "{% for i in items %}{% for j in items %}{{ i }}{% endfor %}{% endfor %}",
    "{% for a, b in items %}{% endfor %}",
    "{% set x = name %}",
    "{% set x %}{% endset %}",
    "{% macro x() %}{% endmacro %}",
    "{% call x() %}{% endcall %}",
    "{% import 'os' as os %}",
    "{% from 'os' import popen %}",
    "{% extends name %}",
    "{% include '/etc/passwd' %}",
    "{% include name %}",
    "{% block x %}{% endblock %}",
    "{% filter upper %}{% endfilter %}",
    "{% with x = name %}{% endwith %}",
    "{% autoescape false %}{{ name }}{% endautoescape %}",
    "{% do items.append(1) %}",
    "{% debug %}",
    "{% if name.__class__ %}{% endif %}",
    "{% if ''.__class__.__mro__[1].__subclasses__() %}{% endif %}",
    "{% if config is defined %}{% endif %}",
    "{{ name is mapping }}",
    "{{ " + "(" * 5000 + "name" + ")" * 5000 + " }}",
    "{{ " + "9" * 5000 + " }}",
    "{% if name %}" * 50 + "{% endif %}" * 50,
)


def test_the_list_is_long_enough() -> None:
    assert len(set(ESCAPES)) == len(ESCAPES) >= 90


@pytest.mark.parametrize("markup", [Markup.HTML, Markup.TEXT])
@pytest.mark.parametrize("source", ESCAPES, ids=lambda source: source[:60])
def test_an_escape_is_refused_at_once(source: str, markup: Markup) -> None:
    began = time.process_time()

    with pytest.raises(TemplateSourceError) as refused:
        CompiledSource(source, VARIABLES, markup)

    assert time.process_time() - began < 1
    assert len(refused.value.text) < 500


@pytest.mark.parametrize("source", ESCAPES, ids=lambda source: source[:60])
def test_what_a_value_says_is_never_taken_for_a_template(source: str) -> None:
    values, problems = values_of(VARIABLES, {"name": source, "items": [source], "count": 1})
    template = CompiledSource("{{ name }}{% for i in items %}{{ i }}{% endfor %}", VARIABLES, Markup.TEXT)

    assert not problems
    assert template.render(values) == source * 2


def test_output_has_an_end_whatever_the_lists_hold() -> None:
    source = "{% for i in items %}{{ name }}{% endfor %}"
    template = CompiledSource(source, VARIABLES, Markup.TEXT)
    values, _ = values_of(VARIABLES, {"name": "x" * 20_000, "items": ["y"] * 500, "count": 1})
    began = time.process_time()

    with pytest.raises(RenderingError, match=str(OUTPUT_LIMIT)):
        template.render(values)

    assert time.process_time() - began < 1


def test_the_dearest_template_that_there_may_be_takes_less_than_a_second() -> None:
    source = "{% for i in items %}" + "{{ count }}" * 36 + "{% endfor %}"
    template = CompiledSource(source, VARIABLES, Markup.TEXT)
    values, _ = values_of(VARIABLES, {"name": "x", "items": ["y"] * 500, "count": 1234567.89})
    began = time.process_time()

    text = template.render(values)

    assert time.process_time() - began < 1
    assert text.startswith("1,234,567.891,234,567.89")


@pytest.mark.parametrize(
    "expression",
    [
        "{{ name" + "|title" * 50 + "|truncate(1) }}",
        "{{ 'a' if " + " and ".join(["name == i"] * 20) + " else 'b' }}",
        "{{ name|urlencode|urlencode }}",
        "{{ items|join(',')|length }}",
        "{{ " + "".join("'a' if name else " for _ in range(50)) + "'b' }}",
    ],
)
def test_filters_comparisons_and_long_texts_cost_more(expression: str) -> None:
    """Each within a loop of 500, where one plain expression alone is allowed."""
    CompiledSource("{% for i in items %}{{ name }}{% endfor %}", VARIABLES, Markup.TEXT)

    with pytest.raises(TemplateSourceError, match="smaller maxItems"):
        CompiledSource("{% for i in items %}" + expression + "{% endfor %}", VARIABLES, Markup.TEXT)


def test_what_a_long_text_costs_is_no_light_work() -> None:
    filters = "{{ name" + "|title" * 20 + "|truncate(1) }}"

    assert CompiledSource(filters, VARIABLES, Markup.TEXT).cost > 400
    assert CompiledSource("{{ name|truncate(10)|title }}", VARIABLES, Markup.TEXT).cost < 25


def test_a_template_with_one_expression_more_is_refused() -> None:
    with pytest.raises(TemplateSourceError, match="smaller maxItems"):
        CompiledSource("{% for i in items %}" + "{{ count }}" * 40 + "{% endfor %}", VARIABLES, Markup.TEXT)
