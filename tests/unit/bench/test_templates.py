"""A copy of a data directory shares only what is never written again."""

from __future__ import annotations

from pathlib import Path

from bench.stack import data_directory
from bench.templates import Template, copy_template
from bench.workload import NOTHING


def test_files_of_parts_are_shared_and_all_others_copied(tmp_path: Path) -> None:
    source = data_directory(tmp_path / "template")
    for name in (
        "store/t/all_1_1_0/data.bin",
        "store/t/all_1_1_0/checksums.txt",
        "store/t/format_version.txt",
    ):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    (source / "data").symlink_to("store/t")
    copy_template(Template(directory=source, counts=NOTHING), tmp_path / "run")

    target = data_directory(tmp_path / "run")
    part, version = "store/t/all_1_1_0/data.bin", "store/t/format_version.txt"
    assert (target / part).samefile(source / part)
    assert not (target / version).samefile(source / version)
    assert (target / version).read_text() == version
    assert (target / "data").is_symlink()
