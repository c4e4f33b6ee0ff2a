"""`python -m provision`: the same as the `provision` command."""

from provision.cli import main

if __name__ == "__main__":
    main()
