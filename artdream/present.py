"""The former name of `artdream.stack.healthcheck`, which health checks of earlier installations call."""

import sys

from artdream.stack.healthcheck import main

if __name__ == "__main__":
    main(sys.argv[1])
