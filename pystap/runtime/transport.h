/* SPDX-License-Identifier: GPL-2.0 */
/*
 * transport.h: output records into per-CPU relay buffers, read through procfs.
 * stap_transport_write() may run in any context, NMI included: it never
 * sleeps, locks or waits; interrupts are off while it copies. A record that
 * does not fit is counted as lost and leaves no gap in the sequence. Readers
 * see whole records only: what is written is published in one word, and
 * nothing is overwritten before it is read, but for a flight recorder's.
 * Reading sleeps, under a mutex that writers never take. Opening and closing
 * happen in process context at module load and unload.
 */
#ifndef STAP_TRANSPORT_H
#define STAP_TRANSPORT_H

#include "limits.h"
#include "memory.h"

enum {
	/* the longest record, header included: a context's buffer full but for one byte, and the script's longest item */
	STAP_SUBBUF_BYTES = STAP_MAX(64 << 10, (STP_BUFFER_SIZE + STAP_LARGEST_ITEM + 0x1fff) & ~0xfff),
	STAP_SUBBUF_LEAST = 6,		/* sub-buffers per CPU */
	STAP_BUFFER_DEFAULT_MB = 16,	/* over all CPUs */
	STAP_BUFFER_MEMORY_SHARE = 32,	/* at most 1/32 of the memory, unless asked for */
	STAP_BUFFER_LIMIT_MB = 4095,
};

/* A position in a CPU's output: sub-buffers since the beginning, and the offset in that one. */
struct stap_position {
	u64 subbuf;
	size_t offset;
};

struct stap_transport_cpu {
	u64 written;		/* how far the reader may go: see stap_position_word() */
	struct stap_position read;	/* how far it went; stap_transport_reading */
	u64 lost_records;
	u64 lost_bytes;
	u32 writing;		/* an NMI must not write into the record it interrupted */
};

static DEFINE_PER_CPU(struct stap_transport_cpu, stap_transport_cpus);
static atomic64_t stap_transport_sequence = ATOMIC64_INIT(0);
static struct rchan *stap_transport_channel;
static bool stap_transport_overwrite;	/* a flight recorder: nobody reads, and the newest is worth most */

static unsigned int stap_buffer_mb;
module_param_named(_buffer_mb, stap_buffer_mb, uint, 0444);
MODULE_PARM_DESC(_buffer_mb, "output buffers over all CPUs, in MB (0: by the machine's memory)");

/*
 * In one word: relay's own reader looks at sub-buffer, offset and padding one
 * after the other while a writer on another CPU changes them, and takes what
 * is not written yet for output.
 */
static inline u64 stap_position_word(u64 subbuf, size_t offset)
{
	return subbuf << 32 | offset;
}

/*
 * Whether `length` more bytes fit. relay is never asked for more than it has:
 * one sub-buffer stays free, and another is kept for urgent records.
 */
static inline bool stap_transport_room(const struct rchan_buf *buf, size_t length, bool urgent)
{
	const struct rchan *chan = buf->chan;
	size_t pending;

	if (buf->offset + length <= chan->subbuf_size)
		return true;
	if (length > chan->subbuf_size)
		return false;
	if (unlikely(READ_ONCE(stap_transport_overwrite)))
		return true;
	pending = buf->subbufs_produced + 1 - smp_load_acquire(&buf->subbufs_consumed);
	return pending + (urgent ? 1 : 2) <= chan->n_subbufs - 1;
}

/* What could not even be made is lost like what does not fit. */
static void stap_transport_lose(size_t bytes)
{
	struct stap_transport_cpu *cpu;
	unsigned long flags;

	local_irq_save(flags);
	cpu = this_cpu_ptr(&stap_transport_cpus);
	cpu->lost_records++;
	cpu->lost_bytes += bytes;
	local_irq_restore(flags);
}

/*
 * Sends one record: its header is at the front of the caller's buffer and its
 * `length` says how many bytes of items follow. Urgent ones (errors, warnings,
 * commands) still fit when plain output does not any more.
 */
static bool stap_transport_write(struct stap_record *record, bool urgent)
{
	size_t size = sizeof(*record) + record->length;
	struct stap_transport_cpu *cpu;
	struct rchan_buf *buf;
	unsigned long flags;
	bool written = false;

	local_irq_save(flags);
	cpu = this_cpu_ptr(&stap_transport_cpus);
	buf = *this_cpu_ptr(stap_transport_channel->buf);
	if (likely(buf && !cpu->writing && stap_transport_room(buf, size, urgent))) {
		cpu->writing = 1;
		barrier();
		record->magic = STAP_RECORD_MAGIC;
		record->cpu = smp_processor_id();
		record->sequence = atomic64_inc_return(&stap_transport_sequence);
		__relay_write(stap_transport_channel, record, size);
		smp_store_release(&cpu->written, stap_position_word(buf->subbufs_produced, buf->offset));
		barrier();
		cpu->writing = 0;
		written = true;
	} else {
		cpu->lost_records++;
		cpu->lost_bytes += record->length;
	}
	local_irq_restore(flags);
	return written;
}

/*
 * relay asks for files; ours are in procfs, made by stap_transport_open(). It
 * takes NULL for a failure, and does not look into what it gets for a channel
 * without a file name.
 */
static struct dentry *stap_relay_create(const char *name, struct dentry *parent, umode_t mode,
					struct rchan_buf *buf, int *is_global)
{
	return (struct dentry *)buf;
}

static int stap_relay_remove(struct dentry *dentry)
{
	return 0;
}

static int stap_relay_subbuf_start(struct rchan_buf *buf, void *subbuf, void *previous STAP_RELAY_PADDING)
{
	return READ_ONCE(stap_transport_overwrite) || !relay_buf_full(buf);
}

static STAP_RELAY_CONST struct rchan_callbacks stap_relay_callbacks = {
	.subbuf_start = stap_relay_subbuf_start,
	.create_buf_file = stap_relay_create,
	.remove_buf_file = stap_relay_remove,
};

/* The buffer that the file's CPU has, held as relay's own files hold it. */
static int stap_trace_open(struct inode *inode, struct file *file)
{
	unsigned int cpu = (unsigned long)pde_data(inode);
	struct rchan_buf *buf = *per_cpu_ptr(stap_transport_channel->buf, cpu);

	if (!buf)
		return -ENXIO;	/* that CPU was never online */
	kref_get(&buf->kref);
	file->private_data = buf;
	return nonseekable_open(inode, file);
}

static int stap_trace_release(struct inode *inode, struct file *file)
{
	return relay_file_operations.release(inode, file);
}

static DEFINE_MUTEX(stap_transport_reading);

/* Bytes of whole records from the reader's place on, in one sub-buffer: the next one if this is read. */
static size_t stap_trace_available(const struct rchan_buf *buf, struct stap_transport_cpu *cpu)
{
	u64 written = smp_load_acquire(&cpu->written);
	struct stap_position *at = &cpu->read;

	while (at->subbuf < written >> 32) {
		/* the writer has left it, so its padding stands */
		size_t end = buf->chan->subbuf_size - buf->padding[at->subbuf % buf->chan->n_subbufs];

		if (at->offset < end)
			return end - at->offset;
		*at = (struct stap_position){ .subbuf = at->subbuf + 1 };
	}
	return (u32)written - at->offset;
}

static ssize_t stap_trace_copy(struct rchan_buf *buf, char __user *to, size_t count)
{
	struct stap_transport_cpu *cpu = per_cpu_ptr(&stap_transport_cpus, buf->cpu);
	struct stap_position *at = &cpu->read;
	size_t part, done = 0;

	while (done < count && (part = min(count - done, stap_trace_available(buf, cpu))) > 0) {
		const char *from = buf->start + (at->subbuf % buf->chan->n_subbufs) * buf->chan->subbuf_size + at->offset;

		if (copy_to_user(to + done, from, part))
			return done ? done : -EFAULT;
		at->offset += part;
		done += part;
		smp_store_release(&buf->subbufs_consumed, at->subbuf);
	}
	return done;
}

static ssize_t stap_trace_read(struct file *file, char __user *to, size_t count, loff_t *at)
{
	ssize_t got;

	mutex_lock(&stap_transport_reading);
	got = stap_trace_copy(file->private_data, to, count);
	mutex_unlock(&stap_transport_reading);
	return got;
}

static const struct proc_ops stap_trace_ops = {
	.proc_open = stap_trace_open,
	.proc_release = stap_trace_release,
	.proc_read = stap_trace_read,
	.proc_lseek = noop_llseek,
};

/* Sub-buffers per CPU: what was asked for, else 16 MB over all CPUs or what a small machine can spare. */
static size_t stap_transport_subbufs(void)
{
	u64 total = (u64)STAP_BUFFER_DEFAULT_MB << 20;
	u64 spare = ((u64)totalram_pages() << PAGE_SHIFT) / STAP_BUFFER_MEMORY_SHARE;

	if (stap_buffer_mb)
		total = (u64)min_t(unsigned int, stap_buffer_mb, STAP_BUFFER_LIMIT_MB) << 20;
	else if (total > spare)
		total = spare;
	return max_t(u64, STAP_SUBBUF_LEAST, div_u64(total, num_online_cpus() * STAP_SUBBUF_BYTES));
}

static int stap_transport_open(struct proc_dir_entry *directory)
{
	size_t subbufs = stap_transport_subbufs();
	unsigned int cpu;
	char name[16];

	if (!stap_memory_fits((u64)subbufs * STAP_SUBBUF_BYTES * num_online_cpus()))
		return -ENOMEM;
	stap_transport_channel = relay_open(NULL, NULL, STAP_SUBBUF_BYTES, subbufs, &stap_relay_callbacks, NULL);
	if (!stap_transport_channel)
		return -ENOMEM;
	for_each_possible_cpu(cpu) {
		snprintf(name, sizeof(name), "trace%u", cpu);
		if (!proc_create_data(name, 0400, directory, &stap_trace_ops, (void *)(unsigned long)cpu))
			return -ENOMEM;
	}
	return 0;
}

/* The files are gone already: the session removes their directory first. */
static void stap_transport_close(void)
{
	if (stap_transport_channel)
		relay_close(stap_transport_channel);
	stap_transport_channel = NULL;
}

/* Nobody reads any more, until stap_transport_keep(). */
static void stap_transport_record(void)
{
	WRITE_ONCE(stap_transport_overwrite, true);
}

/*
 * A reader comes: from now on nothing is replaced any more. Its place is set
 * to the oldest sub-buffer that is whole.
 */
static void stap_transport_keep(void)
{
	unsigned int cpu;

	if (!stap_transport_overwrite)
		return;
	WRITE_ONCE(stap_transport_overwrite, false);
	synchronize_rcu();	/* writers have interrupts off: those that saw it true are done */
	mutex_lock(&stap_transport_reading);
	for_each_possible_cpu(cpu) {
		struct rchan_buf *buf = *per_cpu_ptr(stap_transport_channel->buf, cpu);
		struct stap_position *at = &per_cpu_ptr(&stap_transport_cpus, cpu)->read;
		size_t whole = stap_transport_channel->n_subbufs - 2;

		if (buf && buf->subbufs_produced - at->subbuf > whole) {
			*at = (struct stap_position){ .subbuf = buf->subbufs_produced - whole };
			smp_store_release(&buf->subbufs_consumed, at->subbuf);
		}
	}
	mutex_unlock(&stap_transport_reading);
}

static void stap_transport_report(struct stap_status *status)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		const struct stap_transport_cpu *lost = per_cpu_ptr(&stap_transport_cpus, cpu);

		status->lost_records += READ_ONCE(lost->lost_records);
		status->lost_bytes += READ_ONCE(lost->lost_bytes);
	}
	status->buffer_bytes = stap_transport_channel->alloc_size;
	status->cpus = nr_cpu_ids;
}

#endif
