/* SPDX-License-Identifier: GPL-2.0 */
/*
 * procfs.h: files under /proc/systemtap/MODULE/. Who opens one has a buffer of
 * its own; the first read runs the handler that fills it, each write runs the
 * handler that gets what was written. Handlers run in the task that reads or
 * writes, preemption off, with the text bound to the CPU (text_value.h). Arming
 * sleeps. Removing a file waits for whoever is inside it.
 */
#ifndef STAP_ENGINE_PROCFS_H
#define STAP_ENGINE_PROCFS_H

#include "../text_value.h"

#ifndef STP_PROCFS_BUFSIZE
#define STP_PROCFS_BUFSIZE MAXSTRINGLEN
#endif

struct stap_procfs_site {
	struct stap_probe *probe;
	const char *path;
	bool write;
	umode_t mode;
	u32 size;	/* 0: STP_PROCFS_BUFSIZE */
};

static const struct stap_procfs_site stap_procfs_sites[];
static const unsigned int stap_procfs_count;

/* One open file: a site for each direction that was asked for. */
struct stap_procfs_open {
	struct mutex lock;
	const struct stap_procfs_site *read, *write;
	struct stap_text_value value;
	bool filled;
};

static const struct stap_procfs_site *stap_procfs_find(const char *path, bool write)
{
	unsigned int i;

	for (i = 0; i < stap_procfs_count; i++)
		if (stap_procfs_sites[i].write == write && !strcmp(stap_procfs_sites[i].path, path))
			return &stap_procfs_sites[i];
	return NULL;
}

static u32 stap_procfs_size(const struct stap_procfs_site *site)
{
	return site && site->size ? site->size + 1 : STP_PROCFS_BUFSIZE;
}

static int stap_procfs_open(struct inode *inode, struct file *file)
{
	const struct stap_procfs_site *site = pde_data(inode);
	struct stap_procfs_open *o = kzalloc(sizeof(*o), GFP_KERNEL_ACCOUNT);

	if (!o)
		return -ENOMEM;
	mutex_init(&o->lock);
	o->read = stap_procfs_find(site->path, false);
	o->write = stap_procfs_find(site->path, true);
	o->value.size = max_t(u32, stap_procfs_size(o->read), STP_PROCFS_BUFSIZE);
	o->value.text = kvzalloc(o->value.size, GFP_KERNEL_ACCOUNT);	/* the memory is the opener's */
	if (!o->value.text) {
		kfree(o);
		return -ENOMEM;
	}
	file->private_data = o;
	return 0;
}

static int stap_procfs_release(struct inode *inode, struct file *file)
{
	struct stap_procfs_open *o = file->private_data;

	kvfree(o->value.text);
	kfree(o);
	return 0;
}

/*
 * Runs the handlers of one direction, in order, on one text. -EAGAIN: none of
 * them was served, as the session is not running.
 */
static int stap_procfs_run(const struct stap_procfs_site *first, struct stap_procfs_open *o)
{
	const struct stap_procfs_site *site;
	int error = -EAGAIN;

	for (site = first; site < stap_procfs_sites + stap_procfs_count; site++) {
		struct stap_context *c;

		if (site->write != first->write || strcmp(site->path, first->path))
			continue;
		c = stap_enter_for(site->probe, STAP_STATE_RUNNING, true);	/* the runner passes on what is typed */
		if (!c)
			continue;
		stap_text_value_run(c, &o->value);
		stap_leave(c);
		error = 0;
	}
	return error;
}

static ssize_t stap_procfs_read(struct file *file, char __user *to, size_t count, loff_t *at)
{
	struct stap_procfs_open *o = file->private_data;
	ssize_t done = 0;

	if (!o->read)
		return -EBADF;
	mutex_lock(&o->lock);
	if (!o->filled || !*at) {
		o->value.length = 0;
		o->value.text[0] = '\0';
		done = stap_procfs_run(o->read, o);
		o->filled = !done;
	}
	if (!done)
		done = simple_read_from_buffer(to, count, at, o->value.text, o->value.length);
	mutex_unlock(&o->lock);
	return done;
}

static ssize_t stap_procfs_write(struct file *file, const char __user *from, size_t count, loff_t *at)
{
	struct stap_procfs_open *o = file->private_data;
	ssize_t done;

	if (!o->write)
		return -EBADF;
	count = min_t(size_t, count, STP_PROCFS_BUFSIZE - 1);
	mutex_lock(&o->lock);
	o->filled = false;
	o->value.length = 0;
	if (copy_from_user(o->value.text, from, count)) {
		done = -EFAULT;
	} else {
		o->value.text[count] = '\0';
		o->value.length = count;
		done = stap_procfs_run(o->write, o);
	}
	mutex_unlock(&o->lock);
	if (done)
		return done;
	*at += count;
	return count;
}

static const struct proc_ops stap_procfs_ops = {
	.proc_open = stap_procfs_open,
	.proc_release = stap_procfs_release,
	.proc_read = stap_procfs_read,
	.proc_write = stap_procfs_write,
	.proc_lseek = default_llseek,
};

/* Whether an earlier site has the first `length` bytes of this one's path as its own directory, or all of it. */
static bool stap_procfs_made(unsigned int site, size_t length)
{
	const char *path = stap_procfs_sites[site].path;
	char last = path[length];
	unsigned int i;

	for (i = 0; i < site; i++)
		if (!strncmp(stap_procfs_sites[i].path, path, length) && stap_procfs_sites[i].path[length] == last)
			return true;
	return false;
}

static int stap_procfs_directories(unsigned int site)
{
	const char *path = stap_procfs_sites[site].path;
	const char *slash;

	for (slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		char *name;
		bool made;

		if (stap_procfs_made(site, slash - path))
			continue;
		name = kstrndup(path, slash - path, GFP_KERNEL);
		if (!name)
			return -ENOMEM;
		made = proc_mkdir(name, stap_proc_dir);
		kfree(name);
		if (!made)
			return -ENOMEM;
	}
	return 0;
}

static int stap_procfs_create(unsigned int i)
{
	const struct stap_procfs_site *site = &stap_procfs_sites[i];
	const struct stap_procfs_site *other = stap_procfs_find(site->path, !site->write);
	umode_t mode = site->mode | (other ? other->mode : 0);
	int error = stap_procfs_directories(i);

	if (error || stap_procfs_made(i, strlen(site->path)))
		return error;
	return proc_create_data(site->path, mode, stap_proc_dir, &stap_procfs_ops, (void *)site) ? 0 : -ENOMEM;
}

/* A directory goes with all that is in it: each first part of a path is removed once. */
static void stap_procfs_remove(unsigned int count)
{
	while (count-- > 0) {
		const char *path = stap_procfs_sites[count].path;
		char *name = kstrndup(path, strcspn(path, "/"), GFP_KERNEL);

		if (name)
			remove_proc_subtree(name, stap_proc_dir);
		kfree(name);
	}
}

static int stap_procfs_start(void)
{
	unsigned int i;
	int error;

	for (i = 0; i < stap_procfs_count; i++) {
		error = stap_procfs_create(i);
		if (error) {
			stap_procfs_remove(i + 1);
			return error;
		}
	}
	return 0;
}

static void stap_procfs_stop(void)
{
	stap_procfs_remove(stap_procfs_count);
}

#endif
