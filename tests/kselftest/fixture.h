/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's test harness, with a disco mount as the fixture of every test.
 *
 * Each test runs in a process and on a mount of its own. Its end is a test as
 * well: the module must find its structures in order, the mount must go away,
 * and the gauges must be what they were.
 */
#ifndef DISCO_TEST_FIXTURE_H
#define DISCO_TEST_FIXTURE_H

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "kselftest_harness.h"
#include "support.h"

/* The debug kernel on an emulated CPU is some fifty times slower than metal. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 240

#define DISCO_FIXTURE(name, options)					\
	FIXTURE(name) {							\
		struct dt_fs fs;					\
	};								\
	FIXTURE_SETUP(name)						\
	{								\
		dt_fs_open(&self->fs, #name, options);			\
	}								\
	FIXTURE_TEARDOWN(name)						\
	{								\
		EXPECT_TRUE(dt_fs_close(&self->fs));			\
	}

/* A call must fail with one errno and no other. */
#define EXPECT_ERRNO(error, call) do {					\
	errno = 0;							\
	EXPECT_EQ(-1, (call));						\
	EXPECT_EQ(error, errno) {					\
		TH_LOG("%s", strerror(errno));				\
	}								\
} while (0)

#define ASSERT_OK(call) do {						\
	ASSERT_EQ(0, (call)) {						\
		TH_LOG(#call ": %s", strerror(errno));			\
	}								\
} while (0)

#endif
