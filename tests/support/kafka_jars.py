"""The jars of the pinned Apache Kafka, fetched once by Maven and kept between runs."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

POM = Path(__file__).parent / "kafka" / "pom.xml"
LOG_CONFIG = Path(__file__).parent / "kafka" / "log4j2.properties"

_OLDEST_JAVA = 17
_MAVEN_TIMEOUT_S = 600
_HOW_TO_INSTALL = "on Debian and Ubuntu: apt-get install default-jre-headless maven"


class MissingToolError(Exception):
    """Java or Maven is missing or too old; the message says what to install."""


def kafka_version() -> str:
    """Return the version that the pom pins."""
    found = re.search(r"<kafka\.version>([^<]+)</kafka\.version>", POM.read_text())
    if found is None:
        raise ValueError(f"no kafka.version in {POM}")
    return found.group(1)


def java() -> str:
    """Return the path of a Java that can run the broker.

    Raises:
        MissingToolError: no `java` on the path, or an older one than 17.
    """
    return _java()[0]


def class_archive() -> Path:
    """Return where the classes of the broker are kept as this Java reads them fastest; may not be there yet.

    Such an archive fits one Java and one set of jars, so their versions are in its name.
    """
    mark = hashlib.sha256(_java()[1].encode()).hexdigest()[:12]
    return _cache_root() / f"kafka-{kafka_version()}-{mark}.jsa"


@cache
def _java() -> tuple[str, str]:
    """Return the path of Java and all that it says about its version."""
    path = shutil.which("java")
    if path is None:
        raise MissingToolError(
            f"Apache Kafka needs Java {_OLDEST_JAVA} or newer, and there is none; {_HOW_TO_INSTALL}"
        )
    shown = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', shown)
    if found is None or int(found.group(1)) < _OLDEST_JAVA:
        first_line = (shown.splitlines() or ["no version"])[0]
        raise MissingToolError(f"Apache Kafka needs Java {_OLDEST_JAVA} or newer, {path} is: {first_line}")
    return path, shown


def kafka_jars() -> Path:
    """Return the folder of the broker's jars; the first call downloads them (43 MB).

    Raises:
        MissingToolError: the jars are not there yet and Maven is missing or fails.
    """
    jars = _cache_root() / f"kafka-{kafka_version()}"
    if not jars.is_dir():
        _download(jars)
    return jars


def _cache_root() -> Path:
    configured = os.environ.get("POSTLOOP_TEST_CACHE")
    return Path(configured) if configured else Path.home() / ".cache" / "postloop-tests"


def _download(jars: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise MissingToolError(
            f"the jars of Apache Kafka are fetched by Maven, and there is none; {_HOW_TO_INSTALL}"
        )
    jars.parent.mkdir(parents=True, exist_ok=True)
    # Moved into place when whole: a download that was cut, or two at once, never leave half a folder.
    with tempfile.TemporaryDirectory(dir=jars.parent, prefix="partial-") as partial:
        target = Path(partial) / "jars"
        argv = [maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies"]
        argv += ["-DincludeScope=runtime", f"-DoutputDirectory={target}"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=_MAVEN_TIMEOUT_S)
        if done.returncode != 0:
            raise MissingToolError(
                f"Maven could not fetch Apache Kafka {kafka_version()}:\n{done.stdout[-2000:]}"
            )
        if not jars.exists():
            target.rename(jars)
