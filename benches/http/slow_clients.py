#!/usr/bin/env python3
"""Whether slow clients keep others waiting: 1,000 connections that each send one byte of a request a second, for good,
and meanwhile a reader of a finished answer, every 50 ms, each time on a new connection.

    python3 benches/http/slow_clients.py                # builds what is measured
    python3 benches/http/slow_clients.py --no-build --connections 4000 --seconds 60

The server has its default settings. A slow connection that it ends is replaced at once, so that there are always as many.
The reader should never wait for 250 ms; the exit status says whether it did.
"""

import argparse
import collections
import multiprocessing
import os
import resource
import socket
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import contestants  # noqa: E402

PATH = "/api/v1/articles?limit=20"
LONGEST = 0.25
HEAD = b"GET /api/v1/articles HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"a" * 100_000


class Slow:
    """A connection that sends its next byte once a second."""

    def __init__(self, port, due):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.sent, self.due, self.opened = 0, due, time.monotonic()

    def send(self):
        """Whether it still stands."""
        try:
            self.socket.send(HEAD[self.sent:self.sent + 1])
        except OSError:
            return False
        self.sent, self.due = self.sent + 1, self.due + 1
        return True

    def was_ended(self):
        """Reads what has come, if only that nothing will."""
        try:
            while self.socket.recv(4096, socket.MSG_DONTWAIT):
                pass
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True


def hold(port, number, until, results):
    """Keeps so many slow connections until it is told to end; says how many were open, ended, and how long they lived."""
    begun = time.monotonic()
    # In the order of what is due next, spread over the second.
    queue = collections.deque(Slow(port, begun + 1 + index / number) for index in range(number))
    results.put(len(queue))
    lived, opened = [], number
    while not until.is_set():
        slow = queue.popleft()
        time.sleep(max(0.0, slow.due - time.monotonic()))
        if slow.was_ended() or not slow.send():
            lived.append(time.monotonic() - slow.opened)
            slow.socket.close()
            slow, opened = Slow(port, slow.due + 1), opened + 1
        queue.append(slow)
    results.put((opened, lived))


def read(server):
    """Seconds that one read takes, with its connection."""
    begun = time.perf_counter()
    server.get()
    return time.perf_counter() - begun


def reads(server, seconds):
    """One every 50 ms from when it was due, so that one that waits counts for those behind it."""
    times, begun = [], time.perf_counter()
    for number in range(seconds * 20):
        due = begun + number / 20
        time.sleep(max(0.0, due - time.perf_counter()))
        read(server)
        times.append(time.perf_counter() - due)
    return times


def show(name, times):
    p50, p99 = statistics.median(times) * 1000, statistics.quantiles(times, n=100)[98] * 1000
    print(f"| {name} | {p50:.2f} ms | {p99:.2f} ms | {max(times) * 1000:.1f} ms |", flush=True)


def measure(server, options):
    """The times of the reader alone and beside slow connections; what those saw; memory before and while they stand."""
    before, alone = server.memory_mib()[0], reads(server, min(options.seconds, 5))
    until, results = multiprocessing.Event(), multiprocessing.Queue()
    holder = multiprocessing.Process(target=hold, args=(server.port, options.connections, until, results))
    holder.start()
    results.get()
    contestants.progress(f"{options.connections:,} slow connections for {options.seconds} s")
    beside = reads(server, options.seconds)
    memory = before, server.memory_mib()[0]
    contestants.progress("")
    until.set()
    seen = results.get()
    holder.join()
    return alone, beside, seen, memory


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=1_000)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--no-build", action="store_true", help="take what was built before")
    options = parser.parse_args()
    contestants.build(options.no_build)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    work = contestants.workspace()
    data, port = os.path.join(work, "data"), contestants.free_ports(1)
    contestants.generate(data, 1_000)
    command = [contestants.PROGRAM, "serve", "--data-dir", data, "--listen", f"127.0.0.1:{port}"]
    server = contestants.Contestant("copydesk", command, port, PATH, work, contestants.Cores(apart=False))
    alone, beside, (opened, lived), (before, after) = measure(server, options)
    server.stop()
    print("| a cached read | p50 | p99 | max |\n| --- | ---: | ---: | ---: |")
    show("alone", alone)
    show(f"beside {options.connections:,} slow connections", beside)
    ended = f", after {statistics.median(lived):.1f} s (median)" if lived else ""
    print(f"\nthe server ended {len(lived):,} of {opened:,} slow connections{ended}")
    print(f"memory: {before:.0f} MiB before, {after:.0f} MiB with them")
    if max(beside) > LONGEST:
        sys.exit(f"a read took more than {LONGEST * 1000:.0f} ms")


if __name__ == "__main__":
    main()
