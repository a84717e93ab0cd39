/*
 * Makes and shows packets.
 *
 *   net sniff                 each packet of all devices: device, in or out, Ethernet type, bytes after its header
 *   net serve ADDR PORT       takes connections and answers each with what it says, or datagrams (PORT/udp)
 *   net tcp ADDR PORT BYTES   connects, sends BYTES bytes and one urgent one, reads them back, says its own port
 *   net udp ADDR PORT BYTES   sends one datagram of BYTES bytes, waits for the answer
 *   net full ADDR PORT        listens, and connects more often than it will accept; breaks one connection off
 *   net frame DEVICE HEX      sends a whole Ethernet frame
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char bytes[65536];

union any {
	struct sockaddr any;
	struct sockaddr_in four;
	struct sockaddr_in6 six;
};

static socklen_t address(union any *to, const char *text, int port)
{
	memset(to, 0, sizeof(*to));
	if (strchr(text, ':')) {
		to->six.sin6_family = AF_INET6;
		to->six.sin6_port = htons(port);
		if (inet_pton(AF_INET6, text, &to->six.sin6_addr) != 1)
			errx(1, "%s", text);
		return sizeof(to->six);
	}
	to->four.sin_family = AF_INET;
	to->four.sin_port = htons(port);
	if (inet_pton(AF_INET, text, &to->four.sin_addr) != 1)
		errx(1, "%s", text);
	return sizeof(to->four);
}

static int port_of(const union any *address)
{
	return ntohs(address->any.sa_family == AF_INET6 ? address->six.sin6_port : address->four.sin_port);
}

static void sniff(void)
{
	int all = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL));
	int size = 4 << 20;

	if (all < 0)
		err(1, "packet socket");
	setsockopt(all, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct sockaddr_ll from;
		socklen_t length = sizeof(from);
		char name[IF_NAMESIZE] = "";
		ssize_t count = recvfrom(all, bytes, sizeof(bytes), MSG_TRUNC, (struct sockaddr *)&from, &length);

		if (count < 0)
			err(1, "recvfrom");
		if_indextoname(from.sll_ifindex, name);
		printf("%s %s %04x ", name, from.sll_pkttype == PACKET_OUTGOING ? "out" : "in", ntohs(from.sll_protocol));
		for (ssize_t k = 0; k < count; k++)
			printf("%02x", (unsigned char)bytes[k]);
		puts("");
		fflush(stdout);
	}
}

static void serve(const char *where, const char *port)
{
	int datagrams = strstr(port, "/udp") != NULL;
	union any own, peer;
	socklen_t length = address(&own, where, atoi(port)), size;
	int on = 1, s = socket(own.any.sa_family, datagrams ? SOCK_DGRAM : SOCK_STREAM, 0);

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(s, &own.any, length) || (!datagrams && listen(s, 5)))
		err(1, "%s %s", where, port);
	puts("ready");
	fflush(stdout);
	for (;;) {
		size = sizeof(peer);
		if (datagrams) {
			ssize_t n = recvfrom(s, bytes, sizeof(bytes), 0, &peer.any, &size);

			sendto(s, bytes, n, 0, &peer.any, size);
		} else {
			int c = accept(s, &peer.any, &size);
			ssize_t n;

			setsockopt(c, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
			while ((n = read(c, bytes, sizeof(bytes))) > 0)
				if (write(c, bytes, n) != n)
					break;
			close(c);
		}
	}
}

static void talk(int type, const char *where, const char *port, const char *count)
{
	union any peer, own;
	socklen_t length = address(&peer, where, atoi(port)), size = sizeof(own);
	int s = socket(peer.any.sa_family, type, 0), on = 1, want = atoi(count), got = 0;
	struct pollfd wait = {s, POLLIN, 0};

	memset(bytes, 'x', want);
	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, type == SOCK_STREAM ? sizeof(on) : 0);
	if (connect(s, &peer.any, length)) {
		warn("connect");
		return;
	}
	getsockname(s, &own.any, &size);
	if (send(s, bytes, want, 0) != want)
		err(1, "send");
	if (type == SOCK_STREAM) {
		send(s, "!", 1, MSG_OOB);
		want++;
	}
	while (got < want && poll(&wait, 1, type == SOCK_STREAM ? 2000 : 300) == 1) {
		ssize_t n = recv(s, bytes, sizeof(bytes), 0);

		if (n <= 0)
			break;
		got += n;
	}
	printf("%d %d %d\n", port_of(&own), want, got);
	if (type == SOCK_STREAM)
		usleep(60000);	/* the last acknowledgement is put off for 40 ms */
	close(s);
}

static void full(const char *where, const char *port)
{
	struct linger now = {1, 0};
	union any own;
	socklen_t length = address(&own, where, atoi(port));
	int on = 1, s = socket(own.any.sa_family, SOCK_STREAM, 0), taken;

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(s, &own.any, length) || listen(s, 1))
		err(1, "%s %s", where, port);
	for (int k = 0; k < 4; k++) {
		int c = socket(own.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);

		connect(c, &own.any, length);
		usleep(10000);
	}
	taken = accept(s, NULL, NULL);
	setsockopt(taken, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(taken);
}

static void frame(const char *device, const char *text)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(device)};
	int s = socket(AF_PACKET, SOCK_RAW, 0), count = 0, taken;

	while (sscanf(text, "%2hhx%n", (unsigned char *)&bytes[count], &taken) == 1) {
		text += taken;
		count++;
	}
	if (sendto(s, bytes, count, 0, (struct sockaddr *)&to, sizeof(to)) != count)
		err(1, "%s", device);
}

int main(int argc, char **argv)
{
	if (argc == 2)
		sniff();
	else if (!strcmp(argv[1], "serve"))
		serve(argv[2], argv[3]);
	else if (!strcmp(argv[1], "frame"))
		frame(argv[2], argv[3]);
	else if (!strcmp(argv[1], "full"))
		full(argv[2], argv[3]);
	else
		talk(strcmp(argv[1], "udp") ? SOCK_STREAM : SOCK_DGRAM, argv[2], argv[3], argv[4]);
	return 0;
}
