// SPDX-License-Identifier: GPL-2.0-only
/*
 * Text in and out: numbers, ranges, sizes, names, columns.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "text.h"

/* Returns what follows the number, or NULL. */
static const char *scan_number(const char *text, uint64_t *value)
{
	int base = 10;
	char *end;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		base = 16;
		text += 2;
	}
	/* strtoull() would also take a sign, white space and a second 0x. */
	if (!isxdigit((unsigned char)text[0]) ||
	    (text[0] == '0' && tolower((unsigned char)text[1]) == 'x'))
		return NULL;
	errno = 0;
	*value = strtoull(text, &end, base);
	return errno || end == text ? NULL : end;
}

/**
 * parse_number - read a frame number
 * @text: decimal, or hexadecimal after 0x
 * @value: filled if it is one
 *
 * Return: whether all of @text is a number of 64 bits.
 */
bool parse_number(const char *text, uint64_t *value)
{
	uint64_t number;
	const char *end = scan_number(text, &number);

	if (!end || *end)
		return false;
	*value = number;
	return true;
}

/**
 * parse_range - read FIRST-LAST or a single number
 * @text: the range
 * @first: filled if it is one
 * @last: filled if it is one, @first for a single number
 *
 * Whether @last is before @first is not looked at.
 *
 * Return: whether all of @text is a range.
 */
bool parse_range(const char *text, uint64_t *first, uint64_t *last)
{
	uint64_t from, to;
	const char *end = scan_number(text, &from);

	if (!end)
		return false;
	to = from;
	if (*end == '-') {
		if (!parse_number(end + 1, &to))
			return false;
	} else if (*end) {
		return false;
	}
	*first = from;
	*last = to;
	return true;
}

/**
 * parse_size - read a size
 * @text: a number as for parse_number(), in bytes or with k, m, g or t after it
 * @bytes: filled if it is one
 *
 * Return: whether all of @text is a size, of less than 2^64 bytes.
 */
bool parse_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "kmgt";
	const char *unit;
	uint64_t number;
	const char *end = scan_number(text, &number);
	int shift = 0;

	if (!end)
		return false;
	if (*end) {
		unit = strchr(units, tolower((unsigned char)*end));
		if (!unit || end[1])
			return false;
		shift = 10 * (unit - units + 1);
	}
	if (number > UINT64_MAX >> shift)
		return false;
	*bytes = number << shift;
	return true;
}

/**
 * parse_mode - read permissions
 * @text: up to four octal digits, at most 0777
 * @mode: filled if it is one
 *
 * Return: whether all of @text is a mode.
 */
bool parse_mode(const char *text, unsigned int *mode)
{
	size_t len = strlen(text);
	unsigned long bits;

	if (!len || len > 4 || strspn(text, "01234567") != len)
		return false;
	bits = strtoul(text, NULL, 8);
	if (bits > 0777)
		return false;
	*mode = bits;
	return true;
}

/**
 * escape_name - make a file name fit for a terminal
 * @name: any bytes
 *
 * Who may create a VM chooses its name, and who lists VMs may be root: bytes
 * that a terminal would act on become \xNN.
 *
 * Return: text to be freed, or NULL without memory.
 */
char *escape_name(const char *name)
{
	char *out = malloc(strlen(name) * 4 + 1);
	mbstate_t state = { 0 };
	char *pos = out;

	if (!out)
		return NULL;
	while (*name) {
		wchar_t wc;
		size_t len = mbrtowc(&wc, name, MB_CUR_MAX, &state);

		if (len != (size_t)-1 && len != (size_t)-2 && iswprint(wc)) {
			memcpy(pos, name, len);
			pos += len;
			name += len;
			continue;
		}
		pos += sprintf(pos, "\\x%02x", (unsigned char)*name);
		name++;
		memset(&state, 0, sizeof(state));
	}
	*pos = '\0';
	return out;
}

/**
 * text_width - columns that a text takes on a terminal
 * @text: what escape_name() returned
 *
 * Return: number of columns.
 */
int text_width(const char *text)
{
	mbstate_t state = { 0 };
	int width = 0;
	wchar_t wc;
	size_t len;

	while ((len = mbrtowc(&wc, text, MB_CUR_MAX, &state)) > 0 &&
	       len < (size_t)-2) {
		width += wcwidth(wc) > 0 ? wcwidth(wc) : 0;
		text += len;
	}
	return width;
}

/**
 * cut_name - make a file name fit for a terminal, and into a column
 * @name: any bytes
 * @width: columns that it may take
 *
 * Return: text to be freed, which ends with ~ if it was cut; or NULL without
 * memory.
 */
char *cut_name(const char *name, int width)
{
	char *safe = escape_name(name);
	char *end;

	if (!safe || text_width(safe) <= width)
		return safe;
	end = safe + strlen(safe);
	while (end > safe && text_width(safe) > width - 1) {
		/* Back to the beginning of a character of UTF-8. */
		do {
			end--;
		} while (end > safe && (*end & 0xc0) == 0x80);
		*end = '\0';
	}
	/* There is room: something was cut. */
	strcpy(end, "~");
	return safe;
}

/**
 * print_padded - print a text, then blanks
 * @text: what escape_name() returned
 * @width: columns to fill
 */
void print_padded(const char *text, int width)
{
	int pad = width - text_width(text);

	printf("%s%*s", text, pad > 0 ? pad : 0, "");
}

/**
 * print_mib - print bytes as MiB
 * @bytes: the number
 * @width: columns to fill, at the right
 */
void print_mib(uint64_t bytes, int width)
{
	printf("%*.2f MiB", width - 4, (double)bytes / (1 << 20));
}

/**
 * json_add_u64 - add a number
 * @obj: where
 * @key: its name
 * @value: the number
 */
void json_add_u64(struct json_object *obj, const char *key, uint64_t value)
{
	json_object_object_add(obj, key, json_object_new_uint64(value));
}

/**
 * json_add_text - add a text
 * @obj: where
 * @key: its name
 * @text: any bytes; JSON is UTF-8, so if this is not, it gets escape_name()d
 */
void json_add_text(struct json_object *obj, const char *key, const char *text)
{
	char *safe = NULL;

	if (mbstowcs(NULL, text, 0) == (size_t)-1)
		safe = escape_name(text);
	json_object_object_add(obj, key,
			       json_object_new_string(safe ? safe : text));
	free(safe);
}
