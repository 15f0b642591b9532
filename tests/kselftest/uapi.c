// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every request of /dev/disco, and every way to get one wrong: the errno that
 * the header documents, and neither the caller's structure nor the VM changed.
 *
 * The fixture has one variant for each request. A test takes a request that
 * succeeds and breaks one thing.
 */
#define _GNU_SOURCE
#include "fixture.h"

#include <limits.h>
#include <sched.h>
#include <sys/socket.h>

#define PAGES 8
#define ROOM 4096
#define LAST_CMD DISCO_CMD_HEAT_DRAIN

/* A request with room behind it, for sizes that the module does not know. */
union request {
	uint32_t size;
	struct disco_query query;
	struct disco_vm_stat vm_stat;
	struct disco_pmap pmap;
	struct disco_memmap memmap;
	struct disco_check check;
	struct disco_vcpu_create vcpu_create;
	struct disco_vcpu_stat vcpu_stat;
	struct disco_vcpu_dump vcpu_dump;
	struct disco_disk_add disk_add;
	struct disco_disk_stat disk_stat;
	struct disco_merge merge;
	struct disco_move move;
	struct disco_heat_set heat_set;
	struct disco_heat_stat heat_stat;
	struct disco_heat_report heat_report;
	struct disco_heat_drain heat_drain;
	unsigned char bytes[2 * ROOM];
};

FIXTURE(uapi) {
	struct dt_fs fs;
	int vm;
	int backing;
	int disk;
	char name[16];
	uint64_t pfn;
	struct disco_pmap_entry entries[PAGES];
	struct disco_memmap_user users[2];
	struct disco_vcpu_entry translations[PAGES];
	struct disco_move_entry move;
	struct disco_heat_entry heat[1024];
	union request request;
	unsigned char before[2 * ROOM];
};

FIXTURE_VARIANT(uapi) {
	unsigned long command;
	size_t size;
	size_t first_size;	/* as first published, if it was less */
	size_t flags_at;	/* offset of the flags */
	uint32_t flags;		/* the flags that exist */
	size_t fd_at;		/* offset of the file descriptor, or 0 */
	size_t reserved_at[2];	/* offsets of the reserved fields, or 0 */
	bool any_of_mount;	/* the descriptor may be any file of a mount */
	bool writes;		/* the descriptor must be open for writing, too */
	bool privileged;
	int unprivileged;	/* errno for who has no rights in the mount */
	bool no_answer;		/* nothing is written to the structure */
};

FIXTURE_VARIANT_ADD(uapi, query) {
	.command = DISCO_QUERY,
	.size = sizeof(struct disco_query),
	.flags_at = offsetof(struct disco_query, flags),
};

FIXTURE_VARIANT_ADD(uapi, vm_stat) {
	.command = DISCO_VM_STAT,
	.size = sizeof(struct disco_vm_stat),
	.first_size = offsetof(struct disco_vm_stat, out_replicas),
	.flags_at = offsetof(struct disco_vm_stat, flags),
	.flags = DISCO_VM_STAT_MACHINE,
	.fd_at = offsetof(struct disco_vm_stat, vm_fd),
};

FIXTURE_VARIANT_ADD(uapi, pmap) {
	.command = DISCO_PMAP,
	.size = sizeof(struct disco_pmap),
	.flags_at = offsetof(struct disco_pmap, flags),
	.fd_at = offsetof(struct disco_pmap, vm_fd),
};

FIXTURE_VARIANT_ADD(uapi, memmap) {
	.command = DISCO_MEMMAP,
	.size = sizeof(struct disco_memmap),
	.flags_at = offsetof(struct disco_memmap, flags),
	.privileged = true,
};

FIXTURE_VARIANT_ADD(uapi, check) {
	.command = DISCO_CHECK,
	.size = sizeof(struct disco_check),
	.flags_at = offsetof(struct disco_check, flags),
	.fd_at = offsetof(struct disco_check, mount_fd),
	.reserved_at = { offsetof(struct disco_check, __reserved),
			 offsetof(struct disco_check, __reserved2) },
	.any_of_mount = true,
	.privileged = true,
};

FIXTURE_VARIANT_ADD(uapi, vcpu_create) {
	.command = DISCO_VCPU_CREATE,
	.size = sizeof(struct disco_vcpu_create),
	.flags_at = offsetof(struct disco_vcpu_create, flags),
	.flags = DISCO_VCPU_REPLACE,
	.fd_at = offsetof(struct disco_vcpu_create, vm_fd),
	.writes = true,
};

FIXTURE_VARIANT_ADD(uapi, vcpu_stat) {
	.command = DISCO_VCPU_STAT,
	.size = sizeof(struct disco_vcpu_stat),
	.flags_at = offsetof(struct disco_vcpu_stat, flags),
	.flags = DISCO_VCPU_NEXT,
	.fd_at = offsetof(struct disco_vcpu_stat, vm_fd),
	.reserved_at = { offsetof(struct disco_vcpu_stat, __reserved) },
};

FIXTURE_VARIANT_ADD(uapi, vcpu_dump) {
	.command = DISCO_VCPU_DUMP,
	.size = sizeof(struct disco_vcpu_dump),
	.flags_at = offsetof(struct disco_vcpu_dump, flags),
	.fd_at = offsetof(struct disco_vcpu_dump, vm_fd),
};

FIXTURE_VARIANT_ADD(uapi, disk_add) {
	.command = DISCO_DISK_ADD,
	.size = sizeof(struct disco_disk_add),
	.flags_at = offsetof(struct disco_disk_add, flags),
	.fd_at = offsetof(struct disco_disk_add, mount_fd),
	.any_of_mount = true,
	.unprivileged = EACCES,
	.no_answer = true,
};

FIXTURE_VARIANT_ADD(uapi, disk_stat) {
	.command = DISCO_DISK_STAT,
	.size = sizeof(struct disco_disk_stat),
	.flags_at = offsetof(struct disco_disk_stat, flags),
	.fd_at = offsetof(struct disco_disk_stat, disk_fd),
};

/* merge.c does the same for the other descriptor. */
FIXTURE_VARIANT_ADD(uapi, merge) {
	.command = DISCO_MERGE,
	.size = sizeof(struct disco_merge),
	.flags_at = offsetof(struct disco_merge, flags),
	.fd_at = offsetof(struct disco_merge, vm_fd),
	.reserved_at = { offsetof(struct disco_merge, __reserved) },
	.writes = true,
};

FIXTURE_VARIANT_ADD(uapi, move) {
	.command = DISCO_MOVE,
	.size = sizeof(struct disco_move),
	.flags_at = offsetof(struct disco_move, flags),
	.fd_at = offsetof(struct disco_move, vm_fd),
	.reserved_at = { offsetof(struct disco_move, __reserved) },
	.writes = true,
};

FIXTURE_VARIANT_ADD(uapi, heat_set) {
	.command = DISCO_HEAT_SET,
	.size = sizeof(struct disco_heat_set),
	.flags_at = offsetof(struct disco_heat_set, flags),
	.fd_at = offsetof(struct disco_heat_set, vm_fd),
	.reserved_at = { offsetof(struct disco_heat_set, __reserved) },
	.writes = true,
};

FIXTURE_VARIANT_ADD(uapi, heat_stat) {
	.command = DISCO_HEAT_STAT,
	.size = sizeof(struct disco_heat_stat),
	.flags_at = offsetof(struct disco_heat_stat, flags),
	.fd_at = offsetof(struct disco_heat_stat, vm_fd),
};

FIXTURE_VARIANT_ADD(uapi, heat_report) {
	.command = DISCO_HEAT_REPORT,
	.size = sizeof(struct disco_heat_report),
	.flags_at = offsetof(struct disco_heat_report, flags),
	.fd_at = offsetof(struct disco_heat_report, vm_fd),
	.writes = true,
};

FIXTURE_VARIANT_ADD(uapi, heat_drain) {
	.command = DISCO_HEAT_DRAIN,
	.size = sizeof(struct disco_heat_drain),
	.flags_at = offsetof(struct disco_heat_drain, flags),
	.flags = DISCO_HEAT_KEEP,
	.fd_at = offsetof(struct disco_heat_drain, vm_fd),
	.reserved_at = { offsetof(struct disco_heat_drain, __reserved) },
	.writes = true,
};

/* Each disk that is added needs a name of its own. */
static void next_name(FIXTURE_DATA(uapi) *self)
{
	static unsigned int nr;

	snprintf(self->name, sizeof(self->name), "disk%04u", nr++);
}

/* A file that nobody has open for writing; it goes with the test's mounts. */
static int make_backing(void)
{
	int fd = open("/mnt/backing", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, dt_page))
		dt_die("make /mnt/backing");
	close(fd);
	fd = open("/mnt/backing", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		dt_die("open /mnt/backing");
	return fd;
}

static int open_disk(FIXTURE_DATA(uapi) *self, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/disk/disk", self->fs.root);
	return open(path, flags | O_CLOEXEC);
}

/* A request that succeeds, its out fields full of rubbish. */
static void valid(FIXTURE_DATA(uapi) *self, const FIXTURE_VARIANT(uapi) *variant)
{
	union request *r = &self->request;

	memset(r, 0, sizeof(*r));
	switch (variant->command) {
	case DISCO_QUERY:
		memset(r, 0xee, sizeof(r->query));
		r->query.flags = 0;
		break;
	case DISCO_VM_STAT:
		memset(r, 0xee, sizeof(r->vm_stat));
		r->vm_stat.flags = DISCO_VM_STAT_MACHINE;
		r->vm_stat.vm_fd = self->vm;
		break;
	case DISCO_PMAP:
		memset(r, 0xee, sizeof(r->pmap));
		r->pmap.flags = 0;
		r->pmap.vm_fd = self->vm;
		r->pmap.nr = PAGES;
		r->pmap.gfn = 0;
		r->pmap.entries = (uintptr_t)self->entries;
		r->pmap.view = 0;
		break;
	case DISCO_MEMMAP:
		memset(r, 0xee, sizeof(r->memmap));
		r->memmap.flags = 0;
		r->memmap.pfn = self->pfn;
		r->memmap.users = (uintptr_t)self->users;
		r->memmap.nr = ARRAY_SIZE(self->users);
		break;
	case DISCO_CHECK:
		memset(r, 0xee, sizeof(r->check));
		r->check.flags = 0;
		r->check.mount_fd = self->vm;
		r->check.__reserved = 0;
		r->check.__reserved2 = 0;
		break;
	case DISCO_VCPU_CREATE:
		memset(r, 0xee, sizeof(r->vcpu_create));
		r->vcpu_create.flags = 0;
		r->vcpu_create.vm_fd = self->vm;
		r->vcpu_create.vcpu = 1;
		r->vcpu_create.node = DISCO_VCPU_HERE;
		r->vcpu_create.nr_entries = 64;
		r->vcpu_create.nr_indices = 32;
		break;
	case DISCO_VCPU_STAT:
		memset(r, 0xee, sizeof(r->vcpu_stat));
		r->vcpu_stat.flags = 0;
		r->vcpu_stat.vm_fd = self->vm;
		r->vcpu_stat.vcpu = 0;
		r->vcpu_stat.__reserved = 0;
		break;
	case DISCO_VCPU_DUMP:
		memset(r, 0xee, sizeof(r->vcpu_dump));
		r->vcpu_dump.flags = 0;
		r->vcpu_dump.vm_fd = self->vm;
		r->vcpu_dump.vcpu = 0;
		r->vcpu_dump.set = 0;
		r->vcpu_dump.nr = ARRAY_SIZE(self->translations);
		r->vcpu_dump.entries = (uintptr_t)self->translations;
		break;
	case DISCO_DISK_ADD:
		next_name(self);
		r->disk_add.mount_fd = self->vm;
		r->disk_add.backing_fd = self->backing;
		r->disk_add.name = (uintptr_t)self->name;
		r->disk_add.name_len = strlen(self->name);
		break;
	case DISCO_DISK_STAT:
		memset(r, 0xee, sizeof(r->disk_stat));
		r->disk_stat.flags = 0;
		r->disk_stat.disk_fd = self->disk;
		break;
	case DISCO_MERGE:
		/* Pages that differ. */
		memset(r, 0xee, sizeof(r->merge));
		r->merge.flags = 0;
		r->merge.vm_fd = self->vm;
		r->merge.other_fd = self->vm;
		r->merge.gfn = 0;
		r->merge.other_gfn = 2;
		r->merge.nr = 1;
		r->merge.__reserved = 0;
		break;
	case DISCO_MOVE:
		/* A hole. */
		memset(r, 0xee, sizeof(r->move));
		r->move.flags = 0;
		r->move.vm_fd = self->vm;
		r->move.operation = DISCO_MOVE_MIGRATE;
		r->move.entries = (uintptr_t)&self->move;
		r->move.nr = 1;
		r->move.__reserved = 0;
		self->move = (struct disco_move_entry){ .gfn = 1 };
		break;
	case DISCO_HEAT_SET:
		memset(r, 0xee, sizeof(r->heat_set));
		r->heat_set.flags = 0;
		r->heat_set.vm_fd = self->vm;
		r->heat_set.budget = DISCO_HEAT_BUDGET;
		r->heat_set.max_counters = 0;
		r->heat_set.__reserved = 0;
		break;
	case DISCO_HEAT_STAT:
		memset(r, 0xee, sizeof(r->heat_stat));
		r->heat_stat.flags = 0;
		r->heat_stat.vm_fd = self->vm;
		break;
	case DISCO_HEAT_REPORT:
		memset(r, 0xee, sizeof(r->heat_report));
		r->heat_report.flags = 0;
		r->heat_report.vm_fd = self->vm;
		r->heat_report.nr = 1;
		r->heat_report.entries = (uintptr_t)self->heat;
		self->heat[0] = (struct disco_heat_entry){ .reads = 1 };
		break;
	case DISCO_HEAT_DRAIN:
		memset(r, 0xee, sizeof(r->heat_drain));
		r->heat_drain.flags = 0;
		r->heat_drain.vm_fd = self->vm;
		r->heat_drain.nr = ARRAY_SIZE(self->heat);
		r->heat_drain.gfn = 0;
		r->heat_drain.entries = (uintptr_t)self->heat;
		r->heat_drain.__reserved = 0;
		break;
	}
	r->size = variant->size;
}

static int *request_fd(FIXTURE_DATA(uapi) *self,
		       const FIXTURE_VARIANT(uapi) *variant)
{
	return (int *)(self->request.bytes + variant->fd_at);
}

/* Gives back what a request that succeeded has made. */
static void undo(const FIXTURE_VARIANT(uapi) *variant,
		 const union request *request)
{
	if (variant->command == DISCO_VCPU_CREATE)
		close(request->vcpu_create.out_fd);
}

/* The request must fail with @error and leave the structure as it was. */
static void refused(struct __test_metadata *_metadata, FIXTURE_DATA(uapi) *self,
		    const FIXTURE_VARIANT(uapi) *variant, int error)
{
	memcpy(self->before, &self->request, sizeof(self->before));
	EXPECT_ERRNO(error, ioctl(self->fs.control, variant->command,
				  &self->request));
	EXPECT_EQ(0, memcmp(self->before, &self->request,
			    sizeof(self->before)));
}

FIXTURE_SETUP(uapi)
{
	char *at;

	dt_fs_open(&self->fs, "uapi", NULL);
	self->vm = dt_create(&self->fs, "vm", PAGES * dt_page);
	at = dt_map(self->vm, PAGES * dt_page);
	for (int i = 0; i < PAGES; i += 2)
		dt_fill(at + i * dt_page, 1, i);
	self->pfn = dt_pmap(&self->fs, self->vm, 0).pfn;
	ASSERT_NE(0, self->pfn);
	dt_vcpu(&self->fs, self->vm, 0, 64);
	self->backing = make_backing();
	self->disk = -1;
	if (variant->command == DISCO_DISK_STAT) {
		if (dt_disk_add(&self->fs, "disk", self->backing, 0))
			dt_die("DISCO_DISK_ADD");
		self->disk = open_disk(self, O_RDONLY);
	}
	valid(self, variant);
}

FIXTURE_TEARDOWN(uapi)
{
	struct disco_vm_stat stat = dt_stat(&self->fs, self->vm);

	/* Whatever was asked, nothing came or went. */
	EXPECT_EQ(PAGES * dt_page, stat.out_virtual);
	EXPECT_EQ(PAGES / 2 * dt_page, stat.out_private);
	EXPECT_EQ(0, stat.out_shared);
	if (self->disk >= 0)
		close(self->disk);
	EXPECT_TRUE(dt_fs_close(&self->fs));
	close(self->backing);
}

TEST_F(uapi, valid_request_succeeds)
{
	ASSERT_OK(ioctl(self->fs.control, variant->command, &self->request));
	EXPECT_EQ(variant->size, self->request.size);
	undo(variant, &self->request);
}

TEST_F(uapi, size_below_the_first_is_einval)
{
	const uint32_t first = variant->first_size ?: variant->size;
	const uint32_t sizes[] = { 0, 1, 4, 8, first - 8, first - 1 };

	for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
		self->request.size = sizes[i];
		refused(_metadata, self, variant, EINVAL);
	}
	if (variant->first_size) {
		self->request.size = first;
		ASSERT_OK(ioctl(self->fs.control, variant->command,
				&self->request));
	}
}

TEST_F(uapi, longer_with_zeros_is_the_same)
{
	const uint32_t longer[] = { 1, 8, 100, ROOM - variant->size };
	union request exact;

	ASSERT_OK(ioctl(self->fs.control, variant->command, &self->request));
	exact = self->request;
	undo(variant, &exact);
	for (int i = 0; i < ARRAY_SIZE(longer); i++) {
		valid(self, variant);
		self->request.size += longer[i];
		ASSERT_OK(ioctl(self->fs.control, variant->command,
				&self->request));
		undo(variant, &self->request);
		self->request.size = exact.size;
		EXPECT_EQ(0, memcmp(&exact, &self->request, sizeof(exact)));
	}
}

TEST_F(uapi, longer_with_more_is_e2big)
{
	const uint32_t longer[] = { 1, 8, 100, ROOM - variant->size };

	for (int i = 0; i < ARRAY_SIZE(longer); i++) {
		valid(self, variant);
		self->request.size += longer[i];
		self->request.bytes[self->request.size - 1] = 1;
		refused(_metadata, self, variant, E2BIG);
		valid(self, variant);
		self->request.size += longer[i];
		self->request.bytes[variant->size] = 0x80;
		refused(_metadata, self, variant, E2BIG);
	}
}

TEST_F(uapi, size_over_a_page_is_e2big)
{
	const uint32_t sizes[] = { dt_page + 1, 2 * dt_page, INT_MAX,
				   0x80000000, UINT_MAX };

	for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
		self->request.size = sizes[i];
		refused(_metadata, self, variant, E2BIG);
	}
}

TEST_F(uapi, unknown_flag_is_eopnotsupp)
{
	uint32_t *flags = (void *)(self->request.bytes + variant->flags_at);

	for (int bit = 0; bit < 32; bit++) {
		if (variant->flags & 1U << bit)
			continue;
		*flags = 1U << bit;
		refused(_metadata, self, variant, EOPNOTSUPP);
		*flags = 1U << bit | variant->flags;
		refused(_metadata, self, variant, EOPNOTSUPP);
	}
}

TEST_F(uapi, reserved_byte_is_einval)
{
	for (int i = 0; i < ARRAY_SIZE(variant->reserved_at); i++) {
		if (!variant->reserved_at[i])
			continue;
		for (int byte = 0; byte < 4; byte++) {
			valid(self, variant);
			self->request.bytes[variant->reserved_at[i] + byte] = 1;
			refused(_metadata, self, variant, EINVAL);
		}
	}
}

TEST_F(uapi, bad_descriptor_is_ebadf)
{
	const int flags[] = { O_WRONLY, O_PATH, O_RDONLY };
	const int nr_flags = variant->any_of_mount ? 0 : variant->writes ? 3 : 2;
	const int numbers[] = { -1, INT_MIN, INT_MAX, 1 << 20, 900 };

	if (!variant->fd_at)
		return;
	for (int i = 0; i < ARRAY_SIZE(numbers); i++) {
		*request_fd(self, variant) = numbers[i];
		refused(_metadata, self, variant, EBADF);
	}
	/* To name a mount, any descriptor of it will do. */
	for (int i = 0; i < nr_flags; i++) {
		int fd = self->disk < 0 ? dt_open(&self->fs, "vm", flags[i]) :
					  open_disk(self, flags[i]);

		*request_fd(self, variant) = fd;
		refused(_metadata, self, variant, EBADF);
		if (self->disk >= 0)
			close(fd);
	}
}

TEST_F(uapi, wrong_kind_of_file_is_emediumtype)
{
	int fds[6], pair[2], i = 0;

	if (!variant->fd_at)
		return;
	fds[i++] = memfd_create("other", 0);
	fds[i++] = open("/dev/null", O_RDWR);
	fds[i++] = self->fs.control;
	ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	fds[i++] = pair[0];
	if (!variant->any_of_mount) {
		fds[i++] = open(self->fs.root, O_RDONLY | O_DIRECTORY);
		fds[i++] = open(self->fs.ram, O_RDONLY | O_DIRECTORY);
	}
	while (i--) {
		ASSERT_LE(0, fds[i]);
		*request_fd(self, variant) = fds[i];
		refused(_metadata, self, variant, EMEDIUMTYPE);
		if (fds[i] != self->fs.control)
			close(fds[i]);
	}
	close(pair[1]);
}

TEST_F(uapi, inaccessible_structure_is_efault)
{
	unsigned int command = variant->command;
	char *at = mmap(NULL, 2 * dt_page, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *end = at + dt_page;

	ASSERT_NE(MAP_FAILED, at);
	ASSERT_OK(munmap(end, dt_page));
	EXPECT_ERRNO(EFAULT, ioctl(self->fs.control, command, NULL));
	EXPECT_ERRNO(EFAULT, ioctl(self->fs.control, command, end));
	EXPECT_ERRNO(EFAULT, ioctl(self->fs.control, command, end - 2));

	memcpy(end - variant->size + 8, &self->request, variant->size - 8);
	EXPECT_ERRNO(EFAULT, ioctl(self->fs.control, command,
				   end - variant->size + 8));

	/* It ends just before the hole. */
	memcpy(end - variant->size, &self->request, variant->size);
	EXPECT_EQ(0, ioctl(self->fs.control, command, end - variant->size));
	memcpy(self->before, end - variant->size, variant->size);
	undo(variant, (union request *)self->before);

	/* It cannot take the answer, if there is one. */
	valid(self, variant);
	memcpy(at, &self->request, variant->size);
	ASSERT_OK(mprotect(at, dt_page, PROT_READ));
	if (variant->no_answer) {
		EXPECT_EQ(0, ioctl(self->fs.control, command, at));
	} else {
		EXPECT_ERRNO(EFAULT, ioctl(self->fs.control, command, at));
	}
	EXPECT_EQ(0, memcmp(at, &self->request, variant->size));
	munmap(at, dt_page);
}

/* A user that is nobody, and root of a user namespace of its own. */
TEST_F(uapi, unprivileged)
{
	for (int user_namespace = 0; user_namespace < 2; user_namespace++) {
		pid_t pid = dt_fork();

		if (!pid) {
			int result;

			if (user_namespace ? unshare(CLONE_NEWUSER) :
					     setresuid(65534, 65534, 65534))
				_exit(2);
			errno = 0;
			result = ioctl(self->fs.control, variant->command,
				       &self->request);
			if (variant->privileged)
				_exit(result != -1 || errno != EPERM);
			/* The namespace's root owns the mount still. */
			if (variant->unprivileged && !user_namespace)
				_exit(result != -1 ||
				      errno != variant->unprivileged);
			if (result)
				_exit(1);
			if (variant->command == DISCO_PMAP)
				for (int i = 0; i < PAGES; i++)
					if (self->entries[i].pfn)
						_exit(3);
			_exit(0);
		}
		EXPECT_EQ(0, dt_wait(pid));
	}
}

/* The descriptor keeps a VM whose name is gone. */
TEST_F(uapi, unlinked_vm_still_answers)
{
	dt_unlink(&self->fs, "vm");
	EXPECT_EQ(0, ioctl(self->fs.control, variant->command, &self->request));
	undo(variant, &self->request);
}

DISCO_FIXTURE(device, NULL);

TEST_F(device, unknown_request_is_enotty)
{
	unsigned long zeros[512] = { 4096 };

	for (int type = 0; type < 256; type++)
		for (int nr = 0; nr < 256; nr++) {
			/* Only half of the types, but all near ours. */
			if (type % 16 != (DISCO_TYPE & 15) ||
			    (type == DISCO_TYPE && nr >= DISCO_CMD_BASE &&
			     nr <= LAST_CMD))
				continue;
			/* The VFS answers some for every file. */
			if (type == 'T' || type == 'X' || type == 'f' || !type)
				continue;
			errno = 0;
			if (ioctl(self->fs.control, _IO(type, nr), zeros) != -1 ||
			    errno != ENOTTY)
				ASSERT_EQ(0, type << 8 | nr);
		}
	/* The right number with the size and direction of another encoding. */
	for (int nr = DISCO_CMD_BASE; nr <= LAST_CMD; nr++) {
		EXPECT_ERRNO(ENOTTY, ioctl(self->fs.control,
					   _IOWR(DISCO_TYPE, nr, int), zeros));
		EXPECT_ERRNO(ENOTTY, ioctl(self->fs.control,
					   _IOC(_IOC_WRITE, DISCO_TYPE, nr, 0),
					   zeros));
	}
}

TEST_F(device, query)
{
	struct disco_query query = { .size = sizeof(query) };

	ASSERT_OK(ioctl(self->fs.control, DISCO_QUERY, &query));
	EXPECT_EQ(DISCO_API_VERSION, query.out_api_version);
	EXPECT_EQ(dt_page, query.out_page_size);
	EXPECT_TRUE(query.out_features & DISCO_FEATURE_CLONE);
	EXPECT_TRUE(query.out_features & DISCO_FEATURE_VCPU);
	EXPECT_TRUE(query.out_features & DISCO_FEATURE_VIEWS);
	EXPECT_TRUE(query.out_features & DISCO_FEATURE_MERGE);
	EXPECT_TRUE(query.out_features & DISCO_FEATURE_MOVE);
	EXPECT_TRUE(query.out_features & DISCO_FEATURE_REPLICATE);
	EXPECT_TRUE(query.out_features & DISCO_FEATURE_HEAT);
	EXPECT_EQ((1ULL << 32) - 1, query.out_max_gfn);
	EXPECT_NE(0, query.out_version[0]);
	EXPECT_NE(NULL, memchr(query.out_version, 0,
			       sizeof(query.out_version)));
}

TEST_F(device, anybody_can_open_it)
{
	struct stat stat;
	pid_t pid;

	ASSERT_OK(fstat(self->fs.control, &stat));
	EXPECT_TRUE(S_ISCHR(stat.st_mode));
	EXPECT_EQ(0666, stat.st_mode & 07777);
	pid = dt_fork();
	if (!pid) {
		if (setresuid(65534, 65534, 65534))
			_exit(2);
		_exit(open("/dev/disco", O_RDWR) < 0);
	}
	EXPECT_EQ(0, dt_wait(pid));
}

DISCO_FIXTURE(pmap, NULL);

TEST_F(pmap, ranges)
{
	int vm = dt_create(&self->fs, "vm", PAGES * dt_page - 100);
	int empty = dt_create(&self->fs, "empty", 0);
	struct disco_pmap_entry entries[PAGES + 2];
	struct disco_pmap pmap;
	const struct {
		int fd;
		uint32_t nr;
		uint64_t gfn;
		int error;
		uint32_t out_nr;
	} cases[] = {
		{ vm, PAGES, 0, 0, PAGES },
		{ vm, PAGES + 2, 0, 0, PAGES },
		{ vm, 2, PAGES - 1, 0, 1 },	/* the page that is not whole */
		{ vm, 1, 3, 0, 1 },
		{ vm, 0, 0, EINVAL },
		{ vm, 1, PAGES, ENXIO },
		{ vm, 1, PAGES + 1, ENXIO },
		{ vm, 1, 1ULL << 32, ENXIO },
		{ vm, 1, 1ULL << 52, ENXIO },
		{ vm, 1, UINT64_MAX - 1, ENXIO },
		{ vm, 2, UINT64_MAX, EOVERFLOW },
		{ vm, UINT32_MAX, UINT64_MAX - 5, EOVERFLOW },
		{ empty, 1, 0, ENXIO },
	};

	for (int i = 0; i < ARRAY_SIZE(cases); i++) {
		memset(entries, 0xee, sizeof(entries));
		pmap = (struct disco_pmap) {
			.size = sizeof(pmap),
			.vm_fd = cases[i].fd,
			.nr = cases[i].nr,
			.gfn = cases[i].gfn,
			.entries = (uintptr_t)entries,
			.out_nr = 77,
		};
		errno = 0;
		EXPECT_EQ(cases[i].error ? -1 : 0,
			  ioctl(self->fs.control, DISCO_PMAP, &pmap)) {
			TH_LOG("case %d: %s", i, strerror(errno));
		}
		EXPECT_EQ(cases[i].error, errno) {
			TH_LOG("case %d", i);
		}
		EXPECT_EQ(cases[i].error ? 77 : cases[i].out_nr, pmap.out_nr);
		for (int j = cases[i].out_nr; j < PAGES + 2; j++)
			EXPECT_EQ(0xeeeeeeee, entries[j].users);
	}
}

TEST_F(pmap, states)
{
	int vm = dt_create(&self->fs, "vm", PAGES * dt_page);
	int other = dt_create(&self->fs, "other", PAGES * dt_page);
	char *at = dt_map(vm, PAGES * dt_page);
	struct disco_pmap_entry entry;

	dt_fill(at + 1 * dt_page, 1, 1);
	ASSERT_OK(dt_clone(other, vm));
	dt_fill(at + 2 * dt_page, 1, 2);
	EXPECT_EQ(0, dt_touch(at + 3 * dt_page, false));

	entry = dt_pmap(&self->fs, vm, 0);
	EXPECT_EQ(DISCO_PAGE_HOLE, entry.state);
	EXPECT_EQ(0, entry.pfn);
	EXPECT_EQ(0, entry.users);
	EXPECT_EQ(DISCO_NO_NODE, entry.node);

	entry = dt_pmap(&self->fs, vm, 1);
	EXPECT_EQ(DISCO_PAGE_SHARED, entry.state);
	EXPECT_EQ(2, entry.users);
	EXPECT_NE(0, entry.pfn);
	EXPECT_NE(DISCO_NO_NODE, entry.node);
	EXPECT_EQ(entry.pfn, dt_pmap(&self->fs, other, 1).pfn);

	entry = dt_pmap(&self->fs, vm, 2);
	EXPECT_EQ(DISCO_PAGE_PRIVATE, entry.state);
	EXPECT_EQ(1, entry.users);
	EXPECT_EQ(dt_frame(at + 2 * dt_page), entry.pfn);

	entry = dt_pmap(&self->fs, vm, 3);
	EXPECT_EQ(DISCO_PAGE_ZERO, entry.state);

	/* Shared until written to, even when the other users are gone. */
	ASSERT_OK(ftruncate(other, 0));
	entry = dt_pmap(&self->fs, vm, 1);
	EXPECT_EQ(DISCO_PAGE_SHARED, entry.state);
	EXPECT_EQ(1, entry.users);
}

TEST_F(pmap, bad_buffer_is_efault)
{
	int vm = dt_create(&self->fs, "vm", PAGES * dt_page);
	struct disco_pmap pmap = {
		.size = sizeof(pmap),
		.vm_fd = vm,
		.nr = PAGES,
		.out_nr = 77,
	};
	char *at = mmap(NULL, 2 * dt_page, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, at);
	ASSERT_OK(mprotect(at + dt_page, dt_page, PROT_READ));
	const uint64_t bad[] = {
		0, UINT64_MAX - 64, 1ULL << 63,
		(uintptr_t)at + dt_page,	/* not writable */
		(uintptr_t)at + dt_page - 32,	/* only the beginning is */
	};

	for (int i = 0; i < ARRAY_SIZE(bad); i++) {
		pmap.entries = bad[i];
		EXPECT_ERRNO(EFAULT, ioctl(self->fs.control, DISCO_PMAP, &pmap));
		EXPECT_EQ(77, pmap.out_nr);
	}
	munmap(at, 2 * dt_page);
}

DISCO_FIXTURE(memmap, NULL);

TEST_F(memmap, users)
{
	int vm = dt_create(&self->fs, "vm", PAGES * dt_page);
	int other = dt_create(&self->fs, "other", PAGES * dt_page);
	char *at = dt_map(vm, PAGES * dt_page);
	uint32_t ids[] = { dt_stat(&self->fs, vm).out_id,
			   dt_stat(&self->fs, other).out_id };
	struct disco_memmap_user users[3];
	struct disco_memmap memmap = {
		.size = sizeof(memmap),
		.users = (uintptr_t)users,
	};

	ASSERT_NE(ids[0], ids[1]);
	dt_fill(at + 5 * dt_page, 1, 5);
	memmap.pfn = dt_pmap(&self->fs, vm, 5).pfn;

	memmap.nr = 3;
	memset(users, 0xee, sizeof(users));
	ASSERT_OK(ioctl(self->fs.control, DISCO_MEMMAP, &memmap));
	EXPECT_EQ(1, memmap.out_nr);
	EXPECT_EQ(1, memmap.out_total);
	EXPECT_EQ(dt_pmap(&self->fs, vm, 5).node, memmap.out_node);
	EXPECT_EQ(5, users[0].gfn);
	EXPECT_EQ(ids[0], users[0].vm_id);
	EXPECT_EQ(0, users[0].__reserved);
	EXPECT_EQ(0xeeeeeeee, users[1].vm_id);

	ASSERT_OK(dt_clone(other, vm));
	ASSERT_OK(ioctl(self->fs.control, DISCO_MEMMAP, &memmap));
	EXPECT_EQ(2, memmap.out_nr);
	EXPECT_EQ(2, memmap.out_total);
	EXPECT_TRUE((users[0].vm_id == ids[0] && users[1].vm_id == ids[1]) ||
		    (users[0].vm_id == ids[1] && users[1].vm_id == ids[0]));
	EXPECT_EQ(5, users[1].gfn);

	memmap.nr = 1;
	memset(users, 0xee, sizeof(users));
	ASSERT_OK(ioctl(self->fs.control, DISCO_MEMMAP, &memmap));
	EXPECT_EQ(1, memmap.out_nr);
	EXPECT_EQ(2, memmap.out_total);
	EXPECT_EQ(0xeeeeeeee, users[1].vm_id);

	memmap.nr = 0;
	memmap.users = 0;
	ASSERT_OK(ioctl(self->fs.control, DISCO_MEMMAP, &memmap));
	EXPECT_EQ(0, memmap.out_nr);
	EXPECT_EQ(2, memmap.out_total);

	memmap.nr = 2;
	memmap.out_total = 77;
	EXPECT_ERRNO(EFAULT, ioctl(self->fs.control, DISCO_MEMMAP, &memmap));
	EXPECT_EQ(77, memmap.out_total);
}

TEST_F(memmap, frames_that_hold_no_page_of_a_vm)
{
	struct disco_memmap memmap = { .size = sizeof(memmap) };
	const uint64_t none[] = { UINT64_MAX, 1ULL << 52, 1ULL << 40 };
	char *own = mmap(NULL, dt_page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	ASSERT_NE(MAP_FAILED, own);
	for (int i = 0; i < ARRAY_SIZE(none); i++) {
		memmap.pfn = none[i];
		EXPECT_ERRNO(ENXIO, ioctl(self->fs.control, DISCO_MEMMAP,
					  &memmap));
	}
	*own = 1;
	memmap.pfn = dt_frame(own);
	EXPECT_NE(0, memmap.pfn);
	EXPECT_ERRNO(ENOENT, ioctl(self->fs.control, DISCO_MEMMAP, &memmap));
	munmap(own, dt_page);
}

/* Any frame of the machine may be asked for, whatever is in it. */
TEST_F(memmap, sweep_of_all_frames)
{
	int vm = dt_create(&self->fs, "vm", PAGES * dt_page);
	char *at = dt_map(vm, PAGES * dt_page);
	struct disco_memmap memmap = { .size = sizeof(memmap) };
	uint64_t pages = sysconf(_SC_PHYS_PAGES);
	unsigned int found = 0;

	dt_fill_run(at, 1, 0, PAGES);
	for (int i = 0; i < PAGES; i++) {
		memmap.pfn = dt_pmap(&self->fs, vm, i).pfn;
		found += !ioctl(self->fs.control, DISCO_MEMMAP, &memmap);
	}
	EXPECT_EQ(PAGES, found);
	/* A prime step, so that every kind of frame is hit in a while. */
	for (uint64_t pfn = 0; pfn < 2 * pages; pfn += 97) {
		memmap.pfn = pfn;
		if (ioctl(self->fs.control, DISCO_MEMMAP, &memmap))
			ASSERT_TRUE(errno == ENXIO || errno == ENOENT);
	}
}

TEST_F(memmap, vm_that_vanished)
{
	int vm = dt_create(&self->fs, "vm", dt_page);
	char *at = dt_map(vm, dt_page);
	struct disco_memmap memmap = { .size = sizeof(memmap) };

	dt_fill(at, 1, 0);
	memmap.pfn = dt_pmap(&self->fs, vm, 0).pfn;
	dt_unlink(&self->fs, "vm");
	dt_unmap(at, dt_page);
	dt_close(vm);
	ASSERT_TRUE(DT_UNTIL(dt_counter("vms") == self->fs.before.vms, 10));
	EXPECT_ERRNO(ENOENT, ioctl(self->fs.control, DISCO_MEMMAP, &memmap));
}

DISCO_FIXTURE(stat, NULL);

TEST_F(stat, numbers)
{
	int vm = dt_create(&self->fs, "vm", PAGES * dt_page);
	int other = dt_create(&self->fs, "other", PAGES * dt_page);
	char *at = dt_map(vm, PAGES * dt_page);
	struct disco_vm_stat stat = {
		.size = sizeof(stat),
		.vm_fd = vm,
		.out_machine = 77,
	};

	dt_fill_run(at, 1, 0, 4);
	ASSERT_OK(dt_clone(other, vm));
	dt_fill(at, 2, 0);
	EXPECT_EQ(0, dt_touch(at + 6 * dt_page, false));

	ASSERT_OK(ioctl(self->fs.control, DISCO_VM_STAT, &stat));
	EXPECT_EQ(PAGES * dt_page, stat.out_virtual);
	EXPECT_EQ(1 * dt_page, stat.out_private);
	EXPECT_EQ(3 * dt_page, stat.out_shared);
	EXPECT_EQ(0, stat.out_machine);
	EXPECT_NE(0, stat.out_metadata);

	/* One page of its own, half of three; all of one that is left. */
	stat = dt_stat(&self->fs, vm);
	EXPECT_EQ(dt_page + 3 * dt_page / 2, stat.out_machine);
	stat = dt_stat(&self->fs, other);
	EXPECT_EQ(dt_page + 3 * dt_page / 2, stat.out_machine);
	EXPECT_EQ(4 * dt_page, stat.out_shared);
	EXPECT_EQ(0, stat.out_private);
}

DISCO_FIXTURE(check, NULL);

TEST_F(check, counts_what_it_walks)
{
	int vm = dt_create(&self->fs, "vm", PAGES * dt_page);
	int other = dt_create(&self->fs, "other", PAGES * dt_page);
	int root = open(self->fs.root, O_RDONLY | O_DIRECTORY);
	char *at = dt_map(vm, PAGES * dt_page);
	struct disco_check check = { .size = sizeof(check), .mount_fd = root };

	dt_fill_run(at, 1, 0, 3);
	ASSERT_OK(dt_clone(other, vm));
	ASSERT_OK(ioctl(self->fs.control, DISCO_CHECK, &check));
	EXPECT_EQ(DISCO_CHECK_OK, check.out_violation);
	EXPECT_EQ(2, check.out_vms);
	EXPECT_EQ(6, check.out_pages);
	EXPECT_EQ(1, check.out_totals_checked);
	close(root);
}

TEST_HARNESS_MAIN
