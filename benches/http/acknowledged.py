"""Writes that are acknowledged, by one writer and by eight at once, each on a connection that is kept: copydesk beside
PocketBase.

The two promise different things: copydesk answers when an article is on the disk (`synchronous=FULL`), PocketBase when it
is written but may still be lost with the power (`synchronous=NORMAL`, its default). The clients are the same, and eight of
them share one core where the servers have the other.
"""

import functools
import http.client
import json
import os
import subprocess
import sys
import uuid

import contestants
import pocketbase
import together
from writes import BODY, disk

PASSWORD = "harbour lantern quietly mended"
WRITES = "/api/v1/manage/articles"
OWN, OTHER = "copydesk (`synchronous=FULL`)", "PocketBase (`synchronous=NORMAL`)"
# How many write at once.
WRITERS = (1, 8)


class Editor:
    """An editor of copydesk, signed in, on one connection that is kept."""

    def __init__(self, port, data, name="bench"):
        email = f"{name}@example.org"
        subprocess.run([contestants.PROGRAM, "user", "create", "--email", email, "--name", "Bench", "--role", "editor",
                        "--password-stdin", "--data-dir", data], input=PASSWORD, text=True, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.connection, self.token = http.client.HTTPConnection("127.0.0.1", port), ""
        self.token = self.send("/api/v1/auth/login", {"email": email, "password": PASSWORD})["access_token"]

    def send(self, path, body):
        self.connection.request("POST", path, json.dumps(body).encode(),
                                {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"})
        answer = self.connection.getresponse()
        told = answer.read()
        if answer.status not in (200, 201):
            sys.exit(f"copydesk: {path} answered {answer.status}: {told[:300]}")
        return json.loads(told)

    def write(self):
        """Stores a new article, which nobody outside sees."""
        return self.send(WRITES, {"title": "An article", "slug": uuid.uuid4().hex, "body_markdown": BODY})

    def publish(self, article):
        return self.send(f"{WRITES}/{article['id']}/publish", {"revision": 1})


def writer(client, write):
    """A writer: its client, and what it does again and again."""
    def prepare():
        # The last connection may have been ended since it was silent.
        client.connection.close()
        write()
        return lambda done: write()
    return prepare


def creates(admin):
    """A write of PocketBase."""
    return lambda: admin.send("POST", pocketbase.ARTICLES,
                              {"title": "An article", "slug": uuid.uuid4().hex, "body_html": BODY})


def named(program, writers):
    return f"{program}, {'one after another' if writers == 1 else f'{writers} at once'}"


def rival(name):
    """The result of PocketBase that another is compared with; none where it is nobody's."""
    return name.replace(OWN, OTHER) if name.startswith((OWN, OTHER)) else None


def measure(work, data, pocketbase_data, cores, rounds, seconds):
    """Writes a second, by name, one for each round."""
    port = contestants.free_ports(2)
    own = contestants.copydesk("copydesk", data, port, "/api/v1/articles?limit=1", work, cores)
    other = pocketbase.server(pocketbase_data, port + 1, pocketbase.list_path(), work, cores)
    editors = [Editor(port, data, f"bench{number}") for number in range(max(WRITERS))]
    admins = [pocketbase.Admin(port + 1) for _ in range(max(WRITERS))]
    writers = {OWN: (own, [writer(editor, editor.write) for editor in editors]),
               OTHER: (other, [writer(admin, creates(admin)) for admin in admins])}
    measured = {"the disk alone (4 KiB and `fdatasync`)": (None, lambda: disk(work, seconds))}
    for number in WRITERS:
        for program, (server, all_of_them) in writers.items():
            take = functools.partial(together.rate, all_of_them[:number], seconds)
            measured[named(program, number)] = server, take
    results = {name: [] for name in measured}
    everywhere = os.sched_getaffinity(0)
    if cores.apart:
        os.sched_setaffinity(0, {1})
    for number in range(rounds):
        for name, (server, take) in measured.items():
            contestants.progress(f"writes: round {number + 1} of {rounds}, {name}")
            with contestants.alone(server, [own, other]):
                results[name].append(take())
    os.sched_setaffinity(0, everywhere)
    own.stop()
    other.stop()
    os.remove(os.path.join(work, "flushed"))
    return results
