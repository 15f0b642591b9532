// SPDX-License-Identifier: GPL-2.0-only
/*
 * The file system "disco": mount, options, statfs.
 */
#include <linux/backing-dev.h>
#include <linux/ctype.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/parser.h>
#include <linux/security.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/statfs.h>

#include "disco.h"

#define DISCO_MAGIC 0x44495343 /* "DISC" */

/* Of disks, in bytes; /sys/class/bdi/disco-N/read_ahead_kb changes it. */
#define DISCO_READ_AHEAD SZ_1M

enum { OPT_SIZE, OPT_REPLICAS, OPT_MODE, OPT_UID, OPT_GID, OPT_MPOL };

static const struct fs_parameter_spec disco_params[] = {
	fsparam_string("size", OPT_SIZE),
	fsparam_string("replicas", OPT_REPLICAS),
	fsparam_u32oct("mode", OPT_MODE),
	fsparam_u32("uid", OPT_UID),
	fsparam_u32("gid", OPT_GID),
	fsparam_string("mpol", OPT_MPOL),
	{}
};

/* "SIZE", with a suffix if wanted, or "N%" of the machine's memory. */
static int parse_size(struct fs_context *fc, const char *option,
		      const char *string, u64 *pages)
{
	char *rest;
	u64 value;

	value = memparse(string, &rest);
	if (rest == string)
		goto bad;
	if (*rest == '%') {
		if (value > 100)
			return invalf(fc, "disco: %s=%s: more than 100%%",
				      option, string);
		value = mul_u64_u64_div_u64((u64)totalram_pages() << PAGE_SHIFT,
					    value, 100);
		rest++;
	}
	if (*rest)
		goto bad;
	*pages = DIV_ROUND_UP_ULL(value, PAGE_SIZE);
	return 0;
bad:
	return invalf(fc, "disco: %s=%s: expected a number with k, m, g, t or %%",
		      option, string);
}

static int parse_mpol(struct fs_context *fc, const char *string,
		      struct disco_mpol *mpol)
{
	const char *wrong = disco_mpol_parse(string, mpol);

	if (wrong)
		return invalf(fc, "disco: mpol=%s: %s", string, wrong);
	return 0;
}

static int disco_parse_param(struct fs_context *fc, struct fs_parameter *param)
{
	struct disco_sb *sbi = fc->s_fs_info;
	struct fs_parse_result result;
	u64 pages;
	int opt;

	opt = fs_parse(fc, disco_params, param, &result);
	if (opt < 0)
		return opt;
	switch (opt) {
	case OPT_SIZE:
		return parse_size(fc, param->key, param->string,
				  &sbi->max_pages);
	case OPT_REPLICAS:
		opt = parse_size(fc, param->key, param->string, &pages);
		if (!opt)
			sbi->max_replicas = min_t(u64, pages, S64_MAX);
		return opt;
	case OPT_MPOL:
		return parse_mpol(fc, param->string, &sbi->mpol);
	case OPT_MODE:
		if (result.uint_32 & ~S_IALLUGO)
			return invalf(fc, "disco: mode=%o: expected permission bits, at most %o",
				      result.uint_32, S_IALLUGO);
		sbi->mode = result.uint_32;
		return 0;
	case OPT_UID:
		sbi->uid = make_kuid(fc->user_ns, result.uint_32);
		if (!uid_valid(sbi->uid))
			return invalf(fc, "disco: uid=%u: no such user ID in this namespace",
				      result.uint_32);
		return 0;
	default:
		sbi->gid = make_kgid(fc->user_ns, result.uint_32);
		if (!gid_valid(sbi->gid))
			return invalf(fc, "disco: gid=%u: no such group ID in this namespace",
				      result.uint_32);
		return 0;
	}
}

/* The next option, cut off; a comma before a digit is inside a list of nodes. */
static char *next_option(char **rest)
{
	char *option = *rest, *comma = option;

	if (!option)
		return NULL;
	do
		comma = strchr(comma, ',');
	while (comma && isdigit(*++comma));
	if (comma)
		comma[-1] = '\0';
	*rest = comma;
	return option;
}

/* Options as mount(2) gets them, in one string. */
static int disco_parse_monolithic(struct fs_context *fc, void *data)
{
	char *rest = data, *option, *value;
	int err;

	if (!data)
		return 0;
	err = security_sb_eat_lsm_opts(rest, &fc->security);
	while (!err && (option = next_option(&rest))) {
		if (!*option)
			continue;
		value = strchr(option, '=');
		if (value)
			*value++ = '\0';
		err = vfs_parse_fs_string(fc, option, value,
					  value ? strlen(value) : 0);
	}
	return err;
}

static int disco_statfs(struct dentry *dentry, struct kstatfs *buf)
{
	struct disco_sb *sbi = disco_sb(dentry->d_sb);
	u64 used = percpu_counter_sum_positive(&sbi->used);
	u64 max = READ_ONCE(sbi->max_pages) ?: totalram_pages();

	simple_statfs(dentry, buf);
	buf->f_blocks = max;
	buf->f_bfree = max > used ? max - used : 0;
	buf->f_bavail = buf->f_bfree;
	return 0;
}

static int disco_show_options(struct seq_file *seq, struct dentry *root)
{
	struct disco_sb *sbi = disco_sb(root->d_sb);

	if (sbi->max_pages)
		seq_printf(seq, ",size=%lluk",
			   sbi->max_pages << (PAGE_SHIFT - 10));
	if (sbi->max_replicas != S64_MAX)
		seq_printf(seq, ",replicas=%lluk",
			   (u64)sbi->max_replicas << (PAGE_SHIFT - 10));
	if (sbi->mode != 0755)
		seq_printf(seq, ",mode=%03ho", sbi->mode);
	if (!uid_eq(sbi->uid, GLOBAL_ROOT_UID))
		seq_printf(seq, ",uid=%u",
			   from_kuid_munged(&init_user_ns, sbi->uid));
	if (!gid_eq(sbi->gid, GLOBAL_ROOT_GID))
		seq_printf(seq, ",gid=%u",
			   from_kgid_munged(&init_user_ns, sbi->gid));
	disco_mpol_show(seq, &sbi->mpol);
	return 0;
}

static void disco_evict_inode(struct inode *inode)
{
	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	if (!inode->i_private)
		return;
	if (disco_is_disk(inode))
		disco_disk_destroy(disco_disk(inode));
	else
		disco_vm_destroy(disco_vm(inode));
}

static const struct super_operations disco_super_ops = {
	.statfs		= disco_statfs,
	.drop_inode	= generic_delete_inode,
	.evict_inode	= disco_evict_inode,
	.show_options	= disco_show_options,
};

static struct dentry *make_dir(struct super_block *sb, const char *name,
			       const struct inode_operations *iops)
{
	struct disco_sb *sbi = disco_sb(sb);
	struct dentry *dentry;
	struct inode *inode;

	dentry = d_alloc_name(sb->s_root, name);
	if (!dentry)
		return NULL;
	inode = disco_inode_new(sb, NULL, S_IFDIR | sbi->mode);
	if (!inode) {
		dput(dentry);
		return NULL;
	}
	inode->i_op = iops;
	inode->i_uid = sbi->uid;
	inode->i_gid = sbi->gid;
	d_add(dentry, inode);
	inc_nlink(d_inode(sb->s_root));
	return dentry;
}

static int disco_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct disco_sb *sbi = disco_sb(sb);
	struct inode *inode;
	int err;

	sb->s_maxbytes = min_t(loff_t, MAX_LFS_FILESIZE,
			       (loff_t)(DISCO_MAX_GFN + 1) << PAGE_SHIFT);
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_magic = DISCO_MAGIC;
	sb->s_op = &disco_super_ops;
	sb->s_time_gran = 1;
	sb->s_iflags |= SB_I_NOEXEC | SB_I_NODEV;

	/* For its read-ahead: nothing is ever written back. */
	err = super_setup_bdi(sb);
	if (err)
		return err;
	sb->s_bdi->ra_pages = DISCO_READ_AHEAD >> PAGE_SHIFT;
	sb->s_bdi->io_pages = DISCO_READ_AHEAD >> PAGE_SHIFT;
	sb->s_bdi->capabilities = 0;

	inode = disco_inode_new(sb, NULL, S_IFDIR | 0755);
	if (!inode)
		return -ENOMEM;
	inode->i_op = &disco_root_iops;
	sb->s_root = d_make_root(inode);
	if (!sb->s_root)
		return -ENOMEM;

	sbi->disk_dir = make_dir(sb, "disk", &disco_disk_dir_iops);
	if (!sbi->disk_dir || !make_dir(sb, "ram", &disco_ram_dir_iops))
		return -ENOMEM;
	return 0;
}

static int disco_get_tree(struct fs_context *fc)
{
	return get_tree_nodev(fc, disco_fill_super);
}

static int disco_reconfigure(struct fs_context *fc)
{
	struct disco_sb *sbi = disco_sb(fc->root->d_sb), *new = fc->s_fs_info;
	u64 used = percpu_counter_sum_positive(&sbi->used);
	s64 replicas = atomic64_read(&sbi->nr_replicas);

	if (new->mode != sbi->mode || !uid_eq(new->uid, sbi->uid) ||
	    !gid_eq(new->gid, sbi->gid) || new->mpol.mode != sbi->mpol.mode ||
	    !nodes_equal(new->mpol.nodes, sbi->mpol.nodes))
		return invalf(fc,
			      "disco: remount changes size= and replicas=, chmod and chown the rest");
	if (new->max_pages && new->max_pages < used)
		return invalf(fc, "disco: size=%lluk is less than the %lluk in use",
			      new->max_pages << (PAGE_SHIFT - 10),
			      used << (PAGE_SHIFT - 10));
	if (new->max_replicas < replicas)
		return invalf(fc, "disco: replicas=%lluk is less than the %lluk in use",
			      (u64)new->max_replicas << (PAGE_SHIFT - 10),
			      (u64)replicas << (PAGE_SHIFT - 10));
	WRITE_ONCE(sbi->max_pages, new->max_pages);
	WRITE_ONCE(sbi->max_replicas, new->max_replicas);
	return 0;
}

static void free_sbi(struct disco_sb *sbi)
{
	mutex_destroy(&sbi->move_lock);
	percpu_free_rwsem(&sbi->check_lock);
	percpu_counter_destroy(&sbi->used);
	kfree(sbi);
}

static void disco_free_fc(struct fs_context *fc)
{
	/* Not here any more once the mount has it. */
	if (fc->s_fs_info)
		free_sbi(fc->s_fs_info);
}

static const struct fs_context_operations disco_context_ops = {
	.free		= disco_free_fc,
	.parse_param	= disco_parse_param,
	.parse_monolithic = disco_parse_monolithic,
	.get_tree	= disco_get_tree,
	.reconfigure	= disco_reconfigure,
};

static int disco_init_fs_context(struct fs_context *fc)
{
	struct disco_sb *sbi;
	int err;

	sbi = kzalloc(sizeof(*sbi), GFP_KERNEL);
	if (!sbi)
		return -ENOMEM;
	err = percpu_counter_init(&sbi->used, 0, GFP_KERNEL);
	if (err)
		goto err_sbi;
	err = percpu_init_rwsem(&sbi->check_lock);
	if (err)
		goto err_counter;
	mutex_init(&sbi->move_lock);
	sbi->max_replicas = S64_MAX;
	sbi->mode = 0755;
	sbi->uid = GLOBAL_ROOT_UID;
	sbi->gid = GLOBAL_ROOT_GID;
	if (fc->purpose == FS_CONTEXT_FOR_RECONFIGURE) {
		struct disco_sb *old = disco_sb(fc->root->d_sb);

		sbi->max_pages = old->max_pages;
		sbi->max_replicas = old->max_replicas;
		sbi->mode = old->mode;
		sbi->uid = old->uid;
		sbi->gid = old->gid;
		sbi->mpol = old->mpol;
	}
	fc->s_fs_info = sbi;
	fc->ops = &disco_context_ops;
	return 0;

err_counter:
	percpu_counter_destroy(&sbi->used);
err_sbi:
	kfree(sbi);
	return err;
}

static void disco_kill_sb(struct super_block *sb)
{
	struct disco_sb *sbi = disco_sb(sb);

	kill_litter_super(sb);
	if (!sbi)
		return;
	WARN_ON_ONCE(percpu_counter_sum(&sbi->used));
	WARN_ON_ONCE(atomic64_read(&sbi->nr_replicas));
	free_sbi(sbi);
}

struct file_system_type disco_fs_type = {
	.owner			= THIS_MODULE,
	.name			= "disco",
	.init_fs_context	= disco_init_fs_context,
	.parameters		= disco_params,
	.kill_sb		= disco_kill_sb,
};
