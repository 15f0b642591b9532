// SPDX-License-Identifier: GPL-2.0-only
/*
 * The small cases of the guest's benchmark, one static MIPS program:
 *
 *   guest random      read and write words all over 16 MiB
 *   guest chase       follow pointers, one per page, over 16 MiB
 *   guest pipe        two processes pass a byte to and fro
 *   guest forkexec    fork, exec this program with "true", wait
 *   guest true        nothing
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define BYTES	(16u << 20)
#define PAGE	4096u

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint32_t next(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

static uint32_t *memory(void)
{
	uint32_t *m = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (m == MAP_FAILED)
		die("mmap");
	return m;
}

static void random_access(void)
{
	uint32_t *m = memory(), x = 1, sum = 0;

	for (int i = 0; i < 3000000; i++) {
		uint32_t at = next(&x) % (BYTES / sizeof(*m));

		sum += m[at];
		m[at] = sum ^ x;
	}
	printf("random %08x\n", sum);
}

static void chase(void)
{
	uint32_t pages = BYTES / PAGE, x = 7, at = 0;
	uint32_t *m = memory(), *order = malloc(pages * sizeof(*order));

	if (!order)
		die("malloc");
	for (uint32_t i = 0; i < pages; i++)
		order[i] = i;
	for (uint32_t i = pages - 1; i > 0; i--) {
		uint32_t j = next(&x) % i, t = order[i];

		order[i] = order[j];
		order[j] = t;
	}
	for (uint32_t i = 0; i < pages; i++)
		m[order[i] * (PAGE / 4) + order[i] % 1024] = order[(i + 1) % pages];
	for (int i = 0; i < 3000000; i++)
		at = m[at * (PAGE / 4) + at % 1024];
	printf("chase %08x\n", at);
}

static void ping_pong(void)
{
	int there[2], back[2];
	char c = 0;

	if (pipe(there) || pipe(back))
		die("pipe");
	switch (fork()) {
	case -1:
		die("fork");
		break;
	case 0:
		close(there[1]);
		while (read(there[0], &c, 1) == 1) {
			c++;
			if (write(back[1], &c, 1) != 1)
				_exit(1);
		}
		_exit(0);
	}
	close(there[0]);
	for (int i = 0; i < 10000; i++)
		if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1)
			die("pipe");
	close(there[1]);
	wait(NULL);
	printf("pipe %02x\n", (unsigned char)c);
}

static void fork_exec(char *self)
{
	int done = 0, status;

	for (int i = 0; i < 200; i++) {
		switch (fork()) {
		case -1:
			die("fork");
			break;
		case 0:
			execl(self, self, "true", NULL);
			_exit(127);
		}
		if (wait(&status) < 0)
			die("wait");
		done += status == 0;
	}
	printf("forkexec %d\n", done);
}

int main(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "";

	if (!strcmp(what, "random")) {
		random_access();
	} else if (!strcmp(what, "chase")) {
		chase();
	} else if (!strcmp(what, "pipe")) {
		ping_pong();
	} else if (!strcmp(what, "forkexec")) {
		fork_exec(argv[0]);
	} else if (strcmp(what, "true")) {
		fprintf(stderr, "usage: guest random|chase|pipe|forkexec|true\n");
		return 2;
	}
	return 0;
}
