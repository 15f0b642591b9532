// SPDX-License-Identifier: GPL-2.0-only
/*
 * All rules there are.
 */
#include <string.h>

#include "policy.h"

/** np_rules - all rules, NULL at the end; the first moves nothing */
const struct np_rule * const np_rules[] = {
	&np_rule_static,
	&np_rule_interleave,
	&np_rule_autonuma,
	&np_rule_carrefour,
	&np_rule_disco,
	NULL
};

/**
 * np_rule_find - look up a rule
 * @name: its name
 *
 * Return: the rule, or NULL if there is none of this name.
 */
const struct np_rule *np_rule_find(const char *name)
{
	for (int i = 0; np_rules[i]; i++)
		if (!strcmp(name, np_rules[i]->name))
			return np_rules[i];
	return NULL;
}

/**
 * np_rule_name - name of a rule
 * @rule: the rule
 *
 * Return: the word that stands for it in a configuration.
 */
const char *np_rule_name(const struct np_rule *rule)
{
	return rule->name;
}

/**
 * np_rule_text - what a rule does
 * @rule: the rule
 *
 * Return: a line of text.
 */
const char *np_rule_text(const struct np_rule *rule)
{
	return rule->text;
}
