// SPDX-License-Identifier: GPL-2.0-only
/*
 * discoctl merge: makes equal pages of machines one. One pass, in two parts:
 * pages at the same gfn, which is where machines that are alike have equal ones,
 * and then pages whose contents look equal, wherever they are.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "discoctl.h"

static const char help[] =
	"Usage: discoctl merge [--same-gfn-only] NAME...\n"
	"       discoctl merge [--same-gfn-only] --all\n"
	"       discoctl merge help\n"
	"\n"
	"Makes equal pages of machines one page, copy-on-write, and pages of zeros\n"
	"holes. The machines may run, and see no change. NAME is the path of the\n"
	"machine's file relative to ram/. Pages at the same gfn are compared first,\n"
	"then all pages that look equal, which --same-gfn-only leaves out.\n"
	"\n"
	"  COMPARED   pairs of pages\n"
	"  MERGED     of these, equal, and one page now\n"
	"  ZEROS      all zeros, and holes now\n"
	"  SAME       one page already, or holes\n"
	"  DIFFERENT  not equal\n"
	"  PINNED     in the hands of a device or system call: left alone\n"
	"  FULL       equal, but the page has as many users as it can have\n"
	"  FREED      machine memory given back\n"
	"\n"
	"A machine takes no part if its file has the attribute C (chattr +C), or if\n"
	"you may not write to it.\n";

#define COLUMN_WIDTH 11

/* Pairs for one request: enough to hide its cost, few enough to show progress. */
#define CHUNK 4096

/*
 * Machines that are compared with one and the same at the same gfn. Less than the
 * users that a page can have.
 */
#define GROUP 512

struct guest {
	struct disco_vm *vm;
	uint64_t pages;
};

struct counts {
	uint64_t compared;
	uint64_t merged;
	uint64_t zeros;
	uint64_t same;
	uint64_t different;
	uint64_t pinned;
	uint64_t full;
	uint64_t freed;
};

struct job {
	struct ctl *ctl;
	struct guest *guest;
	size_t nr;
	size_t page_size;
	/* Left out of --all. */
	size_t no_part;
	size_t unwritable;
	struct counts same_gfn;
	struct counts contents;
	/* What is shown to who waits at a terminal. */
	bool shows_progress;
	const char *step;
	double shown;
	uint64_t done;
	uint64_t total;
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void begin_step(struct job *job, const char *step, uint64_t total)
{
	job->step = step;
	job->done = 0;
	job->total = total;
	job->shown = 0;
}

static void progress(struct job *job, uint64_t pages)
{
	job->done += pages;
	if (!job->shows_progress || now() < job->shown + 0.2)
		return;
	job->shown = now();
	fprintf(stderr, "\r\033[K%s: %.0f%%", job->step,
		job->total ? 100.0 * job->done / job->total : 100.0);
}

static void end_progress(const struct job *job)
{
	if (job->shows_progress)
		fputs("\r\033[K", stderr);
}

/* A machine that takes no part, or shrinks, is none to go on with. */
static int merge_pairs(struct job *job, struct counts *counts,
		       const struct pairs *pairs)
{
	uint64_t done = 0;

	while (done < pairs->nr) {
		uint64_t left = pairs->nr - done;
		struct disco_merge merge = {
			.size = sizeof(merge),
			.gfn = pairs->gfn + done,
			.other_gfn = pairs->other_gfn + done,
			.nr = left < CHUNK ? left : CHUNK,
		};
		int ret = disco_merge(job->guest[pairs->guest].vm,
				      job->guest[pairs->other].vm, &merge);

		if (ret == -ENXIO || ret == -EACCES)
			return 0;
		if (ret)
			return ret;
		counts->compared += merge.out_nr;
		counts->merged += merge.out_merged;
		counts->zeros += merge.out_zeros;
		counts->same += merge.out_same;
		counts->different += merge.out_different;
		counts->pinned += merge.out_pinned;
		counts->full += merge.out_full;
		counts->freed += merge.out_freed * (uint64_t)job->page_size;
		done += merge.out_nr;
		progress(job, merge.out_nr);
	}
	return 0;
}

/* The next page from @gfn on that is no hole. */
static uint64_t next_data(const struct job *job, const struct guest *guest,
			  uint64_t gfn)
{
	off_t at = lseek(disco_vm_fd(guest->vm), gfn * job->page_size,
			 SEEK_DATA);

	return at < 0 ? UINT64_MAX : (uint64_t)at / job->page_size;
}

static int merge_same_gfn(struct job *job)
{
	uint64_t total = 0;

	for (size_t i = 0; i < job->nr; i++)
		total += job->guest[i].pages;
	begin_step(job, "same gfn", total);
	for (size_t i = 0; i < job->nr; i++) {
		size_t first = i - i % GROUP;
		struct pairs pairs = { .guest = first, .other = i };
		uint64_t gfn = 0, end = job->guest[i].pages;
		int ret;

		if (end > job->guest[first].pages)
			end = job->guest[first].pages;
		while (i != first && gfn < end) {
			uint64_t a = next_data(job, &job->guest[first], gfn);
			uint64_t b = next_data(job, &job->guest[i], gfn);

			gfn = a < b ? a : b;
			if (gfn >= end)
				break;
			pairs.gfn = gfn;
			pairs.other_gfn = gfn;
			pairs.nr = end - gfn < CHUNK ? end - gfn : CHUNK;
			ret = merge_pairs(job, &job->same_gfn, &pairs);
			if (ret)
				return ret;
			gfn += pairs.nr;
		}
	}
	return 0;
}

/* Does a page have contents that are not known from the first machine? */
static bool is_new(const struct disco_pmap_entry *entry,
		   const struct disco_pmap_entry *in_first)
{
	if (entry->state != DISCO_PAGE_PRIVATE &&
	    entry->state != DISCO_PAGE_SHARED &&
	    entry->state != DISCO_PAGE_REPLICATED)
		return false;
	return !in_first || !entry->pfn || entry->pfn != in_first->pfn;
}

/* Adds the pages of a batch; @first is the same batch of the first machine. */
static int add_batch(struct job *job, struct contents *contents, size_t i,
		     const struct disco_pmap_batch *batch,
		     const struct disco_pmap_batch *first, char *buffer)
{
	const struct guest *guest = &job->guest[i];
	size_t bytes = batch->nr * job->page_size;
	ssize_t got = 0;

	for (size_t j = 0; j < batch->nr; j++) {
		if (!is_new(&batch->entries[j],
			    first && j < first->nr ? &first->entries[j] : NULL))
			continue;
		/* All at once, when the first one is wanted. */
		if (!got) {
			got = pread(disco_vm_fd(guest->vm), buffer, bytes,
				    batch->gfn * job->page_size);
			if (got < 0)
				return ctl_error(job->ctl,
						 "cannot read VM %s: %s",
						 disco_vm_name(guest->vm),
						 strerror(errno));
			memset(buffer + got, 0, bytes - got);
		}
		if (!contents_add(contents, i, batch->gfn + j,
				  buffer + j * job->page_size))
			return ctl_error(job->ctl, "not enough memory");
	}
	progress(job, batch->nr);
	return EXIT_OK;
}

static int read_guest(struct job *job, struct contents *contents, size_t i)
{
	struct disco_pmap_iter *iter = NULL, *iter_first = NULL;
	struct disco_pmap_batch batch, first;
	char *buffer = NULL;
	size_t room = 0;
	int more = 1, ret;

	if (disco_pmap_new(job->guest[i].vm, 0, UINT64_MAX, &iter) ||
	    disco_pmap_new(job->guest[0].vm, 0, UINT64_MAX, &iter_first)) {
		disco_pmap_free(iter);
		return ctl_disco_error(job->ctl);
	}
	while ((ret = disco_pmap_next(iter, &batch)) > 0) {
		more = i && more > 0 ? disco_pmap_next(iter_first, &first) : 0;
		if (batch.nr > room) {
			free(buffer);
			room = batch.nr;
			buffer = malloc(room * job->page_size);
			if (!buffer) {
				ret = ctl_error(job->ctl, "not enough memory");
				goto out;
			}
		}
		ret = add_batch(job, contents, i, &batch,
				more > 0 ? &first : NULL, buffer);
		if (ret)
			goto out;
	}
	ret = ret ? ctl_disco_error(job->ctl) : EXIT_OK;
out:
	free(buffer);
	disco_pmap_free(iter);
	disco_pmap_free(iter_first);
	return ret;
}

static int merge_contents(struct job *job)
{
	struct contents *contents = contents_new(job->page_size);
	struct pairs pairs;
	size_t at = 0;
	int ret = EXIT_OK;

	if (!contents)
		return ctl_error(job->ctl, "not enough memory");
	/* The total is that of the part before. */
	begin_step(job, "reading", job->total);
	for (size_t i = 0; !ret && i < job->nr; i++)
		ret = read_guest(job, contents, i);
	if (!ret)
		begin_step(job, "equal contents", contents_pair(contents));
	while (!ret && contents_next(contents, &at, &pairs))
		if (merge_pairs(job, &job->contents, &pairs))
			ret = ctl_disco_error(job->ctl);
	contents_free(contents);
	return ret;
}

static void add_counts(struct counts *sum, const struct counts *counts)
{
	sum->compared += counts->compared;
	sum->merged += counts->merged;
	sum->zeros += counts->zeros;
	sum->same += counts->same;
	sum->different += counts->different;
	sum->pinned += counts->pinned;
	sum->full += counts->full;
	sum->freed += counts->freed;
}

static struct json_object *counts_json(const struct counts *counts)
{
	struct json_object *obj = json_object_new_object();

	json_add_u64(obj, "compared", counts->compared);
	json_add_u64(obj, "merged", counts->merged);
	json_add_u64(obj, "zeros", counts->zeros);
	json_add_u64(obj, "same", counts->same);
	json_add_u64(obj, "different", counts->different);
	json_add_u64(obj, "pinned", counts->pinned);
	json_add_u64(obj, "full", counts->full);
	json_add_u64(obj, "freed", counts->freed);
	return obj;
}

static int print_job_json(const struct job *job, double seconds)
{
	struct json_object *obj = json_object_new_object();
	struct counts sum = job->same_gfn;

	add_counts(&sum, &job->contents);
	json_add_u64(obj, "machines", job->nr);
	json_add_u64(obj, "take_no_part", job->no_part);
	json_add_u64(obj, "unwritable", job->unwritable);
	json_object_object_add(obj, "same_gfn", counts_json(&job->same_gfn));
	json_object_object_add(obj, "contents", job->ctl->same_gfn_only ?
			       NULL : counts_json(&job->contents));
	json_object_object_add(obj, "totals", counts_json(&sum));
	json_object_object_add(obj, "seconds",
			       json_object_new_double(seconds));
	return ctl_print_json(job->ctl, obj);
}

static void print_counts(const char *name, const struct counts *counts)
{
	const uint64_t numbers[] = {
		counts->compared, counts->merged, counts->zeros, counts->same,
		counts->different, counts->pinned, counts->full,
	};

	printf("%-8s", name);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		printf("%*" PRIu64, COLUMN_WIDTH, numbers[i]);
	print_mib(counts->freed, COLUMN_WIDTH + 4);
	putchar('\n');
}

static int print_job(const struct job *job, double seconds)
{
	static const char * const columns[] = {
		"COMPARED", "MERGED", "ZEROS", "SAME", "DIFFERENT", "PINNED",
		"FULL",
	};
	struct counts sum = job->same_gfn;

	add_counts(&sum, &job->contents);
	printf("%-8s", "PAGES");
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		printf("%*s", COLUMN_WIDTH, columns[i]);
	printf("%*s\n", COLUMN_WIDTH + 4, "FREED");
	print_counts("same gfn", &job->same_gfn);
	if (!job->ctl->same_gfn_only)
		print_counts("contents", &job->contents);
	print_counts("TOTAL", &sum);
	printf("%zu machines in %.2f s.\n", job->nr, seconds);
	if (job->no_part || job->unwritable)
		printf("Left out: %zu machines that take no part, %zu that you may not write to.\n",
		       job->no_part, job->unwritable);
	return EXIT_OK;
}

/* An older module has no such attribute, and says so itself when asked. */
static bool takes_part(struct disco_vm *vm)
{
	int flags = 0;

	return ioctl(disco_vm_fd(vm), FS_IOC_GETFLAGS, &flags) ||
	       !(flags & FS_NOCOW_FL);
}

/* Adds a machine; 0, or a negative errno that disco_error() explains. */
static int add_guest(struct job *job, const char *name)
{
	struct disco_vm_stat stat = { .size = sizeof(stat) };
	struct guest *guest = &job->guest[job->nr];
	int ret;

	ret = disco_vm_open_writable(job->ctl->disco, name, &guest->vm);
	if (ret)
		return ret;
	ret = disco_vm_stat(guest->vm, &stat);
	if (ret) {
		disco_vm_close(guest->vm);
		return ret;
	}
	guest->pages = (stat.out_virtual + job->page_size - 1) /
		       job->page_size;
	job->nr++;
	return 0;
}

static int add_named(struct job *job, size_t nr, char **names)
{
	for (size_t i = 0; i < nr; i++) {
		if (add_guest(job, names[i]))
			return ctl_disco_error(job->ctl);
		if (!takes_part(job->guest[i].vm))
			return ctl_error(job->ctl,
					 "VM %s takes no part in merging: its file has the attribute C (see chattr)",
					 disco_vm_name(job->guest[i].vm));
		for (size_t j = 0; j < i; j++)
			if (!strcmp(disco_vm_name(job->guest[i].vm),
				    disco_vm_name(job->guest[j].vm)))
				return ctl_error(job->ctl,
						 "VM %s is named twice",
						 disco_vm_name(job->guest[i].vm));
	}
	return EXIT_OK;
}

/* Machines that vanish meanwhile are left out, like those never there. */
static int add_all(struct job *job, size_t nr, char **names)
{
	for (size_t i = 0; i < nr; i++) {
		int ret = add_guest(job, names[i]);

		if (ret == -EACCES)
			job->unwritable++;
		else if (ret && ret != -ENOENT)
			return ctl_disco_error(job->ctl);
		if (ret || takes_part(job->guest[job->nr - 1].vm))
			continue;
		disco_vm_close(job->guest[--job->nr].vm);
		job->no_part++;
	}
	return EXIT_OK;
}

static int run_job(struct job *job)
{
	double start = now(), seconds;
	int ret = EXIT_OK;

	if (merge_same_gfn(job))
		ret = ctl_disco_error(job->ctl);
	if (!ret && !job->ctl->same_gfn_only)
		ret = merge_contents(job);
	end_progress(job);
	seconds = now() - start;
	if (ret)
		return ret;
	return job->ctl->json ? print_job_json(job, seconds) :
				print_job(job, seconds);
}

static int merge(struct ctl *ctl, size_t nr, char **names)
{
	struct disco_query query = { .size = sizeof(query) };
	struct job job = {
		.ctl = ctl,
		.shows_progress = isatty(STDERR_FILENO),
	};
	int ret;

	if (disco_query(ctl->disco, &query))
		return ctl_disco_error(ctl);
	job.page_size = query.out_page_size;
	job.guest = calloc(nr + 1, sizeof(*job.guest));
	if (!job.guest)
		return ctl_error(ctl, "not enough memory");
	ret = ctl->all ? add_all(&job, nr, names) : add_named(&job, nr, names);
	if (!ret)
		ret = run_job(&job);
	for (size_t i = 0; i < job.nr; i++)
		disco_vm_close(job.guest[i].vm);
	free(job.guest);
	return ret;
}

/**
 * cmd_merge - discoctl merge
 * @ctl: the program
 * @argc: number of words that follow
 * @argv: the words
 *
 * Return: exit code.
 */
int cmd_merge(struct ctl *ctl, int argc, char **argv)
{
	size_t nr, unreadable;
	char **names;
	int ret;

	if (argc == 1 && !strcmp(argv[0], "help"))
		return print_help(help);
	if (!ctl->all) {
		if (argc)
			return merge(ctl, argc, argv);
		return ctl_error(ctl,
				 "merge: the NAMEs of machines are missing, or --all");
	}
	ret = reject_words(ctl, argc, argv);
	if (ret)
		return ret;
	if (disco_vm_names(ctl->disco, &names, &nr, &unreadable))
		return ctl_disco_error(ctl);
	ret = merge(ctl, nr, names);
	disco_vm_names_free(names, nr);
	return ret;
}
