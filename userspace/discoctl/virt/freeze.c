// SPDX-License-Identifier: GPL-2.0-only
/*
 * The source's disks: what they hold is frozen below an overlay, as copies go on from
 * there; and put back if there are no copies after all.
 */
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "virt.h"

/* Nothing has been written to the overlay, so there is nothing to do but to look. */
#define PATIENCE 30
#define POLL_MS 20

/**
 * disks_freeze - put overlays on the source's disks
 * @job: the run; frozen is set if there are any
 *
 * From here on the source's disks are what the copies have, and no one writes. Its QEMU
 * makes the overlays, so that they are of the kind that it can use.
 *
 * Return: exit code.
 */
int disks_freeze(struct job *job)
{
	virDomainSnapshotPtr snapshot;
	char *xml;

	if (!job->domain.nr_disks)
		return EXIT_OK;
	xml = domain_snapshot_xml(&job->domain);
	if (!xml)
		return no_memory(job->ctl);
	snapshot = virDomainSnapshotCreateXML(job->source, xml,
					      VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY |
					      VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA |
					      VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC);
	free(xml);
	if (!snapshot)
		return libvirt_error(job->ctl, "cannot freeze the disks of domain",
				     job->domain.name);
	virDomainSnapshotFree(snapshot);
	job->frozen = true;
	return EXIT_OK;
}

static bool thaw(const struct job *job, const struct disk *disk)
{
	double deadline = seconds_now() + PATIENCE;

	if (virDomainBlockCommit(job->source, disk->target, NULL, NULL, 0,
				 VIR_DOMAIN_BLOCK_COMMIT_ACTIVE |
				 VIR_DOMAIN_BLOCK_COMMIT_SHALLOW))
		return false;
	/* Refused until QEMU has looked. */
	while (virDomainBlockJobAbort(job->source, disk->target,
				      VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)) {
		if (seconds_now() > deadline) {
			virDomainBlockJobAbort(job->source, disk->target, 0);
			return false;
		}
		poll(NULL, 0, POLL_MS);
	}
	unlink(disk->overlay);
	return true;
}

/**
 * disks_thaw - take the overlays off again
 * @job: the run; the source has not gone on, and there are no copies
 *
 * Not tried once the source's state has been saved: until it goes on, its QEMU has let go
 * of its disks, and asserts that nobody has it write to them.
 *
 * Return: whether all disks are as they were.
 */
bool disks_thaw(struct job *job)
{
	bool done = true;

	if (!job->frozen)
		return true;
	if (job->saved)
		return false;
	for (size_t i = 0; i < job->domain.nr_disks; i++)
		done = thaw(job, &job->domain.disk[i]) && done;
	return done;
}
