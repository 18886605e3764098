"""A worker that beats from the loop that does its work, and leaves in order when it is asked to."""

import os
import pathlib
import signal
import time

heartbeat = pathlib.Path(os.environ.get("HEARTBEAT_FILE", "heartbeat.txt"))
asked_to_leave = False


def leave(_signal, _frame):
    global asked_to_leave
    asked_to_leave = True


def work():
    time.sleep(0.2)


signal.signal(signal.SIGTERM, leave)
while not asked_to_leave:
    work()
    heartbeat.touch()
print("left in order", flush=True)
