// The plain copy that `norma bench` holds the operators against: slot 0 to slot 1, both beginning at whole vectors.
// TEAM 1 (CPU drivers): a work-item copies args.per_group vectors of 8 in a row. Otherwise neighbouring work-items copy
// neighbouring vectors of 4, args.per_group times a workgroup's width. args.n counts vectors. There are no rows
// to keep in registers: REGISTERS 1 asks for stores that no cache should keep.
#include "prelude.cl"

#if TEAM == 1
typedef float8 vector;
#else
typedef float4 vector;
#endif

static inline void put(vector value, __global vector *to)
{
#if REGISTERS && defined(__has_builtin)
#if __has_builtin(__builtin_nontemporal_store)
    __builtin_nontemporal_store(value, to);
    return;
#endif
#endif
    *to = value;
}

__kernel __attribute__((reqd_work_group_size(LOCAL_SIZE, 1, 1))) void copy(BINDINGS)
{
    __global const vector *from = (__global const vector *)(b0 + offsets.at[X]);
    __global vector *to = (__global vector *)(b1 + offsets.at[Y]);
    ulong group = get_group_id(0) + (ulong)get_num_groups(0) * get_group_id(1);
    ulong begin = group * LOCAL_SIZE * args.per_group + get_local_id(0);
    ulong end = min(begin + (ulong)LOCAL_SIZE * args.per_group, (ulong)args.n);
    for (ulong i = begin; i < end; i += LOCAL_SIZE)
        put(from[i], to + i);
}
