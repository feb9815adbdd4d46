#include "place.h"
#include "strided_table.h"
#include <string.h>

// Adds elements to a tensor's offset in the kernel arguments.
static void shift_arg(struct norma_row_args *args, norma_arg arg, uint32_t elements)
{
    switch (arg) {
    case NORMA_ARG_X:
        args->off_x += elements;
        break;
    case NORMA_ARG_Y:
        args->off_y += elements;
        break;
    case NORMA_ARG_WEIGHT:
        args->off_weight += elements;
        break;
    case NORMA_ARG_BIAS:
        args->off_bias += elements;
        break;
    case NORMA_ARG_RESIDUAL:
        args->off_residual += elements;
        break;
    case NORMA_ARG_GATE:
        args->off_gate += elements;
        break;
    case NORMA_ARG_INPUT_BIAS:
        args->off_input_bias += elements;
        break;
    case NORMA_ARG_SUM:
        args->off_sum += elements;
        break;
    case NORMA_ARG_MEAN:
        args->off_stats += elements;
        break;
    case NORMA_ARG_RSTD:
        args->off_stats += elements << 16;
        break;
    default: // the row kernels have no others
        break;
    }
}

static uint32_t table_element_size(uint32_t type)
{
    return type == 0 ? 4 : type < 3 ? 2 : 1;
}

// The strided kernels' tables hold the offsets of their slots.
static void place_strided(const struct norma_caps *caps, norma_dispatch *dispatch,
                          const struct norma_place_in_buffer *places, const struct norma_place_in_buffer *workspace,
                          struct norma_command *command)
{
    const uint64_t align = caps->offset_align ? caps->offset_align : 1;
    uint32_t *words = (uint32_t *)(uintptr_t)dispatch->table; // the schedule's own
    for (uint32_t i = 0; i < dispatch->binding_count; i++) {
        norma_bound *b = &dispatch->bindings[i];
        const bool is_workspace = b->arg == NORMA_ARG_WORKSPACE;
        const struct norma_place_in_buffer *place = is_workspace ? workspace : &places[b->arg];
        const uint64_t offset = place->offset, rest = offset % align;
        command->bound[i] = place->buffer;
        command->bound_offset[i] = offset - rest + b->offset;
        b->size += rest;
        if (rest > 0) {
            uint32_t *tensor = words + ST_TENSOR + b->slot * ST_TENSOR_WORDS;
            tensor[1] += (uint32_t)(rest / table_element_size(tensor[0]));
        }
    }
    norma_schedule_placed(dispatch);
}

static size_t element_size(const struct norma_row_args *args, norma_arg arg)
{
    return (args->types >> (2 * arg) & 3) == 0 ? 4 : 2;
}

// Rows that do not begin at a quad lose the fast loads.
void norma_place_dispatch(const struct norma_caps *caps, norma_dispatch *dispatch,
                          const struct norma_place_in_buffer places[NORMA_ARG_COUNT],
                          const struct norma_place_in_buffer *workspace, struct norma_command *command)
{
    struct norma_row_args args;
    memcpy(&args, dispatch->args, sizeof(args));
    const uint64_t align = caps->offset_align ? caps->offset_align : 1;
    *command = (struct norma_command){.kind = NORMA_COMMAND_DISPATCH, .dispatch = dispatch};
    if (dispatch->table) {
        place_strided(caps, dispatch, places, workspace, command);
        return;
    }
    for (uint32_t i = 0; i < dispatch->binding_count; i++) {
        norma_bound *b = &dispatch->bindings[i];
        const bool own = b->slot == (uint32_t)b->arg;
        if (b->arg == NORMA_ARG_WORKSPACE) {
            command->bound[i] = workspace->buffer;
            command->bound_offset[i] = workspace->offset + b->offset;
            continue;
        }
        const uint64_t rest = places[b->arg].offset % align;
        command->bound[i] = places[b->arg].buffer;
        command->bound_offset[i] = places[b->arg].offset - rest + b->offset;
        b->size += rest;
        const size_t size = element_size(&args, b->arg);
        const uintptr_t at = (uintptr_t)places[b->arg].buffer->host + places[b->arg].offset + b->offset;
        if (own && at % (4 * size) && b->arg != NORMA_ARG_MEAN && b->arg != NORMA_ARG_RSTD)
            args.flags &= ~(uint32_t)NORMA_FLAG_ALIGNED;
        if (own)
            shift_arg(&args, b->arg, (uint32_t)(rest / size));
    }
    memcpy(dispatch->args, &args, sizeof(args));
}
