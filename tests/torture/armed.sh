#!/bin/sh
# Leaves in /tmp/armed how many places of the kernel are armed: calls of ftrace, and breakpoints.
calls=$(wc -l < /sys/kernel/tracing/enabled_functions)
breakpoints=$(grep -vc FTRACE /sys/kernel/debug/kprobes/list)
echo $((calls + breakpoints)) > /tmp/armed
