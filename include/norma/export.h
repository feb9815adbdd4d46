#ifndef NORMA_EXPORT_H
#define NORMA_EXPORT_H

// Whoever links the library's objects into his own program on Windows, not its DLL, defines NORMA_STATIC.
#if defined(_WIN32) && defined(NORMA_STATIC)
#define NORMA_API
#elif defined(_WIN32)
#ifdef NORMA_BUILDING
#define NORMA_API __declspec(dllexport)
#else
#define NORMA_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define NORMA_API __attribute__((visibility("default")))
#else
#define NORMA_API
#endif

#endif
