// SPDX-License-Identifier: GPL-2.0-only
/*
 * Floating point, printed so that two runs on different CPUs can be compared
 * bit by bit; then the same in threads, which move between processors in the
 * middle of it: each has to get what the first got.
 *
 *   float THREADS
 */
#include <fenv.h>
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 40000

static const double values[] = {
	0.0, -0.0, 1.0, -1.0, 0.1, 2.0 / 3, 3.0, 1e-3, 1e10, -1e10, 1e300, 1e-300,
	DBL_MIN, DBL_MAX, DBL_EPSILON, 4.9e-324, -4.9e-324, 12345.678, -0.7, 100.5,
	INFINITY, -INFINITY, NAN,
};

#define COUNT (sizeof(values) / sizeof(*values))

static void show(const char *name, double a, double b, double result)
{
	uint64_t bits;

	/* Which NaN it is, is not part of the promise. */
	if (isnan(result))
		result = NAN;
	memcpy(&bits, &result, sizeof(bits));
	printf("%s %a %a = %016llx\n", name, a, b, (unsigned long long)bits);
}

static void arithmetic(void)
{
	static const struct {
		const char *name;
		double (*function)(double);
	} one[] = {
		{ "sqrt", sqrt }, { "exp", exp },     { "log", log },	  { "sin", sin },
		{ "cos", cos },	  { "tan", tan },     { "atan", atan },	  { "cbrt", cbrt },
		{ "erf", erf },	  { "floor", floor }, { "rint", rint },	  { "trunc", trunc },
		{ "tanh", tanh }, { "log1p", log1p }, { "expm1", expm1 }, { "asinh", asinh },
	};
	volatile double a, b;
	volatile float f;

	for (size_t i = 0; i < COUNT; i++) {
		a = values[i];
		for (size_t n = 0; n < sizeof(one) / sizeof(*one); n++)
			show(one[n].name, a, 0, one[n].function(a));
		f = a;
		show("float", a, 0, f);
		show("sqrtf", a, 0, sqrtf(f));
		show("neg", a, 0, -a);
		show("fabs", a, 0, fabs(a));
		if (fabs(a) < 2e9)
			show("int", a, 0, (int)a);
		if (fabs(a) < 9e18)
			show("long", a, 0, (long)a);
		for (size_t j = 0; j < COUNT; j++) {
			b = values[j];
			show("+", a, b, a + b);
			show("*", a, b, a * b);
			show("/", a, b, a / b);
			show("fmod", a, b, fmod(a, b));
			show("pow", a, b, pow(a, b));
			show("atan2", a, b, atan2(a, b));
			show("fma", a, b, fma(a, b, 1.5));
			show("f*", a, b, f * (float)b);
			printf("compare %d%d%d%d\n", a < b, a <= b, a == b, !!isunordered(a, b));
		}
	}
}

static void environment(void)
{
	static const int modes[] = { FE_TONEAREST, FE_TOWARDZERO, FE_UPWARD, FE_DOWNWARD };
	volatile double zero = 0, one = 1, three = 3, big = DBL_MAX;

	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		fesetround(modes[i]);
		show("rounded", one, three, one / three);
		show("rounded", -one, three, -one / three);
	}
	fesetround(FE_TONEAREST);
	feclearexcept(FE_ALL_EXCEPT);
	big *= 2;
	printf("overflow %d\n", !!fetestexcept(FE_OVERFLOW));
	feclearexcept(FE_ALL_EXCEPT);
	one /= zero;
	printf("divided by zero %d invalid %d\n", !!fetestexcept(FE_DIVBYZERO),
	       !!fetestexcept(FE_INVALID));
}

/* Ends elsewhere when any bit of any register is lost on the way. */
static void *chaos(void *result)
{
	double x = 0.3, y = 0.7, z = 0.1, sum = 0;
	int old = fegetround();

	for (int i = 0; i < ROUNDS; i++) {
		x = 3.9999 * x * (1 - x);
		y = 3.9998 * y * (1 - y);
		z = sin(z + x) * cos(y) + exp(-z * z);
		fesetround(i % 3 ? FE_TONEAREST : FE_UPWARD);
		sum += sqrt(x) + fabs(y) + z / 3;
	}
	fesetround(old);
	*(double *)result = sum + x + y + z;
	return NULL;
}

int main(int argc, char **argv)
{
	int threads = argc == 2 ? atoi(argv[1]) : 0;
	double results[65];
	pthread_t all[64];

	if (threads < 1 || threads > 64) {
		fprintf(stderr, "usage: float THREADS, up to 64 of them\n");
		return 2;
	}
	arithmetic();
	environment();
	chaos(&results[64]);
	show("chaos", 0, 0, results[64]);
	for (int i = 0; i < threads; i++)
		if (pthread_create(&all[i], NULL, chaos, &results[i]))
			return 1;
	for (int i = 0; i < threads; i++) {
		pthread_join(all[i], NULL);
		if (memcmp(&results[i], &results[64], sizeof(double))) {
			show("a thread got", i, 0, results[i]);
			return 1;
		}
	}
	return 0;
}
