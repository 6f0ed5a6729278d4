"""`python -m artdream`: the command line."""

from artdream.cli import main

if __name__ == "__main__":
    main()
