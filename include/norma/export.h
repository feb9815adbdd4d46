#ifndef NORMA_EXPORT_H
#define NORMA_EXPORT_H

#if defined(_WIN32)
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
