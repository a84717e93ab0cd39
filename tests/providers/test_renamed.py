"""What is told of names that were another kernel's: functions, members, and $variables of system calls."""

from __future__ import annotations

import pytest

from pystap import cli
from tests.support.kernels import available

CALLS = "  hint: a system call's arguments are variables without $ (-L with its alias lists them), its result is retval"


@pytest.mark.parametrize(
    ("script", "hint"),
    [
        ('probe kernel.function("do_fork") { exit() }', "  hint: it is kernel_clone in this kernel"),
        (
            'probe kernel.function("sys_read").return { exit() }',
            "  hint: since Linux 4.17 system calls have other functions: probe syscall.read, -L lists its variables",
        ),
        ('probe kernel.function("generic_make_request") { exit() }', "  hint: it is submit_bio_noacct in this kernel"),
        ("probe syscall.write { println($fd) }", CALLS),
        (
            'probe kernel.function("tcp_sendmsg") { println($sk->sk_state) }',
            "  hint: within struct sock there is ->__sk_common->skc_state",
        ),
        (
            'probe kernel.function("tcp_sendmsg") { println(@cast($sk, "inet_sock")->inet_daddr) }',
            "  hint: within struct inet_sock there is ->sk->__sk_common->skc_daddr",
        ),
        (
            'probe kernel.function("vfs_read") { println($file->f_dentry) }',
            "  hint: within struct file there is ->f_path->dentry",
        ),
        (
            'probe kernel.function("submit_bio") { println($bio->bi_sector) }',
            "  hint: within struct bio there is ->bi_iter->bi_sector",
        ),
        ("probe syscall.open.return { println($return) }", CALLS),
    ],
)
def test_what_to_write_instead(script: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    if available("6.1") is None:
        pytest.skip("no kernel 6.1")
    assert cli.main(["-p2", "-r", "6.1", "-e", script]) == 1
    assert hint in capsys.readouterr().err.splitlines()


def test_functions_that_only_got_a_suffix(capsys: pytest.CaptureFixture[str]) -> None:
    """Allocations are profiled since 6.10."""
    if available("6.12") is None:
        pytest.skip("no kernel 6.12")
    assert cli.main(["-p2", "-r", "6.12", "-e", 'probe kernel.function("__kmalloc") { exit() }']) == 1
    assert "  hint: it is __kmalloc_noprof in this kernel" in capsys.readouterr().err.splitlines()
