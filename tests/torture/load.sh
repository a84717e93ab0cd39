#!/bin/sh
# What a busy small machine does, for SECONDS: files, pipes, processes, sockets of the loopback, memory, signals, timers.
end=$(($(date +%s) + ${1:-3}))
mkdir -p /tmp/load
while [ "$(date +%s)" -lt "$end" ]; do
	ls -lR /proc/self /sys/module /sys/kernel >/dev/null 2>&1
	dd if=/dev/urandom of=/tmp/load/a bs=4k count=64 2>/dev/null
	cp /tmp/load/a /tmp/load/b && mv /tmp/load/b /tmp/load/c && ln -s c /tmp/load/d && rm -f /tmp/load/?
	cat /proc/stat /proc/meminfo /proc/interrupts /proc/*/stat /proc/*/maps 2>/dev/null | sort | uniq -c | wc -l >/dev/null
	ping -c 1 -W 1 127.0.0.1 >/dev/null 2>&1
	(sleep 5 & kill -9 $!) 2>/dev/null
	mount -t tmpfs none /tmp/load 2>/dev/null && umount /tmp/load
done
