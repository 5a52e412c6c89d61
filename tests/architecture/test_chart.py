"""The Helm chart, rendered by Helm's own engine: what a platform team looks for before it installs."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import helm_python
import jsonschema
import kubernetes_validate
import pytest
import yaml

from bot.bootstrap import entries, load_policy
from bot.settings import Settings
from tests.documents import PAGES, fences

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/chart"

JOBS = ("migrate", "restored")

Values = Mapping[str, Any]
SMALL: Values = {"existingSecret": "amend-secrets"}
LARGE: Values = {
    "existingSecret": "amend-secrets",
    "replicas": 3,
    "database": "postgresql",
    "settings": {"QUALYS_URL": "https://qualysapi.example", "AMEND_ADMINS": "U1,U2"},
    "policy": '[approvals]\nexpires_after = "24h"\n',
    "certificates": "company-authorities",
    "ingress": {"enabled": True, "host": "amend.example", "tlsSecret": "amend-tls"},
    "serviceMonitor": {"enabled": True},
    "imagePullSecrets": [{"name": "registry"}],
    "networkPolicy": {"from": [{"namespaceSelector": {}}], "egressPorts": [443]},
}


RESTORED: Values = {**SMALL, "persistence": {"existingClaim": "kept"}, "restored": True}


def rendered(values: Values, *, upgrade: bool = False) -> list[dict[str, Any]]:
    with helm_python.Chart.load(str(CHART)) as chart:
        files = chart.render(
            dict(values),
            name="demo",
            namespace="security",
            is_install=not upgrade,
            is_upgrade=upgrade,
        )
    return [
        each
        for name, text in files.items()
        if name.endswith(".yaml")
        for each in yaml.safe_load_all(text)
        if each
    ]


def one(
    values: Values, kind: str, ending: str = "amend", *, upgrade: bool = False
) -> dict[str, Any]:
    (found,) = (
        each
        for each in rendered(values, upgrade=upgrade)
        if each["kind"] == kind and each["metadata"]["name"].endswith(ending)
    )
    return found


def pods(values: Values) -> Iterator[dict[str, Any]]:
    for each in rendered(values):
        if each["kind"] in ("Deployment", "Job"):
            yield each["spec"]["template"]["spec"]


def variables(container: Mapping[str, Any]) -> dict[str, Any]:
    """What a container's `env` says of each variable."""
    return {
        each["name"]: {key: value for key, value in each.items() if key != "name"}
        for each in container["env"]
    }


def test_the_engine_finds_nothing_to_complain_of() -> None:
    found = helm_python.lint(str(CHART), values=dict(SMALL))
    assert found["total_charts_linted"] == 1
    assert found["errors"] == []
    assert [each for each in found["messages"] if each["severity"] > 1] == []


@pytest.mark.parametrize("values", [SMALL, LARGE, RESTORED], ids=["small", "large", "restored"])
def test_no_pod_has_more_than_it_needs(values: Values) -> None:
    for pod in pods(values):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        mounts = {each["mountPath"] for each in container["volumeMounts"]}
        assert "/tmp" in mounts
        named = {each["name"] for each in pod["volumes"]}
        assert {each["name"] for each in container["volumeMounts"]} == named


@pytest.mark.parametrize("values", [SMALL, LARGE], ids=["small", "large"])
def test_it_is_probed_where_the_contract_of_http_answers(values: Values) -> None:
    (container,) = one(values, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert container["startupProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert container["ports"] == [{"name": "http", "containerPort": 3000}]


def test_a_sqlite_file_has_one_owner_and_a_volume_that_outlives_the_release() -> None:
    deployment = one(SMALL, "Deployment")
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    claim = one(SMALL, "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    kinds = {each["kind"] for each in rendered(SMALL)}
    assert not kinds & {"Job", "PodDisruptionBudget", "Ingress", "ServiceMonitor"}
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert variables(container)["DATABASE_URL"] == {"value": "sqlite:////data/amend.db"}


@pytest.mark.parametrize("values", [SMALL, LARGE], ids=["small", "large"])
def test_a_secret_made_of_an_env_file_changes_nothing_of_where_it_listens(values: Values) -> None:
    """What stands in `env` counts before `envFrom`, and probes and service name this port."""
    (container,) = one(values, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert variables(container)["AMEND_HOST"] == {"value": "0.0.0.0"}  # noqa: S104 - a pod's own
    assert variables(container)["AMEND_PORT"] == {"value": "3000"}
    # Of two sources the last counts; an empty AMEND_POLICY= of the file must not undo the values' policy.
    assert [next(iter(each)) for each in container["envFrom"]] == ["secretRef", "configMapRef"]


def test_replicas_share_a_database_that_is_migrated_before_they_start() -> None:
    job = one(LARGE, "Job", "migrate")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["amend", "migrate", "--wait", "600"]
    assert job["spec"]["activeDeadlineSeconds"] > 600
    assert {"name": "certificates", "mountPath": "/certificates", "readOnly": True} in container[
        "volumeMounts"
    ], "the database may have a private authority, too"
    labels = job["spec"]["template"]["metadata"]["labels"]
    way = one(LARGE, "NetworkPolicy", "migrate")
    assert way["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    assert way["spec"]["egress"] == one(LARGE, "NetworkPolicy")["spec"]["egress"]
    hook = "helm.sh/hook-weight"
    weights = [int(each["metadata"]["annotations"][hook]) for each in (way, job)]
    assert weights == sorted(set(weights)), "the way is there before who goes it"
    of_secret = {"secretKeyRef": {"name": "amend-secrets", "key": "DATABASE_URL"}}
    for pod in pods(LARGE):
        env = variables(pod["containers"][0])
        assert env["DATABASE_URL"] == {"valueFrom": of_secret}, "and never one each"
    budget = one(LARGE, "PodDisruptionBudget")
    labels = one(LARGE, "Deployment")["spec"]["template"]["metadata"]["labels"]
    for chosen in (
        budget["spec"]["selector"]["matchLabels"],
        one(LARGE, "Service")["spec"]["selector"],
        one(LARGE, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ):
        assert chosen.items() <= labels.items()
    spread = one(LARGE, "Deployment")["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert {each["topologyKey"] for each in spread} == {
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    }


@pytest.mark.parametrize(
    ("values", "data"),
    [
        ({**SMALL, "persistence": {"existingClaim": "kept"}}, "kept"),
        (SMALL, "demo-amend"),
        (LARGE, ""),
    ],
    ids=["claim", "small", "large"],
)
def test_a_database_that_was_brought_back_is_told_so_once_before_anything_starts(
    values: Values, data: str
) -> None:
    """Of a hook, for an init container would tell it again whenever a pod starts."""
    assert not [each for each in rendered(values) if each["metadata"]["name"].endswith("-restored")]
    told = {**values, "restored": True}
    job = one(told, "Job", "restored", upgrade=True)
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["args"] == ["amend", "restored"]
    (deployment,) = one(told, "Deployment", upgrade=True)["spec"]["template"]["spec"]["containers"]
    same = variables(deployment)["DATABASE_URL"]
    assert variables(container)["DATABASE_URL"] == same
    held = [each.get("persistentVolumeClaim", {}).get("claimName", "") for each in pod["volumes"]]
    assert [each for each in held if each] == ([data] if data else [])
    if not data:
        order = [one(told, "Job", name)["metadata"]["annotations"] for name in JOBS]
        assert [int(each["helm.sh/hook-weight"]) for each in order] == [0, 1]
        labels = job["spec"]["template"]["metadata"]["labels"].items()
        way = one(told, "NetworkPolicy", "migrate")["spec"]["podSelector"]["matchLabels"]
        assert way.items() <= labels, "it has the way to the database, too"


def test_a_first_install_has_no_volume_to_tell_of() -> None:
    with pytest.raises(helm_python.HelmError, match="existingClaim"):
        rendered({**SMALL, "restored": True})


def test_only_what_slack_and_programs_call_is_reached_from_outside() -> None:
    (rule,) = one(LARGE, "Ingress")["spec"]["rules"]
    assert [each["path"] for each in rule["http"]["paths"]] == ["/slack/events", "/mcp"]
    public = {**LARGE["settings"], "AMEND_PUBLIC_URL": "https://amend.example"}
    (rule,) = one({**LARGE, "settings": public}, "Ingress")["spec"]["rules"]
    browsers = [each["path"] for each in rule["http"]["paths"]]
    assert browsers == ["/slack/events", "/mcp", "/signed-in"]
    policy = one(LARGE, "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert way_out(LARGE) == {53, 443}


def way_out(values: Values, ending: str = "amend") -> set[int]:
    egress = one(values, "NetworkPolicy", ending)["spec"]["egress"]
    return {each["port"] for rule in egress for each in rule["ports"]}


def test_the_way_out_is_open_to_every_address_among_the_settings() -> None:
    settings = {
        "HTTPS_PROXY": "http://proxy.example:3128",
        "ZSTACK_URL": "http://zstack.example:8080",
        "AMEND_SIEM_URL": "https://siem.example:8088/services/collector",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://[fd00::4]:4318",
        "XPANSE_URL": "https://api-tenant.example/",
        "CCS_URL": "https://ccs.example",
        "SLACK_API_URL": "http://slack.example/api/",
        "AMEND_PUBLIC_URL": "https://amend.example:9443",
        "AMEND_ADMINS": "U1:7777",
    }
    values = {**LARGE, "settings": settings, "networkPolicy": {"egressPorts": [6432]}}
    # CCS' documented port holds where its URL names none; people come in by the public address.
    assert way_out(values) == {53, 6432, 3128, 8080, 8088, 4318, 443, 12431, 80}
    assert way_out(values, "migrate") == way_out(values)


def test_no_port_stands_twice() -> None:
    rules = one(LARGE, "NetworkPolicy")["spec"]["egress"]
    (tcp,) = ([each["port"] for each in rule["ports"]] for rule in rules[1:])
    assert tcp == [443]


def test_a_pod_that_stops_answers_until_nobody_is_sent_to_it() -> None:
    """Endpoints are updated beside SIGTERM; Amend itself is gone within ten seconds after it."""
    pod = one(LARGE, "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (sleep, seconds) = container["lifecycle"]["preStop"]["exec"]["command"]
    assert sleep == "sleep"
    assert int(seconds) >= 5
    assert pod["terminationGracePeriodSeconds"] >= int(seconds) + 10


@pytest.mark.parametrize("values", [SMALL, LARGE, RESTORED], ids=["small", "large", "restored"])
def test_kubernetes_knows_every_field(values: Values) -> None:
    for each in rendered(values):
        if each["kind"] != "ServiceMonitor":  # the Prometheus operator's
            kubernetes_validate.validate(each, "1.31", strict=True)
            kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)


def test_kubernetes_would_say_what_it_does_not_know() -> None:
    deployment = one(SMALL, "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["readOnly"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, "1.31", strict=True)


def test_the_policy_of_values_is_one_that_amend_loads(tmp_path: Path) -> None:
    held = one(LARGE, "ConfigMap", "policy")["data"]["policy.toml"]
    file = tmp_path / "policy.toml"
    file.write_text(held)
    assert load_policy(str(file), entries()).approvals.expires_after == 24 * 3600


def test_what_values_set_stands_once() -> None:
    chosen = {**LARGE["settings"], "AMEND_LOG_FORMAT": "text"}
    with helm_python.Chart.load(str(CHART)) as chart:
        files = chart.render({**LARGE, "settings": chosen}, name="demo", namespace="security")
    (text,) = (each for name, each in files.items() if name.endswith("configmap.yaml"))
    assert text.count("AMEND_LOG_FORMAT") == 1
    assert one({**LARGE, "settings": chosen}, "ConfigMap")["data"]["AMEND_LOG_FORMAT"] == "text"


def test_the_schema_knows_amends_settings_and_no_other_of_its_names() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    names = schema["properties"]["settings"]["propertyNames"]
    known, _ = names["anyOf"]
    plain = {
        name.upper()
        for name, each in Settings.model_fields.items()
        if "Secret" not in str(each.annotation)
    }
    ours = {each for each in plain if re.match("AMEND_|SLACK_", each)}
    # The port is the pod's own affair: probes, service and network policy name it.
    assert set(known["enum"]) == ours - {"AMEND_HOST", "AMEND_PORT"}
    for name in ("QUALYS_URL", "ACME_LAMPS_URL", "SSL_CERT_FILE", "HTTPS_PROXY"):
        jsonschema.validate(name, names)


def test_every_setting_of_the_chart_is_one_of_amends() -> None:
    known = {name.upper() for name in Settings.model_fields}
    for entry in entries():
        known |= {f"{entry.name}_{name}".upper() for name in entry.settings.model_fields}
    assert set(one(LARGE, "ConfigMap")["data"]) <= known
    named = re.findall(
        r"\b((?:AMEND|SLACK|DATABASE|SSL)_[A-Z_]+)\b", (CHART / "values.yaml").read_text()
    )
    assert set(named) <= known


def test_what_is_secret_has_no_place_in_values() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    barred = {each["required"][0] for each in schema["properties"]["settings"]["not"]["anyOf"]}
    secrets = {
        name.upper()
        for name, each in Settings.model_fields.items()
        if "Secret" in str(each.annotation)
    }
    for entry in entries():
        secrets |= {
            f"{entry.name}_{name}".upper()
            for name, each in entry.settings.model_fields.items()
            if "Secret" in str(each.annotation)
        }
    assert secrets <= barred
    for name in barred:
        with pytest.raises(helm_python.HelmError):
            rendered({**SMALL, "settings": {name: "x"}})


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"existingSecret": ""},
        {**SMALL, "replicas": 2},
        {**SMALL, "replicas": 0},
        {**SMALL, "replica": 1},
        {**SMALL, "database": "mysql"},
        {**SMALL, "settings": {"amend_admins": "U1"}},
        {**SMALL, "settings": {"AMEND_POLL_SECONDS": 30}},
        {**SMALL, "settings": {"AMEND_PORT": "3001"}},
        {**SMALL, "settings": {"AMEND_HOST": "127.0.0.1"}},
        {**SMALL, "settings": {"AMEND_ADMIN": "U1"}},
        {**SMALL, "settings": {"SLACK_BOT_TOKENS": "x"}},
        {**SMALL, "settings": {"HTTPS_PROXY": "http://amend:secret@proxy.example:3128"}},
        {**SMALL, "settings": {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=x"}},
        {**SMALL, "ingress": {"enabled": True}},
        {**SMALL, "networkPolicy": {"egressPorts": ["443"]}},
        {**SMALL, "persistence": {"size": "2 GB"}},
    ],
    ids=str,
)
def test_bad_values_are_refused_by_the_schema(values: Values) -> None:
    with pytest.raises(helm_python.HelmError):
        rendered(values)
    schema = json.loads((CHART / "values.schema.json").read_text())
    whole = yaml.safe_load((CHART / "values.yaml").read_text())
    for name, value in values.items():
        whole[name] = (
            {**whole[name], **value} if isinstance(value, dict) and name in whole else value
        )
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(whole, schema)


def test_the_chart_installs_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == project["version"]
    (container,) = one(SMALL, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"amend:{project['version']}"


def test_values_that_a_page_shows_are_taken() -> None:
    shown = [each for page in PAGES for each in fences(page) if each.kind == "yaml values"]
    assert shown
    for each in shown:
        assert rendered(yaml.safe_load(each.text)), each.where


def test_commands_of_helm_that_a_page_shows_are_taken() -> None:
    """Each with the values of a page, and with what it sets itself."""
    (page,) = (each for each in PAGES if each.name == "operate-it.md")
    of_page = [yaml.safe_load(each.text) for each in fences(page) if each.kind == "yaml values"]
    lines = [line for each in fences(page) if each.kind == "sh" for line in each.text.splitlines()]
    shown = [shlex.split(line, comments=True) for line in lines if line.startswith("helm ")]
    assert {each[1] for each in shown} == {"install", "upgrade", "rollback"}
    for words in shown:
        assert words[2] == "amend"
        if words[1] == "rollback":
            continue
        assert ROOT / words[3] == CHART
        assert all(each in ("--set", "--values") for each in words[4:] if each.startswith("--"))
        given: dict[str, Any] = {}
        for name, _, value in (each.partition("=") for each in words[4:] if "=" in each):
            outer, _, inner = name.rpartition(".")
            (given.setdefault(outer, {}) if outer else given)[inner] = yaml.safe_load(value)
        for values in of_page:
            assert rendered({**values, **given}, upgrade=words[1] == "upgrade"), words


def test_other_commands_that_a_page_shows_name_what_is_there() -> None:
    (page,) = (each for each in PAGES if each.name == "operate-it.md")
    text = "".join(each.text for each in fences(page) if each.kind == "sh")
    for tool in ("docker build", "docker compose", "helm install", "pip install", "kubectl scale"):
        assert re.search(f"^{tool} ", text, re.MULTILINE), tool
    for path in re.findall(r"--file (\S+)|--requirement (\S+)|^cp (\S+)", text, re.MULTILINE):
        assert (ROOT / "".join(path)).is_file(), path
    for name in re.findall(r"deployment (\S+)", text):
        with helm_python.Chart.load(str(CHART)) as chart:
            files = chart.render(dict(SMALL), name="amend", namespace="security")
        (text_of,) = (each for file, each in files.items() if file.endswith("deployment.yaml"))
        assert yaml.safe_load(text_of)["metadata"]["name"] == name


def test_the_pod_of_a_page_holds_the_volume_of_the_chart() -> None:
    (shown,) = (each for page in PAGES for each in fences(page) if each.kind == "yaml pod")
    pod = yaml.safe_load(shown.text)
    kubernetes_validate.validate(pod, "1.31", strict=True)
    with helm_python.Chart.load(str(CHART)) as chart:
        files = chart.render(dict(SMALL), name="amend", namespace="security")
    (text,) = (each for name, each in files.items() if name.endswith("deployment.yaml"))
    deployed = yaml.safe_load(text)["spec"]["template"]["spec"]
    held = {each["name"]: each for each in deployed["volumes"]}
    assert pod["spec"]["volumes"] == [held["data"]]
    (container,) = pod["spec"]["containers"]
    assert container["volumeMounts"] == [{"name": "data", "mountPath": "/data"}]
    for name in ("runAsUser", "runAsGroup", "fsGroup"):
        assert pod["spec"]["securityContext"][name] == deployed["securityContext"][name]
