#!/usr/bin/env python3
"""How many contact messages a second the program takes, each sealed and on the disk before it is acknowledged, and what
a flood of them costs who reads an article.

Needs the program as it is distributed (`cargo build --profile dist`) and nothing but Python's standard library:

    python3 benches/contact.py

Figures are medians over the rounds. What sealing costs beside storing in plain: `cargo bench --bench sealing`.
"""

import argparse
import json
import multiprocessing
import os
import socket
import statistics
import sys
import tempfile
import time

import plot
from figures import Server
from writes import disk

WORDS = "I have thought about writing this for a while and do not quite know how to begin. " * 12
ARTICLE = "/api/v1/articles/naloxone-at-home"


class Visitor:
    """Sends requests on one connection, as a proxy of many visitors."""

    def __init__(self, address):
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def exchange(self, request):
        self.socket.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self.receive()
        head, _, rest = answer.partition(b"\r\n\r\n")
        length = int(next(line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")))
        while len(rest) < length:
            rest += self.receive()
        return int(head.split(b" ")[1])

    def receive(self):
        piece = self.socket.recv(65536)
        if not piece:
            sys.exit("the server closed the connection")
        return piece

    def send(self, number):
        body = json.dumps({"name": "Sam", "email": f"sam{number}@example.org", "phone": "+1 415 555 2671", "consent": True,
                           "message": f"{number}: {WORDS}"}).encode()
        head = (f"POST /api/v1/contact-submissions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n")
        return self.exchange(head.encode() + body)

    def read(self):
        return self.exchange(f"GET {ARTICLE} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


def flood(address, seconds, number, barrier, results):
    visitor, statuses = Visitor(address), {}
    barrier.wait()
    begun, sent = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        status = visitor.send(number * 1_000_000 + sent)
        statuses[status] = statuses.get(status, 0) + 1
        sent += 1
    results.put((statuses, time.perf_counter() - begun))


def taken(address, visitors, seconds, meanwhile=lambda: None):
    """Messages a second that visitors have acknowledged, and what was measured meanwhile."""
    barrier, results = multiprocessing.Barrier(visitors + 1), multiprocessing.Queue()
    processes = [multiprocessing.Process(target=flood, args=(address, seconds, n, barrier, results))
                 for n in range(visitors)]
    for process in processes:
        process.start()
    barrier.wait()
    measured = meanwhile()
    told = [results.get() for _ in processes]
    for process in processes:
        process.join()
    others = {status for statuses, _ in told for status in statuses} - {202, 503}
    if others:
        sys.exit(f"a message was answered {others}")
    return sum(statuses.get(202, 0) / took for statuses, took in told), measured


def reading(address, seconds):
    """p50 and p99 of one article, in milliseconds."""
    visitor, times, begun = Visitor(address), [], time.perf_counter()
    while time.perf_counter() - begun < seconds:
        at = time.perf_counter()
        if visitor.read() != 200:
            sys.exit("an article could not be read")
        times.append((time.perf_counter() - at) * 1000)
        time.sleep(0.005)
    return statistics.median(times), statistics.quantiles(times, n=100)[98]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3, help="how long each figure is taken in each round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of all figures")
    parser.add_argument("--directory", help="where the database lies; the disk is a part of this (default: temporary)")
    parser.add_argument("--svg", help="where to draw the figures")
    options = parser.parse_args()
    rates = {"the disk alone": [], "1 visitor": [], "8 visitors": [], "64 visitors": []}
    alone, flooded = [], []
    with tempfile.TemporaryDirectory(dir=options.directory) as data_dir:
        server = Server(data_dir, "--rate-limits", "off", "--demo")
        for _ in range(options.rounds):
            rates["the disk alone"].append(disk(os.path.dirname(data_dir) if options.directory is None else data_dir,
                                                options.seconds))
            rates["1 visitor"].append(taken(server.address, 1, options.seconds)[0])
            rates["8 visitors"].append(taken(server.address, 8, options.seconds)[0])
            alone.append(reading(server.address, options.seconds))
            rate, measured = taken(server.address, 64, options.seconds,
                                   lambda: reading(server.address, options.seconds * 0.8))
            rates["64 visitors"].append(rate)
            flooded.append(measured)
        server.stop()
    medians = {name: statistics.median(series) for name, series in rates.items()}
    print(f"{'messages a second, on the disk':32}{'a second':>12}{'of the disk':>14}")
    for name, rate in medians.items():
        print(f"{name:32}{rate:12.0f}{rate / medians['the disk alone']:14.2f}")
    print(f"\n{'a reader of one article':32}{'p50':>12}{'p99':>14}")
    for name, series in [("alone", alone), ("while 64 visitors send", flooded)]:
        p50, p99 = (statistics.median(column) for column in zip(*series))
        print(f"{name:32}{p50:9.2f} ms{p99:11.2f} ms")
    if options.svg:
        plot.write(options.svg, "Contact messages a second, sealed and on the disk", "", ["messages a second"],
                   [(name, [rate]) for name, rate in medians.items()])


if __name__ == "__main__":
    main()
