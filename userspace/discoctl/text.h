/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <json-c/json.h>

/* For the parts of discoctl that are loaded later, too. */
#pragma GCC visibility push(default)

bool parse_number(const char *text, uint64_t *value);
bool parse_range(const char *text, uint64_t *first, uint64_t *last);
bool parse_size(const char *text, uint64_t *bytes);
bool parse_mode(const char *text, unsigned int *mode);
char *escape_name(const char *name);
char *cut_name(const char *name, int width);
int text_width(const char *text);
void print_padded(const char *text, int width);
void print_mib(uint64_t bytes, int width);
void json_add_u64(struct json_object *obj, const char *key, uint64_t value);
void json_add_text(struct json_object *obj, const char *key, const char *text);

#pragma GCC visibility pop

#endif /* TEXT_H */
