// Kernels whose arguments are the table of strided_table.h, one a line: for pipeline.c and for meson.build, which reads
// this file. Each is a file of shaders/ of that name; strided_grad is strided_apply with GRADIENT. A build without what
// the comment says leaves the kernel out.
// clang-format off
X(strided_stats)
X(strided_merge)
X(strided_finish)
X(strided_apply)
X(strided_sums) // backward
X(strided_rescue) // backward
X(strided_add) // backward
X(strided_coefficients) // backward
X(strided_grad) // backward
X(strided_window) // for local_response_norm
X(strided_write) // backward
X(strided_running)
X(strided_count)
X(strided_renorm) // for batch_renorm
X(strided_scan)
X(strided_fold)
X(strided_result)
X(strided_switch_mix) // for switchable_norm
X(strided_switch_add) // for switchable_norm, backward
X(strided_switch_coefficients) // for switchable_norm, backward
X(strided_switch_write) // for switchable_norm, backward
X(strided_gather) // for batch_norm_merge
X(column_stats)
X(column_apply)
X(plane_stats)
X(plane_apply)
X(column_sums) // backward
X(column_grad) // backward
X(plane_sums) // backward
X(plane_grad) // backward
// clang-format on
