/* SPDX-License-Identifier: GPL-2.0 */
/*
 * netfilter.h: packets at the hooks of a protocol family, in every network
 * namespace. Handlers run with preemption off in softirq or process context,
 * and say by the context's verdict what becomes of the packet; a handler that
 * was refused lets it pass. Arming sleeps.
 */
#ifndef STAP_ENGINE_NETFILTER_H
#define STAP_ENGINE_NETFILTER_H

#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

struct stap_netfilter_site {
	struct stap_probe *probe;
	unsigned int hook;
	u8 family;
	int priority;
};

static const struct stap_netfilter_site stap_netfilter_sites[];
static const unsigned int stap_netfilter_count;

static struct nf_hook_ops *stap_netfilter_ops;
static bool *stap_netfilter_refused;	/* by a namespace: that was said */
static unsigned int stap_netfilter_id;	/* of what is kept with each namespace */

struct stap_netfilter_net {
	unsigned long *made;	/* the hooks that this namespace has, as bits */
};

/*
 * The verdicts that the kernel acts upon. It takes any other, NF_STOP and NF_REPEAT too, for
 * NF_STOLEN: nobody would have the packet then, and it would leak. Those let it pass.
 */
static unsigned int stap_netfilter_verdict(s64 verdict)
{
	switch (verdict) {
	case NF_DROP:
	case NF_QUEUE:
		return verdict;
	default:
		return NF_ACCEPT;
	}
}

static unsigned int stap_netfilter_hit(void *data, struct sk_buff *skb, const struct nf_hook_state *state)
{
	const struct stap_netfilter_site *site = data;
	struct stap_context *c = stap_enter(site->probe);
	unsigned int verdict;

	if (!c)
		return NF_ACCEPT;
	c->args[0] = state->hook;
	c->args[1] = (s64)skb;
	c->args[2] = (s64)state->in;
	c->args[3] = (s64)state->out;
	c->args[4] = (s64)state->okfn;
	c->verdict = NF_ACCEPT;
	site->probe->handler(c);
	verdict = stap_netfilter_verdict(c->verdict);
	stap_leave(c);
	return verdict;
}

static void stap_netfilter_refuse(unsigned int i, int error)
{
	if (stap_netfilter_refused[i])
		return;
	stap_netfilter_refused[i] = true;
	stap_session_message(STAP_ITEM_WARNING, "probe %s registration error [man warning::pass5] (rc %d)",
			     stap_netfilter_sites[i].probe->point, error);
}

/* A namespace comes, or is there already. It is not refused to whoever makes it because of probes. */
static int stap_netfilter_enter_net(struct net *net)
{
	struct stap_netfilter_net *own = net_generic(net, stap_netfilter_id);
	unsigned int i;
	int error;

	own->made = kcalloc(BITS_TO_LONGS(stap_netfilter_count), sizeof(long), GFP_KERNEL);
	for (i = 0; i < stap_netfilter_count; i++) {
		error = own->made ? nf_register_net_hook(net, &stap_netfilter_ops[i]) : -ENOMEM;
		if (error)
			stap_netfilter_refuse(i, error);
		else
			__set_bit(i, own->made);
	}
	return 0;
}

static void stap_netfilter_leave_net(struct net *net)
{
	struct stap_netfilter_net *own = net_generic(net, stap_netfilter_id);
	unsigned int i;

	for (i = 0; own->made && i < stap_netfilter_count; i++)
		if (test_bit(i, own->made))
			nf_unregister_net_hook(net, &stap_netfilter_ops[i]);
	kfree(own->made);
	own->made = NULL;
}

static struct pernet_operations stap_netfilter_nets = {
	.init = stap_netfilter_enter_net,
	.exit = stap_netfilter_leave_net,
	.id = &stap_netfilter_id,
	.size = sizeof(struct stap_netfilter_net),
};

static void stap_netfilter_free(void)
{
	kfree(stap_netfilter_ops);
	kfree(stap_netfilter_refused);
	stap_netfilter_ops = NULL;
	stap_netfilter_refused = NULL;
}

static int stap_netfilter_start(void)
{
	unsigned int i;
	int error = -ENOMEM;

	stap_netfilter_ops = kcalloc(stap_netfilter_count, sizeof(*stap_netfilter_ops), GFP_KERNEL);
	stap_netfilter_refused = kcalloc(stap_netfilter_count, sizeof(*stap_netfilter_refused), GFP_KERNEL);
	for (i = 0; stap_netfilter_ops && i < stap_netfilter_count; i++) {
		stap_netfilter_ops[i].hook = stap_netfilter_hit;
		stap_netfilter_ops[i].priv = (void *)&stap_netfilter_sites[i];
		stap_netfilter_ops[i].pf = stap_netfilter_sites[i].family;
		stap_netfilter_ops[i].hooknum = stap_netfilter_sites[i].hook;
		stap_netfilter_ops[i].priority = stap_netfilter_sites[i].priority;
	}
	if (stap_netfilter_ops && stap_netfilter_refused)
		error = register_pernet_subsys(&stap_netfilter_nets);
	if (error)
		stap_netfilter_free();
	return error;
}

static void stap_netfilter_stop(void)
{
	unregister_pernet_subsys(&stap_netfilter_nets);
	synchronize_net();
	stap_netfilter_free();
}

#endif
