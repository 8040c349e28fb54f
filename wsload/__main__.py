"""``python -m wsload``."""

from wsload.cli import main

if __name__ == "__main__":
    main()
