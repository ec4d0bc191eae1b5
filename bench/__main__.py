"""`python -m bench`."""

from bench.cli.main import app

if __name__ == "__main__":
    app(prog_name="python -m bench")
