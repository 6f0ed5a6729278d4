"""`python -m artdream`: the command line."""

from artdream.cli.main import main

if __name__ == "__main__":
    main()
