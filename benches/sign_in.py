#!/usr/bin/env python3
"""What signing in costs, and what a flood of sign-ins does to readers.

Needs the program as it is distributed (`cargo build --profile dist`) and nothing but Python's standard library:

    python3 benches/sign_in.py

An authenticated and an anonymous request for the same facts are asked in turn; the reader's 99th percentile is
taken with and without 64 parallel logins, in turns as well. Figures are medians over the rounds.
"""

import argparse
import http.client
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import threading
import time

import plot
from figures import Server

PASSWORD = "harbour lantern quietly mended"


def log_in(address, password=PASSWORD):
    connection = http.client.HTTPConnection(*address)
    body = json.dumps({"email": "bench@example.org", "password": password})
    connection.request("POST", "/api/v1/auth/login", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


def flood(address, threads, stop, counted):
    """Logs in again and again from so many threads until it is told to stop."""

    def run():
        while not stop.is_set():
            status, _ = log_in(address)
            with counted.get_lock():
                counted.value += status == 200

    workers = [threading.Thread(target=run) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


class Flood:
    """A flood of logins from a process of its own, so that it does not slow the one that measures."""

    def __init__(self, address, threads):
        self.stop, self.counted = multiprocessing.Event(), multiprocessing.Value("i", 0)
        self.process = multiprocessing.Process(target=flood, args=(address, threads, self.stop, self.counted))

    def __enter__(self):
        self.process.start()
        time.sleep(1)
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.process.join()


def timed(connection, path, headers):
    begun = time.perf_counter()
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    response.read()
    if response.status != 200:
        sys.exit(f"{path} answered {response.status}")
    return (time.perf_counter() - begun) * 1000


def authenticated(server, token, requests):
    connection = http.client.HTTPConnection(*server.address)
    bearer = {"Authorization": f"Bearer {token}"}
    rows = {"anonymous": ("/api/v1/site", {}), "authenticated": ("/api/v1/manage/site", bearer)}
    times = {name: [] for name in rows}
    for _ in range(requests):
        for name, (path, headers) in rows.items():
            times[name].append(timed(connection, path, headers))
    connection.close()
    medians = {name: statistics.median(series) for name, series in times.items()}
    print(f"{'the same facts, p50':32}{medians['anonymous']:9.3f} ms anonymous"
          f"{medians['authenticated']:9.3f} ms signed in   ratio {medians['authenticated'] / medians['anonymous']:.2f}")


def logins(server, seconds):
    with Flood(server.address, 8) as running:
        begun, before = time.perf_counter(), running.counted.value
        time.sleep(seconds)
        rate = (running.counted.value - before) / (time.perf_counter() - begun)
    threads = max(1, (os.cpu_count() or 1) // 2)
    print(f"{'logins, 8 at a time':32}{rate:9.1f} a second with {threads} hashing thread(s), {rate / threads:.1f} a core")


def reader(server, requests):
    connection = http.client.HTTPConnection(*server.address)
    path = "/api/v1/articles/naloxone-at-home"
    series = sorted(timed(connection, path, {}) for _ in range(requests))
    connection.close()
    return series[len(series) // 2], series[len(series) * 99 // 100]


def starvation(server, requests, rounds, svg):
    quiet, flooded = [], []
    for _ in range(rounds):
        quiet.append(reader(server, requests))
        with Flood(server.address, 64):
            flooded.append(reader(server, requests))
    print(f"{'a reader of one article':32}{'p50':>12}{'p99':>12}")
    medians = []
    for name, rows in (("alone", quiet), ("with 64 parallel logins", flooded)):
        median = [statistics.median(column) for column in zip(*rows)]
        medians.append(median)
        print(f"{name:32}{median[0]:9.3f} ms{median[1]:9.3f} ms")
    if svg:
        plot.write(svg, "A reader of one article, alone and with 64 parallel logins", "ms",
                   ["alone", "with 64 parallel logins"],
                   list(zip(("p50", "p99"), (list(pair) for pair in zip(*medians)))))
    print(f"{'ratio':32}{medians[1][0] / medians[0][0]:9.2f}   {medians[1][1] / medians[0][1]:9.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1500, help="requests for each figure")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the reader's figures")
    parser.add_argument("--svg", help="where to draw the reader's figures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as data_dir:
        server = Server(data_dir, "--demo", "--rate-limits", "off")
        server.command("user", "create", "--email", "bench@example.org", "--name", "Bench", "--role", "editor",
                       "--password-stdin", given=PASSWORD)
        status, answer = log_in(server.address)
        if status != 200:
            sys.exit(f"the login answered {status}: {answer}")
        authenticated(server, answer["access_token"], options.requests)
        logins(server, 5)
        starvation(server, options.requests, options.rounds, options.svg)
        print(f"{'resident memory after this':32}{server.resident_mib():9.1f} MiB")
        server.stop()


if __name__ == "__main__":
    main()
