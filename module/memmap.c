// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memmap: machine page to the (VM, gfn) pairs that use it. (Disco, section
 * 4.2: "for each machine page the VMs that use it"; it is what a shootdown
 * walks.)
 *
 * There is no table by frame number. The first user is packed into
 * folio->private, so a private page costs nothing here; a second one is packed
 * into folio->index, so neither does a first clone; from three on, all but the
 * first are in a list that folio->index points to. Order has no meaning.
 *
 * In a page of the buffer cache, folio->index is the page cache's: there,
 * folio->private has the one user, or points to a list of all of them. The
 * cache itself is a user too, but not in the list.
 *
 * A reader who came from a bare frame number cannot trust folio->private: it
 * takes it as a hint and believes it when the pmap slot that it names holds the
 * folio (query.c).
 *
 * All of it changes under the folio lock, but for a folio that is in no slot, or
 * that is frozen: with a reference count of 0 it is only his who froze it.
 */
#include <linux/slab.h>

#include "disco.h"

#define USER_VM_SHIFT	DISCO_GFN_BITS
#define USER_BITS	(DISCO_GFN_BITS + 16)
/* What a packed user in folio->private begins with; no pointer does. */
#define MAGIC(word)	((word) >> USER_BITS)
#define FIRST		0xd15cUL
#define CACHED		0xd15dUL

/* In folio->index: a user, not a list. */
#define SECOND		1UL
#define SECOND_SHIFT	1

/* Users for which there is no room in the folio. */
struct users {
	u16 nr;
	u16 max;
	struct disco_user user[];
};

/*
 * Sizes of lists. Steps are small enough that slots and list together stay
 * under 0.4% of the pages for any number of users (design rule 7), which
 * kmalloc()'s powers of two do not. Not SLAB_ACCOUNT, which costs 8 bytes more
 * for each list; a list is never larger than the charged leaves of its users.
 */
static const struct {
	const char *name;
	unsigned int bytes;
} classes[] = {
	{ "disco_users_16", 16 },	{ "disco_users_24", 24 },
	{ "disco_users_32", 32 },	{ "disco_users_40", 40 },
	{ "disco_users_48", 48 },	{ "disco_users_64", 64 },
	{ "disco_users_88", 88 },
	{ "disco_users_120", 120 },	{ "disco_users_160", 160 },
	{ "disco_users_216", 216 },	{ "disco_users_296", 296 },
	{ "disco_users_408", 408 },	{ "disco_users_560", 560 },
	{ "disco_users_768", 768 },	{ "disco_users_1056", 1056 },
	{ "disco_users_1448", 1448 },	{ "disco_users_2008", 2008 },
	{ "disco_users_2776", 2776 },	{ "disco_users_3840", 3840 },
};

static struct kmem_cache *caches[ARRAY_SIZE(classes)];

static unsigned int class_max(unsigned int class)
{
	return (classes[class].bytes - sizeof(struct users)) /
	       sizeof(struct disco_user);
}

static unsigned int class_of(const struct users *users)
{
	unsigned int class = 0;

	while (class_max(class) < users->max)
		class++;
	return class;
}

/**
 * disco_memmap_cache_init() - make the caches for lists of users
 *
 * Return: 0 or -ENOMEM.
 */
int disco_memmap_cache_init(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(classes); i++) {
		caches[i] = kmem_cache_create(classes[i].name,
					      classes[i].bytes, 0, 0, NULL);
		if (!caches[i]) {
			disco_memmap_cache_destroy();
			return -ENOMEM;
		}
	}
	return 0;
}

/**
 * disco_memmap_cache_destroy() - undo disco_memmap_cache_init()
 */
void disco_memmap_cache_destroy(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(classes); i++) {
		kmem_cache_destroy(caches[i]);
		caches[i] = NULL;
	}
}

static unsigned long pack(struct disco_user user)
{
	return (unsigned long)user.vm << USER_VM_SHIFT | user.gfn;
}

static struct disco_user unpack(unsigned long word)
{
	return (struct disco_user){ .vm = word >> USER_VM_SHIFT, .gfn = word };
}

static void set_first(struct folio *folio, unsigned long magic,
		      struct disco_user user)
{
	folio->private = (void *)(magic << USER_BITS | pack(user));
}

static void set_second(struct folio *folio, struct disco_user user)
{
	folio->index = pack(user) << SECOND_SHIFT | SECOND;
}

static bool has_second(struct folio *folio)
{
	return !disco_memmap_cached(folio) && folio->index & SECOND;
}

static struct users *users_of(struct folio *folio)
{
	if (!disco_memmap_cached(folio))
		return has_second(folio) ? NULL : (struct users *)folio->index;
	if (MAGIC((unsigned long)folio->private) == CACHED)
		return NULL;
	return folio->private;
}

/* How many users are not in the list, if there is one. */
static unsigned int users_before_list(struct folio *folio)
{
	return disco_memmap_cached(folio) ? 0 : 1;
}

static void free_users(struct users *users)
{
	unsigned int class = class_of(users);

	disco_count(DISCO_metadata_bytes, -(s64)classes[class].bytes);
	kmem_cache_free(caches[class], users);
}

/* A list with room for one user more than are in @old, or NULL. */
static struct users *grow_users(struct users *old)
{
	unsigned int class = old ? class_of(old) + 1 : 0;
	struct users *users;

	users = kmem_cache_alloc(caches[class], GFP_KERNEL);
	if (!users)
		return NULL;
	users->nr = 0;
	users->max = class_max(class);
	disco_count(DISCO_metadata_bytes, classes[class].bytes);
	if (old) {
		memcpy(users->user, old->user, old->nr * sizeof(*old->user));
		users->nr = old->nr;
		free_users(old);
	}
	return users;
}

/**
 * disco_memmap_init() - give a new page its first user
 * @folio: page that is in no slot and not in the buffer cache
 * @user: the user
 */
void disco_memmap_init(struct folio *folio, struct disco_user user)
{
	set_first(folio, FIRST, user);
	folio->index = 0;
}

/**
 * disco_memmap_ours() - is this a page of a VM, as far as the page says
 * @folio: any folio; may belong to somebody else
 * @first: set to its first user
 *
 * Context: the folio lock makes the answer stable; without it, or for a folio
 * that may not be ours, it is a hint.
 * Return: true if @folio looks like ours and has a user in folio->private.
 */
bool disco_memmap_ours(struct folio *folio, struct disco_user *first)
{
	unsigned long word = (unsigned long)READ_ONCE(folio->private);

	if (MAGIC(word) != FIRST && MAGIC(word) != CACHED)
		return false;
	*first = unpack(word);
	return true;
}

/**
 * disco_memmap_cached() - does a page belong to the buffer cache
 * @folio: page of a VM
 *
 * Context: folio lock.
 * Return: true if it is, or was, a page of the buffer cache and has a user.
 */
bool disco_memmap_cached(struct folio *folio)
{
	unsigned long word = (unsigned long)folio->private;

	return word && MAGIC(word) != FIRST;
}

/**
 * disco_memmap_count() - number of users of a page
 * @folio: page of a VM or of the buffer cache, locked
 *
 * Return: the number of (VM, gfn) pairs, 0 if it has just lost its last one.
 */
unsigned int disco_memmap_count(struct folio *folio)
{
	struct users *users;

	VM_WARN_ON_ONCE_FOLIO(!folio_test_locked(folio), folio);
	if (!folio->private)
		return 0;
	users = users_of(folio);
	if (users)
		return users_before_list(folio) + users->nr;
	return 1 + has_second(folio);
}

/**
 * disco_memmap_get() - one user of a page
 * @folio: page of a VM, locked
 * @i: which; less than disco_memmap_count()
 *
 * Return: the user.
 */
struct disco_user disco_memmap_get(struct folio *folio, unsigned int i)
{
	struct users *users = users_of(folio);
	struct disco_user first = {};

	if (i && has_second(folio))
		return unpack(folio->index >> SECOND_SHIFT);
	if (users && i >= users_before_list(folio))
		return users->user[i - users_before_list(folio)];
	disco_memmap_ours(folio, &first);
	return first;
}

/**
 * disco_memmap_others() - do other VMs have a page
 * @folio: page of a VM, locked
 * @vm: number of the one VM
 *
 * Return: true if one of its users is another VM.
 */
bool disco_memmap_others(struct folio *folio, u32 vm)
{
	unsigned int i, nr = disco_memmap_count(folio);

	for (i = 0; i < nr; i++)
		if (disco_memmap_get(folio, i).vm != vm)
			return true;
	return false;
}

/**
 * disco_memmap_add() - add a user to a page
 * @folio: page of a VM, which has a user, or of the buffer cache; locked or frozen
 * @user: the new user
 *
 * Context: may sleep, but for the second user of a page that is not in the buffer
 * cache, which cannot fail either.
 * Return: 0, -ENOMEM, or -EMLINK if the list cannot grow any more: the caller
 * makes a copy of the page instead.
 */
int disco_memmap_add(struct folio *folio, struct disco_user user)
{
	struct users *users;
	bool cached;

	VM_WARN_ON_ONCE_FOLIO(!folio_test_locked(folio) &&
			      folio_ref_count(folio), folio);
	if (!folio->private) {
		set_first(folio, CACHED, user);
		return 0;
	}
	cached = disco_memmap_cached(folio);
	if (!cached && !folio->index) {
		set_second(folio, user);
		return 0;
	}
	users = users_of(folio);
	if (users && users->nr == class_max(ARRAY_SIZE(classes) - 1))
		return -EMLINK;
	if (!users) {
		users = grow_users(NULL);
		if (!users)
			return -ENOMEM;
		users->user[users->nr++] = disco_memmap_get(folio, !cached);
	} else if (users->nr == users->max) {
		users = grow_users(users);
		if (!users)
			return -ENOMEM;
	}
	if (cached)
		folio->private = users;
	else
		folio->index = (unsigned long)users;
	users->user[users->nr++] = user;
	return 0;
}

static bool same_user(struct disco_user a, struct disco_user b)
{
	return a.vm == b.vm && a.gfn == b.gfn;
}

/**
 * disco_memmap_del() - remove a user from a page
 * @folio: page of a VM, locked
 * @user: the user, who is in the list
 *
 * Never allocates and never fails: it is part of tear-down.
 *
 * Return: how many users are left.
 */
unsigned int disco_memmap_del(struct folio *folio, struct disco_user user)
{
	unsigned int i, nr = disco_memmap_count(folio);
	bool cached = disco_memmap_cached(folio);
	struct users *users;
	struct disco_user last;

	for (i = 0; i < nr; i++)
		if (same_user(disco_memmap_get(folio, i), user))
			break;
	if (WARN_ON_ONCE(i == nr))
		return nr;

	if (nr == 1) {
		folio->private = NULL;
		return 0;
	}
	/* The last one takes its place. */
	last = disco_memmap_get(folio, nr - 1);
	users = users_of(folio);
	if (i < users_before_list(folio))
		set_first(folio, FIRST, last);
	else if (i < nr - 1)
		users->user[i - users_before_list(folio)] = last;
	if (!users) {
		folio->index = 0;
	} else if (--users->nr == 1) {
		if (cached)
			set_first(folio, CACHED, users->user[0]);
		else
			set_second(folio, users->user[0]);
		free_users(users);
	}
	return nr - 1;
}

/**
 * disco_memmap_bytes() - what the list of users costs
 * @folio: page of a VM, locked
 *
 * Return: bytes, 0 for a page whose users have room in its folio.
 */
size_t disco_memmap_bytes(struct folio *folio)
{
	struct users *users = users_of(folio);

	return users ? classes[class_of(users)].bytes : 0;
}
