"""The kernel's counts: read off bytes whose meaning is known, and off a real connection."""

import socket
import struct
import sys

import pytest

from loadtests import tcp_info

ESTABLISHED, CLOSE_WAIT = 1, 8


def info(state, acked, received, segments_out=3, segments_in=4):
    return bytes([state]) + bytes(119) + struct.pack("@QQII", acked, received, segments_out, segments_in) + bytes(80)


@pytest.mark.parametrize(
    ("raw", "counts"),
    [
        (info(ESTABLISHED, 101, 50), (100, 50, 3, 4)),  # the SYN is among the acknowledged
        (info(ESTABLISHED, 0, 0), (0, 0, 3, 4)),
        (info(CLOSE_WAIT, 101, 51), (100, 50, 3, 4)),  # the peer's FIN is among the received
        (info(CLOSE_WAIT, 101, 51)[:144], (100, 50, 3, 4)),
        (info(ESTABLISHED, 101, 50)[:143], None),  # a kernel before 4.2
        (b"", None),
    ],
)
def test_counts_without_syn_and_fin(raw, counts):
    assert tcp_info.parse(raw) == counts


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="TCP_INFO is Linux's")
def test_a_real_connection():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
        with near:
            with far:
                near.sendall(b"x" * 10)
                assert far.recv(100) == b"x" * 10
                far.sendall(b"y" * 7)
                assert near.recv(100) == b"y" * 7
                assert tcp_info.read(near)[:2] == (10, 7)
                far.shutdown(socket.SHUT_WR)
                assert near.recv(100) == b""
                up, down, segments_up, segments_down = tcp_info.read(near)
            assert (up, down) == (10, 7)
            assert segments_up >= 3
            assert segments_down >= 3


def test_what_is_no_tcp_connection_has_no_counts():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        assert tcp_info.read(datagrams) is None


def test_no_counts_elsewhere(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert tcp_info.read(None) is None


def test_elsewhere_the_kernel_does_not_say(monkeypatch):
    monkeypatch.setattr(tcp_info.sys, "platform", "darwin")
    assert tcp_info.read(None) is None
    assert tcp_info.silent_ms(None) is None


def test_a_socket_that_is_closed_says_nothing():
    with socket.socket() as closed:
        pass
    assert tcp_info.read(closed) is None
    assert tcp_info.silent_ms(closed) is None
