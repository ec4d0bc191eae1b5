"""Settings that would do harm are refused with one sentence."""

from pathlib import Path

import pytest

from postloop.settings import Settings, SettingsError, load_settings


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no `.env`."""
    monkeypatch.chdir(tmp_path)


def refusal(monkeypatch: pytest.MonkeyPatch, **settings: str) -> str:
    for name, value in settings.items():
        monkeypatch.setenv(f"POSTLOOP_{name.upper()}", value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    return str(refused.value)


@pytest.mark.parametrize("name", ["raw_retention", "minute_retention", "hour_retention", "topic_retention"])
@pytest.mark.parametrize("value", ["0s", "18251d", "36500d", "999999999999d"])
def test_nothing_is_kept_for_no_time_or_beyond_what_the_database_can_reckon(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    said = refusal(monkeypatch, **{name: value})
    assert said.startswith(f"POSTLOOP_{name.upper()}: ")
    assert "a duration is longer than 0" in said or "a duration is below" in said


def test_half_a_century_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTLOOP_RAW_RETENTION", "18250d")
    assert load_settings().raw_retention.days == 18_250


@pytest.mark.parametrize(
    ("name", "value"), [("raw_retention", "47h"), ("minute_retention", "24h"), ("hour_retention", "31d")]
)
def test_what_the_windows_of_the_views_count_from_is_kept_for_as_long(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    assert refusal(monkeypatch, **{name: value}).startswith(f"{name} must be at least ")


@pytest.mark.parametrize(
    "brokers",
    [
        "",
        ",",
        " ",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:abc",
        "a:1:2",
        "a:99999",
        "a:0",
        "kafka://a:9092",
        ":9092",
        "a:9092,b",
    ],
)
def test_brokers_are_a_list_of_hosts_with_ports(monkeypatch: pytest.MonkeyPatch, brokers: str) -> None:
    assert refusal(monkeypatch, kafka_brokers=brokers).startswith("kafka_brokers ")


@pytest.mark.parametrize(
    "brokers", ["kafka-1.example:9093, kafka-2.example:9093", "[::1]:9092", "localhost:9092"]
)
def test_names_and_addresses_with_ports_are_brokers(brokers: str) -> None:
    assert Settings(_env_file=None, kafka_brokers=brokers).broker_list == [
        one.strip() for one in brokers.split(",")
    ]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:abc",
        "http://127.0.0.1:99999",
        "http://",
        "ftp://127.0.0.1",
        "http://ann:hunter2@127.0.0.1:8123",
        "http://ann:hunter2@127.0.0.1:abc",
        "http://127.0.0.1:8123/events",
        "http://127.0.0.1:8123?user=ann",
    ],
)
def test_a_url_of_clickhouse_is_an_address_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    said = refusal(monkeypatch, clickhouse_url=url)
    assert said.startswith("clickhouse_url must ")
    assert "hunter2" not in said


def test_a_password_that_would_not_be_used_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "the password would not be used" in refusal(monkeypatch, kafka_password="hunter2")


def test_a_misspelt_name_is_refused_in_small_letters_too(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("postloop_kafka_broker=127.0.0.1:9092\n")
    with pytest.raises(SettingsError, match="did you mean POSTLOOP_KAFKA_BROKERS"):
        load_settings()


def test_a_file_of_settings_in_another_encoding_is_named() -> None:
    Path(".env").write_bytes("POSTLOOP_OPERATOR_CONTACT=Büro\n".encode("latin-1"))
    with pytest.raises(SettingsError, match=r"^\.env is not UTF-8$"):
        load_settings()
