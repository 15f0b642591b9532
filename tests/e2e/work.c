// SPDX-License-Identifier: GPL-2.0-only
/* The program that the guests of the demo compile and run. */
int printf(const char *format, ...);

static char composite[200000];

int main(void)
{
	int i, j, primes = 0;

	for (i = 2; i < 200000; i++) {
		if (composite[i])
			continue;
		primes++;
		for (j = 2 * i; j < 200000; j += i)
			composite[j] = 1;
	}
	printf("%d primes below 200000\n", primes);
	return primes != 17984;
}
