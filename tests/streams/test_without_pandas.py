"""A worker does without pandas: importing it costs more time and memory than a batch."""

import subprocess
import sys
import textwrap

IN_A_WORKER = textwrap.dedent(
    """
    import sys
    from postloop_streams.worker import main

    assert main([]) == 2
    import pyarrow

    assert pyarrow.array([None, 1]).fill_null(0).to_pylist() == [0, 1]
    assert pyarrow.scalar(1).as_py() == 1
    assert "pandas" not in sys.modules
    try:
        import pandas
    except ModuleNotFoundError as error:
        print(error.name)
    """
)


def test_columns_are_made_without_pandas() -> None:
    ended = subprocess.run([sys.executable, "-c", IN_A_WORKER], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout.strip()) == (0, "pandas"), ended.stderr
