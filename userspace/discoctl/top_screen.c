// SPDX-License-Identifier: GPL-2.0-only
/*
 * discoctl top on a terminal: drawing and keys.
 */
#include <curses.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <term.h>
#include <unistd.h>

#include "top.h"

/* Summary, an empty line, titles; and below the table totals and help. */
#define LINES_ABOVE (TOP_SUMMARY_LINES + 2)
#define LINES_BELOW 2
#define MIN_NAME 8

static volatile sig_atomic_t stopped;

static void on_stop(int sig)
{
	(void)sig;
	stopped = 1;
}

/* Without SA_RESTART, so that waiting for a key ends; curses keeps handlers. */
static void catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	const struct sigaction action = { .sa_handler = on_stop };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, NULL);
}

static void draw_line(int y, char *text, attr_t attr)
{
	if (text && y < LINES) {
		attrset(attr);
		/* What is wider than the screen is cut off. */
		mvaddnstr(y, 0, text, -1);
		attrset(A_NORMAL);
	}
	free(text);
}

static int rows_on_screen(void)
{
	int rows = LINES - LINES_ABOVE - LINES_BELOW;

	return rows > 0 ? rows : 0;
}

static char *help_line(const struct top *top)
{
	char *text;

	if (asprintf(&text, "sorted by %s%s, every %g s; q quit, r turn, sort: n v p s m a o l",
		     top_sort_name(top), top->reverse ? ", turned" : "",
		     top->delay) < 0)
		return NULL;
	return text;
}

static void draw(struct top *top, size_t *first)
{
	const struct top_refresh *now = &top->now;
	size_t room = rows_on_screen();
	int width = COLS - top_table_width();
	int y = LINES_ABOVE;

	if (width < MIN_NAME)
		width = MIN_NAME;
	/* There may be fewer machines than before, or more lines. */
	if (now->nr <= room)
		*first = 0;
	else if (*first > now->nr - room)
		*first = now->nr - room;
	top_sort(top);
	erase();
	for (int i = 0; i < TOP_SUMMARY_LINES; i++)
		draw_line(i, top_summary(top, i), A_NORMAL);
	draw_line(LINES_ABOVE - 1, top_header(width), A_REVERSE);
	for (size_t i = *first; i < now->nr && i - *first < room; i++)
		draw_line(y++, top_row(top, &now->vm[i], width), A_NORMAL);
	draw_line(y, top_row(top, &now->total, width), A_BOLD);
	if (LINES > LINES_ABOVE + 1)
		draw_line(LINES - 1, help_line(top), A_DIM);
	refresh();
}

enum answer { GO_ON, REFRESH, QUIT };

/* How far down it can go, draw() knows. */
static void scroll_by(size_t *first, long rows)
{
	if (rows < 0 && *first < (size_t)-rows)
		*first = 0;
	else
		*first += rows;
}

static enum answer press(struct top *top, int key, size_t *first)
{
	size_t column = top_key_column(key);

	if (column != SIZE_MAX) {
		top->reverse = column == top->sort && !top->reverse;
		top->sort = column;
		return GO_ON;
	}
	switch (key) {
	case 'q':
	case 'Q':
		return QUIT;
	case 'r':
		top->reverse = !top->reverse;
		break;
	case ' ':
		return REFRESH;
	case KEY_UP:
		scroll_by(first, -1);
		break;
	case KEY_DOWN:
		scroll_by(first, 1);
		break;
	case KEY_PPAGE:
		scroll_by(first, -rows_on_screen());
		break;
	case KEY_NPAGE:
		scroll_by(first, rows_on_screen());
		break;
	case KEY_HOME:
		*first = 0;
		break;
	case KEY_END:
		*first = top->now.nr;
		break;
	}
	return GO_ON;
}

/* Milliseconds until the next refresh is due. */
static int due(const struct top *top)
{
	struct timespec now;
	double left;

	clock_gettime(CLOCK_MONOTONIC, &now);
	left = top->delay - (now.tv_sec - top->now.mono.tv_sec) -
	       (now.tv_nsec - top->now.mono.tv_nsec) / 1e9;
	return left > 0 ? left * 1000 + 1 : 0;
}

static enum answer wait_for_keys(struct top *top, size_t *first)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	enum answer answer = GO_ON;
	int left, key;

	while (answer == GO_ON && (left = due(top))) {
		poll(&input, 1, left);
		/* A terminal that is gone has no more keys. */
		if (stopped || input.revents & (POLLHUP | POLLERR | POLLNVAL))
			return QUIT;
		/* A change of the size interrupts poll(), and is a key. */
		while (answer == GO_ON && (key = getch()) != ERR) {
			answer = press(top, key, first);
			if (answer == GO_ON)
				draw(top, first);
		}
	}
	return answer;
}

static int show(struct top *top)
{
	size_t first = 0;

	for (uint64_t nr = 0;;) {
		int ret = top_refresh(top);

		if (ret)
			return ret;
		draw(top, &first);
		if (++nr == top->count || wait_for_keys(top, &first) == QUIT)
			return 0;
	}
}

/**
 * top_check_terminal - can there be a screen
 * @ctl: the program
 *
 * Return: EXIT_OK, or EXIT_ERROR and the reason is told.
 */
int top_check_terminal(const struct ctl *ctl)
{
	const char *type = getenv("TERM");
	bool known;
	int ret;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return ctl_error(ctl,
				 "standard %s is no terminal: try -b for text, or -j",
				 isatty(STDIN_FILENO) ? "output" : "input");
	if (!type || !type[0])
		return ctl_error(ctl,
				 "TERM does not say what terminal this is: set it, or try -b for text");
	known = setupterm(type, STDOUT_FILENO, &ret) == OK && cursor_address;
	if (cur_term)
		del_curterm(cur_term);
	if (!known)
		return ctl_error(ctl,
				 "a terminal of type \"%s\" is not known or cannot place its cursor: set TERM right, or try -b for text",
				 type);
	return EXIT_OK;
}

/**
 * top_screen - show it on the terminal
 * @top: what top_init() filled
 *
 * Return: exit code.
 */
int top_screen(struct top *top)
{
	SCREEN *screen;
	int ret;

	catch_signals();
	screen = newterm(NULL, stdout, stdin);
	if (!screen)
		return ctl_error(top->ctl, "cannot use a terminal of type \"%s\"",
				 getenv("TERM"));
	cbreak();
	noecho();
	nonl();
	nodelay(stdscr, TRUE);
	keypad(stdscr, TRUE);
	curs_set(0);
	ret = show(top);
	endwin();
	delscreen(screen);
	return ret ? ctl_error(top->ctl, "%s", top->error) : EXIT_OK;
}
