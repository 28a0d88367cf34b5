import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.execute.frames import FrameDecoder, FrameSocket, encode

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(st.lists(json_values, max_size=6), st.integers(1, 9))
def test_values_survive_however_the_bytes_are_cut(values, piece):
    data = b"".join(map(encode, values))
    decoder = FrameDecoder()
    read = []
    for start in range(0, len(data), piece):
        read.extend(decoder.feed(data[start : start + piece]))
    assert read == values


def test_an_incomplete_frame_yields_nothing():
    assert list(FrameDecoder().feed(encode("x" * 100)[:-1])) == []


def test_lone_surrogates_survive():
    assert list(FrameDecoder().feed(encode("a\ud800b"))) == ["a\ud800b"]


def test_what_json_does_not_know_travels_as_text(tmp_path):
    assert list(FrameDecoder().feed(encode({"path": tmp_path}))) == [{"path": str(tmp_path)}]


def test_descriptors_travel_with_a_value():
    left, right = (FrameSocket(sock) for sock in socket.socketpair())
    read_fd, write_fd = os.pipe()
    left.send({"big": "x" * 10}, (write_fd,))
    os.close(write_fd)
    values, closed = right.receive_with_fds()
    assert values == [{"big": "x" * 10}]
    assert not closed
    os.write(right.fds[0], b"hello")
    os.close(right.fds.popleft())
    assert os.read(read_fd, 10) == b"hello"
    os.close(read_fd)
    left.close()
    assert right.receive_with_fds() == ([], True)
    right.close()


def test_a_closed_socket_says_so():
    left, right = (FrameSocket(sock) for sock in socket.socketpair())
    left.send("last words")
    left.close()
    assert right.receive() == (["last words"], False)
    assert right.receive() == ([], True)
    right.close()
