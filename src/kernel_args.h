// The arguments of every row kernel, one list for C, OpenCL C and GLSL: push constants in Vulkan, a struct by value in
// OpenCL. Each includer defines U32(name) and F32(name). 32-bit words only, at most 32 (128 bytes is Vulkan's minimum).
// Strides and offsets are in elements, relative to the bound range; the planner keeps a range below 2^31 elements.
U32(n)          // length of the whole row
U32(part)       // elements of each row that are bound here: n, unless the row is split over tiles
U32(rows)       // rows of this dispatch
U32(chunk0)     // index within the row of the first chunk bound here
U32(chunks)     // units a row has at this level: chunks (stats, apply), or the inputs of this merge level
U32(unit)       // merge: elements that one input stands for, the row's last excepted
U32(stat_in)    // merge: where this level's inputs begin in the workspace, in float4
U32(stat_out)   // stats, merge: where the outputs begin; whole: unused
U32(row_stat)   // merge (last level), apply: where the finished rows (m, r, s, a) begin
U32(flags)      // NORMA_FLAG_*
U32(types)      // 2 bits a binding slot (slot s at bit 2s): 0 float32, 1 float16, 2 bfloat16
U32(per_group)  // schedule: rows (or units) that one work-item or team takes
U32(gate_rows)  // consecutive rows that share a row of gate
U32(gate_phase) // index of this dispatch's first row within its gate row
U32(stride_x)
U32(stride_y)
U32(stride_residual)
U32(stride_gate)
U32(stride_sum)
U32(stride_mean)
U32(stride_rstd)
U32(off_x) // offsets that the driver's binding alignment leaves over
U32(off_y)
U32(off_weight)
U32(off_bias)
U32(off_residual)
U32(off_gate)
U32(off_input_bias)
U32(off_stats) // mean in the low 16 bits, rstd in the high ones
U32(off_sum)
F32(eps)
F32(weight_offset)
