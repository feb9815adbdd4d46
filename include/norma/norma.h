// Norma: normalisation for neural networks on any GPU or CPU driver. Includes all but the interoperation headers.
#ifndef NORMA_NORMA_H
#define NORMA_NORMA_H

#include <norma/buffer.h>
#include <norma/context.h>
#include <norma/describe.h>
#include <norma/export.h>
#include <norma/external.h>
#include <norma/plan.h>
#include <norma/problem.h>
#include <norma/record.h>
#include <norma/run.h>
#include <norma/status.h>
#include <norma/tensor.h>
#include <norma/version.h>

#endif
