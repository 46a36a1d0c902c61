"""packaging/grafana: each expression of the dashboard asks for what the relay tells."""

import json
import re

import pytest

import metrics
from daemon import Daemon
from fixtures import TOP

DASHBOARD = json.loads((TOP / "packaging/grafana/stagepost.json").read_text())
SELECTOR = re.compile(r"\b((?:stagepost|process)_[a-z_]+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'([a-z_]+)(=~|=|!=|!~)"([^"]*)"(?:,|$)')
BY = re.compile(r"\b(?:by|without) \(([^)]*)\)")
RATE = re.compile(r"\brate\(((?:stagepost|process)_[a-z_]+)(?:\{[^}]*\})?\[\$__rate_interval\]\)")
# What Prometheus itself puts to all that it scrapes.
TARGET = {"instance", "job"}


@pytest.fixture(scope="module")
def families(tmp_path_factory):
    """Of a relay with a route, a hook and a webhook, to which nothing has happened yet."""
    daemon = Daemon(tmp_path_factory.mktemp("dashboard"), "127.0.0.1:9",
                    'policy: {hook: {url: "http://127.0.0.1:9/"}}\n'
                    'webhooks: [{url: "http://127.0.0.1:9/", events: [token]}]\n')
    try:
        yield metrics.scrape(daemon.start())
    finally:
        daemon.close()


def test_what_is_told_only_sometimes_has_the_right_form_too(families):
    assert "stagepost_hook_requests_total" in families
    assert "stagepost_webhook_requests_total" in families
    metrics.lint(families)


def panels():
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions():
    """(panel's title, expression, legend)"""
    return [(panel["title"], target["expr"], target["legendFormat"])
            for panel in panels() for target in panel["targets"]]


def family_of(families, name):
    if name in families:
        return families[name]
    return families.get(re.sub("_(bucket|sum|count)$", "", name))


def values_of(family, label):
    return {dict(labels)[label] for _, labels in family.rows}


def check_matchers(family, text):
    names = family.labels | TARGET
    matchers = MATCHER.findall(text)
    assert MATCHER.sub("", text) == "", text
    for label, operator, value in matchers:
        assert label in names, (family.name, label)
        if not value.startswith("$"):
            assert family.rows, family.name
            assert set(value.split("|")) <= values_of(family, label), (family.name, value)
    assert len({label for label, _, _ in matchers}) == len(matchers), text


@pytest.mark.parametrize("title,expression,legend", expressions())
def test_an_expression_names_what_there_is(families, title, expression, legend):
    known = {"le"} | TARGET
    used = SELECTOR.findall(expression)
    assert used and expression.count("(") == expression.count(")")
    for name, matchers in used:
        family = family_of(families, name)
        assert family, "%s: no metric %s" % (title, name)
        if name == family.name:
            assert family.kind != "histogram", name
        check_matchers(family, matchers)
        # All of them go with the variables of the page.
        assert 'instance=~"$instance"' in matchers, expression
        known |= family.labels
    asked = {label.strip() for text in BY.findall(expression) for label in text.split(",")}
    assert asked <= known, (title, asked - known)
    assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= asked, legend


@pytest.mark.parametrize("title,expression,legend", expressions())
def test_what_rises_is_shown_as_a_rate_and_nothing_else_is(families, title, expression, legend):
    rated = RATE.findall(expression)
    assert expression.count("rate(") == len(rated), expression
    for name, _ in SELECTOR.findall(expression):
        assert (family_of(families, name).kind != "gauge") == (name in rated), (title, name)
    if "histogram_quantile" in expression:
        assert all(name.endswith("_bucket") for name in rated)
        assert "le" in BY.findall(expression)[0], expression


def test_the_page_is_one_that_grafana_reads():
    """Each panel asks the source that is chosen, and lies where no other lies."""
    taken = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                 for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    for panel in panels():
        assert panel["title"] and panel["description"].endswith(".")
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)
        assert all(t["datasource"] == panel["datasource"] for t in panel["targets"])


def test_its_variables_come_from_what_there_is(families):
    first, *others = DASHBOARD["templating"]["list"]
    assert (first["name"], first["type"], first["query"]) == (
        "datasource", "datasource", "prometheus")
    chosen = {first["name"]}
    for variable in others:
        query = variable["query"]["query"]
        match = re.fullmatch(r"label_values\(([a-z_]+)(?:\{(.*)\})?, ([a-z]+)\)", query)
        family = families[match[1]]
        assert match[3] in family.labels | TARGET, query
        # In this order: each may depend on those before it.
        assert set(re.findall(r"\$(\w+)", match[2] or "")) <= chosen, query
        chosen.add(variable["name"])
    used = set(re.findall(r"\$(\w+)", " ".join(e for _, e, _ in expressions())))
    assert used - {"__rate_interval"} <= chosen
