"""pystap: SystemTap-compatible probe scripts, compiled to kernel modules."""

__version__ = "0.1.0"
STAP_VERSION = "5.6"  # the language level that is spoken: what `--compatible` and systemtap_v compare with
