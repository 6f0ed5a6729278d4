"""A decoder process that starts as late as on a busy machine."""

import runpy
import time

START_SECONDS = 9

if __name__ == "__main__":
    time.sleep(START_SECONDS)
    runpy.run_module("producer.decoding.process", run_name="__main__")
