#!/usr/bin/env python3
"""How many management writes a second the program takes, and what of that is the machine's.

Needs the program as it is distributed (`cargo build --profile dist`) and nothing but Python's standard library:

    python3 benches/writes.py

Each write is durable before it is answered (`synchronous=FULL`). In turns are measured: the disk alone (4 KiB appended
and `fdatasync`), the bare SQL of a new article in a database of the same form, and the program with 1 and 8 writers who
each make an article, or change one. Figures are medians over the rounds.
"""

import argparse
import functools
import json
import os
import socket
import sqlite3
import statistics
import sys
import tempfile
import time
import uuid

import plot
import together
from figures import Server

PASSWORD = "harbour lantern quietly mended"
BODY = "A paragraph of a usual length, with some words that say what a reader wants to know. " * 12


def disk(directory, seconds):
    """Appends and flushes, as a transaction does at least once."""
    with open(os.path.join(directory, "flushed"), "wb", buffering=0) as file:
        done, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            done += 1
        return done / (time.perf_counter() - begun)


def bare_sql(database, seconds):
    """The rows of a new article, each article one transaction, by the SQLite of Python."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")
    content = json.dumps({"title": "An article", "body_markdown": BODY, "tags": [], "extra": {}})
    done, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        article, now = uuid.uuid4().bytes, int(time.time() * 1000)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "INSERT INTO articles (id, row_version, revision, slug, title, title_key, language, first_published_at,"
            " published_at, created_at, saved_at) VALUES (?, 1, 1, ?, 'An article', 'an article', 'en', 0, 0, ?, ?)",
            (article, article.hex(), now, now))
        connection.execute("INSERT INTO revisions (article_id, number, content, saved_at, row_version)"
                           " VALUES (?, 1, ?, ?, 1)", (article, content, now))
        connection.execute("INSERT INTO audit_events (id, at, actor_kind, action, subject_kind, subject_id, count, hash)"
                           " VALUES (?, ?, 'system', 'article.create', 'article', ?, 1, zeroblob(32))",
                           (uuid.uuid4().bytes, now, article))
        connection.execute("COMMIT")
        done += 1
    connection.close()
    return done / (time.perf_counter() - begun)


class Caller:
    """Sends requests on one connection, with as little work of its own as possible."""

    def __init__(self, address, key):
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.key = key

    def send(self, method, path, body, headers=""):
        payload = json.dumps(body).encode()
        head = (f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.key}\r\n{headers}"
                f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n")
        self.socket.sendall(head.encode() + payload)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self.receive()
        head, _, rest = answer.partition(b"\r\n\r\n")
        length = int(next(line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")))
        while len(rest) < length:
            rest += self.receive()
        status = int(head.split(b" ")[1])
        if status not in (200, 201):
            sys.exit(f"{method} {path} answered {status}: {rest[:300]!r}")
        return rest

    def receive(self):
        piece = self.socket.recv(65536)
        if not piece:
            sys.exit("the server closed the connection")
        return piece


def writer(address, key, kind, number):
    """What a writer does again and again, on a connection of its own."""
    caller, path = Caller(address, key), "/api/v1/manage/articles"
    article = {"title": f"Writer {number}", "slug": uuid.uuid4().hex, "body_markdown": BODY}
    own = f"{path}/{json.loads(caller.send('POST', path, article))['id']}"
    if kind == "make":
        return lambda done: caller.send("POST", path, {**article, "slug": uuid.uuid4().hex})
    return lambda done: caller.send("PATCH", own, {"subtitle": str(done)}, 'If-Match: *\r\n')


def program(server, key, kind, writers, seconds):
    return together.rate([functools.partial(writer, server.address, key, kind, n) for n in range(writers)], seconds)


def own_key(server):
    server.command("user", "create", "--email", "bench@example.org", "--name", "Bench", "--role", "editor",
                   "--password-stdin", given=PASSWORD)
    token = json.loads(Caller(server.address, "").send(
        "POST", "/api/v1/auth/login", {"email": "bench@example.org", "password": PASSWORD}))["access_token"]
    made = Caller(server.address, token).send(
        "POST", "/api/v1/auth/me/api-keys", {"name": "Bench", "role": "editor", "current_password": PASSWORD})
    return json.loads(made)["key"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3, help="how long each figure is taken in each round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of all figures")
    parser.add_argument("--directory", help="where the databases lie; the disk is what is measured (default: temporary)")
    parser.add_argument("--svg", help="where to draw the figures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as data_dir, \
            tempfile.TemporaryDirectory(dir=options.directory) as bare_dir:
        server = Server(data_dir, "--rate-limits", "off")
        bare = Server(bare_dir)
        bare.stop()
        key = own_key(server)
        measured = {
            "the disk alone": lambda: disk(bare_dir, options.seconds),
            "the bare SQL, a new article": lambda: bare_sql(os.path.join(bare_dir, "copydesk.db"), options.seconds),
            "new articles, 1 writer": lambda: program(server, key, "make", 1, options.seconds),
            "new articles, 8 writers": lambda: program(server, key, "make", 8, options.seconds),
            "changes, 1 writer": lambda: program(server, key, "change", 1, options.seconds),
            "changes, 8 writers": lambda: program(server, key, "change", 8, options.seconds),
        }
        rates = {name: [] for name in measured}
        for _ in range(options.rounds):
            for name, take in measured.items():
                rates[name].append(take())
        server.stop()
    medians = {name: statistics.median(series) for name, series in rates.items()}
    bare_rate, disk_rate = medians["the bare SQL, a new article"], medians["the disk alone"]
    print(f"{'':32}{'a second':>12}{'of the disk':>14}{'of bare SQL':>14}")
    for name, rate in medians.items():
        print(f"{name:32}{rate:12.0f}{rate / disk_rate:14.2f}{rate / bare_rate:14.2f}")
    if options.svg:
        plot.write(options.svg, "Durable writes a second", "", ["writes a second"],
                   [(name, [rate]) for name, rate in medians.items()])


if __name__ == "__main__":
    main()
