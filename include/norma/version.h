#ifndef NORMA_VERSION_H
#define NORMA_VERSION_H

#include <norma/export.h>

#define NORMA_VERSION_MAJOR 0
#define NORMA_VERSION_MINOR 1
#define NORMA_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

// The version of the library that is loaded, as "major.minor.patch". Static storage. Thread-safe.
NORMA_API const char *norma_version(void);

#ifdef __cplusplus
}
#endif
#endif
