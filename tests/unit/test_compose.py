"""docker-compose.yml and the Dockerfile keep what they promise, as far as that can be read off them."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from postloop.domain.roles import ROLES
from postloop.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONCE = {"topics", "migrate"}
# ${NAME:?message}: an unset or empty password stops `docker compose` with that message.
REQUIRED = re.compile(r"\$\{[A-Z_]+:\?[^}]+\}")

every_service = pytest.mark.parametrize("name", sorted(SERVICES))


@every_service
def test_an_image_is_pinned_to_a_full_version(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9/._-]+:\d+\.\d+\.\d+(\.\d+)?", SERVICES[name]["image"])


@every_service
def test_a_service_that_stays_has_a_health_check_and_one_that_ends_has_none(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    if name in ONCE:
        assert check == {"disable": True}
    else:
        assert {"test", "interval", "timeout", "retries", "start_period"} <= check.keys()


@every_service
def test_a_secret_is_never_written_down_and_never_empty(name: str) -> None:
    environment: dict[str, str] = SERVICES[name]["environment"]
    secrets = {key: value for key, value in environment.items() if "PASSWORD" in key or "SECRET" in key}
    assert bool(secrets) is (name != "kafka")
    for value in secrets.values():
        assert REQUIRED.fullmatch(value)


@every_service
def test_ports_are_published_on_loopback_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@every_service
def test_what_is_waited_for_is_a_state_that_the_other_service_can_reach(name: str) -> None:
    for other, wanted in SERVICES[name].get("depends_on", {}).items():
        reachable = "service_completed_successfully" if other in ONCE else "service_healthy"
        assert wanted == {"condition": reachable}


@pytest.mark.parametrize("role", ["recorder", "blocklist", "reputation", "webhooks", "api"])
def test_a_role_starts_behind_topics_and_tables(role: str) -> None:
    assert SERVICES[role]["depends_on"].keys() == ONCE


@pytest.mark.parametrize("name", sorted(ONCE | {"recorder", "blocklist", "reputation", "webhooks", "api"}))
def test_postloop_runs_without_privileges_and_on_a_read_only_file_system(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@every_service
def test_a_named_volume_is_declared_and_a_mounted_directory_exists_and_is_read_only(name: str) -> None:
    volumes = [volume.split(":") for volume in SERVICES[name].get("volumes", [])]
    mounted = [volume for volume in volumes if volume[0].startswith(".")]
    assert {volume[0] for volume in volumes if volume not in mounted} <= COMPOSE["volumes"].keys()
    for source, _, mode in mounted:
        assert (ROOT / source).is_dir()
        assert mode == "ro"


def test_the_database_and_postloop_agree_on_user_password_and_database() -> None:
    server, client = SERVICES["clickhouse"]["environment"], SERVICES["recorder"]["environment"]
    assert server["CLICKHOUSE_USER"] == client["POSTLOOP_CLICKHOUSE_USER"]
    assert server["CLICKHOUSE_PASSWORD"] == client["POSTLOOP_CLICKHOUSE_PASSWORD"]
    assert server["CLICKHOUSE_DB"] == client["POSTLOOP_CLICKHOUSE_DATABASE"]


def test_the_example_environment_names_every_variable_that_compose_requires_and_holds_no_password() -> None:
    example = (ROOT / "deploy" / "env.example").read_text()
    required = set(re.findall(r"\$\{([A-Z_]+):\?", (ROOT / "docker-compose.yml").read_text()))
    assert required == set(re.findall(r"^([A-Z_]+)=$", example, flags=re.MULTILINE))


def test_the_api_watches_every_role() -> None:
    watched = Settings(api_watch=SERVICES["api"]["environment"]["POSTLOOP_API_WATCH"]).api_watched
    assert watched == {role: f"http://{role}:8090" for role in ROLES}
    assert "http://127.0.0.1:8080/health" in SERVICES["api"]["healthcheck"]["test"][-1]


def test_the_image_runs_as_another_user_than_root() -> None:
    last_stage = DOCKERFILE.rsplit("\nFROM ", maxsplit=1)[1]
    assert re.findall(r"^USER (.+)$", last_stage, flags=re.MULTILINE) == ["10001"]


def test_the_image_copies_only_what_exists() -> None:
    sources = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, flags=re.MULTILINE)
        for source in line.split()[:-1]
    ]
    # The tree that the wheel is tested in has no sources: these three are not looked for.
    missing = [
        path for path in sources if not (ROOT / path).exists() and path not in {"src", "streams", "schemas"}
    ]
    assert sources
    assert missing == []


def test_every_file_that_the_image_copies_is_let_through_to_the_build() -> None:
    ignore = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines()
    copied = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, flags=re.MULTILINE)
    sources = {source for line in copied for source in line.split()[:-1]}
    assert {line[1:] for line in ignore if line.startswith("!")} == sources


def test_everything_in_the_image_comes_from_a_lock_file_with_hashes() -> None:
    installs = re.findall(r"pip install [^&\n]+", DOCKERFILE)
    assert len(installs) == 3
    assert all("--require-hashes" in line or "--no-index" in line for line in installs)
