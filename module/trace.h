/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM disco

#if !defined(_DISCO_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _DISCO_TRACE_H

#include <linux/tracepoint.h>

#include <linux/disco.h>

#include "counters.h"

#undef X /* left over from the last pass of define_trace.h */
#define X(name) TRACE_DEFINE_ENUM(DISCO_##name);
DISCO_TRANSITIONS(X)
DISCO_REFUSALS(X)
#undef X
TRACE_DEFINE_ENUM(DISCO_MOVE_MIGRATE);
TRACE_DEFINE_ENUM(DISCO_MOVE_REPLICATE);
TRACE_DEFINE_ENUM(DISCO_MOVE_COLLAPSE);

#define X(name) { DISCO_##name, #name },
/* The empty last entry ends the list after the trailing comma. */
#define show_disco_transition(c) \
	__print_symbolic(c, DISCO_TRANSITIONS(X) { -1, NULL })
#define show_disco_move(o)						\
	__print_symbolic(o, { DISCO_MOVE_MIGRATE, "migrate" },		\
			 { DISCO_MOVE_REPLICATE, "replicate" },		\
			 { DISCO_MOVE_COLLAPSE, "collapse" })
#define show_disco_refusal(c) \
	__print_symbolic(c, DISCO_REFUSALS(X) { -1, NULL })

TRACE_EVENT(disco_page,
	TP_PROTO(unsigned int vm, unsigned long gfn, unsigned long pfn,
		 int node, enum disco_counter transition),
	TP_ARGS(vm, gfn, pfn, node, transition),
	TP_STRUCT__entry(
		__field(unsigned int, vm)
		__field(unsigned long, gfn)
		__field(unsigned long, pfn)
		__field(int, node)
		__field(int, transition)
	),
	TP_fast_assign(
		__entry->vm = vm;
		__entry->gfn = gfn;
		__entry->pfn = pfn;
		__entry->node = node;
		__entry->transition = transition;
	),
	TP_printk("vm=%u gfn=%#lx pfn=%#lx node=%d %s",
		  __entry->vm, __entry->gfn, __entry->pfn, __entry->node,
		  show_disco_transition(__entry->transition))
);

TRACE_EVENT(disco_refuse,
	TP_PROTO(unsigned int vm, unsigned long gfn,
		 enum disco_counter refusal),
	TP_ARGS(vm, gfn, refusal),
	TP_STRUCT__entry(
		__field(unsigned int, vm)
		__field(unsigned long, gfn)
		__field(int, refusal)
	),
	TP_fast_assign(
		__entry->vm = vm;
		__entry->gfn = gfn;
		__entry->refusal = refusal;
	),
	TP_printk("vm=%u gfn=%#lx %s", __entry->vm, __entry->gfn,
		  show_disco_refusal(__entry->refusal))
);

TRACE_EVENT(disco_move,
	TP_PROTO(unsigned int vm, unsigned int operation, u64 gfn, int from,
		 unsigned int node, int result),
	TP_ARGS(vm, operation, gfn, from, node, result),
	TP_STRUCT__entry(
		__field(unsigned int, vm)
		__field(unsigned int, operation)
		__field(u64, gfn)
		__field(int, from)
		__field(unsigned int, node)
		__field(int, result)
	),
	TP_fast_assign(
		__entry->vm = vm;
		__entry->operation = operation;
		__entry->gfn = gfn;
		__entry->from = from;
		__entry->node = node;
		__entry->result = result;
	),
	TP_printk("vm=%u gfn=%#llx from=%d node=%u result=%d %s",
		  __entry->vm, __entry->gfn, __entry->from, __entry->node,
		  __entry->result, show_disco_move(__entry->operation))
);

TRACE_EVENT(disco_heat,
	TP_PROTO(unsigned int vm, unsigned long gfn, int node, bool write),
	TP_ARGS(vm, gfn, node, write),
	TP_STRUCT__entry(
		__field(unsigned int, vm)
		__field(unsigned long, gfn)
		__field(int, node)
		__field(bool, write)
	),
	TP_fast_assign(
		__entry->vm = vm;
		__entry->gfn = gfn;
		__entry->node = node;
		__entry->write = write;
	),
	TP_printk("vm=%u gfn=%#lx node=%d write=%d", __entry->vm, __entry->gfn,
		  __entry->node, __entry->write)
);

#endif /* _DISCO_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
