// SPDX-License-Identifier: GPL-2.0-only
/*
 * disco-renew: runs in a guest and makes it another machine when it is cloned.
 *
 * A clone is a copy of a running guest's memory, so it has its source's host name,
 * MAC addresses and random numbers. discoctl clone sends what it is to have instead
 * over the virtio channel org.disco.renew.0, in lines:
 *
 *	name NAME		host name; what host names may not have becomes "-"
 *	mac OLD NEW		the interface with this address gets that one
 *	seed BYTES		random, in hexadecimal: for the kernel's generator
 *	end			answered with "ok", or with "error" and a reason
 *
 * The program waits asleep until a message comes, and goes on with the next one. It
 * needs no libraries and no other programs:
 *
 *	cc -O2 -static -o disco-renew renew.c
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/netlink.h>
#include <linux/random.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/ethernet.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHANNEL "org.disco.renew.0"
#define PORTS "/sys/class/virtio-ports/"
#define MAX_HOST_NAME 64
#define MAX_SEED 512
#define MAX_INTERFACE 1024

/* Opened ahead: a clone's first steps are slow, where it is emulated. */
static int net, generator;

/* What went wrong first since the last "end". */
static char wrong[128];

static void __attribute__((format(printf, 1, 2))) fail(const char *format, ...)
{
	va_list args;

	if (wrong[0])
		return;
	va_start(args, format);
	vsnprintf(wrong, sizeof(wrong), format, args);
	va_end(args);
}

static void set_name(char *name)
{
	size_t length = strnlen(name, MAX_HOST_NAME), i;

	for (i = 0; i < length; i++)
		if (!isalnum((unsigned char)name[i]) && name[i] != '.')
			name[i] = '-';
	if (!length || sethostname(name, length) < 0)
		fail("no host name: %s", strerror(length ? errno : EINVAL));
}

/* Most drivers can change the address of a running interface, some cannot. */
static bool change_address(struct ifreq *request)
{
	struct ifreq flags = *request;
	bool done;

	if (ioctl(net, SIOCSIFHWADDR, request) == 0)
		return true;
	if (errno != EBUSY || ioctl(net, SIOCGIFFLAGS, &flags) < 0)
		return false;
	flags.ifr_flags &= ~IFF_UP;
	if (ioctl(net, SIOCSIFFLAGS, &flags) < 0)
		return false;
	done = ioctl(net, SIOCSIFHWADDR, request) == 0;
	flags.ifr_flags |= IFF_UP;
	return ioctl(net, SIOCSIFFLAGS, &flags) == 0 && done;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 'a' ^ 'A';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads up to max bytes in hexadecimal; colons between them are skipped. */
static size_t read_hex(const char **text, unsigned char *bytes, size_t max)
{
	const char *at = *text;
	size_t length = 0;

	while (length < max && hex_digit(at[0]) >= 0 && hex_digit(at[1]) >= 0) {
		bytes[length++] = hex_digit(at[0]) << 4 | hex_digit(at[1]);
		at += 2;
		at += *at == ':';
	}
	*text = at;
	return length;
}

/*
 * Interfaces are looked for by number: to have the kernel list them takes as much
 * of a clone's first steps as all the rest.
 */
static bool find_interface(const unsigned char *address, struct ifreq *request)
{
	int number;

	for (number = 1; number <= MAX_INTERFACE; number++) {
		request->ifr_ifindex = number;
		if (ioctl(net, SIOCGIFNAME, request) == 0 && ioctl(net, SIOCGIFHWADDR, request) == 0 &&
		    request->ifr_hwaddr.sa_family == ARPHRD_ETHER &&
		    !memcmp(request->ifr_hwaddr.sa_data, address, ETH_ALEN))
			return true;
	}
	return false;
}

static void set_mac(const char *words)
{
	unsigned char old[ETH_ALEN], new[ETH_ALEN];
	struct ifreq request = { .ifr_flags = 0 };
	const char *at = words;

	if (read_hex(&at, old, ETH_ALEN) != ETH_ALEN || *at++ != ' ' ||
	    read_hex(&at, new, ETH_ALEN) != ETH_ALEN || *at) {
		fail("\"mac %.40s\" is not two addresses", words);
	} else if (!find_interface(old, &request)) {
		fail("no interface has the address %.17s", words);
	} else {
		memcpy(request.ifr_hwaddr.sa_data, new, ETH_ALEN);
		if (!change_address(&request))
			fail("%s: cannot change the address: %s", request.ifr_name, strerror(errno));
	}
}

/*
 * Credited, because what the host's generator gives is as good as it gets; and used
 * at once, because what the generator gives until then its source may give, too.
 */
static void set_seed(const char *hex)
{
	struct {
		struct rand_pool_info info;
		unsigned char bytes[MAX_SEED];
	} pool;
	size_t length = read_hex(&hex, pool.bytes, MAX_SEED);

	if (length < 32) {
		fail("the seed has less than 32 bytes");
		return;
	}
	pool.info.entropy_count = 8 * length;
	pool.info.buf_size = length;
	if (ioctl(generator, RNDADDENTROPY, &pool) < 0 || ioctl(generator, RNDRESEEDCRNG) < 0)
		fail("/dev/random: %s", strerror(errno));
	explicit_bzero(&pool, sizeof(pool));
}

static void answer(int port)
{
	char text[256] = "ok\n";
	int length = strlen(text);

	if (wrong[0])
		length = snprintf(text, sizeof(text), "error: %s\n", wrong);
	if (write(port, text, length) != length)
		perror("disco-renew: " CHANNEL);
	wrong[0] = 0;
}

static void obey(int port, char *line)
{
	if (!strncmp(line, "name ", 5))
		set_name(line + 5);
	else if (!strncmp(line, "mac ", 4))
		set_mac(line + 4);
	else if (!strncmp(line, "seed ", 5))
		set_seed(line + 5);
	else if (!strcmp(line, "end"))
		answer(port);
	else
		fail("\"%.40s\" is not known", line);
}

/* Opens the port of our name; -1 if there is none yet. */
static int open_port(void)
{
	char name[64], device[96];
	int port = -1;
	size_t i;
	FILE *file;
	glob_t all;

	if (glob(PORTS "*/name", 0, NULL, &all))
		return -1;
	for (i = 0; i < all.gl_pathc && port < 0; i++) {
		file = fopen(all.gl_pathv[i], "re");
		if (!file)
			continue;
		if (fgets(name, sizeof(name), file) && !strcmp(strtok(name, "\n") ?: "", CHANNEL) &&
		    sscanf(all.gl_pathv[i], PORTS "%40[^/]", name) == 1) {
			snprintf(device, sizeof(device), "/dev/%s", name);
			port = open(device, O_RDWR | O_CLOEXEC);
		}
		fclose(file);
	}
	globfree(&all);
	return port;
}

/* The kernel tells of ports when it finds them, which may be later. */
static int wait_port(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int events = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	char event[4096];
	int port;

	if (events < 0 || bind(events, (struct sockaddr *)&address, sizeof(address)) < 0)
		return open_port();
	while ((port = open_port()) < 0)
		if (recv(events, event, sizeof(event), 0) < 0 && errno != ENOBUFS && errno != EINTR)
			break;
	close(events);
	return port;
}

/*
 * A page of the program that is not there has to be read from the disk: a third of a
 * clone's first steps, and a source that has been running for long has few of them.
 */
static void stay_in_memory(void)
{
	if (mlockall(MCL_CURRENT) < 0)
		perror("disco-renew: mlockall");
}

/*
 * A clone goes on with what its source was doing, under its source's name, until the
 * message has been obeyed: so this comes before all programs. It hardly ever runs.
 */
static void come_first(void)
{
	struct sched_param lowest = { .sched_priority = 1 };

	if (sched_setscheduler(0, SCHED_FIFO, &lowest) < 0)
		perror("disco-renew: SCHED_FIFO");
}

int main(void)
{
	static char buffer[4096];
	size_t length = 0;
	sigset_t signals;
	int port;
	ssize_t got;
	char *end;

	net = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	generator = open("/dev/random", O_WRONLY | O_CLOEXEC);
	port = wait_port();
	/* Without a host at the other end a read ends at once; this tells of one. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGIO);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	if (port < 0 || fcntl(port, F_SETOWN, getpid()) < 0 || fcntl(port, F_SETFL, O_ASYNC) < 0) {
		fprintf(stderr, "disco-renew: no channel " CHANNEL ": %s\n", strerror(errno));
		return 1;
	}
	stay_in_memory();
	come_first();
	for (;;) {
		got = read(port, buffer + length, sizeof(buffer) - 1 - length);
		if (got <= 0) {
			/* A host that went away has left half a line at most. */
			length = 0;
			wrong[0] = 0;
			sigwaitinfo(&signals, NULL);
			continue;
		}
		length += got;
		buffer[length] = 0;
		while ((end = strchr(buffer, '\n'))) {
			*end = 0;
			obey(port, buffer);
			length -= end + 1 - buffer;
			memmove(buffer, end + 1, length + 1);
		}
		if (length == sizeof(buffer) - 1)
			length = 0;
	}
}
