#!/usr/bin/env python3
"""The figures that README quotes: start, memory, and how delivery scales with the number of articles.

Needs the program as it is distributed (`cargo build --profile dist`) and nothing but Python's standard library:

    python3 benches/figures.py                    # 1,000 against 100,000 articles
    python3 benches/figures.py --articles 10000   # quicker
    python3 benches/figures.py --svg docs/scale.svg
    python3 benches/figures.py --articles 1000000 --large DIRECTORY   # keeps what it generates there, and takes it again

The two servers are asked in turn, request by request, so that what else the machine does hits both; every
figure is a median, and what is compared is a ratio.
"""

import argparse
import atexit
import http.client
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import plot

PROGRAM = os.path.join(os.path.dirname(__file__), "..", "target", "dist", "copydesk")


class Server:
    """A server on a free port, over its own data directory."""

    def __init__(self, data_dir, *arguments):
        self.data_dir = data_dir
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            [PROGRAM, "serve", "--data-dir", data_dir, "--listen", "127.0.0.1:0", "--workers", "1",
             # What is measured is the work, not what is kept of it.
             "--cache-bytes", "0", *arguments],
            stderr=subprocess.PIPE, text=True)
        # Also where the measurement fails.
        atexit.register(self.process.kill)
        for line in self.process.stderr:
            found = re.search(r"serves on http://([\d.]+):(\d+)", line)
            if found:
                self.address = (found[1], int(found[2]))
                break
        self.connection = http.client.HTTPConnection(*self.address)

    def get(self, path):
        begun = time.perf_counter()
        self.connection.request("GET", path)
        response = self.connection.getresponse()
        body = response.read()
        elapsed = time.perf_counter() - begun
        if response.status != 200:
            sys.exit(f"{path} answered {response.status}: {body[:200]}")
        return elapsed, body

    def command(self, *arguments, given=None):
        """Runs another command of the program on the same data directory."""
        subprocess.run([PROGRAM, *arguments, "--data-dir", self.data_dir], input=given, text=True, check=True,
                       stderr=subprocess.DEVNULL)

    def resident_mib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) / 1024

    def stop(self):
        self.connection.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.process.stderr.close()


def start_and_memory(rounds):
    """Cold start to the first answer with the sample content, and resident memory when idle."""
    with tempfile.TemporaryDirectory() as data_dir:
        Server(data_dir, "--demo").stop()
        starts, memory = [], []
        for _ in range(rounds):
            server = Server(data_dir)
            server.get("/api/v1/articles")
            starts.append((time.perf_counter() - server.started) * 1000)
            memory.append(server.resident_mib())
            server.stop()
    print(f"start to the first answer   {statistics.median(starts):8.1f} ms   (median of {rounds})")
    print(f"resident memory, idle       {statistics.median(memory):8.1f} MiB  (after one request)")


def generated(directory, number):
    begun = time.perf_counter()
    subprocess.run([PROGRAM, "generate", "--articles", str(number), "--data-dir", directory], check=True,
                   stderr=subprocess.DEVNULL if not sys.stderr.isatty() else None)
    print(f"generating {number:>9,} articles {time.perf_counter() - begun:8.1f} s")


def deep_cursor(server, pages):
    """The path of a page that lies `pages` full pages deep in a walk by cursor."""
    path = "/api/v1/articles?limit=100"
    for _ in range(pages):
        page = json.loads(server.get(path)[1])["page"]
        if not page["next_cursor"]:
            break
        path = f"/api/v1/articles?limit=100&cursor={page['next_cursor']}"
    return path.replace("limit=100", "limit=20")


def start_with(directory, rounds):
    """Start to the first answer with whatever the directory holds."""
    starts = []
    for _ in range(rounds):
        server = Server(directory)
        server.get("/api/v1/articles?limit=1")
        starts.append((time.perf_counter() - server.started) * 1000)
        server.stop()
    return statistics.median(starts)


ROWS = {
    "list": lambda n, s: "/api/v1/articles",
    "one article": lambda n, s: f"/api/v1/articles/generated-{n // 2}",
    "filter by category": lambda n, s: "/api/v1/articles?category=generated-category-1",
    "category of half of all": lambda n, s: "/api/v1/articles?category=generated-category-0",
    "the same, counted": lambda n, s: "/api/v1/articles?category=generated-category-0&page=1",
    "numbered page 1": lambda n, s: "/api/v1/articles?page=1",
    "deep cursor": lambda n, s: deep_cursor(s, n * 9 // 10 // 100),
    "filter by tag": lambda n, s: "/api/v1/articles?tag=tag-3",
    "half of all and a tag": lambda n, s: "/api/v1/articles?category=generated-category-0&tag=tag-3",
    "categories": lambda n, s: "/api/v1/categories",
}


def scale(small, large, requests, svg, kept):
    work = tempfile.mkdtemp()
    try:
        servers = []
        for number in (small, large):
            directory = kept if kept and number == large else os.path.join(work, str(number))
            if not os.path.exists(os.path.join(directory, "copydesk.db")):
                generated(directory, number)
            if number == large:
                print(f"start with {number:>10,} articles {start_with(directory, 5):8.1f} ms")
            servers.append((number, Server(directory)))
        print(f"\n{'p50, one connection':22}{small:>12,}{large:>12,}{'ratio':>9}")
        medians = []
        for name, path in ROWS.items():
            paths = [path(number, server) for number, server in servers]
            times = [[], []]
            for _ in range(requests):
                for index, (_, server) in enumerate(servers):
                    times[index].append(server.get(paths[index])[0] * 1000)
            few, many = (statistics.median(series) for series in times)
            medians.append((name, [few, many]))
            print(f"{name:22}{few:9.3f} ms{many:9.3f} ms{many / few:9.2f}")
        if svg:
            plot.write(svg, "Time of an answer (p50, one connection)", "ms",
                       [f"{small:,} articles", f"{large:,} articles"], medians)
        print(f"\nresident memory with {large:,} articles after this: {servers[1][1].resident_mib():.1f} MiB")
        for _, server in servers:
            server.stop()
    finally:
        shutil.rmtree(work)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--articles", type=int, default=100_000, help="the larger number of articles")
    parser.add_argument("--requests", type=int, default=400, help="requests for each figure and server")
    parser.add_argument("--svg", help="where to draw the table of the two numbers of articles")
    parser.add_argument("--large", help="a data directory for the larger number, which is kept")
    options = parser.parse_args()
    if not os.path.exists(PROGRAM):
        sys.exit("Build the program first: cargo build --profile dist")
    print(f"program                     {os.path.getsize(PROGRAM) / 1e6:8.1f} MB")
    start_and_memory(15)
    scale(1_000, options.articles, options.requests, options.svg, options.large)


if __name__ == "__main__":
    main()
