"""The thread that publishes: everything once and in order, and few wakes for much."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import zmq

from codeact_kernel.in_kernel.bounded import BoundedSession
from codeact_kernel.in_kernel.publishing import HeldSocket, PublishingThread
from codeact_kernel.in_kernel.streams import CappedOutStream

WAIT_S = 60
OVERTAKING_S = 0.3
"""Long enough to do it; what waits as it should is still waiting then, however slow the machine."""


class Published:
    """A publishing thread, and the far end of its socket."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        publisher = context.socket(zmq.XPUB)
        publisher.set(zmq.LINGER, 0)
        publisher.bind("inproc://published")
        self.session = BoundedSession(key=b"k")
        self.thread = PublishingThread(publisher, session=self.session)
        self.reader = context.socket(zmq.SUB)
        self.reader.set(zmq.RCVTIMEO, WAIT_S * 1000)
        self.reader.set(zmq.LINGER, 0)
        self.reader.connect("inproc://published")
        self.reader.subscribe("")
        self.thread.start()
        assert self.reader.recv_multipart()  # The welcome: from now on nothing is lost.

    def texts(self, until: str) -> list[str]:
        """What the streams have sent, up to the message that ends with `until`."""
        texts: list[str] = []
        while not texts or not texts[-1].endswith(until):
            _, frames = self.session.feed_identities(self.reader.recv_multipart())
            texts.append(self.session.deserialize(frames)["content"]["text"])
        return texts

    def close(self) -> None:
        self.thread.stop()
        self.thread.close()
        self.reader.close()


@pytest.fixture
def published() -> Iterator[Published]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with closing(Published(context)) as one:
        yield one
    context.term()


def test_what_many_threads_hand_over_is_done_once_and_in_each_ones_order(published: Published) -> None:
    done: list[tuple[int, int]] = []
    threads = [
        threading.Thread(
            target=lambda who=who: [
                published.thread.schedule(lambda what=what: done.append((who, what))) for what in range(2000)
            ]
        )
        for who in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    over = threading.Event()
    published.thread.schedule(over.set)
    assert over.wait(WAIT_S)
    assert sorted(done) == [(who, what) for who in range(4) for what in range(2000)]
    for who in range(4):
        own = [what for of, what in done if of == who]
        assert own == sorted(own)


def test_one_wake_for_all_that_came_while_the_thread_was_busy(published: Published) -> None:
    busy, go_on, over = threading.Event(), threading.Event(), threading.Event()
    wakes: list[object] = []
    handle = published.thread._handle_event
    published.thread._event_puller.on_recv(lambda message: (wakes.append(message), handle(message)))
    published.thread.schedule(lambda: (busy.set(), go_on.wait(WAIT_S)))
    assert busy.wait(WAIT_S)
    for _ in range(500):
        published.thread.schedule(lambda: None)
    published.thread.schedule(over.set)
    go_on.set()
    assert over.wait(WAIT_S)
    assert len(wakes) == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_fails_keeps_nothing_back(published: Published, caplog: pytest.LogCaptureFixture) -> None:
    busy, go_on, over = threading.Event(), threading.Event(), threading.Event()
    published.thread.schedule(lambda: (busy.set(), go_on.wait(WAIT_S)))
    assert busy.wait(WAIT_S)
    published.thread.schedule(lambda: 1 / 0)
    published.thread.schedule(over.set)
    go_on.set()
    assert over.wait(WAIT_S)
    assert "ZeroDivisionError" in caplog.text


def test_what_is_held_goes_out_before_what_follows(published: Published) -> None:
    HeldSocket(published.thread).send_multipart([b"first"])
    published.thread.send_multipart([b"second"])
    assert [published.reader.recv_multipart() for _ in range(2)] == [[b"first"], [b"second"]]


class Slow(BoundedSession):
    """A session whose first message is long in the making."""

    def __init__(self) -> None:
        super().__init__(key=b"k")
        self.begun, self.go_on = threading.Event(), threading.Event()

    def send(self, *args: Any, **kwargs: Any) -> Any:
        if not self.begun.is_set():
            self.begun.set()
            self.go_on.wait(WAIT_S)
        return super().send(*args, **kwargs)


def test_text_flushed_by_two_threads_keeps_its_order(published: Published) -> None:
    """The cell's own thread sends at its end what is left, while the other is about to send what was."""
    slow = Slow()
    stream = CappedOutStream(slow, published.thread, "stdout", watchfd=False)
    stream.write("first ")
    published.thread.schedule(stream._flush)  # As its timer does.
    assert slow.begun.wait(WAIT_S)
    stream.write("second")
    own = threading.Thread(target=stream.flush)
    own.start()
    own.join(OVERTAKING_S)
    slow.go_on.set()
    own.join()
    assert "".join(published.texts("second")) == "first second"


@pytest.mark.parametrize("in_cell", [True, False])
def test_only_what_a_cell_flushes_itself_is_waited_for(published: Published, in_cell: bool) -> None:
    """Or a loop that prints would fill the memory of the kernel."""
    stream = CappedOutStream(published.session, published.thread, "stdout", watchfd=False)
    if in_cell:
        stream.begin_cell()
    busy, go_on = threading.Event(), threading.Event()
    published.thread.schedule(lambda: (busy.set(), go_on.wait(WAIT_S)))
    assert busy.wait(WAIT_S)
    stream.write("now")
    own = threading.Thread(target=stream.flush)
    own.start()
    own.join(OVERTAKING_S if in_cell else WAIT_S)
    assert own.is_alive() == in_cell
    go_on.set()
    own.join()
    assert published.texts("now") == ["now"]
