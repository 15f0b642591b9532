#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Prints a -DDISCO_HAVE_* for each feature that the headers of a kernel tree
# have. Features, not versions: long-term kernels take helpers back.
#
# usage: probe.sh SRCTREE

include=$1/include/linux

# have NAME HEADER PATTERN
have() {
	if grep -qE "$3" "$include/$2"; then
		echo "-DDISCO_HAVE_$1"
	fi
}

have MNT_IDMAP fs.h 'int \(\*create\) ?\(struct mnt_idmap'
have FILLATTR_MASK fs.h 'generic_fillattr\(struct mnt_idmap \*, u32'
have INODE_TS_HELPERS fs.h 'simple_inode_init_ts\('
have INODE_SET_CTIME_CURRENT fs.h 'inode_set_ctime_current\('
have COPY_SPLICE_READ fs.h 'copy_splice_read\('
have VM_FLAGS_SET mm.h 'void vm_flags_set\('
have MEM_CGROUP_TRYGET memcontrol.h 'bool mem_cgroup_tryget\('
have REPLACE_PAGE_CACHE_FOLIO pagemap.h 'void replace_page_cache_folio\('
have ITER_DEST uio.h 'define ITER_DEST'
have ITER_IOV uio.h 'define iter_iov_addr'
