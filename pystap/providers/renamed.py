"""Kernel functions that scripts know by the names they had: what stands for them in a newer kernel, for hints."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pystap.target import Target

_SYSTEM_CALL = re.compile(r"(?:sys|SyS|compat_sys|compat_SyS|__do_sys|__se_sys)_(\w+)$")

# The later names in the order of their age; the kernel has one of them, or none.
_LATER = {
    "__alloc_pages_nodemask": ("__alloc_pages", "__alloc_pages_noprof"),
    "__do_page_fault": ("exc_page_fault", "handle_mm_fault"),
    "__generic_file_aio_write": ("__generic_file_write_iter",),
    "__rcu_process_callbacks": ("rcu_core",),
    "_do_fork": ("kernel_clone",),
    "account_page_dirtied": ("folio_account_dirtied",),
    "add_to_page_cache_lru": ("filemap_add_folio",),
    "add_to_page_cache_locked": ("__filemap_add_folio",),
    "blk_account_io_completion": ("blk_update_request",),
    "blk_finish_request": ("blk_mq_end_request",),
    "blk_start_request": ("blk_mq_start_request",),
    "delete_from_page_cache": ("filemap_remove_folio",),
    "do_fork": ("kernel_clone",),
    "do_generic_file_read": ("filemap_read",),
    "do_page_fault": ("exc_page_fault", "handle_mm_fault"),
    "do_sync_read": ("new_sync_read", "vfs_read"),
    "do_sync_write": ("new_sync_write", "vfs_write"),
    "generic_file_aio_read": ("generic_file_read_iter",),
    "generic_file_aio_write": ("generic_file_write_iter",),
    "generic_file_buffered_read": ("filemap_read",),
    "generic_make_request": ("submit_bio_noacct",),
    "kfree_skb": ("kfree_skb_reason", "sk_skb_reason_drop"),
    "mark_page_accessed": ("folio_mark_accessed",),
    "nf_iterate": ("nf_hook_slow",),
    "oom_kill_task": ("oom_kill_process",),
    "path_lookup": ("filename_lookup",),
    "probe_kernel_read": ("copy_from_kernel_nofault",),
    "send_signal": ("send_signal_locked",),
    "swap_readpage": ("swap_read_folio",),
}


def instead_of(target: Target, name: str) -> str:
    """A hint for a function that this kernel has not; "" where nothing is known of it."""
    call = _SYSTEM_CALL.match(name)
    if call is not None:
        return f"since Linux 4.17 system calls have other functions: probe syscall.{call[1]}, -L lists its variables"
    symbols = target.symbols()
    for later in (*_LATER.get(name, ()), f"{name}_noprof"):
        if symbols.lookup(later):
            return f"it is {later} in this kernel"
    return ""
