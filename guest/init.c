// SPDX-License-Identifier: GPL-2.0-only
/*
 * Init of the guest: the only program of the initrd. It loads modules, goes to
 * the root file system and runs a job or a shell there, in one process: under
 * nested emulation, which tests pay for at every boot, a shell script of twenty
 * commands costs half a minute.
 *
 * What it does is chosen on the kernel command line:
 *
 *   disco.host=NAME    host name, default "guest"
 *   disco.job=vdX      /dev/vdX holds a tar archive: unpack it in a tmpfs and run
 *                      its file "run" there, on the job's terminal
 *   disco.job=PATH     run this program of the root file system
 *   disco.tty=ttySN    terminal of the job, default the console; set to raw, so
 *                      that a job's output passes through unchanged
 *   disco.tag=WORD     goes into the markers, so that a job cannot forge them
 *   disco.then=shell   after the job start a shell instead of powering off
 *
 * Without a job it starts a shell on the console and powers off when that ends.
 * Markers, each on a line of its own on the console:
 *
 *   @@disco TAG up SECONDS       this init runs, seconds since the kernel started
 *   @@disco TAG begin            the job starts
 *   @@disco TAG end STATUS       the job ended with this exit status, 128 plus the
 *                                number of a signal, or 126 when it cannot run
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PATH "/usr/sbin:/usr/bin:/sbin:/bin"
#define RENEW "/usr/sbin/disco-renew"
#define TAR_BLOCK 512

static const char *host = "guest", *job, *tty = "console", *tag = "-", *then = "";

static void __attribute__((noreturn)) power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	_exit(1);	/* panics, and QEMU ends with -no-reboot and panic=-1 */
}

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	const char *reason = strerror(errno);
	va_list args;

	va_start(args, format);
	printf("disco-guest: ");
	vprintf(format, args);
	printf(": %s\n", reason);
	power_off();
}

/* Reads a small file to its end; NULL if it cannot be opened. */
static char *read_file(const char *path)
{
	static char buffer[16384];
	size_t length = 0;
	ssize_t got;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	while ((got = read(fd, buffer + length, sizeof(buffer) - 1 - length)) > 0)
		length += got;
	close(fd);
	buffer[length] = 0;
	return buffer;
}

static void must_mount(const char *what, const char *where, const char *type, const char *data)
{
	if (mount(what, where, type, MS_NOATIME, data) < 0)
		die("cannot mount %s", where);
}

/*
 * Is there a PCI device of one of these numbers? A virtio device has one as a
 * transitional device and another as a modern one. Lines are "bus-slot,
 * vendor and device, irq, ...", in hexadecimal.
 */
static bool have_virtio(const char *devices, unsigned int transitional, unsigned int modern)
{
	unsigned int id;

	for (; devices; devices = strchr(devices, '\n')) {
		devices += *devices == '\n';
		if (sscanf(devices, "%*x %x", &id) == 1 &&
		    (id == (0x1af40000 | transitional) || id == (0x1af40000 | modern)))
			return true;
	}
	return false;
}

/*
 * Loads the modules of /modules/list, in its order. A line is a device and the
 * name of a module it needs, to be loaded when the device is there. A kernel
 * that knows no modules has all of it built in.
 */
static void load_modules(void)
{
	char *devices = strdup(read_file("/proc/bus/pci/devices") ?: "");
	char *list = read_file("/modules/list"), *end;
	bool net = have_virtio(devices, 0x1000, 0x1041);
	bool balloon = have_virtio(devices, 0x1002, 0x1045);
	bool channel = have_virtio(devices, 0x1003, 0x1043);
	char device[16], name[64], path[96];
	int fd;

	if (!list)
		die("no /modules/list");
	for (; (end = strchr(list, '\n')); list = end + 1) {
		if (sscanf(list, "%15s %63s", device, name) != 2)
			continue;
		snprintf(path, sizeof(path), "/modules/%s.ko", name);
		if ((strcmp(device, "net") || net) && (strcmp(device, "balloon") || balloon) &&
		    (strcmp(device, "channel") || channel)) {
			fd = open(path, O_RDONLY | O_CLOEXEC);
			if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != ENOSYS))
				die("cannot load %s", path);
			close(fd);
		}
		unlink(path);	/* its memory is the guest's again */
	}
	free(devices);
}

/*
 * Makes the interrupts of PCI devices, 10 and 11, level-triggered. The board's
 * firmware does that; what QEMU has instead does not, and Linux relies on it. As
 * edges they get lost where devices share one: if one raises it after its handler
 * has looked and before the other's handler has lowered it, there is no edge, and
 * none ever after.
 */
static void trigger_by_level(void)
{
	/* Of interrupts 8 to 15, one bit each. */
	const off_t elcr2 = 0x4d1;
	const unsigned char levels = 1 << (10 - 8) | 1 << (11 - 8);
	int fd = open("/dev/port", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || pwrite(fd, &levels, 1, elcr2) != 1)
		perror("disco-guest: interrupts of PCI devices stay edges");
	close(fd);
}

static void parse_command_line(void)
{
	static const struct {
		const char *name;
		const char **value;
	} options[] = {
		{ "disco.host=", &host }, { "disco.job=", &job },   { "disco.tty=", &tty },
		{ "disco.tag=", &tag },	  { "disco.then=", &then },
	};
	char *line = strdup(read_file("/proc/cmdline") ?: ""), *word;
	size_t i, length;

	for (word = strtok(line, " \n"); word; word = strtok(NULL, " \n")) {
		for (i = 0; i < sizeof(options) / sizeof(*options); i++) {
			length = strlen(options[i].name);
			if (!strncmp(word, options[i].name, length))
				*options[i].value = word + length;
		}
	}
}

/* From the initrd to the root file system; /dev and /proc come along. */
static void enter_root(void)
{
	must_mount("/dev/vda", "/root", "ext4", NULL);
	if (mount("/dev", "/root/dev", NULL, MS_MOVE, NULL) < 0 ||
	    mount("/proc", "/root/proc", NULL, MS_MOVE, NULL) < 0 ||
	    chdir("/root") < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 ||
	    chroot(".") < 0 || chdir("/") < 0)
		die("cannot go to the root file system");
	must_mount("sys", "/sys", "sysfs", NULL);
	must_mount("run", "/run", "tmpfs", "mode=755");
	must_mount("tmp", "/tmp", "tmpfs", "mode=1777");
	if (symlink("/proc/self/fd", "/dev/fd") < 0 || symlink("fd/0", "/dev/stdin") < 0 ||
	    symlink("fd/1", "/dev/stdout") < 0 || symlink("fd/2", "/dev/stderr") < 0 ||
	    mkdir("/dev/pts", 0755) < 0)
		die("cannot fill /dev");
	must_mount("devpts", "/dev/pts", "devpts", NULL);
}

/*
 * Leaves the processor's own timer for that of the board. QEMU up to 7.2 at least
 * loses an interrupt of the former when Compare is written while the old value
 * expires in another thread, and the next one comes when the counter has gone
 * round, 43 seconds later. With several processors it stays: they have no other.
 */
static void use_board_timer(void)
{
	static const char clock[] = "/sys/devices/system/clockevents/clockevent";
	char path[96], *name;
	int fd;

	snprintf(path, sizeof(path), "%s1", clock);
	if (!access(path, F_OK))
		return;
	snprintf(path, sizeof(path), "%s0/current_device", clock);
	name = read_file(path);
	if (!name || strcmp(name, "MIPS\n"))
		return;
	snprintf(path, sizeof(path), "%s0/unbind_device", clock);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, name, strlen(name)) < 0)
		perror("disco-guest: the processor's timer stays");
	close(fd);
}

static void loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		perror("disco-guest: lo");
	close(fd);
}

/* The program that makes the guest another machine when it is cloned. */
static void start_renew(void)
{
	if (access("/sys/class/virtio-ports", F_OK) < 0 || fork())
		return;
	execl(RENEW, RENEW, NULL);
	perror("disco-guest: " RENEW);
	_exit(1);
}

/* Copies size bytes of the archive to a new file, and skips its padding. */
static bool unpack_file(int archive, const char *name, unsigned int mode, long size)
{
	char block[TAR_BLOCK];
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	ssize_t part;

	if (fd < 0)
		return false;
	for (; size > 0; size -= TAR_BLOCK) {
		part = size < TAR_BLOCK ? size : TAR_BLOCK;
		if (read(archive, block, TAR_BLOCK) != TAR_BLOCK || write(fd, block, part) != part)
			break;
	}
	close(fd);
	return size <= 0;
}

/* Unpacks a tar archive of files and folders, with names of up to 100 bytes. */
static bool unpack(const char *path)
{
	char header[TAR_BLOCK], name[101];
	int archive = open(path, O_RDONLY | O_CLOEXEC);
	unsigned int mode;
	long size;

	if (archive < 0)
		return false;
	while (read(archive, header, TAR_BLOCK) == TAR_BLOCK && *header) {
		snprintf(name, sizeof(name), "%.100s", header);
		mode = strtoul(header + 100, NULL, 8);
		size = strtol(header + 124, NULL, 8);
		errno = EINVAL;
		if (header[156] == '5') {
			if (mkdir(name, mode) < 0 && errno != EEXIST)
				return false;
		} else if (header[156] != '0' || !unpack_file(archive, name, mode, size)) {
			return false;
		}
	}
	close(archive);
	return true;
}

/* Runs a program on a terminal in a session of its own, so that ^C works. */
static int run_on_tty(char *const argv[], bool raw)
{
	struct termios settings;
	int status, fd;
	char path[64];
	pid_t child = fork(), ended;

	if (!child) {
		snprintf(path, sizeof(path), "/dev/%s", tty);
		setsid();
		fd = open(path, O_RDWR);
		if (fd < 0 || ioctl(fd, TIOCSCTTY, 1) < 0)
			printf("disco-guest: %s: %s\n", path, strerror(errno));
		if (fd >= 0) {
			if (raw && !tcgetattr(fd, &settings)) {
				cfmakeraw(&settings);
				tcsetattr(fd, TCSANOW, &settings);
			}
			dup2(fd, 0);
			dup2(fd, 1);
			dup2(fd, 2);
			if (fd > 2)
				close(fd);
		}
		execv(argv[0], argv);
		printf("disco-guest: %s: %s\n", argv[0], strerror(errno));
		_exit(126);
	}
	/* Process 1 also waits for the orphans. */
	while ((ended = wait(&status)) != child)
		if (ended < 0)
			return 126;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run_job(void)
{
	char device[64];

	if (*job == '/')
		return run_on_tty((char *[]){ (char *)job, NULL }, true);
	snprintf(device, sizeof(device), "/dev/%s", job);
	if (mkdir("/run/job", 0755) < 0 || chdir("/run/job") < 0 || !unpack(device)) {
		printf("disco-guest: cannot unpack %s: %s\n", device, strerror(errno));
		return 126;
	}
	return run_on_tty((char *[]){ "./run", NULL }, true);
}

/* A job on the console leaves it raw. */
static void restore_console(void)
{
	struct termios settings;

	if (tcgetattr(1, &settings))
		return;
	settings.c_iflag |= ICRNL | IXON;
	settings.c_oflag |= OPOST | ONLCR;
	settings.c_lflag |= ISIG | ICANON | ECHO | ECHOE | ECHOK | IEXTEN;
	tcsetattr(1, TCSADRAIN, &settings);
}

int main(void)
{
	struct timespec up;
	int status;

	setvbuf(stdout, NULL, _IOLBF, 0);
	must_mount("proc", "/proc", "proc", NULL);
	must_mount("dev", "/dev", "devtmpfs", NULL);
	parse_command_line();
	trigger_by_level();
	load_modules();
	enter_root();
	use_board_timer();
	sethostname(host, strlen(host));
	loopback_up();
	start_renew();
	setenv("PATH", PATH, 1);
	setenv("HOME", "/root", 1);
	setenv("LANG", "C", 1);

	clock_gettime(CLOCK_BOOTTIME, &up);
	printf("@@disco %s up %ld.%02ld\n", tag, (long)up.tv_sec, up.tv_nsec / 10000000);
	if (job) {
		printf("@@disco %s begin\n", tag);
		status = run_job();
		restore_console();
		/* The job may have left the cursor behind text. */
		printf("\n@@disco %s end %d\n", tag, status);
	}
	if (!job || !strcmp(then, "shell")) {
		if (chdir("/root") < 0)
			perror("disco-guest: /root");
		run_on_tty((char *[]){ "/bin/bash", "-l", NULL }, false);
	}
	power_off();
}
