"""A web server on the socket that systemd passes (sd_listen_fds(3)). It answers with its own pid."""

import os
import pathlib
import socket

FIRST_PASSED_DESCRIPTOR = 3
heartbeat = pathlib.Path(os.environ.get("HEARTBEAT_FILE", "heartbeat.txt"))

if os.environ.get("LISTEN_PID") != str(os.getpid()):
    raise SystemExit("web.py: no socket was passed to this process; start it by its socket unit")



def answer(listener):
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(1)
        connection.recv(65536)
        body = f"{os.getpid()}\n"
        connection.sendall(f"HTTP/1.0 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())


listener = socket.socket(fileno=FIRST_PASSED_DESCRIPTOR)
listener.settimeout(1)
while True:
    heartbeat.touch()
    try:
        answer(listener)
    except OSError:
        continue  # no client within a second, or one that went away
