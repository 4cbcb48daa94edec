#!/usr/bin/env python3
"""copydesk behind a real Varnish: what is published is what everybody gets, within a second.

    cargo build && python3 tests/varnish.py            # needs varnishd (Debian: apt-get install varnish)
    python3 tests/varnish.py target/release/copydesk   # another build

Starts both on free ports with the configuration that docs/cdn.md gives, publishes again and again, and looks at the
answers through Varnish: that they are hits while nothing changes, new within a second where something does, and that an
author's new name is shown wherever the author is.
"""

import atexit
import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from program import Program

ROOT = pathlib.Path(__file__).resolve().parent.parent
EDITOR, PASSWORD = "editor@example.org", "harbour lantern quietly mended"
ARTICLES = "/api/v1/manage/articles"
EDITS = 20
# In seconds.
PATIENCE, BOUND = 20, 1.0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port, method, path, body=None, token=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    headers = {**(headers or {}), **({"Authorization": f"Bearer {token}"} if token else {})}
    if body is not None:
        headers["Content-Type"] = "application/json"
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, dict((name.lower(), value) for name, value in answer.getheaders()), text


def until(what, condition):
    begun = time.monotonic()
    while time.monotonic() - begun < PATIENCE:
        try:
            if condition():
                return time.monotonic() - begun
        except OSError:
            pass
        time.sleep(0.005)
    sys.exit(f"it never came to pass that {what}")


def start(command):
    """Starts a server that ends with this program, however that ends."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    atexit.register(process.wait)
    atexit.register(process.terminate)


class Site:
    """The two programs, and an editor."""

    def __init__(self, program, work):
        self.front = free_port()
        self.program = Program(program, work, "--cdn", "varnish", "--cdn-purge-url", f"http://127.0.0.1:{self.front}")
        atexit.register(self.program.stop)
        self.program.make_account("editor", EDITOR, PASSWORD)
        self.token = self.program.sign_in(EDITOR, PASSWORD)
        self.origin = int(self.program.base.rsplit(":", 1)[1])
        configuration = (ROOT / "examples" / "varnish.vcl").read_text(encoding="utf-8")
        file = os.path.join(work, "varnish.vcl")
        with open(file, "w", encoding="utf-8") as out:
            out.write(configuration.replace('"8080"', f'"{self.origin}"'))
        start(["varnishd", "-F", "-f", file, "-a", f"127.0.0.1:{self.front}", "-n", os.path.join(work, "varnish"),
               "-s", "malloc,64m"])
        until("Varnish serves", lambda: ask(self.front, "GET", "/healthz")[0] == 200)

    def manage(self, method, path, body, headers=None):
        status, _, text = ask(self.origin, method, path, body, self.token, headers)
        if status not in (200, 201):
            sys.exit(f"{method} {path} answered {status}: {text.decode()}")
        return json.loads(text)

    def publish(self, article, changes):
        path = f"{ARTICLES}/{article}"
        saved = self.manage("PATCH", path, changes, {"If-Match": "*"})
        self.manage("POST", f"{path}/publish", {"revision": saved["revision"]})

    def seen(self, path):
        status, headers, text = ask(self.front, "GET", path)
        return status, headers, text.decode()


def is_hit(headers):
    """Varnish names two requests where it had a copy: this one, and the one that brought it."""
    return len(headers["x-varnish"].split()) == 2


def check(site):
    author = site.manage("POST", "/api/v1/manage/authors", {"name": "Maya"})["id"]
    other = site.manage("POST", ARTICLES, {"title": "Other", "slug": "other"})["id"]
    article = site.manage("POST", ARTICLES, {"title": "First", "slug": "edited", "authors": [author]})["id"]
    site.publish(article, {"title": "Edit 0"})
    site.publish(other, {"title": "Another"})
    path, took = "/api/v1/articles/edited", []
    for number in range(1, EDITS + 1):
        until("it is a hit", lambda: is_hit(site.seen(path)[1]))
        site.publish(article, {"title": f"Edit {number}"})
        took.append(until("it is shown", lambda: f'"Edit {number}"' in site.seen(path)[2]))
        if f'"Edit {number}"' not in site.seen("/api/v1/articles")[2]:
            sys.exit("the list is out of date")
    status, headers, _ = site.seen(path)
    if "surrogate-key" in headers or headers["cache-control"] != "public, max-age=0, must-revalidate":
        sys.exit(f"the headers are wrong: {headers}")
    until("the purges are repeated and it is a hit all the same", lambda: is_hit(site.seen(path)[1]))
    site.manage("PATCH", f"/api/v1/manage/authors/{author}", {"name": "Maya Lin"}, {"If-Match": "*"})
    took.append(until("the new name is shown", lambda: '"Maya Lin"' in site.seen(path)[2]))
    site.manage("POST", f"{ARTICLES}/{article}/unpublish", {})
    took.append(until("it is gone", lambda: site.seen(path)[0] == 410))
    return took


def main():
    if not shutil.which("varnishd"):
        sys.exit("varnishd is missing; install it first (Debian: apt-get install varnish)")
    program = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "target" / "debug" / "copydesk")
    with tempfile.TemporaryDirectory(prefix="copydesk-varnish-") as work:
        # Varnish runs as an account of its own.
        os.chmod(work, 0o755)
        took = sorted(check(Site(program, work)))
    print(f"Varnish: {len(took)} changes shown after {took[len(took) // 2] * 1000:.0f} ms (median), "
          f"{took[-1] * 1000:.0f} ms (longest)")
    if took[-1] > BOUND:
        sys.exit(f"a change took longer than {BOUND} s")


if __name__ == "__main__":
    main()
