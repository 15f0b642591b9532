# SPDX-License-Identifier: GPL-2.0-only
# Flags and places shared by the C programs of this folder. The including
# Makefile sets TOP to the root of the project.

VERSION := 0.1.0
BUILD ?= $(TOP)/build

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
INSTALL ?= install

CFLAGS ?= -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong
CFLAGS += -std=gnu11 -D_GNU_SOURCE -fPIC -fvisibility=hidden -MMD -MP
CFLAGS += -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes
CFLAGS += -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wformat=2
CFLAGS += -DDISCO_VERSION='"$(VERSION)"'
CFLAGS += -I$(TOP)/userspace/libdisco -I$(TOP)/module/uapi
