"""Several writers at once, each in a process of its own."""

import multiprocessing
import queue
import sys
import time

# In seconds.
PATIENCE = 30


def rate(writers, seconds):
    """What several do a second, together. Each of `writers` prepares itself in its own process and gives what is done again
    and again; that is told how often it was done."""
    processes = multiprocessing.get_context("fork")
    barrier, results = processes.Barrier(len(writers)), processes.Queue()
    running = [processes.Process(target=go_on, args=(prepare, seconds, barrier, results)) for prepare in writers]
    for process in running:
        process.start()
    try:
        return sum(results.get(timeout=seconds + 2 * PATIENCE) for _ in running)
    except queue.Empty:
        sys.exit("a writer has stopped; what it was told stands above")
    finally:
        for process in running:
            process.kill()
            process.join()


def go_on(prepare, seconds, barrier, results):
    write = prepare()
    barrier.wait(PATIENCE)
    done, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        write(done)
        done += 1
    results.put(done / (time.perf_counter() - begun))
    results.close()
    results.join_thread()
