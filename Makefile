# SPDX-License-Identifier: GPL-2.0-only
#
# make demo    two guests on disco.ko, in the lab
# make check   every test
# make bench   measurements against memfd, stock QEMU and KSM: hours. Parts of it:
#              bench-ram, some 7 minutes, bench-discod, 2 minutes, bench-numa, 5, bench-ccnuma,
#              some 20 at first, bench-clone and bench-guests
# make chaos   two million moves of pages that programs and guests use meanwhile: hours
#
# make qemu builds Disco's QEMU, make bench-qemu compares it with the stock one.
# make modules builds disco.ko for the lab's kernels; make KDIR=... module for
# one of your own.

SHELL := /bin/bash

LAB := tests/lab/lab
KERNELS := release debug 6.12
MODULE_SOURCES := Kbuild $(wildcard module/*.[ch] module/*/*.[ch] \
	module/*/*.sh module/uapi/linux/*.h)

all: userspace modules

# What the host must have: the union of the lists beside what needs it.
PACKAGE_LISTS := $(sort $(wildcard packages */packages */*/packages \
	*/*/*/packages))

deps: build/deps.stamp

build/deps.stamp: $(PACKAGE_LISTS)
	@mkdir -p build
	scripts/install-packages $(PACKAGE_LISTS)
	@touch $@

userspace: deps
	$(MAKE) -C userspace
	$(MAKE) -C numa-policy

# The module is built in a tree of links, one for each kernel, so that several
# kernels' objects live side by side.
build/module/%/disco.ko: $(MODULE_SOURCES) | deps
	scripts/build-module $* $(@D)

modules: $(KERNELS:%=build/module/%/disco.ko)

# A kernel of the user's own, in place of the lab's.
KDIR ?= /lib/modules/$(shell uname -r)/build
module:
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules
modules_install:
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules_install

guest: deps
	$(MAKE) -C guest

# For guests with several processors, which need Disco's QEMU.
smp-kernel: deps
	$(MAKE) -C guest smp-kernel

# Two guests on disco.ko; only what it needs is built.
demo: userspace guest build/module/release/disco.ko
	mkdir -p build/demo
	$(LAB) run --timeout 900 --share build/demo -- /disco/tests/e2e/demo
	cp build/demo/demo.json build/

tests: deps
	$(MAKE) -C tests/kselftest
	$(MAKE) -C tests/fuzz
	$(MAKE) -C tests/chaos
	$(MAKE) -C tests/bench
	$(MAKE) -C tests/disk programs

# What emulates the lab; without it Debian's QEMU does, and takes longer.
lab-qemu: deps
	$(LAB) build qemu

# Some steps by name: make check STEPS="static release"
check: all guest tests qemu lab-qemu
	tests/check $(STEPS)

bench: bench-ram bench-discod bench-numa bench-ccnuma bench-clone bench-guests

bench-ram: userspace tests build/module/release/disco.ko
	$(MAKE) -C tests/bench bench-ram

bench-discod: userspace tests build/module/release/disco.ko
	$(MAKE) -C tests/bench bench-discod

bench-numa: userspace guest qemu build/module/release/disco.ko
	$(MAKE) -C tests/bench bench-numa

bench-ccnuma: userspace guest smp-kernel qemu build/module/release/disco.ko
	$(MAKE) -C tests/bench bench-ccnuma

bench-clone: userspace guest build/module/release/disco.ko
	$(MAKE) -C tests/bench bench-clone

bench-guests: userspace guest qemu build/module/release/disco.ko
	$(MAKE) -C tests/bench bench-guests

chaos: userspace guest smp-kernel qemu build/module/release/disco.ko build/module/debug/disco.ko
	$(MAKE) -C tests/chaos long

# Disco's QEMU, and how much faster it runs a guest than the stock one; a part of
# that with, for example, BENCH_QEMU_ARGS="--pairs 1 gcc-O1 make".
qemu: deps
	$(MAKE) -C userspace/qemu
	$(MAKE) -C numa-policy/plugin

bench-qemu: qemu guest
	tests/bench/qemu/$(if $(BENCH_QEMU_ARGS),run $(BENCH_QEMU_ARGS),whole)

clean:
	rm -rf build

.PHONY: all deps userspace modules module modules_install guest smp-kernel demo tests \
	check chaos bench bench-ram bench-discod bench-numa bench-ccnuma bench-clone bench-guests qemu \
	lab-qemu bench-qemu clean
.DELETE_ON_ERROR:
