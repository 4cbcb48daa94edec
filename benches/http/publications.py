#!/usr/bin/env python3
"""What a publication costs a site with 10,000 warm addresses: every finished answer is made anew once after it.

    python3 benches/http/publications.py                # builds what is measured
    python3 benches/http/publications.py --no-build --seconds 20 --svg docs/publications.svg

The addresses (nine in ten are articles, the others lists) are asked for at 2,000 requests a second, whatever the answers
take: without a publication, with one a minute, and with one a second; by two mixes: "zipf", where the n-th address is asked for
1/n times as often as the first, and "uniform". Times count from when a request was due, so what waits for others counts
as well. The server has one worker and a core, the load the other; the cache holds all.

An answer was made anew where nobody had asked for its address since the state that its `Content-Version` names began:
that is how the cache works today, and supposes that it pushes nothing out. As a check, the share of answers that took
less than a threshold stands beside it: the middle (geometric) between what is kept and what is not, asked one by one.
"""

import argparse
import collections
import gc
import json
import math
import multiprocessing
import os
import random
import re
import selectors
import socket
import statistics
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import contestants  # noqa: E402
import plot  # noqa: E402
from acknowledged import Editor  # noqa: E402

CONNECTIONS = 64
VERSION = re.compile(rb"\r\ncontent-version: (\d+)", re.IGNORECASE)
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
Answer = collections.namedtuple("Answer", "due took version address")


def addresses(server, articles, number):
    """So many distinct ones, in an order that puts articles and lists among each other."""
    listed = [f"/api/v1/articles?{name}{index}" for name, count in
              (("category=generated-category-", 60), ("author=generated-author-", 40), ("tag=tag-", 400))
              for index in range(count)]
    path = "/api/v1/articles"
    while len(listed) < number // 10:
        listed.append(path)
        cursor = json.loads(server.get(path)[0])["page"]["next_cursor"]
        if not cursor:
            sys.exit("there are too few articles for so many addresses")
        path = f"/api/v1/articles?cursor={urllib.parse.quote(cursor)}"
    rest = [f"/api/v1/articles/generated-{articles - 1 - index}" for index in range(number - len(listed))]
    mixed = listed + rest
    random.Random(1).shuffle(mixed)
    return mixed


class Line:
    """A connection, and the answer that comes on it."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received, self.head, self.size, self.due, self.address = 0, b"", 0, 0.0, 0

    def ask(self, due, address, path):
        self.received, self.head, self.size, self.due, self.address = 0, b"", 0, due, address
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    def has_all(self):
        """Takes what has come; whether the answer is whole."""
        piece = self.socket.recv(262144)
        if not piece:
            sys.exit("the server closed the connection")
        self.received += len(piece)
        if not self.size:
            self.head += piece
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return False
            if not self.head.startswith(b"HTTP/1.1 200"):
                sys.exit(f"address {self.address} answered {self.head[:300]!r}")
            self.size = end + 4 + int(LENGTH.search(self.head)[1])
        return self.received >= self.size

    def answer(self):
        return Answer(self.due, time.perf_counter() - self.due, int(VERSION.search(self.head)[1]), self.address)


def ask(port, paths, order, rate, at_start=lambda begun: None):
    """Asks for the addresses of `order` at a fixed rate, or as fast as it goes; the answers, and when it began."""
    lines, answers, waiting = [Line(port) for _ in range(CONNECTIONS)], [], selectors.DefaultSelector()
    for line in lines:
        waiting.register(line.socket, selectors.EVENT_READ, line)
    # In turn, so that none is idle for so long that the server ends it.
    free, next_one, begun = collections.deque(lines), 0, time.perf_counter()
    at_start(begun)
    while len(answers) < len(order):
        now = time.perf_counter()
        while free and next_one < len(order) and (not rate or begun + next_one / rate <= now):
            due = begun + next_one / rate if rate else now
            free.popleft().ask(due, order[next_one], paths[order[next_one]])
            next_one += 1
        # Looks again at once, as it has a core of its own: to sleep is not exact enough.
        for event, _ in waiting.select(0):
            if event.data.has_all():
                answers.append(event.data.answer())
                free.append(event.data)
    waiting.close()
    for line in lines:
        line.socket.close()
    return answers, begun


def threshold(server, articles):
    """Seconds: above what is kept and below what is not, on one connection, one request after another."""
    line, times = Line(server.port), []
    for number in range(400):
        # Each address twice: the first answer is made, the second is kept. Nobody else spells them so.
        line.ask(time.perf_counter(), 0, f"/api/v1/articles/%67enerated-{number // 2 % articles}")
        while not line.has_all():
            pass
        times.append(line.answer().took)
    line.socket.close()
    return math.sqrt(statistics.median(times[0::2]) * statistics.median(times[1::2]))


def publish(port, data, number, every, begun, told):
    """Publishes so many new articles, the first at once and then one every so many seconds."""
    editor = Editor(port, data, f"bench-{time.time_ns()}")
    drafts = [editor.write() for _ in range(number)]
    told.put("ready")
    start = begun.get()
    for index, draft in enumerate(drafts):
        time.sleep(max(0.0, start + index * every - time.perf_counter()))
        editor.publish(draft)
    told.put("done")


def is_kept(answers, warm):
    """For each answer, in the order of time, whether it had been made before; all of the state `warm` had."""
    seen, kept = set(), []
    for answer in answers:
        kept.append(answer.version == warm or (answer.version, answer.address) in seen)
        seen.add((answer.version, answer.address))
    return kept


def window(server, data, paths, order, rate, publications, seconds):
    """Load for so long: when each answer was due, what it took, whether it was kept; CPU in microseconds a request."""
    warm = max(answer.version for answer in ask(server.port, paths, range(len(paths)), None)[0])
    begun, told = multiprocessing.Queue(), multiprocessing.Queue()
    if publications:
        publisher = multiprocessing.Process(target=publish, args=(
            server.port, data, publications, seconds / publications, begun, told))
        publisher.start()
        told.get()
    cpu = server.cpu_seconds()
    answers, start = ask(server.port, paths, order[:int(rate * seconds)], rate, begun.put)
    cpu = (server.cpu_seconds() - cpu) / len(answers) * 1e6
    if publications:
        told.get()
        publisher.join()
    answers.sort(key=lambda answer: answer.due + answer.took)
    kept = is_kept(answers, warm)
    return [(answer.due - start, answer.took, hit) for answer, hit in zip(answers, kept)], cpu


def show(mix, publications, when, answers, limit, cpu=""):
    """One line of the table; its p50 and p99."""
    times = sorted(took * 1000 for _, took, _ in answers)
    hits = sum(hit for *_, hit in answers) / len(answers)
    quick = sum(took < limit for _, took, _ in answers) / len(answers)
    p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
    print(f"| {mix} | {publications} | {when} | {hits:.1%} | {quick:.1%} | {p50:.2f} ms | {p99:.2f} ms "
          f"| {times[-1]:.1f} ms | {cpu} |", flush=True)
    return [p50, p99]


def show_parts(mix, name, answers, limit, seconds):
    """What follows a publication, part by part."""
    for begin, end in ((0, 1), (1, 5), (5, 15), (15, seconds)):
        part = [answer for answer in answers if begin <= answer[0] < end]
        if part:
            show(mix, name, f"second {begin} to {min(end, seconds)}", part, limit)


def measure(server, data, paths, options):
    limit, numbers, rows = threshold(server, options.articles), random.Random(2), []
    print(f"{options.rate:,} requests a second for {len(paths):,} addresses; the threshold is {limit * 1000:.2f} ms\n")
    print("| mix | publications | | kept | below the threshold | p50 | p99 | max | CPU a request |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    short = min(options.seconds, 30)
    for mix, weights in (("zipf", [1 / (rank + 1) for rank in range(len(paths))]), ("uniform", None)):
        order = numbers.choices(range(len(paths)), weights, k=options.rate * options.seconds)
        for name, publications, seconds in (("none", 0, short), (f"one in {options.seconds} s", 1, options.seconds),
                                            ("one a second", short, short)):
            contestants.progress(f"{mix}, {name}: {seconds} s")
            answers, cpu = window(server, data, paths, order, options.rate, publications, seconds)
            contestants.progress("")
            told = show(mix, name, f"all {seconds} s", answers, limit, f"{cpu:.0f} µs")
            rows.append((f"{mix}, {name}", told))
            if publications == 1:
                show_parts(mix, name, answers, limit, seconds)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--articles", type=int, default=12_000)
    parser.add_argument("--addresses", type=int, default=10_000, help="how many are warm and asked for")
    parser.add_argument("--rate", type=int, default=2_000, help="requests a second")
    parser.add_argument("--seconds", type=int, default=60, help="how long a publication is followed; others 30 s at most")
    parser.add_argument("--no-build", action="store_true", help="take what was built before")
    parser.add_argument("--svg", help="where to draw p50 and p99")
    options = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        sys.exit("two cores are needed: one for the server, one for the load")
    contestants.build(options.no_build)
    work, cores = contestants.workspace(), contestants.Cores(apart=True)
    data = os.path.join(work, "data")
    contestants.generate(data, options.articles)
    server = contestants.copydesk("copydesk", data, contestants.free_ports(1), "/readyz", work, cores,
                                  "--cache-bytes", str(512 * 1024 * 1024))
    os.sched_setaffinity(0, {1})
    gc.disable()
    rows = measure(server, data, addresses(server, options.articles, options.addresses), options)
    print("\nmemory: {:.0f} MiB, {:.0f} MiB with mapped files".format(*server.memory_mib()))
    server.stop()
    if options.svg:
        plot.write(options.svg, "Time of an answer after publications (logarithmic)", "ms", ["p50", "p99"], rows, True)


if __name__ == "__main__":
    main()
