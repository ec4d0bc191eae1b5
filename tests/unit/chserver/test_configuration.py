"""What the server refuses to start with, in one sentence."""

from pathlib import Path

import pytest

from postloop.embedded.chserver.command import main
from postloop.embedded.chserver.configuration import MIB, ServerConfig, WrongUsageError, check_config


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"host": "0.0.0.0"}, "0.0.0.0 is not a loopback"),
        ({"host": "192.168.1.5"}, "192.168.1.5"),
        ({"host": "example.com"}, "example.com"),
        ({"port": 70000}, "70000"),
        ({"path": Path("/tmp/a?b")}, "/tmp/a?b"),
        ({"max_queries": 2}, "starts at 3"),
        ({"max_memory_bytes": 100 * MIB}, "100 is too low"),
    ],
)
def test_what_cannot_work_is_refused_with_the_value(changed: dict[str, object], named: str) -> None:
    with pytest.raises(WrongUsageError, match=named.replace("?", r"\?")):
        check_config(ServerConfig(**({"path": Path("/tmp/a")} | changed)))  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_is_served(host: str) -> None:
    check_config(ServerConfig(path=Path("/tmp/a"), host=host))


def test_a_password_without_a_user_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--path", str(tmp_path), "--password-file", str(tmp_path / "x")])
    assert caught.value.code == 2
    assert capsys.readouterr().err == "--password-file needs --user.\n"


def test_an_unreadable_password_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--path", str(tmp_path), "--user", "u", "--password-file", str(tmp_path / "absent")])
    assert caught.value.code == 2
    assert "absent cannot be read: No such file or directory." in capsys.readouterr().err
